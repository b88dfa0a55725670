//! Versions of Go, as `go.mod`, `go version` and the download page write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of Go: `1.21` (a language version, which names no release since Go 1.21), `1.21.13`,
/// or `1.27rc1`. Ordered as Go orders them: `1.21 < 1.21rc1 < 1.21.0` (<https://go.dev/doc/toolchain#version>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GoVersion {
    major: u32,
    minor: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Language,
    Beta(u32),
    Candidate(u32),
    Patch(u32),
}

impl GoVersion {
    /// Whether this is a release, not a candidate, a beta, or a language version alone.
    pub fn is_final(self) -> bool {
        matches!(self.stage, Stage::Patch(_))
    }

    /// The line of releases that it belongs to.
    pub fn line(self) -> Line {
        Line { major: self.major, minor: self.minor }
    }

    /// The version that the `go` line of a `go.mod` requires.
    /// Source: <https://go.dev/ref/mod#go-mod-file-go>.
    pub fn required_by(go_mod: &str) -> Result<Self, String> {
        let line = go_mod.lines().find_map(|line| line.trim().strip_prefix("go ")).ok_or("go.mod has no go line")?;
        line.split("//").next().unwrap_or_default().trim().parse()
    }
}

/// A line of releases, such as 1.26: all of its patches take the same programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    major: u32,
    minor: u32,
}

impl Line {
    /// How far apart two lines are: a major version counts more than any number of minor ones.
    pub fn distance(self, other: Self) -> (u32, u32) {
        (self.major.abs_diff(other.major), self.minor.abs_diff(other.minor))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for GoVersion {
    type Err = String;

    /// Takes `1.26.3` as well as `go1.26.3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (major, rest) = text.strip_prefix("go").unwrap_or(text).split_once('.')?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (minor, tail) = rest.split_at(end);
            let stage = if tail.is_empty() {
                Stage::Language
            } else if let Some(patch) = tail.strip_prefix('.') {
                Stage::Patch(number(patch)?)
            } else if let Some(candidate) = tail.strip_prefix("rc") {
                Stage::Candidate(number(candidate)?)
            } else {
                Stage::Beta(number(tail.strip_prefix("beta")?)?)
            };
            Some(Self { major: number(major)?, minor: number(minor)?, stage })
        };
        parse().ok_or_else(|| format!("{text:?} is not a version of Go (1.21, 1.26.3, 1.27rc1)"))
    }
}

fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

oci::text_form!(GoVersion);

impl fmt::Display for GoVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)?;
        match self.stage {
            Stage::Language => Ok(()),
            Stage::Beta(number) => write!(out, "beta{number}"),
            Stage::Candidate(number) => write!(out, "rc{number}"),
            Stage::Patch(number) => write!(out, ".{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    fn go(text: &str) -> GoVersion {
        text.parse().expect(text)
    }

    #[test]
    fn the_order_is_go_s_own() {
        let ordered = ["1.9.7", "1.21", "1.21beta1", "1.21rc2", "1.21.0", "1.21.13", "1.22", "1.22.1", "2.0.0"].map(go);
        assert!(ordered.is_sorted());
    }

    #[test]
    fn it_prints_as_it_was_written() {
        for text in ["1.21", "1.21.0", "1.26.3", "1.27rc1", "1.18beta2"] {
            assert_eq!((go(text).to_string(), go(&format!("go{text}"))), (text.to_owned(), go(text)));
        }
        for text in ["", "1", "1.", "1.x", "1.21.", "1.21-rc1", "devel go1.27-abc", "1.21.0.0", "1.+2"] {
            text.parse::<GoVersion>().expect_err(text);
        }
    }

    #[test]
    fn only_a_patch_is_final() {
        let finals = ["1.21.0", "1.26.3"].map(|text| go(text).is_final());
        let others = ["1.21", "1.27rc1", "1.18beta2"].map(|text| go(text).is_final());
        assert_eq!((finals, others), ([true; 2], [false; 3]));
    }

    #[test]
    fn go_mod_names_the_version() {
        assert_eq!(GoVersion::required_by("module x\n\ngo 1.26.3 // why\n\nrequire y v1\n"), Ok(go("1.26.3")));
        GoVersion::required_by("module x\n").expect_err("there is no go line");
    }

    #[test]
    fn a_mutated_version_is_refused_or_reads_back() {
        for sample in ["go1.26.3", "1.27rc1", "1.21"] {
            arbtest::arbtest(|source| {
                if let Ok(version) = mutated_input::text(source, sample)?.parse::<GoVersion>() {
                    let text = version.to_string();
                    assert!(text.len() <= 3 * 10 + 5, "{text}");
                    assert_eq!(text.parse(), Ok(version));
                }
                Ok(())
            });
        }
    }

    #[test]
    fn a_mutated_go_mod_is_refused_or_names_a_version_that_is_in_it() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, "module x\n\ngo 1.26.3 // why\n\nrequire y v1\n")?;
            if let Ok(version) = GoVersion::required_by(&text) {
                assert!(text.contains("go ") && version.to_string().parse() == Ok(version), "{text:?}");
            }
            Ok(())
        });
    }
}
