//! `cargo xtask --version`: this checkout, and the upstream commit that it pins.

use std::process::ExitCode;

use anyhow::{Context, Result};
use camino::Utf8Path;
use clap::Command;
use clap::error::ErrorKind;

use crate::cli::Global;
use crate::git;
use crate::os::process::run;
use crate::os::streams::print_stdout;

const SHORT_DIGITS: usize = 12;

/// Prints one line: `xtask 0.0.0 (checkout a7cb0e4c1f2d, BuildKit 991535e09734)`.
/// Without `--version` a task is missing, so this ends the process with the usage of `command`.
pub fn run(root: &Utf8Path, global: &Global, mut command: Command) -> Result<ExitCode> {
    if !global.version {
        command.error(ErrorKind::MissingSubcommand, "name a task; `cargo xtask --help` lists them").exit();
    }
    let commits = git::read(root, run!("git rev-parse HEAD HEAD:buildkit"))?;
    let short = |commit: &str| commit.chars().take(SHORT_DIGITS).collect::<String>();
    let (checkout, buildkit) = commits.split_once('\n').context("git printed no second commit")?;
    print_stdout(format_args!(
        "xtask {} (checkout {}, BuildKit {})",
        env!("CARGO_PKG_VERSION"),
        short(checkout),
        short(buildkit)
    ));
    Ok(ExitCode::SUCCESS)
}
