//! `metadata.json`, the record of a build. Tasks pass on their results only through this file.

use anyhow::{Context, Result, ensure};
use oci::digest::{Digest, Sha256};
use oci::image_name::ImageName;
use oci::reference::ImageTag;
use serde::{Deserialize, Serialize};

use crate::dist::check::Check;
use crate::dist::names;
use crate::dist::recipe::Recipe;
use crate::go::GoRecord;
use crate::os::clock::Timestamp;
use crate::upstream::{CommitId, PACKAGE, Source};

/// The version of the form. It changes if a reader of the old form would misread the new one.
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
    pub go: GoRecord,
    /// The commit of this repository that the workflow ran at; `None` if a person built it. A release cannot be
    /// tagged there: see [`Releases::draft`](crate::github::Releases::draft).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_commit: Option<CommitId>,
    /// Environment and arguments of the compilation.
    pub recipe: Recipe,
    /// Every file of the build except this one and `SHA256SUMS`.
    pub files: Vec<FileRecord>,
    /// The image that upstream's own image of this commit takes its emulators from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulators: Option<ImageName>,
    /// The image, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRecord>,
    /// The packages for distributions, once there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<FileRecord>,
    /// Test results of the image and the packages, one of each name: the latest, unless an earlier one proves more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
}

/// The image of a build, an OCI image layout in the same directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Directory of the layout within `dist/<version>/`.
    pub layout: String,
    /// Digest of the image manifest.
    pub digest: Digest,
    /// Size of all blobs in bytes, as they are pulled.
    pub size_bytes: u64,
    /// Tags that it is published under, the lasting one first.
    pub tags: Vec<ImageTag>,
    /// Name of the base image, as given to the engine.
    pub base_name: String,
    /// `sha256:…` of the base's manifest for riscv64; of what the engine reported, if the registry could not be asked.
    pub base_digest: Option<String>,
    /// Time of Debian's packages, as Debian names its snapshots; none if they are those of the day of the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// What built it, such as `docker 20.10.24, buildx 0.13.1`.
    pub engine: String,
    /// Name of the image that its emulators are from, with its digest; none if it has no emulators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulators: Option<ImageName>,
    /// Its SBOM, a file in the same directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<FileRecord>,
    /// Digest of everything that went into it except Debian's packages: a run with the same inputs does nothing.
    pub inputs: Sha256,
}

/// What a task tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subject {
    /// The image, by the digest of its manifest.
    Image { image_digest: Digest },
    /// The packages.
    Packages { packages: Vec<FileRecord> },
}

/// The result of one task that tested the image or the packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The task and its level: `verify-tini`, `smoke exec`.
    pub name: String,
    #[serde(flatten)]
    pub subject: Subject,
    /// When it began.
    pub began: Timestamp,
    pub seconds: u64,
    /// Name and version of each tool that was used.
    pub tools: Vec<(String, String)>,
    pub checks: Vec<Check>,
}

/// One file of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    pub name: String,
    pub size_bytes: u64,
    /// SHA-256 of the content.
    pub sha256: Sha256,
}

impl Subject {
    /// Whether the record is still of what was tested.
    pub fn is_in(&self, record: &Metadata) -> bool {
        match self {
            Self::Image { image_digest } => record.image_digest() == Some(image_digest),
            Self::Packages { packages } => record.packages == *packages,
        }
    }
}

impl ImageRecord {
    /// The tags in one line.
    pub fn tags_text(&self) -> String {
        self.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Metadata {
    /// A record without files.
    pub fn new(source: Source, go: GoRecord) -> Self {
        assert_eq!(source.package, PACKAGE, "only one module is built");
        let recipe = Recipe::new(&source.version, &source.commit);
        Self {
            schema: SCHEMA,
            source,
            go,
            workflow_commit: None,
            recipe,
            files: Vec::new(),
            emulators: None,
            image: None,
            packages: Vec::new(),
            proofs: Vec::new(),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is no record, or one of another [`SCHEMA`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        let record: Self = serde_json::from_slice(text).context("it is not a valid record of a build")?;
        ensure!(record.schema == SCHEMA, "it has schema {}, not {SCHEMA}", record.schema);
        Ok(record)
    }

    /// Whether it is of this source, built as this version of xtask builds it.
    pub fn is_of(&self, source: &Source) -> bool {
        self.source == *source && self.recipe == Recipe::new(&source.version, &source.commit)
    }

    /// Whether `other` is of the same source, built the same way, with the same files.
    pub fn has_the_files_of(&self, other: &Self) -> bool {
        let of = |record: &Self| (record.schema, record.source.clone(), record.recipe.clone(), record.files.clone());
        self.go.version == other.go.version && of(self) == of(other)
    }

    /// Every file that the record has the digest of: those of the build, the SBOM of the image, and the packages.
    pub fn all_files(&self) -> impl Iterator<Item = &FileRecord> {
        let sbom = self.image.as_ref().and_then(|image| image.sbom.as_ref());
        self.files.iter().chain(sbom).chain(&self.packages)
    }

    /// The names of all files of a release, in the order of `SHA256SUMS`: a build without packages has none of them.
    pub fn published(&self) -> Vec<String> {
        let mut names = names::published(&self.source.version).to_vec();
        let before_the_record = names.len() - 2;
        names.splice(before_the_record..before_the_record, self.packages.iter().map(|file| file.name.clone()));
        names
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::image_tags::image_tags;
    use crate::dist::release_name::ReleaseName;
    use crate::dist::{proofs, samples};
    use crate::os::mutated_input;

    #[test]
    fn a_record_with_malformed_values_is_refused() {
        let text = serde_json::to_string_pretty(&samples::proved_record()).expect("is written");
        let again: Metadata = serde_json::from_str(&text).expect("is read");
        assert_eq!(serde_json::to_string_pretty(&again).expect("is written"), text);
        for (old, new) in [
            ("\"2026-08-04T12:27:40Z\"", "\"20\""),
            ("\"2026-11-22T22:38:41Z\"", "\"yesterday\""),
            ("\"ref\": \"v0.32.2\"", "\"ref\": \"-x\""),
            ("\"v0.32.2-riscv64\"", "\"a b\""),
        ] {
            assert!(text.contains(old), "{old}");
            serde_json::from_str::<Metadata>(&text.replacen(old, new, 1)).expect_err(new);
        }
    }

    #[test]
    fn a_record_of_the_workflow_and_one_of_a_person_are_of_the_same_build() {
        let ours = samples::proved_record();
        let workflow_commit = Some("5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e".parse().expect("a commit"));
        let theirs = Metadata { workflow_commit, ..ours.clone() };
        assert!(ours != theirs && ours.has_the_files_of(&theirs));
        let older = serde_json::to_string(&ours).expect("is written");
        assert!(!older.contains("workflow_commit"), "a record from before this field is read: {older}");
        let mut other = ours.clone();
        other.go.version = "1.26.4".parse().expect("a version");
        assert!(!ours.has_the_files_of(&other));
    }

    #[test]
    fn a_mutated_record_is_refused_or_used_without_a_panic() {
        let text = serde_json::to_string(&samples::proved_record()).expect("is written");
        arbtest::arbtest(|source| {
            let Ok(record) = serde_json::from_slice::<Metadata>(&mutated_input::bytes(source, text.as_bytes())?) else {
                return Ok(());
            };
            if let Ok(name) = ReleaseName::of(&record.source) {
                assert_eq!(name.to_string().parse(), Ok(name.clone()));
                assert!(name.title().len() < 200);
            }
            assert!(!image_tags(&record.source).is_empty());
            assert!(proofs::missing(&record).len() <= text.len());
            Ok(())
        });
    }
}
