//! `cargo xtask check-upstream`: compares upstream's releases with ours, and has built what is missing.

use std::process::ExitCode;

use anyhow::Result;
use camino::Utf8Path;
use clap::Args;

use crate::sys::identity::Target;

/// See what upstream has released and we have not, and have it built
#[derive(Args)]
pub struct CheckUpstream {
    #[command(flatten)]
    target: Target,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task.
///
/// # Errors
/// Always, for now.
pub fn run(root: &Utf8Path, arguments: &CheckUpstream) -> Result<ExitCode> {
    let (_, repository) = arguments.target.open(root)?;
    anyhow::bail!("not built yet (json: {}, {repository})", arguments.json)
}
