//! How BuildKit is compiled: with upstream's flags and version stamps, and so that the bytes are the
//! same on every machine (DESIGN: `-trimpath`, no VCS stamp, no build id).
//!
//! Upstream gives `buildkitd` its build tags and `buildctl` none. Here one call of Go builds
//! both with the tags of the daemon, so that they share every package: without cgo the tags change one
//! file of `net` (`netgo_on.go` for `netgo_off.go`), and the pure Go resolver is used either way.

use serde::{Deserialize, Serialize};

use crate::dist::names::COMMANDS;
use crate::upstream::git_ref::CommitId;
use crate::upstream::version::Version;

/// The module that BuildKit is, and so the `Package` field of its version stamp.
pub const PACKAGE: &str = "github.com/moby/buildkit";
/// The architecture, as Go names it.
pub const GOARCH: &str = "riscv64";
/// `buildkitd`'s tags. Source: upstream's Dockerfile, the same from v0.14.0 to v0.32.2.
pub const TAGS: &str = "osusergo netgo static_build seccomp";

/// One way to compile: everything besides the source and Go that decides the bytes. It is
/// recorded in `metadata.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The environment of the compiler, except what locates its tools and its cache.
    pub environment: Vec<(String, String)>,
    /// Arguments of `go`, except `-v` and `-o`, which do not change the bytes.
    pub arguments: Vec<String>,
    /// How the archive is packed; gzip's bytes depend on its level.
    pub archive: Archive,
}

/// The form of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// `ustar+gzip`.
    pub form: String,
    /// Gzip's level. Against the usual 6, level 4 takes 0.55 of the time and gives 1.016 of the size.
    pub level: u32,
}

impl Recipe {
    /// The recipe of one commit. Both stamps matter: buildx requires four fields of `--version`.
    pub fn new(version: &Version, commit: &CommitId) -> Self {
        let stamp = |name: &str, value: &str| format!("-X {PACKAGE}/version.{name}={value}");
        let ldflags = [
            "-s -w -buildid=".to_owned(),
            stamp("Version", &version.to_string()),
            stamp("Revision", &commit.to_string()),
            stamp("Package", PACKAGE),
            "-extldflags '-static'".to_owned(),
        ]
        .join(" ");
        let flags = ["build", "-trimpath", "-buildvcs=false", "-mod=vendor", "-tags", TAGS, "-ldflags", &ldflags];
        let packages = COMMANDS.map(|command| format!("./cmd/{command}"));
        Self {
            environment: ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            archive: Archive { form: "ustar+gzip".to_owned(), level: 4 },
            arguments: flags.iter().map(ToString::to_string).chain(packages).collect(),
        }
    }
}

/// A fixed target, whatever the user's Go settings are. Source: `go help environment`.
const ENVIRONMENT: [(&str, &str); 9] = [
    ("CGO_ENABLED", "0"),
    ("GOOS", "linux"),
    ("GOARCH", GOARCH),
    ("GORISCV64", "rva20u64"),
    ("GO111MODULE", "on"),
    ("GOENV", "off"),
    ("GOPROXY", "off"),
    ("GOTOOLCHAIN", "local"),
    ("GOWORK", "off"),
];

/// The line that a command prints for `--version`: four fields, name, package, version, revision.
pub fn version_line(command: &str, version: &Version, commit: &CommitId) -> String {
    format!("{command} {PACKAGE} {version} {commit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::samples;

    #[test]
    fn the_recipe_is_upstream_s_and_reproducible() {
        let recipe = Recipe::new(&samples::version(), &samples::commit());
        assert_eq!(
            recipe.arguments.join("|"),
            "build|-trimpath|-buildvcs=false|-mod=vendor|-tags|osusergo netgo static_build seccomp|-ldflags|\
             -s -w -buildid= -X github.com/moby/buildkit/version.Version=v0.32.2 \
             -X github.com/moby/buildkit/version.Revision=991535e0973488b6a429096d21fa13f81f2d89d8 \
             -X github.com/moby/buildkit/version.Package=github.com/moby/buildkit \
             -extldflags '-static'|./cmd/buildkitd|./cmd/buildctl"
        );
    }

    #[test]
    fn a_version_line_has_the_four_fields_that_buildx_requires() {
        let line = version_line("buildkitd", &samples::version(), &samples::commit());
        assert_eq!(line.split(' ').count(), 4, "{line}");
    }
}
