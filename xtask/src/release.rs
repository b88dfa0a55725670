//! `cargo xtask release`.

use std::process::ExitCode;

use anyhow::Result;
use camino::Utf8Path;
use clap::Args;

/// Not built yet
#[derive(Args)]
pub struct Release {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task.
///
/// # Errors
/// Always, for now.
pub fn run(_root: &Utf8Path, arguments: &Release) -> Result<ExitCode> {
    anyhow::bail!("not built yet (json: {})", arguments.json)
}
