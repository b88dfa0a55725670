//! What is to be built: a ref of upstream's, resolved.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::os::clock::Timestamp;
use crate::upstream::git_ref::{BranchName, CommitId, UpstreamRef};
use crate::upstream::version::{ReleaseTag, Version};

/// The module that BuildKit is, and so the `Package` field of its version stamp.
pub const PACKAGE: &str = "github.com/moby/buildkit";
/// The branch whose builds are published under a name of their own, also on the day of a release.
pub const MASTER: &str = "master";

/// The source of a build: two equal sources give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What it was asked for as.
    pub r#ref: SourceRef,
    /// The whole commit.
    pub commit: CommitId,
    /// The version that is stamped into the binaries.
    pub version: Version,
    /// The Go module, which is the package in the version stamp.
    pub package: String,
    /// Date of the commit: the modification time of everything that is made of it.
    pub source_date: Timestamp,
    /// The same in seconds since 1970, as `SOURCE_DATE_EPOCH` takes it.
    pub source_date_epoch: i64,
}

/// `master` if it was asked for; else the release tag, if the commit has one; else the branch that was asked
/// for; else the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SourceRef {
    Master,
    Release(ReleaseTag),
    Branch(BranchName),
    Commit(CommitId),
}

impl FromStr for SourceRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(commit) = text.parse() {
            return Ok(Self::Commit(commit));
        }
        match text.parse::<UpstreamRef>().map_err(|error| error.to_string())? {
            UpstreamRef::Release(tag) => Ok(Self::Release(tag)),
            UpstreamRef::Branch(branch) if branch.as_str() == MASTER => Ok(Self::Master),
            UpstreamRef::Branch(branch) => Ok(Self::Branch(branch)),
            UpstreamRef::Commit(_) => Err(format!("{text:?} is not a whole commit")),
        }
    }
}

oci::text_form!(SourceRef);

impl fmt::Display for SourceRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master => out.write_str(MASTER),
            Self::Release(tag) => tag.fmt(out),
            Self::Branch(branch) => out.write_str(branch.as_str()),
            Self::Commit(commit) => commit.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn a_ref_in_a_record_is_one_of_four_forms() {
        let commit = "991535e0973488b6a429096d21fa13f81f2d89d8";
        for text in ["master", "v0.32.2", "v0.33.0-rc1", "v0.32", commit] {
            assert_eq!(text.parse::<SourceRef>().expect(text).to_string(), text);
        }
        for text in ["", "991535e", "-x", "a..b", "HEAD"] {
            text.parse::<SourceRef>().expect_err(text);
        }
    }

    #[test]
    fn what_parses_prints_itself() {
        arbtest::arbtest(|source| {
            for sample in ["master", "v0.33.0-rc1", "991535e0973488b6a429096d21fa13f81f2d89d8"] {
                let text = mutated_input::text(source, sample)?;
                if let Ok(parsed) = text.parse::<SourceRef>() {
                    assert_eq!(parsed.to_string(), text);
                    assert!(text.len() <= 200);
                }
                let _ = (text.parse::<UpstreamRef>(), text.parse::<Version>().map(|it| it.release_tag()));
            }
            Ok(())
        })
        .budget_ms(200);
    }
}
