//! The one place where a [`Step`] is made. Each ensures rather than does: where the world already is
//! as the step would make it, nothing happens.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use oci::digest::{Digest, file_digest, sha256};
use oci::documents::{Descriptor, MANIFEST_TYPE};
use oci::reference::{ImageTag, Reference};
use oci::referrers::Attachment;

use crate::dist::release_name::ReleaseName;
use crate::github::repository::Repository;
use crate::github::tracking_issue::run_comment;
use crate::github::{GitHub, Issues, Releases, Workflow};
use crate::os::terminal::{Progress, Unit};
use crate::reconcile::step::Step;
use crate::registry::repository::ImageRepository;
use crate::registry::{Found, Registry};
use crate::upstream::version::ReleaseTag;

/// What a blob is matters to the manifest that names it, and not to the registry.
const BLOB_TYPE: &str = "application/octet-stream";

/// Who makes the steps, and what the earlier ones of this run left for the later ones.
pub struct Executor<'a> {
    github: &'a GitHub,
    repository: &'a Repository,
    registry: Option<&'a Registry>,
    releases: BTreeMap<ReleaseName, u64>,
    issues: BTreeMap<ReleaseTag, u64>,
    runs: BTreeMap<ReleaseTag, (u64, String)>,
}

impl<'a> Executor<'a> {
    /// Executor for one repository.
    pub fn new(github: &'a GitHub, repository: &'a Repository) -> Self {
        let (releases, issues, runs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { github, repository, registry: None, releases, issues, runs }
    }

    /// The same, for an image as well.
    pub fn with_registry(self, registry: &'a Registry) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// Makes one step.
    ///
    /// # Errors
    /// Where it cannot be made; what was made before it stays, and running the task again goes on.
    pub fn execute(&mut self, step: &Step) -> Result<()> {
        let (github, repository) = (self.github, self.repository);
        let issues = Issues { github, repository };
        let releases = Releases { github, repository };
        let workflow = Workflow { github, repository };
        match step {
            Step::FileIssue { version, title, body } => {
                self.issues.insert(version.clone(), issues.file(version, title, body)?.number);
                Ok(())
            }
            Step::ReopenIssue { issue } => issues.reopen(*issue),
            Step::Comment { issue, marker, text } => issues.comment(*issue, marker, text),
            Step::CloseIssue { issue } => issues.close(*issue),
            Step::Dispatch { version, known_runs } => {
                self.runs.insert(version.clone(), workflow.dispatch(version, *known_runs)?);
                Ok(())
            }
            Step::RecordRun { version } => {
                let (run_id, url) = self.runs.get(version).context("a run is recorded before it was started")?;
                // One that was filed a moment ago may not be in the list yet.
                let gone = || format!("the issue that tracks {version} is gone; run this again");
                let issue = match self.issues.get(version) {
                    Some(issue) => *issue,
                    None => issues.of(version)?.with_context(gone)?.number,
                };
                let (marker, text) = run_comment(*run_id, url);
                issues.comment(issue, &marker, &text)
            }
            Step::DraftRelease { release, target, notes } => {
                let draft = releases.draft(release, target.as_ref(), notes)?;
                // A list that was a moment old may have hidden what is there.
                ensure!(draft.draft, "{release} has been published meanwhile; run this again to see what is left");
                if draft.body.as_ref() != Some(notes) {
                    releases.edit(draft.id, release, notes)?;
                }
                self.releases.insert(release.clone(), draft.id);
                Ok(())
            }
            Step::EditDraft { release, notes } => releases.edit(self.draft(release)?, release, notes),
            Step::RemoveAsset { release, asset, .. } => {
                let draft = releases.by_id(self.draft(release)?)?;
                let found = draft.assets.iter().find(|found| found.name == *asset);
                found.map_or(Ok(()), |found| releases.remove_asset(found.id))
            }
            Step::UploadAsset { release, asset, path, size_bytes, sha256 } => {
                releases.upload(self.draft(release)?, asset, path, (*size_bytes, sha256))
            }
            Step::PublishRelease { release, is_latest } => releases.publish(self.draft(release)?, *is_latest),
            Step::PushBlob { repository, digest, path, size_bytes } => {
                let mut progress = Progress::new("push", Unit::Bytes);
                progress.set_total(*size_bytes);
                let blob = Descriptor::new(BLOB_TYPE, digest, *size_bytes);
                self.registry(repository).push_blob(&blob, path, None, &mut progress).map(|_| ())
            }
            Step::PushManifest { repository, digest, path } => {
                let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
                ensure!(sha256(&bytes) == *digest.sha256(), "{path} is not {digest} any more; run this again");
                self.registry(repository).push_manifest(MANIFEST_TYPE, &bytes).map(|_| ())
            }
            Step::Attach { repository, subject, artifact_type, path } => {
                attach(self.registry(repository), subject, artifact_type, path)
            }
            Step::Tag { repository, digest, tag } => name(self.registry(repository), digest, tag),
        }
    }

    fn registry(&self, repository: &ImageRepository) -> &'a Registry {
        let registry = self.registry.expect("a task that plans to push has a registry");
        assert_eq!(registry.repository(), repository, "a task pushes to one repository");
        registry
    }

    /// The id of a release that is still a draft.
    fn draft(&mut self, release: &ReleaseName) -> Result<u64> {
        if let Some(id) = self.releases.get(release) {
            return Ok(*id);
        }
        let releases = Releases { github: self.github, repository: self.repository };
        match releases.find(release)? {
            Some(found) if found.draft => Ok(*self.releases.entry(release.clone()).or_insert(found.id)),
            Some(_) => bail!("{release} has been published meanwhile; run this again to see what is left"),
            None => bail!("the draft of {release} is gone; run this again to make it anew"),
        }
    }
}

fn attach(registry: &Registry, subject: &Digest, artifact_type: &str, path: &Utf8Path) -> Result<()> {
    let (size_bytes, sha256) = file_digest(path)?;
    let attachment = Attachment {
        artifact_type: artifact_type.to_owned(),
        file_name: path.file_name().unwrap_or_default().to_owned(),
        digest: sha256.into(),
        size_bytes,
        annotations: BTreeMap::new(),
    };
    registry.attach(&image(registry, subject)?.descriptor, &attachment, path).map(|_| ())
}

/// A tag that another run set meanwhile stays where it is, unless it is the one that moves.
fn name(registry: &Registry, digest: &Digest, tag: &ImageTag) -> Result<()> {
    let found = registry.manifest(&Reference::from(tag))?.map(|found| found.descriptor.digest);
    match found {
        Some(found) if found == *digest => Ok(()),
        Some(found) if !tag.is_latest() => {
            bail!("{}:{tag} leads to {found} meanwhile; run this again to see what is left", registry.repository())
        }
        _ => {
            let image = image(registry, digest)?;
            registry.tag(tag, &image.descriptor.media_type, &image.bytes)
        }
    }
}

fn image(registry: &Registry, digest: &Digest) -> Result<Found> {
    let found = registry.manifest(&Reference::from(digest))?;
    found.with_context(|| format!("{}@{digest} is gone; run this again to push it anew", registry.repository()))
}
