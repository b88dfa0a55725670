//! Which packages a machine is offered.

use std::fmt;

use serde::Serialize;

/// A suite of APT, and a repository of DNF. A machine gets a release candidate or master only if it asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Stable,
    Prerelease,
    Master,
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Stable, Self::Prerelease, Self::Master];

    /// That of a version as Debian and RPM write it: `0.32.2`, `0.33.0~rc1`, `0~20260804.git991535e`.
    pub fn of(version: &str) -> Self {
        match version {
            master if master.starts_with("0~") => Self::Master,
            prerelease if prerelease.contains('~') => Self::Prerelease,
            _ => Self::Stable,
        }
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

    #[test]
    fn only_a_final_version_is_stable() {
        assert_eq!(Channel::of("0.32.2-1"), Channel::Stable);
        assert_eq!(Channel::of("0.33.0~rc1-1"), Channel::Prerelease);
        assert_eq!(Channel::of("0~20260804.git991535e-1"), Channel::Master);
    }
}
