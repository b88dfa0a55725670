//! What is built: an upstream ref, resolved.

use serde::{Deserialize, Serialize};

use crate::os::timestamp::Timestamp;
use crate::upstream::git_ref::{CommitId, UpstreamRef};
use crate::upstream::version::Version;

/// What is built. Two equal sources give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `master` if it was requested; else the release tag, if the commit has one; else the branch that was
    /// requested; else the commit.
    pub r#ref: UpstreamRef,
    pub commit: CommitId,
    /// The version that is stamped into the binaries.
    pub version: Version,
    /// The Go module, which is the package in the version stamp.
    pub package: String,
    /// Date of the commit: the modification time of all files of the build.
    pub source_date: Timestamp,
    /// The same in seconds since 1970, as `SOURCE_DATE_EPOCH` takes it.
    pub source_date_epoch: i64,
}
