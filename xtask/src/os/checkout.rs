//! The checkout that a task works in.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::sha256_of;

use crate::os::host;

/// The checkout around the current folder.
///
/// # Errors
/// Where the current folder is in none.
pub fn root() -> Result<Utf8PathBuf> {
    let here = std::env::current_dir().context("the current folder is gone")?;
    let here = Utf8PathBuf::try_from(here).context("the current folder has a name that is not UTF-8")?;
    let is_root = |folder: &&Utf8Path| folder.join(".gitmodules").is_file() && folder.join("xtask").is_dir();
    let root = here.ancestors().find(is_root).map(Utf8Path::to_owned);
    root.with_context(|| {
        format!("{here} is in no checkout of docker-for-riscv64 (a folder with .gitmodules and xtask/)")
    })
}

/// Twelve hexadecimal digits that stand for this checkout on this machine: two of them may use one
/// engine at the same time, and each knows its own things there.
///
/// # Errors
/// None that can happen: a text in memory can be read.
pub fn owner(root: &Utf8Path) -> Result<String> {
    let text = format!("{}\n{root}", host::name().unwrap_or_default());
    Ok(sha256_of(&mut text.as_bytes())?.to_string()[..12].to_owned())
}
