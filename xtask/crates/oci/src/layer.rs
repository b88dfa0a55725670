//! Layers: tar archives, read with bounds, brought into one canonical form, and written again.

pub mod archive;
pub mod canonical;
pub mod members;
