//! The checkout that a task works in.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

/// The root of the checkout that contains the current directory, or else of the one that cargo runs: with
/// `cargo run --manifest-path`, the current directory can be anywhere.
pub fn root() -> Result<Utf8PathBuf> {
    let here = std::env::current_dir().context("the current directory does not exist")?;
    let here = Utf8PathBuf::try_from(here).context("the name of the current directory is not UTF-8")?;
    let above = |folder: &Utf8Path| folder.ancestors().find(|folder| is_root(folder)).map(Utf8Path::to_owned);
    let of_cargo = || above(&Utf8PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").ok()?));
    let root = above(&here).or_else(of_cargo).with_context(|| {
        format!("{here} is not in a checkout of docker-for-riscv64 (a directory with .gitmodules and xtask/)")
    })?;
    // Go refuses such a directory, and so does much else that reads lines.
    ensure!(!root.as_str().contains(['\n', '\r']), "there is a line break in the path {root:?}; move the checkout");
    Ok(root)
}

/// Whether this is the root of a checkout.
pub fn is_root(folder: &Utf8Path) -> bool {
    folder.join(".gitmodules").is_file() && folder.join("xtask").is_dir()
}
