//! What the user chooses of an image: its base, its emulators, the time of Debian's packages.

use std::str::FromStr;

use oci::image_name::ImageName;

use crate::github::Repository;
use crate::os::clock::Timestamp;

/// What the user chose, or the task for them.
#[derive(Debug)]
pub struct Choices {
    /// Name of the base image.
    pub base: ImageName,
    /// The time of Debian's packages, if it is not that of the base.
    pub snapshot: Option<SnapshotOption>,
    /// The image with the emulators, if they are wanted.
    pub emulators: Option<ImageName>,
    /// The repository that the labels name.
    pub repository: Repository,
}

/// What `--snapshot` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotOption {
    /// Debian's packages as they were then.
    At(Timestamp),
    /// As they are now.
    None,
}

impl SnapshotOption {
    /// As Debian names snapshots: `20260804T122740Z`.
    pub fn name(self) -> Option<String> {
        match self {
            Self::At(time) => Some(time.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect()),
            Self::None => None,
        }
    }
}

impl FromStr for SnapshotOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        let time = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse());
        time.map(Self::At).map_err(|_: String| format!("{text:?} is no date (2026-08-04 or 2026-08-04T12:27:40Z)"))
    }
}

/// What `--emulators` says.
#[derive(Clone, Debug)]
pub enum EmulatorsOption {
    Of(ImageName),
    None,
}

impl FromStr for EmulatorsOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::Of) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_or_a_time_names_a_snapshot() {
        let name = |text: &str| text.parse::<SnapshotOption>().expect(text).name();
        assert_eq!(name("2026-08-04").as_deref(), Some("20260804T000000Z"));
        assert_eq!(name("2026-08-04T12:27:40Z").as_deref(), Some("20260804T122740Z"));
        assert_eq!(name("none"), None);
        "yesterday".parse::<SnapshotOption>().expect_err("is no date");
    }
}
