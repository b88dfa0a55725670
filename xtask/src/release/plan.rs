//! What is to be public of a build, what is public already, and the steps from one to the other.
//!
//! The order of the steps is what keeps everything public whole. A draft is seen by nobody, so it is
//! filled first. The image goes in from below: blobs, the manifest by its digest, what is attached to
//! it, and then the tag that lasts, so that no tag ever leads to a part of an image. Only when both are
//! complete does the release become visible, whose notes name that tag. `latest` moves after it, so
//! that who follows `latest` finds the release that it came from; and the issue, which says that all
//! is done, is closed at the very end.

use std::fmt;

use camino::Utf8PathBuf;
use oci::digest::{Digest, Sha256};
use oci::reference::ImageTag;

use crate::dist::{Metadata, ReleaseName};
use crate::github::documents::{CompareStatus, Release};
use crate::github::repository::Repository;
use crate::reconcile::Step;
use crate::registry::repository::ImageRepository;
use crate::upstream::git_ref::CommitId;

mod files;
mod image;
mod issue;
mod proofs;
mod release;

/// What is to be public.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The git tag of the release.
    pub name: ReleaseName,
    /// Where it is published.
    pub repository: Repository,
    /// The commit of ours that is tagged; else the newest one.
    pub target: Option<CommitId>,
    /// What the release says, in Markdown.
    pub notes: String,
    /// The record of the build.
    pub record: Metadata,
    /// What was found in its folder beside the image.
    pub files: Vec<File>,
    /// The image.
    pub image: Image,
    /// Whether it is published without its proofs.
    pub is_unproved: bool,
}

impl Desired {
    /// The page of the release, once it is published.
    pub fn page(&self) -> String {
        format!("https://github.com/{}/releases/tag/{}", self.repository, self.name)
    }
}

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, and that of the asset.
    pub name: String,
    /// Where it is.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// The image, as files.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it is published.
    pub repository: ImageRepository,
    /// Its manifest.
    pub manifest: Blob,
    /// What the manifest names.
    pub blobs: Vec<Blob>,
    /// Its tags, the lasting ones first.
    pub tags: Vec<ImageTag>,
    /// What is attached to it.
    pub attachments: Vec<Attachment>,
}

/// A file that is named by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Where it is.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A document about the image, kept beside it in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What it is; also its media type.
    pub artifact_type: String,
    /// Where it is.
    pub path: Utf8PathBuf,
    pub size_bytes: u64,
    pub sha256: Sha256,
}

/// What is public already, or on its way.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// All our releases; drafts too, where the token shows them.
    pub releases: Vec<Release>,
    /// The record that the published release of that name has, where its digest is another.
    pub published_record: Option<Metadata>,
    /// What the registry has.
    pub registry: Registry,
    /// The issue that tracks the build.
    pub issue: Option<Issue>,
}

/// What the registry has of an image.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Of the desired tags those that exist, and what each leads to.
    pub tags: Vec<(ImageTag, Digest)>,
    /// Whether the manifest is there, and with it all that it names.
    pub has_manifest: bool,
    /// Where it is not: which blobs are.
    pub blobs: Vec<Digest>,
    /// The kinds of documents that are attached to the image.
    pub attached: Vec<String>,
    /// Where `latest` leads to another image: what was built there.
    pub latest: Option<Latest>,
}

/// The image that `latest` leads to.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The commit of upstream's, where the image names it.
    pub revision: Option<CommitId>,
    /// How ours relates to it in upstream's history.
    pub relation: Option<CompareStatus>,
}

/// The issue that tracks the build.
#[derive(Clone, Debug)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// Whether it is still open.
    pub is_open: bool,
    /// Whether it names the release already.
    pub is_commented: bool,
}

/// What is left to do.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is as it should be, and is left alone.
    pub same: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What changes, in this order.
    pub steps: Vec<Step>,
    /// Whether what is published is of the very same commit, and is neither compared nor changed.
    pub is_standing: bool,
}

/// Everything that stands against publishing, so that it is mended at once and not one by one.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(Vec<String>);

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("nothing is published:")?;
        self.0.iter().try_for_each(|reason| write!(out, "\n  - {reason}"))
    }
}

impl std::error::Error for Refused {}

/// The plan while it is made, and what stands against it.
#[derive(Default)]
struct PlanBuilder {
    plan: Plan,
    refusals: Vec<String>,
}

impl PlanBuilder {
    fn same(&mut self, what: impl Into<String>) {
        self.plan.same.push(what.into());
    }

    fn note(&mut self, what: impl Into<String>) {
        self.plan.notes.push(what.into());
    }

    fn step(&mut self, step: impl Into<Step>) {
        self.plan.steps.push(step.into());
    }

    fn refuse(&mut self, why: impl Into<String>) {
        self.refusals.push(why.into());
    }
}

/// The difference. What is published is never changed: where it is not what is desired, that is said.
///
/// # Errors
/// Everything that stands against publishing.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Plan, Refused> {
    let mut plan = PlanBuilder::default();
    if let Some(published) = observed.published_record.as_ref().filter(|record| is_quiet_week(record, desired)) {
        plan.note(quiet_week(desired, published));
        plan.plan.is_standing = true;
        return Ok(plan.plan);
    }
    proofs::require(desired, &mut plan);
    files::compare(desired, &mut plan);
    let standing = release::fill(desired, observed, &mut plan);
    image::push(&desired.image, &observed.registry, &mut plan);
    release::publish(desired, observed, standing, &mut plan);
    image::move_latest(&desired.image, &observed.registry, &mut plan);
    issue::close(desired, observed.issue.as_ref(), &mut plan);
    if plan.refusals.is_empty() { Ok(plan.plan) } else { Err(Refused(plan.refusals)) }
}

/// Whether master stands where it stood when that record was published, and only Debian has moved: the
/// weekly build then made the same programs, in an image with newer packages. There is one release of
/// master for a day of upstream's, so that the first one stays.
fn is_quiet_week(published: &Metadata, ours: &Desired) -> bool {
    ours.name.upstream().is_none()
        && published.has_the_files_of(&ours.record)
        && published.image_digest() != ours.record.image_digest()
}

fn quiet_week(desired: &Desired, published: &Metadata) -> String {
    let found = published.image_digest().map_or_else(String::new, ToString::to_string);
    format!(
        "upstream's master is where it was: {} is published of the same commit, with the same programs in the image \
         {found}, and stays; the image here, {}, differs by its packages alone",
        desired.name, desired.image.manifest.digest
    )
}

#[cfg(test)]
mod tests;
