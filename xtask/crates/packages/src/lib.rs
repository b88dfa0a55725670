//! Packages for distributions, and static repositories of them. Formats only: what is built, signed and published
//! is the business of xtask, which runs this crate's program, so that only `package` pays for compiling the crate rpm.

pub mod repository;
