//! The desired state of a release, the observed state, and the steps from one to the other.
//!
//! The order of the steps ensures that everything public is complete. Nobody sees a draft, so it is
//! filled first. The image is pushed bottom up: blobs, the manifest by its digest, the attachments, and
//! then the version tag, so that no tag ever refers to an incomplete image. Only then is the release
//! published, because its notes name that tag. `latest` moves after it, so that users of `latest` find
//! the release that it came from. The tracking issue is closed last.

use std::fmt;

use camino::Utf8PathBuf;
use oci::digest::{Digest, Sha256};
use oci::reference::ImageTag;

use crate::dist::{Metadata, ReleaseName};
use crate::github::{CompareStatus, Release, Repository, Settings};
use crate::reconcile::Step;
use crate::registry::ImageRepository;
use crate::upstream::CommitId;

mod files;
mod foreign;
mod image;
mod issue;
mod proofs;
mod release;

/// The desired state.
#[derive(Clone, Debug)]
pub struct Desired {
    pub name: ReleaseName,
    pub repository: Repository,
    /// In Markdown.
    pub notes: String,
    pub record: Metadata,
    /// Everything in the directory of the build except the image.
    pub files: Vec<File>,
    pub image: Image,
    /// Whether to publish even if test results are missing.
    pub is_unproved: bool,
    /// Whether to move `latest` even from an image that names no commit of upstream.
    pub adopts_latest: bool,
}

impl Desired {
    /// The page of the release, once it is published.
    pub fn page(&self) -> String {
        format!("https://github.com/{}/releases/tag/{}", self.repository, self.name)
    }
}

/// A file in the directory of the build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Also the name of the asset.
    pub name: String,
    pub path: Utf8PathBuf,
    pub size_bytes: u64,
    pub sha256: Sha256,
}

/// The image in its OCI layout.
#[derive(Clone, Debug)]
pub struct Image {
    pub repository: ImageRepository,
    /// The page that its labels name as its own.
    pub url: Option<String>,
    pub manifest: Blob,
    /// The blobs that the manifest lists.
    pub blobs: Vec<Blob>,
    /// Version tags first, then `latest`.
    pub tags: Vec<ImageTag>,
    pub attachments: Vec<Attachment>,
}

/// A file that is named by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub path: Utf8PathBuf,
    pub size_bytes: u64,
}

/// A document about the image, kept beside it in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Also its media type.
    pub artifact_type: String,
    pub path: Utf8PathBuf,
    pub size_bytes: u64,
    pub sha256: Sha256,
}

/// The observed state.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(Default))]
pub struct Observed {
    pub settings: Settings,
    /// All our releases, including drafts if the token may see them.
    pub releases: Vec<Release>,
    /// The record in the published release of that name, if it differs from ours.
    pub published_record: Option<Metadata>,
    /// Why that record, which differs from ours, could not be read now.
    pub unread_record: Option<String>,
    pub registry: Registry,
    /// `None` if there is none, or the repository has no issues.
    pub issue: Option<Issue>,
}

/// What the registry has of an image.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// The desired tags that exist, and what each refers to.
    pub tags: Vec<(ImageTag, Digest)>,
    /// If the manifest exists, so does everything that it lists.
    pub has_manifest: bool,
    /// If the manifest does not exist: the blobs that do.
    pub blobs: Vec<Digest>,
    /// The artifact types of what is attached to the image.
    pub attached: Vec<String>,
    /// The image that `latest` refers to, if it is not ours.
    pub latest: Option<Latest>,
}

/// The image that `latest` refers to.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The upstream commit that it was built from, if the image names it.
    pub revision: Option<CommitId>,
    /// How our commit relates to that one in upstream's history.
    pub relation: Option<CompareStatus>,
}

/// The issue that tracks the build.
#[derive(Clone, Debug)]
pub struct Issue {
    pub number: u64,
    pub is_open: bool,
    /// Whether a comment already links to the release.
    pub is_commented: bool,
}

#[derive(Debug, Default)]
pub struct Plan {
    /// What is already as desired.
    pub same: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// In the order of execution.
    pub steps: Vec<Step>,
    /// Whether the published release is of the same commit and is kept; see [`is_quiet_week`].
    pub is_unchanged: bool,
}

impl Plan {
    /// The last line of a dry run.
    pub fn summary(&self, name: &ReleaseName) -> String {
        match self.steps.len() {
            0 => format!("nothing to do for {name}"),
            1 => format!("1 step to publish {name}; nothing was changed, --execute runs it"),
            count => format!("{count} steps to publish {name}; nothing was changed, --execute runs them"),
        }
    }
}

/// Everything that prevents publishing, so that it can be fixed at once and not one by one.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(Vec<String>);

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("nothing is published:")?;
        self.0.iter().try_for_each(|reason| write!(out, "\n  - {reason}"))
    }
}

impl std::error::Error for Refused {}

/// A plan under construction, and the reasons to refuse it.
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

/// Compares the two states. What is published is never changed: if it differs from what is desired, the
/// plan is refused, with every reason.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Plan, Refused> {
    let mut plan = PlanBuilder::default();
    if let Some(published) = observed.published_record.as_ref().filter(|record| is_quiet_week(record, desired)) {
        plan.note(quiet_week(desired, published));
        if desired.adopts_latest {
            plan.note("--adopt-latest moves nothing: use it with the next build of master that is published");
        }
        plan.plan.is_unchanged = true;
        return Ok(plan.plan);
    }
    if let Some(release) = foreign::of_the_same_name(desired, observed) {
        return Err(Refused(vec![foreign::refusal(desired, release)]));
    }
    proofs::require(desired, &mut plan);
    files::compare(desired, &mut plan);
    let state = release::fill(desired, observed, &mut plan);
    image::compare_url(desired, &mut plan);
    image::push(&desired.image, &observed.registry, &mut plan);
    release::publish(desired, observed, state, &mut plan);
    image::move_latest(desired, &observed.registry, &mut plan);
    foreign::list(desired, observed, &mut plan);
    issue::close(desired, observed, &mut plan);
    if plan.refusals.is_empty() { Ok(plan.plan) } else { Err(Refused(plan.refusals)) }
}

/// Whether master has not moved since that record was published, and only Debian's packages have: the
/// weekly build then made the same programs, in an image with newer packages. There is one release of
/// master per day of upstream's history, so the first one stays.
fn is_quiet_week(published: &Metadata, ours: &Desired) -> bool {
    ours.name.upstream().is_none()
        && published.has_the_files_of(&ours.record)
        && published.image_digest() != ours.record.image_digest()
}

fn quiet_week(desired: &Desired, published: &Metadata) -> String {
    let found = published.image_digest().map_or_else(String::new, ToString::to_string);
    format!(
        "upstream's master has not moved: {} is already published from the same commit, with the same programs in the \
         image {found}, and is kept; the image of this build, {}, differs only in its Debian packages",
        desired.name, desired.image.manifest.digest
    )
}

#[cfg(test)]
mod tests;
