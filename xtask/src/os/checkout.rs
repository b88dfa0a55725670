//! The checkout that a task works in.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::sha256_of;

use crate::os::host;

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

/// Twelve hexadecimal digits that identify this checkout on this machine. Several checkouts may use one
/// engine at once, and each only touches its own images and containers.
pub fn owner(root: &Utf8Path) -> Result<String> {
    let text = format!("{}\n{root}", host::name().unwrap_or_default());
    Ok(sha256_of(&mut text.as_bytes())?.to_string()[..12].to_owned())
}
