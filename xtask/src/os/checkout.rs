//! The checkout that a task works in.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

/// The root of the checkout that contains the current directory.
pub fn root() -> Result<Utf8PathBuf> {
    let here = std::env::current_dir().context("the current directory does not exist")?;
    let here = Utf8PathBuf::try_from(here).context("the name of the current directory is not UTF-8")?;
    let is_root = |folder: &&Utf8Path| folder.join(".gitmodules").is_file() && folder.join("xtask").is_dir();
    let root = here.ancestors().find(is_root).map(Utf8Path::to_owned);
    root.with_context(|| {
        format!("{here} is not in a checkout of docker-for-riscv64 (a directory with .gitmodules and xtask/)")
    })
}
