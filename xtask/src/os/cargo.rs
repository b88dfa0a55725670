//! The cargo that runs us.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use std::time::Duration;

use camino::Utf8Path;

use crate::os::process::{Run, run};

/// Long enough for a cold compilation and a cold Go cache on a slow machine.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// A cargo command in the checkout.
pub fn cargo(root: &Utf8Path) -> Run {
    // The cargo that runs us is that of the pinned toolchain. The variables that it sets for this package are
    // removed: build scripts that watch them would run again.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let run = run!("{cargo}").directory(root).limit(LIMIT);
    let of_package = |name: &String| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(of_package).fold(run, Run::env_remove)
}
