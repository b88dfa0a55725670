//! Programs that the checks run: cargo, and what `--install` has installed for them.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::os::process::{Run, run};

/// Long enough for a cold compilation and a cold Go cache on a slow machine.
const CARGO_LIMIT: Duration = Duration::from_secs(60 * 60);

/// A cargo command in the checkout, with the installed tools on its PATH.
pub fn cargo(root: &Utf8Path) -> Run {
    // The cargo that runs us is that of the pinned toolchain. The variables that it sets for this package are
    // removed: build scripts that watch them would run again.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let run = run!("{cargo}").directory(root).limit(CARGO_LIMIT);
    let of_package = |name: &String| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    let run = run.env("PATH", search_path(root));
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(of_package).fold(run, Run::env_remove)
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
