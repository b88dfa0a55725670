//! Programs that the checks run: cargo, and what `--install` has installed for them.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use camino::{Utf8Path, Utf8PathBuf};

use crate::os;
use crate::os::process::Run;

/// A cargo command in the checkout, with the installed tools on its PATH.
pub fn cargo(root: &Utf8Path) -> Run {
    os::cargo::cargo(root).env("PATH", search_path(root))
}

/// PATH with the programs installed here first.
pub fn search_path(root: &Utf8Path) -> String {
    let [python, crates] = bin_directories(root);
    format!("{python}:{crates}:{}", std::env::var("PATH").unwrap_or_default())
}

pub fn tools(root: &Utf8Path) -> Utf8PathBuf {
    root.join("target/ci/tools")
}

pub fn bin_directories(root: &Utf8Path) -> [Utf8PathBuf; 2] {
    ["python/bin", "cargo/bin"].map(|below| tools(root).join(below))
}
