//! The impure shelf: everything that runs a process, opens a socket or asks the machine. Nothing
//! outside these files does (`tests/shelves.rs`).

pub mod actions;
pub mod blobs;
pub mod builder;
pub mod checkout;
pub mod clock;
pub mod debian;
pub mod dist;
pub mod docker_archive;
pub mod engine;
pub mod exchange;
pub mod files;
pub mod git;
pub mod github;
pub mod go;
pub mod go_download;
pub mod host;
pub mod host_init;
pub mod http;
pub mod identity;
pub mod ingredients;
pub mod layout;
pub mod loopback;
pub mod machine;
pub mod narrate;
pub mod patience;
pub mod perform;
pub mod process;
pub mod registry;
pub mod table;
