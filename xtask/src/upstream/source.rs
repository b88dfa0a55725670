//! What is to be built: a ref of upstream's, resolved.

use serde::{Deserialize, Serialize};

use crate::upstream::git_ref::CommitId;
use crate::upstream::version::Version;

/// The module that BuildKit is, and so the `Package` field of its version stamp.
pub const PACKAGE: &str = "github.com/moby/buildkit";

/// What was to be built, before it was: two equal sources give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `master` if it was asked for; else the release tag, if the commit has one; else the branch that was
    /// asked for; else the commit.
    pub r#ref: String,
    /// The whole commit.
    pub commit: CommitId,
    /// The version that is stamped into the binaries.
    pub version: Version,
    /// The Go module, which is the package in the version stamp.
    pub package: String,
    /// Date of the commit in RFC 3339, in UTC: the modification time of all that is made of it.
    pub source_date: String,
    /// The same in seconds since 1970, as `SOURCE_DATE_EPOCH` takes it.
    pub source_date_epoch: i64,
}

impl Source {
    /// The day of the source in UTC, `20260804`.
    pub fn day(&self) -> String {
        self.source_date.chars().take(10).filter(char::is_ascii_digit).collect()
    }
}
