//! The checkout that a task works in.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

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
