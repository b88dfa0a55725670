//! `metadata.json`, the record that travels with a build: a task reads this file back and never
//! the memory of an earlier task.

use serde::{Deserialize, Serialize};

use super::digest::Sha256;
use super::go_version::GoVersion;
use super::recipe::{PACKAGE, Recipe};
use super::upstream_ref::CommitId;
use super::version::Version;

/// The form of the record; it changes when a reader of the old one would misread the new one.
pub const SCHEMA: u32 = 1;

/// What was to be built, before it was: two equal sources give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The branch, if one was asked for; else the release tag, if the commit has one; else the commit.
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

/// The whole record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was built.
    #[serde(flatten)]
    pub source: Source,
    /// The Go that compiled it.
    pub go: GoVersion,
    /// Environment and arguments of the compilation.
    pub recipe: Recipe,
    /// Every file of the folder but this one and `SHA256SUMS`.
    pub files: Vec<FileRecord>,
}

/// One file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Name within the folder.
    pub name: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the content.
    pub sha256: Sha256,
}

impl Metadata {
    /// A record of no files yet.
    pub fn new(source: Source, go: GoVersion) -> Self {
        assert_eq!(source.package, PACKAGE, "one module is built here");
        let recipe = Recipe::new(&source.version, &source.commit);
        Self { schema: SCHEMA, source, go, recipe, files: Vec::new() }
    }

    /// Whether a build by `other` would make the same bytes as the one that is recorded here.
    pub fn makes_the_same_as(&self, other: &Self) -> bool {
        let without_files = |record: &Self| Self { files: Vec::new(), ..record.clone() };
        without_files(self) == without_files(other)
    }
}

/// `SHA256SUMS`, in the form that `sha256sum -c` takes: digest, two spaces, name.
pub fn sha256sums<'a>(files: impl IntoIterator<Item = &'a FileRecord>) -> String {
    files.into_iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect()
}
