//! The impure shelf: everything that runs a process, opens a socket or asks the machine. Nothing
//! outside these files does (`tests/shelves.rs`).

pub mod checkout;
pub mod dist;
pub mod engine;
pub mod files;
pub mod git;
pub mod go;
pub mod go_download;
pub mod host;
pub mod http;
pub mod narrate;
pub mod process;
