//! The operating system: processes, files, the host, the clock, the terminal.

pub mod cargo;
pub mod checkout;
pub mod clock;
pub mod files;
pub mod github_actions;
pub mod host;
pub mod interrupt;
#[cfg(test)]
#[path = "../crates/oci/src/mutated_input.rs"]
pub mod mutated_input;
pub mod process;
pub mod shell;
pub mod streams;
pub mod terminal;
