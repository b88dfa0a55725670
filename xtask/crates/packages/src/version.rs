//! Versions of packages, and the names of their files, from the version of a build.
//!
//! Sources: Debian Policy, "Version"; Fedora Packaging Guidelines, "Versioning". Both sort a tilde before the end of
//! the version, so that a candidate is older than its release and master older than any release.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of the package in both formats.
pub const NAME: &str = "buildkit";
/// The architecture, which Debian and RPM name alike.
pub const ARCHITECTURE: &str = "riscv64";
/// The number of a package of the same upstream version. What is published never changes, so it stays the first.
const REVISION: &str = "1";

/// A format of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Deb,
    Rpm,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::Deb, Self::Rpm];

    /// Also the extension of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        }
    }
}

/// The upstream part of a package's version: `0.32.2`, `0.33.0~rc1`, `0~20260804.git991535e0973`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageVersion(String);

impl PackageVersion {
    /// That of a release tag (`v0.32.2`, `v0.33.0-rc1`), or of `git describe` for a commit after one
    /// (`v0.32.0-57-g73ed6825c`).
    ///
    /// # Errors
    /// If `text` is neither.
    pub fn of_version(text: &str) -> Result<Self, String> {
        let fault =
            || format!("{text:?} is neither a release (v0.32.2) nor a commit after one (v0.32.0-57-g73ed6825c)");
        let numbers = text.strip_prefix('v').ok_or_else(fault)?;
        let (tag, after) = match numbers.rsplit_once("-g").and_then(|(front, hex)| Some((front.rsplit_once('-')?, hex)))
        {
            Some(((tag, count), hex)) => (tag, format!("+{count}.g{hex}")),
            None => (numbers, String::new()),
        };
        // A tilde for the first hyphen; Debian's versions take no other, and RPM's none.
        let tag = tag.replacen('-', "~", 1).replace('-', ".");
        format!("{tag}{after}").parse()
    }

    /// That of master on a day, `20260804`, at a commit.
    ///
    /// # Errors
    /// If the day has other than digits.
    pub fn of_master(day: &str, commit: &str) -> Result<Self, String> {
        format!("0~{day}.git{}", &commit[..commit.len().min(11)]).parse()
    }

    /// The whole version, with the revision of the package.
    pub fn with_revision(&self) -> String {
        format!("{}-{REVISION}", self.0)
    }

    /// RPM's field `Release`.
    pub fn revision(&self) -> &'static str {
        REVISION
    }

    /// The name of the file: a dot where the version has a tilde, because GitHub puts one there in the names of
    /// assets. No tool takes the version from the name.
    pub fn file_name(&self, format: Format) -> String {
        self.name_in_repository(format).replace('~', ".")
    }

    /// The name in a repository, which is that of dpkg-name(1) or of RPM.
    pub fn name_in_repository(&self, format: Format) -> String {
        let version = self.with_revision();
        match format {
            Format::Deb => format!("{NAME}_{version}_{ARCHITECTURE}.{}", format.name()),
            Format::Rpm => format!("{NAME}-{version}.{ARCHITECTURE}.{}", format.name()),
        }
    }
}

impl std::str::FromStr for PackageVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b".+~".contains(&byte);
        if text.starts_with(|first: char| first.is_ascii_digit()) && text.len() <= 100 && text.bytes().all(is_legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} cannot be the version of a package"))
        }
    }
}

impl TryFrom<String> for PackageVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PackageVersion> for String {
    fn from(version: PackageVersion) -> Self {
        version.0
    }
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutated_input;

    fn text(version: &str) -> String {
        PackageVersion::of_version(version).expect(version).to_string()
    }

    #[test]
    fn a_version_is_that_of_the_build_in_the_form_of_packages() {
        let pairs = [
            ("v0.32.2", "0.32.2"),
            ("v0.33.0-rc1", "0.33.0~rc1"),
            ("v0.12.0-beta.1", "0.12.0~beta.1"),
            ("v0.32.0-57-g73ed6825c", "0.32.0+57.g73ed6825c"),
            ("v0.33.0-rc1-3-g73ed6825c", "0.33.0~rc1+3.g73ed6825c"),
        ];
        for (version, expected) in pairs {
            assert_eq!(text(version), expected);
            assert_eq!(expected.parse::<PackageVersion>().expect("is one").to_string(), expected);
        }
        for version in ["", "v", "73ed6825c", "vx", "v1/2", "v1 2", "v1:2"] {
            PackageVersion::of_version(version).expect_err(version);
        }
        PackageVersion::of_master("today's", "991535e0973488b6a429096d21fa13f81f2d89d8").expect_err("no day");
    }

    #[test]
    fn a_file_name_has_only_what_github_keeps_in_the_names_of_assets() {
        let version = PackageVersion::of_version("v0.33.0-rc1").expect("a version");
        assert_eq!(version.file_name(Format::Deb), "buildkit_0.33.0.rc1-1_riscv64.deb");
        assert_eq!(version.file_name(Format::Rpm), "buildkit-0.33.0.rc1-1.riscv64.rpm");
    }

    #[test]
    fn what_is_not_a_version_is_refused_and_what_is_names_a_file() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, "v0.33.0-rc1-3-g73ed6825c")?;
            if let Ok(version) = PackageVersion::of_version(&text) {
                let name = version.file_name(Format::Deb);
                assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte)), "{name}");
            }
            Ok(())
        });
    }
}
