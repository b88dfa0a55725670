//! The packages of `BuildKit` for riscv64: their names and versions, the files in them, and the formats of Debian and RPM.
//!
//! Without the feature `write` this crate is what xtask has to know: [`version`], [`help`], [`request`] and [`index`]. With
//! it, the program `packager` turns a [`request::Request`] into packages: [`buildkit`] chooses the files and texts,
//! [`contents`] is the model that they are chosen in, and [`deb`] and [`rpm`] write it; [`difference`] says where two
//! packages differ. Only `packager` compiles
//! the crates that do so.
//!
//! Knows nothing of GitHub, registries or sockets. The same request gives the same bytes on every machine: all times
//! are the source date, every owner is root, every list is sorted, and the compressor is compiled from one source.

pub mod help;
pub mod index;
pub mod request;
pub mod version;

#[cfg(feature = "write")]
pub mod buildkit;
#[cfg(feature = "write")]
pub mod contents;
#[cfg(feature = "write")]
pub mod copyright;
#[cfg(feature = "write")]
pub mod deb;
#[cfg(feature = "write")]
pub mod difference;
#[cfg(feature = "write")]
pub mod documentation;
#[cfg(feature = "write")]
pub mod ebuild;
#[cfg(feature = "write")]
pub mod licenses;
#[cfg(feature = "write")]
pub mod repository;
#[cfg(feature = "write")]
pub mod rpm;

/// How hard xz compresses: its own default. A level more gains a hundredth, and takes more memory to install.
#[cfg(feature = "write")]
const XZ_LEVEL: u32 = 6;

#[cfg(test)]
#[path = "../../oci/src/mutated_input.rs"]
mod mutated_input;
