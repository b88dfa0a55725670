//! `cargo xtask rehearse`: the whole train, offline, against doubles of GitHub and of a registry on
//! loopback, with faults on demand.

use std::process::ExitCode;

use anyhow::Result;
use camino::Utf8Path;
use clap::Args;

pub mod exchange;
pub mod registry;
pub mod stand_in;

/// Rehearse the whole train offline: check-upstream, build, release, against doubles on loopback
#[derive(Args)]
pub struct Rehearse {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task.
///
/// # Errors
/// Where the rehearsal cannot be held.
pub fn run(_root: &Utf8Path, arguments: &Rehearse) -> Result<ExitCode> {
    anyhow::bail!("not built yet (json: {})", arguments.json)
}
