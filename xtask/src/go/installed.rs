//! A Go that is installed: its version, and the environment that it runs in.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::go::version::GoVersion;
use crate::os::process::{Run, run};

/// An installed Go.
#[derive(Clone, Debug)]
pub struct Go {
    /// Path of the `go` command.
    pub program: Utf8PathBuf,
    pub version: GoVersion,
    /// Where it comes from and why it was chosen, as text.
    pub reason: String,
}

/// The version that a `go` command reports.
pub fn version_of(program: &Utf8Path) -> Result<GoVersion> {
    let printed = environment(run!("{program} version")).read()?;
    // "go version go1.26.3 linux/amd64"
    let version = printed.strip_prefix("go version ").and_then(|rest| rest.split([' ', '-']).next());
    let version = version.with_context(|| format!("{program} printed {printed:?} for its version"))?;
    version.parse().map_err(anyhow::Error::msg)
}

/// A run of Go without the user's `GO…` and `CGO_…` settings, which would change the build, except those of
/// the directories that it writes to.
pub fn environment(run: Run) -> Run {
    let is_noise =
        |name: &str| (name.starts_with("GO") || name.starts_with("CGO_")) && !matches!(name, "GOCACHE" | "GOTMPDIR");
    let noise = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_noise(name));
    noise.fold(run, Run::env_remove).env("GOTOOLCHAIN", "local").env("GOENV", "off")
}
