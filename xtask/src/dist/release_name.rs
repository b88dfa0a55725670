//! The name of one of our releases on GitHub, from the source of the build.

use std::fmt;
use std::str::FromStr;

use crate::upstream::{ReleaseTag, Source, SourceRef};

/// The git tag of one of our releases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleaseName {
    /// `buildkit-v0.32.2-riscv64`, of an upstream release.
    Upstream(ReleaseTag),
    /// `buildkit-v20260804-dev`, of master on that day: eight digits.
    Development(String),
}

impl ReleaseName {
    /// The name for a source. Fails for another branch, and for a commit that is not a release: only
    /// upstream's releases and master are published.
    pub fn of(source: &Source) -> Result<Self, String> {
        match (&source.r#ref, source.version.release_tag()) {
            (SourceRef::Master, _) => Ok(Self::Development(source.source_date.day())),
            (SourceRef::Release(_) | SourceRef::Commit(_), Some(tag)) => Ok(Self::Upstream(tag)),
            _ => Err(format!(
                "{} ({}) is neither a release of upstream nor master; only these are published",
                source.r#ref, source.version
            )),
        }
    }

    /// Upstream's tag, unless it is of master.
    pub fn upstream(&self) -> Option<&ReleaseTag> {
        match self {
            Self::Upstream(tag) => Some(tag),
            Self::Development(_) => None,
        }
    }

    /// Whether GitHub shows it as a prerelease: a release candidate of upstream, or master.
    pub fn is_prerelease(&self) -> bool {
        !self.upstream().is_some_and(ReleaseTag::is_stable)
    }

    /// The title of the release on GitHub.
    pub fn title(&self) -> String {
        match self {
            Self::Upstream(tag) => format!("BuildKit {tag} for RISC-V64"),
            Self::Development(day) => {
                format!("BuildKit master of {}-{}-{} for RISC-V64", &day[..4], &day[4..6], &day[6..])
            }
        }
    }
}

impl FromStr for ReleaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix("buildkit-");
        let upstream = inner.and_then(|inner| inner.strip_suffix("-riscv64")).and_then(|tag| tag.parse().ok());
        let day = inner.and_then(|inner| inner.strip_prefix('v')?.strip_suffix("-dev"));
        let day = day.filter(|day| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()));
        (upstream.map(Self::Upstream)).or_else(|| day.map(|day| Self::Development(day.to_owned()))).ok_or_else(|| {
            format!("{text:?} is not one of our releases (buildkit-v0.14.0-riscv64, buildkit-v20251209-dev)")
        })
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(tag) => write!(out, "buildkit-{tag}-riscv64"),
            Self::Development(day) => write!(out, "buildkit-v{day}-dev"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::samples;
    use crate::os::mutated_input;

    #[test]
    fn the_name_follows_from_the_source_and_reads_back() {
        let named = |r#ref: &str, version: &str| {
            let source = Source {
                r#ref: r#ref.parse().expect(r#ref),
                version: version.parse().expect(version),
                ..samples::source()
            };
            ReleaseName::of(&source).map(|name| {
                assert_eq!(name.to_string().parse(), Ok(name.clone()));
                format!("{name} {} {}", name.title(), name.is_prerelease())
            })
        };
        assert_eq!(
            named("v0.32.2", "v0.32.2").expect("a name"),
            "buildkit-v0.32.2-riscv64 BuildKit v0.32.2 for RISC-V64 false"
        );
        assert_eq!(
            named("v0.33.0-rc1", "v0.33.0-rc1").expect("a name"),
            "buildkit-v0.33.0-rc1-riscv64 BuildKit v0.33.0-rc1 for RISC-V64 true"
        );
        assert_eq!(
            named("master", "v0.32.2").expect("a name"),
            "buildkit-v20260804-dev BuildKit master of 2026-08-04 for RISC-V64 true"
        );
        named("v0.30", "v0.30.1-2-gabcdef012").expect_err("a branch");
        named("v0.30", "v0.30.1").expect_err("a branch at a release");
        named(&samples::commit().to_string(), "v0.32.0-57-g73ed6825c").expect_err("a commit");
    }

    #[test]
    fn a_mutated_tag_is_of_others_or_reads_back() {
        for sample in ["buildkit-v0.33.0-rc1-riscv64", "buildkit-v20260804-dev"] {
            arbtest::arbtest(|source| {
                let text = mutated_input::text(source, sample)?;
                if let Ok(name) = text.parse::<ReleaseName>() {
                    assert_eq!(name.to_string(), text);
                    assert!(name.title().len() < text.len() + 40, "{}", name.title());
                }
                Ok(())
            });
        }
    }
}
