//! Upstream's versions: a release tag (`v0.32.2`), or the output of `git describe` for a commit after
//! one (`v0.32.0-57-g73ed6825c`). They are also the names of the directories in `dist/`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A tag of the form `vX.Y.Z` or `vX.Y.Z-PRERELEASE`, without build metadata.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseTag(semver::Version);

impl ReleaseTag {
    /// Whether it is neither a release candidate nor a beta.
    pub fn is_stable(&self) -> bool {
        self.0.pre.is_empty()
    }

    /// The minor version: 0.32 of v0.32.2.
    pub fn line(&self) -> (u64, u64) {
        (self.0.major, self.0.minor)
    }
}

oci::text_form!(ReleaseTag);

impl FromStr for ReleaseTag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_prefix('v')
            .and_then(|rest| semver::Version::parse(rest).ok())
            .filter(|version| version.build.is_empty() && text.len() < 64)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a release tag (v0.14.0, v0.33.0-rc1)"))
    }
}

impl fmt::Display for ReleaseTag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "v{}", self.0)
    }
}

/// The version that is stamped into a build: a release tag, or the output of `git describe` in
/// upstream's repository. Only letters, digits and `.+_-`, so that it is a safe file name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

impl Version {
    /// The release tag, if the version is one and not a commit after one.
    ///
    /// ```text
    /// v0.32.2 → v0.32.2        v0.33.0-rc1 → v0.33.0-rc1
    /// v0.32.0-57-g73ed6825c → None (semver alone would take `-57-g…` for a prerelease)
    /// ```
    pub fn release_tag(&self) -> Option<ReleaseTag> {
        let is_described = self.0.rsplit_once("-g").is_some_and(|(front, hex)| {
            let count = front.rsplit_once('-').map_or("", |(_, count)| count);
            !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()) && hex.bytes().all(|b| b.is_ascii_hexdigit())
        });
        if is_described { None } else { self.0.parse().ok() }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".+_-".contains(&byte);
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 128 && text.bytes().all(legal) && !text.contains("..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a version (v0.32.2, v0.32.0-57-g73ed6825c)"))
        }
    }
}

impl From<&ReleaseTag> for Version {
    fn from(tag: &ReleaseTag) -> Self {
        Self(tag.to_string())
    }
}

oci::text_form!(Version);

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn a_described_commit_is_not_a_release() {
        let tag = |text: &str| text.parse::<Version>().expect(text).release_tag().map(|tag| tag.to_string());
        assert_eq!(tag("v0.32.2").as_deref(), Some("v0.32.2"));
        assert_eq!(tag("v0.33.0-rc1").as_deref(), Some("v0.33.0-rc1"));
        assert_eq!(tag("v0.32.0-57-g73ed6825c"), None);
        assert_eq!(tag("v0.33.0-rc1-3-g73ed6825c"), None);
        assert_eq!(tag("73ed6825c"), None);
    }

    #[test]
    fn a_version_is_a_safe_file_name() {
        for text in ["", ".", "..", "../x", "a/b", "a b", "-x", "a\n", ".hidden", "v1..2"] {
            text.parse::<Version>().expect_err(text);
        }
    }

    #[test]
    fn other_tags_of_upstream_are_not_releases() {
        for text in ["dockerfile/1.9.0", "v0.14", "0.14.0", "v0.14.0+build", "v01.2.3", "V0.14.0", "v0.14.0 "] {
            text.parse::<ReleaseTag>().expect_err(text);
        }
    }

    #[test]
    fn a_mutated_version_is_refused_or_a_safe_file_name() {
        for sample in ["v0.33.0-rc1", "v0.32.0-57-g73ed6825c"] {
            arbtest::arbtest(|source| {
                let text = mutated_input::text(source, sample)?;
                if let Ok(version) = text.parse::<Version>() {
                    assert_eq!(version.to_string(), text);
                    let mut parts = camino::Utf8Path::new(&text).components();
                    assert!(matches!(parts.next(), Some(camino::Utf8Component::Normal(_))) && parts.next().is_none());
                    assert!(text.len() <= 128 && !text.starts_with(['.', '-']), "{text}");
                    assert!(version.release_tag().is_none_or(|tag| tag.to_string() == text));
                }
                if let Ok(tag) = text.parse::<ReleaseTag>() {
                    assert_eq!(tag.to_string(), text);
                    assert!(text.len() < 64 && tag.is_stable() != text.contains('-'), "{text}");
                }
                Ok(())
            });
        }
    }
}
