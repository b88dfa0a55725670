//! Which Go a ref is compiled with: a release of the line that upstream itself builds the ref with, the newest
//! that can be had, and at least what its `go.mod` requires.

use std::cmp::Reverse;
use std::fmt;

use crate::go::version::{GoVersion, Line};

/// The Go that upstream compiles a ref with, as its sources name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedGo {
    line: Line,
    at_least: GoVersion,
    at_most: Option<GoVersion>,
}

impl WantedGo {
    /// Reads it from upstream's `Dockerfile` and `go.mod`. A Dockerfile that names no Go has no say.
    ///
    /// # Errors
    /// If `go.mod` has no `go` line.
    pub fn of(dockerfile: &str, go_mod: &str) -> Result<Self, String> {
        let at_least = GoVersion::required_by(go_mod)?;
        let line = named_in(dockerfile).map_or(at_least.line(), GoVersion::line);
        Ok(Self { line: line.max(at_least.line()), at_least, at_most: None })
    }

    /// Any Go from this one on, one of its line if there is one.
    pub fn at_least(version: GoVersion) -> Self {
        Self { line: version.line(), at_least: version, at_most: None }
    }

    /// This Go and no other.
    pub fn exactly(version: GoVersion) -> Self {
        Self { at_most: Some(version), ..Self::at_least(version) }
    }

    /// Whether `version` can compile the ref at all.
    pub fn takes(self, version: GoVersion) -> bool {
        let is_in_range = version >= self.at_least && self.at_most.is_none_or(|newest| version <= newest);
        is_in_range && (version.is_final() || version == self.at_least)
    }

    /// Whether `version` is of the line that upstream uses.
    pub fn is_met_by(self, version: GoVersion) -> bool {
        self.takes(version) && version.line() == self.line
    }

    /// The best of some Gos that it takes: the newest of the line, else of the nearest newer line, else of the
    /// nearest older.
    pub fn best<T>(self, candidates: impl IntoIterator<Item = T>, version: impl Fn(&T) -> GoVersion) -> Option<T> {
        let taken = candidates.into_iter().filter(|candidate| self.takes(version(candidate)));
        taken.min_by_key(|candidate| self.rank(version(candidate)))
    }

    /// Whether `version` is better than `other`.
    pub fn prefers(self, version: GoVersion, other: GoVersion) -> bool {
        self.rank(version) < self.rank(other)
    }

    /// Orders versions, the best first.
    fn rank(self, version: GoVersion) -> impl Ord {
        let is_older = version.line() < self.line;
        (is_older, version.line().distance(self.line), Reverse(version))
    }
}

impl fmt::Display for WantedGo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at_most {
            Some(version) => write!(out, "Go {version} and no other is wanted"),
            None => write!(out, "upstream uses Go {}, and go.mod requires {}", self.line, self.at_least),
        }
    }
}

/// The first Go that a Dockerfile names: since v0.12 as `ARG GO_VERSION=1.26`, before that as the image
/// `golang:1.19-alpine`.
fn named_in(dockerfile: &str) -> Option<GoVersion> {
    let argument = |line: &str| line.trim().strip_prefix("ARG GO_VERSION=")?.trim_matches('"').parse().ok();
    let image = |line: &str| {
        let tag = line.trim().strip_prefix("FROM ")?.split_once("golang:")?.1;
        tag.split(['-', ' ']).next()?.parse().ok()
    };
    dockerfile.lines().find_map(argument).or_else(|| dockerfile.lines().find_map(image))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const DOCKERFILE: &str = "ARG ALPINE_VERSION=3.22\nARG GO_VERSION=1.26\n\
                              FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-alpine${ALPINE_VERSION} AS golatest\n";

    fn go(text: &str) -> GoVersion {
        text.parse().expect(text)
    }

    fn wanted(dockerfile: &str, go_mod: &str) -> WantedGo {
        WantedGo::of(dockerfile, &format!("module x\n\ngo {go_mod}\n")).expect("a go.mod")
    }

    fn best(wanted: WantedGo, candidates: &[&str]) -> Option<String> {
        wanted.best(candidates.iter().map(|text| go(text)), |version| *version).map(|version| version.to_string())
    }

    #[test]
    fn the_dockerfile_names_the_line_and_go_mod_the_oldest() {
        assert_eq!(wanted(DOCKERFILE, "1.25.9").to_string(), "upstream uses Go 1.26, and go.mod requires 1.25.9");
        let of_v0_11 = "FROM --platform=$BUILDPLATFORM golang:1.19-alpine${ALPINE_VERSION} AS golatest\n";
        assert_eq!(wanted(of_v0_11, "1.18").to_string(), "upstream uses Go 1.19, and go.mod requires 1.18");
        let silent = "FROM scratch\n";
        assert_eq!(wanted(silent, "1.24.0").to_string(), "upstream uses Go 1.24, and go.mod requires 1.24.0");
        let behind = "ARG GO_VERSION=1.23\n";
        assert_eq!(wanted(behind, "1.24.0").to_string(), "upstream uses Go 1.24, and go.mod requires 1.24.0");
    }

    #[test]
    fn the_newest_of_the_line_is_best_then_the_next_newer_line_then_an_older_one() {
        let of_v0_31 = wanted(DOCKERFILE, "1.25.9");
        let all = ["1.25.8", "1.25.9", "1.25.12", "1.26rc1", "1.26.0", "1.26.6", "1.27.3", "1.28.1", "1.29rc2"];
        assert_eq!(best(of_v0_31, &all).as_deref(), Some("1.26.6"));
        assert_eq!(best(of_v0_31, &["1.25.9", "1.25.12", "1.27.3", "1.28.1"]).as_deref(), Some("1.27.3"));
        assert_eq!(best(of_v0_31, &["1.25.8", "1.25.9", "1.25.12", "1.29rc2"]).as_deref(), Some("1.25.12"));
        assert_eq!(best(of_v0_31, &["1.25.8", "1.29rc2"]), None);
        assert_eq!(best(WantedGo::exactly(go("1.25.9")), &all).as_deref(), Some("1.25.9"));
        assert!(of_v0_31.is_met_by(go("1.26.0")) && !of_v0_31.is_met_by(go("1.25.9")));
    }

    #[test]
    fn a_candidate_that_go_mod_asks_for_is_taken() {
        let early = wanted("ARG GO_VERSION=1.27\n", "1.27rc1");
        assert_eq!(best(early, &["1.27rc1", "1.27rc2", "1.26.6"]).as_deref(), Some("1.27rc1"));
        assert_eq!(best(early, &["1.27rc1", "1.27.0"]).as_deref(), Some("1.27.0"));
    }

    #[test]
    fn a_mutated_dockerfile_names_no_go_or_one_that_is_in_it() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, DOCKERFILE)?;
            if let Some(version) = named_in(&text) {
                assert!(text.contains('.') && version.to_string().parse() == Ok(version), "{text:?}");
            }
            Ok(())
        });
    }
}
