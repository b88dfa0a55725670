//! What is where in a repository, as the program `packager` prints it for `cargo xtask package`, in JSON.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::Sha256;
use serde::{Deserialize, Serialize};

/// What `sha256sum --check` reads in a repository: every package, and nothing else.
pub const SHA256SUMS: &str = "SHA256SUMS";

/// A repository's packages, and the files that describe them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Index {
    /// Sorted by path.
    pub packages: Vec<PackageFile>,
    /// The paths of the indexes in the repository.
    pub indexes: Vec<Utf8PathBuf>,
}

/// A package of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFile {
    /// Where it was read.
    pub file: Utf8PathBuf,
    /// Its place in the repository. It follows from what the package says of itself, not from the name of its file.
    pub path: Utf8PathBuf,
    pub size_bytes: u64,
    pub sha256: Sha256,
    pub channel: Channel,
}

/// A suite of APT, and a repository of DNF. A machine gets a release candidate or master only if it asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Stable,
    Prerelease,
    Master,
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Stable, Self::Prerelease, Self::Master];

    /// That of a package's version, as [`crate::version`] writes it.
    pub fn of(version: &str) -> Self {
        match version {
            master if master.starts_with("0~") => Self::Master,
            // A candidate, or a commit after a release.
            prerelease if prerelease.contains(['~', '+']) => Self::Prerelease,
            _ => Self::Stable,
        }
    }

    /// That of the package at this path of a repository, whose name is that of dpkg-name(1) or of RPM.
    pub fn of_path(path: &Utf8Path) -> Option<Self> {
        path.file_name()?.split(['_', '-']).nth(1).map(Self::of)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Stable => "stable",
            Self::Prerelease => "prerelease",
            Self::Master => "master",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::PackageVersion;

    #[test]
    fn only_a_release_is_stable() {
        let of = |text: &str| Channel::of(&PackageVersion::of_version(text).expect("a version").with_revision());
        assert_eq!(of("v0.32.2"), Channel::Stable);
        assert_eq!(of("v0.33.0-rc1"), Channel::Prerelease);
        assert_eq!(of("v0.32.0-57-g73ed6825c"), Channel::Prerelease);
        let master = PackageVersion::of_master("20260804", "991535e0973488b6").expect("a version");
        assert_eq!(Channel::of(&master.with_revision()), Channel::Master);
        let of = |path: &str| Channel::of_path(path.into());
        assert_eq!(of("apt/pool/main/b/buildkit/buildkit_0.32.2-1_riscv64.deb"), Some(Channel::Stable));
        assert_eq!(of("rpm/prerelease/packages/buildkit-0.33.0~rc1-1.riscv64.rpm"), Some(Channel::Prerelease));
        assert_eq!(of("rpm/master/packages/buildkit-0~20260804.git991535e0973-1.riscv64.rpm"), Some(Channel::Master));
        assert_eq!(of("SHA256SUMS"), None);
    }
}
