//! `cargo xtask package`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use camino::Utf8Path;
use clap::Args;

use crate::os::process::{Run, run};
use crate::package::repository::RepositoryOptions;

mod repository;

/// Compiling the program the first time takes a minute, and on a slow board several.
const PACKAGER_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Make packages for distributions, and repositories of them
#[derive(Args)]
pub struct Package {
    #[command(flatten)]
    repository: RepositoryOptions,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task in the checkout at `root`.
pub fn run(root: &Utf8Path, arguments: &Package) -> Result<ExitCode> {
    match &arguments.repository.repository {
        Some(folder) => repository::run(root, folder, &arguments.repository, arguments.json),
        None => bail!("name a directory with --repository"),
    }
}

/// The program that writes packages, compiled if necessary.
fn packager(root: &Utf8Path) -> Run {
    run!("cargo run --quiet --locked --package packages --").directory(root).limit(PACKAGER_LIMIT)
}
