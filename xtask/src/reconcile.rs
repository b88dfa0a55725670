//! One change to GitHub or to a registry, as it is planned, printed and made. There is no other way to
//! change anything there.

pub mod executor;
pub mod step;
