//! `metadata.json`, the record that travels with a build: a task reads this file back and never
//! the memory of an earlier task.

use oci::digest::{Digest, Sha256};
use oci::reference::ImageTag;
use serde::{Deserialize, Serialize};

use crate::dist::check::Check;
use crate::dist::recipe::Recipe;
use crate::go::GoVersion;
use crate::os::clock::Timestamp;
use crate::upstream::{PACKAGE, Source};

/// The form of the record; it changes when a reader of the old one would misread the new one.
pub const SCHEMA: u32 = 1;

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
    /// Every file of the folder but this one and `SHA256SUMS`, and the image, which has digests of its own.
    pub files: Vec<FileRecord>,
    /// The image, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRecord>,
    /// What was proved of the image, the latest of each name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
}

/// The image of a build, an OCI image layout in the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Folder of the layout within `dist/<version>/`.
    pub layout: String,
    /// Digest of the image manifest.
    pub digest: Digest,
    /// Size of all blobs in bytes, as they are pulled.
    pub size_bytes: u64,
    /// Tags that it is published under, the lasting one first.
    pub tags: Vec<ImageTag>,
    /// Name of the base image, as given to the engine.
    pub base_name: String,
    /// `sha256:…` of the manifest or index that the name of the base led to, where the engine told it.
    pub base_digest: Option<String>,
    /// What built it, such as `docker 20.10.24, buildx 0.13.1`.
    pub engine: String,
    /// Digest of all that went into it but Debian's packages: a run with the same inputs has nothing to do.
    pub inputs: Sha256,
}

/// What one task proved of the image, when and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The task and its level: `verify-tini`, `smoke exec`.
    pub name: String,
    /// Digest of the image manifest that was proved.
    pub image_digest: Digest,
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub seconds: u64,
    /// Name and version of each tool that took part.
    pub tools: Vec<(String, String)>,
    /// What was looked at.
    pub checks: Vec<Check>,
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

impl ImageRecord {
    /// The tags in one line.
    pub fn tags_text(&self) -> String {
        self.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Metadata {
    /// A record of no files yet.
    pub fn new(source: Source, go: GoVersion) -> Self {
        assert_eq!(source.package, PACKAGE, "one module is built here");
        let recipe = Recipe::new(&source.version, &source.commit);
        Self { schema: SCHEMA, source, go, recipe, files: Vec::new(), image: None, proofs: Vec::new() }
    }

    /// Whether a build by `other` would make the same bytes as the one that is recorded here.
    pub fn makes_the_same_as(&self, other: &Self) -> bool {
        let inputs = |record: &Self| Self { files: Vec::new(), image: None, proofs: Vec::new(), ..record.clone() };
        inputs(self) == inputs(other)
    }

    /// Whether `other` is of the same source, built the same way, to the same files.
    pub fn has_the_files_of(&self, other: &Self) -> bool {
        self.makes_the_same_as(other) && self.files == other.files
    }

    /// Digest of the image manifest, once there is an image.
    pub fn image_digest(&self) -> Option<&Digest> {
        self.image.as_ref().map(|image| &image.digest)
    }
}

/// `SHA256SUMS`, in the form that `sha256sum -c` takes: digest, two spaces, name.
pub fn sha256sums<'a>(files: impl IntoIterator<Item = &'a FileRecord>) -> String {
    files.into_iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect()
}
