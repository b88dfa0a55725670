//! One change to the world, as it is planned, printed and made. There is no other way to change
//! anything on GitHub or in a registry.

use std::fmt;

use camino::Utf8PathBuf;
use oci::digest::{Digest, Sha256};
use oci::reference::ImageTag;
use serde::Serialize;

use crate::dist::release_name::ReleaseName;
use crate::github::tracking_issue::{BUILD_INPUT, BUILD_WORKFLOW, LABELS, issue_title, run_title};
use crate::os::shell::quoted;
use crate::registry::repository::ImageRepository;
use crate::upstream::git_ref::CommitId;
use crate::upstream::version::ReleaseTag;

/// One change. Its `Display` is a line for a shell in the checkout that makes the same change by
/// GitHub's own `gh`, or by `oras`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// File the issue that tracks the build of a version.
    FileIssue {
        /// The version.
        version: ReleaseTag,
        /// Its title.
        title: String,
        /// Its text, with a hidden marker by which it is found again.
        body: String,
    },
    /// Open an issue again.
    ReopenIssue {
        /// Its number.
        issue: u64,
    },
    /// Start a build.
    Dispatch {
        /// The version.
        version: ReleaseTag,
        /// How many runs for it there were when this was planned.
        known_runs: usize,
    },
    /// Say in the tracking issue which run builds the version.
    RecordRun {
        /// The version.
        version: ReleaseTag,
    },
    /// Comment on an issue.
    Comment {
        /// Its number.
        issue: u64,
        /// What makes this comment the only one of its kind: hidden, and found in no other.
        marker: String,
        /// The text, on one line.
        text: String,
    },
    /// Close an issue as completed.
    CloseIssue {
        /// Its number.
        issue: u64,
    },
    /// Make a release that only those who may push see.
    DraftRelease {
        /// Its git tag and its title.
        release: ReleaseName,
        /// The commit of ours that is tagged when it is published; else the newest one.
        target: Option<CommitId>,
        /// What it says, in Markdown.
        #[serde(skip)]
        notes: String,
    },
    /// Give a draft the right title and notes.
    EditDraft {
        /// Its git tag and its title.
        release: ReleaseName,
        /// What it says, in Markdown.
        #[serde(skip)]
        notes: String,
    },
    /// Remove an asset from a draft.
    RemoveAsset {
        /// The release.
        release: ReleaseName,
        /// Its name.
        asset: String,
        /// Why it cannot stay.
        why: String,
    },
    /// Add an asset to a draft.
    UploadAsset {
        /// The release.
        release: ReleaseName,
        /// Its name.
        asset: String,
        /// The file.
        path: Utf8PathBuf,
        /// Its size in bytes.
        size_bytes: u64,
        /// Its digest.
        sha256: Sha256,
    },
    /// Show a draft to everyone.
    PublishRelease {
        /// The release.
        release: ReleaseName,
        /// Whether it becomes the one that GitHub calls the latest.
        is_latest: bool,
    },
    /// Put a blob of an image into a registry.
    PushBlob {
        /// Where to.
        repository: ImageRepository,
        /// Its digest.
        digest: Digest,
        /// The file.
        path: Utf8PathBuf,
        /// Its size in bytes.
        size_bytes: u64,
    },
    /// Put the manifest of an image there, by its digest and under no name.
    PushManifest {
        /// Where to.
        repository: ImageRepository,
        /// Its digest.
        digest: Digest,
        /// The file.
        path: Utf8PathBuf,
    },
    /// Attach a document to an image.
    Attach {
        /// Where.
        repository: ImageRepository,
        /// The manifest of the image.
        subject: Digest,
        /// What it is.
        artifact_type: String,
        /// The file.
        path: Utf8PathBuf,
    },
    /// Give an image a name, which may have led to another before.
    Tag {
        /// Where.
        repository: ImageRepository,
        /// The manifest of the image.
        digest: Digest,
        /// The name.
        tag: ImageTag,
    },
}

/// Where the notes of a release lie while it is made, so that a person can read them.
pub fn notes_file(release: &ReleaseName) -> Utf8PathBuf {
    format!("target/release-notes/{release}.md").into()
}

/// In a plan these are the text that they display as.
macro_rules! serialize_as_text {
    ($($type:ty),*) => {
        $(impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        })*
    };
}
serialize_as_text!(ReleaseName, ImageRepository);

/// Source: the manual pages of oras 1.3, `oras blob push`, `oras manifest push`, `oras attach`, `oras tag`.
fn oras(out: &mut fmt::Formatter<'_>, command: &str, repository: &ImageRepository, digest: &Digest) -> fmt::Result {
    let plain = if repository.endpoint().is_loopback() { " --plain-http" } else { "" };
    write!(out, "oras {command}{plain} {repository}@{digest}")
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileIssue { title, body, .. } => {
                write!(out, "gh issue create --title {} --body {}", quoted(title), quoted(body))?;
                LABELS.iter().try_for_each(|label| write!(out, " --label {label}"))
            }
            Self::ReopenIssue { issue } => write!(out, "gh issue reopen {issue}"),
            Self::Dispatch { version, .. } => {
                write!(out, "gh workflow run {BUILD_WORKFLOW} -f {BUILD_INPUT}={version}")
            }
            Self::RecordRun { version } => {
                let list = format!("gh run list --workflow {BUILD_WORKFLOW} --json displayTitle,url");
                let title = run_title(version);
                let run = format!("$({list} --jq '[.[]|select(.displayTitle==\"{title}\")][0].url')");
                let issue = format!(
                    "$(gh issue list --label {} --search '{} in:title' --json number --jq '.[0].number')",
                    LABELS[1],
                    issue_title(version)
                );
                write!(out, "gh issue comment \"{issue}\" --body \"Build started: {run}\"")
            }
            Self::Comment { issue, marker, text } => {
                write!(out, "gh issue comment {issue} --body {}", quoted(&format!("{marker} {text}")))
            }
            Self::CloseIssue { issue } => write!(out, "gh issue close {issue} --reason completed"),
            Self::DraftRelease { release, target, .. } => {
                let (title, notes) = (release.title(), notes_file(release));
                write!(out, "gh release create {release} --draft --title {} --notes-file {notes}", quoted(&title))?;
                if release.is_prerelease() {
                    out.write_str(" --prerelease")?;
                }
                target.iter().try_for_each(|commit| write!(out, " --target {commit}"))
            }
            Self::EditDraft { release, .. } => {
                let (title, notes) = (release.title(), notes_file(release));
                write!(out, "gh release edit {release} --title {} --notes-file {notes}", quoted(&title))
            }
            Self::RemoveAsset { release, asset, why } => {
                write!(out, "gh release delete-asset {release} {} --yes  # {why}", quoted(asset))
            }
            Self::UploadAsset { release, path, .. } => {
                write!(out, "gh release upload {release} {}", quoted(path.as_str()))
            }
            Self::PublishRelease { release, is_latest } => {
                write!(out, "gh release edit {release} --draft=false --latest={is_latest}")
            }
            Self::PushBlob { repository, digest, path, .. } => {
                oras(out, "blob push", repository, digest)?;
                write!(out, " {}", quoted(path.as_str()))
            }
            Self::PushManifest { repository, digest, path } => {
                oras(out, "manifest push", repository, digest)?;
                write!(out, " {}", quoted(path.as_str()))
            }
            Self::Attach { repository, subject, artifact_type, path } => {
                let command = format!("attach --disable-path-validation --artifact-type {artifact_type}");
                oras(out, &command, repository, subject)?;
                write!(out, " {}", quoted(&format!("{path}:{artifact_type}")))
            }
            Self::Tag { repository, digest, tag } => {
                oras(out, "tag", repository, digest)?;
                write!(out, " {tag}")
            }
        }
    }
}
