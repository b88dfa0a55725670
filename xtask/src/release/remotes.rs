//! The remotes where a build is published, and what is there.

use anyhow::{Context, Result, ensure};
use oci::documents::REVISION;
use oci::reference::Reference;
use serde::Deserialize;

use crate::credentials;
use crate::dist::Metadata;
use crate::dist::names::METADATA;
use crate::github::documents::{IssueState, Release};
use crate::github::repository::Repository;
use crate::github::tracking_issue::published_comment;
use crate::github::{GitHub, Issues, Releases};
use crate::http::Http;
use crate::os::terminal::note;
use crate::registry::error::RegistryError;
use crate::registry::{Found, Registry};
use crate::release::plan::{self, Desired, Issue, Latest, Observed};
use crate::upstream::git_ref::CommitId;

/// Upstream, whose history tells what is newer.
const UPSTREAM: &str = "moby/buildkit";
const LARGEST_RECORD_BYTES: u64 = 4 << 20;

/// The remotes.
pub struct Remotes {
    /// GitHub.
    pub github: GitHub,
    /// Our repository there.
    pub repository: Repository,
    /// The image's repository in its registry.
    pub registry: Registry,
    has_credentials: bool,
}

/// Of an image's manifest only what it says of itself.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Remotes {
    /// The remotes of a build, as whoever the environment says that we are.
    ///
    /// # Errors
    /// Where the credentials can be none.
    pub fn open(github: GitHub, repository: Repository, desired: &Desired) -> Result<Self> {
        let credentials = credentials::registry_credentials(&desired.image.repository)?;
        let has_credentials = credentials.is_some();
        let registry = Registry::new(desired.image.repository.clone(), credentials);
        Ok(Self { github, repository, registry, has_credentials })
    }

    /// Says what is missing before anything is begun. A registry of one's own may take anyone.
    ///
    /// # Errors
    /// Names the variables.
    pub fn require_credentials(&self) -> Result<()> {
        ensure!(self.github.has_token(), "publishing needs a token: set GITHUB_TOKEN (contents and issues: write)");
        ensure!(
            self.has_credentials || !self.registry.repository().is_github(),
            "pushing to {} needs credentials: set GITHUB_ACTOR and GITHUB_TOKEN (packages: write), \
             or REGISTRY_USERNAME and REGISTRY_PASSWORD",
            self.registry.repository()
        );
        Ok(())
    }

    /// What is there, all of it.
    ///
    /// # Errors
    /// Where a place refuses, or cannot be reached.
    pub fn observe(&self, desired: &Desired) -> Result<Observed> {
        let registry = self.images(desired)?;
        self.with(desired, registry)
    }

    /// What is there, as far as it shows itself: a dry run may be anyone's.
    ///
    /// # Errors
    /// As [`Remotes::observe`], but where a registry only refuses to tell.
    pub fn observe_public(&self, desired: &Desired) -> Result<Observed> {
        if !self.github.has_token() {
            note("without a token (GITHUB_TOKEN) drafts are not seen, and this is planned as if there were none");
        }
        let registry = match self.images(desired) {
            Err(error) if is_private(&error) => {
                note(format_args!(
                    "{} tells nobody whom it does not know what it has; this is planned as if that were nothing",
                    self.registry.repository()
                ));
                plan::Registry::default()
            }
            found => found?,
        };
        self.with(desired, registry)
    }

    fn with(&self, desired: &Desired, registry: plan::Registry) -> Result<Observed> {
        let releases = Releases { github: &self.github, repository: &self.repository }.all()?;
        let published_record = published_record(desired, &releases)?;
        Ok(Observed { releases, published_record, registry, issue: self.issue(desired)? })
    }

    fn images(&self, desired: &Desired) -> Result<plan::Registry> {
        let (image, registry) = (&desired.image, &self.registry);
        let digest = &image.manifest.digest;
        let mut found = plan::Registry {
            has_manifest: registry.manifest(&Reference::from(digest))?.is_some(),
            ..plan::Registry::default()
        };
        if found.has_manifest {
            for attachment in &image.attachments {
                if !registry.referrers(digest, &attachment.artifact_type)?.is_empty() {
                    found.attached.push(attachment.artifact_type.clone());
                }
            }
        } else {
            for blob in &image.blobs {
                if registry.has_blob(&blob.digest)? {
                    found.blobs.push(blob.digest.clone());
                }
            }
        }
        for tag in &image.tags {
            let Some(there) = registry.manifest(&Reference::from(tag))? else { continue };
            if tag.is_latest() && there.descriptor.digest != *digest {
                found.latest = Some(self.latest(&there, &desired.record.source.commit)?);
            }
            found.tags.push((tag.clone(), there.descriptor.digest));
        }
        Ok(found)
    }

    /// What `latest` was built from, and how ours relates to that.
    fn latest(&self, found: &Found, ours: &CommitId) -> Result<Latest> {
        let said: Option<Said> = serde_json::from_slice(&found.bytes).ok();
        let revision = said.and_then(|said| said.annotations.get(REVISION)?.parse::<CommitId>().ok());
        let upstream: Repository = UPSTREAM.parse().expect("the name is a constant");
        let releases = Releases { github: &self.github, repository: &upstream };
        let relation = match &revision {
            Some(revision) => releases.compare(revision, ours)?,
            None => None,
        };
        Ok(Latest { revision, relation })
    }

    fn issue(&self, desired: &Desired) -> Result<Option<Issue>> {
        let Some(version) = desired.name.upstream() else { return Ok(None) };
        let issues = Issues { github: &self.github, repository: &self.repository };
        let Some(issue) = issues.of(version)? else { return Ok(None) };
        let is_open = issue.state == IssueState::Open;
        let (marker, _) = published_comment(version, &desired.page());
        let is_it = |body: Option<String>| body.is_some_and(|body| body.contains(&marker));
        let is_commented = is_open && issues.comments(issue.number)?.into_iter().any(|comment| is_it(comment.body));
        Ok(Some(Issue { number: issue.number, is_open, is_commented }))
    }
}

/// Whether a registry only refuses to tell, because it does not know us.
pub fn is_private(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RegistryError>().is_some_and(RegistryError::is_private)
}

/// The record that is published, where it is another than ours: from its public address.
fn published_record(desired: &Desired, releases: &[Release]) -> Result<Option<Metadata>> {
    let name = desired.name.to_string();
    let Some(release) = releases.iter().find(|release| !release.draft && release.tag_name == name) else {
        return Ok(None);
    };
    let Some(asset) = release.assets.iter().find(|asset| asset.name == METADATA) else { return Ok(None) };
    let ours = desired.files.iter().find(|file| file.name == METADATA);
    if ours.is_none_or(|ours| asset.is_whole(ours.size_bytes, &ours.sha256)) {
        return Ok(None);
    }
    let url = asset.browser_download_url.parse().map_err(anyhow::Error::msg)?;
    let bytes = Http::default().get(&url, LARGEST_RECORD_BYTES)?;
    let record = serde_json::from_slice(&bytes).with_context(|| format!("{url} is not the record of a build"))?;
    Ok(Some(record))
}
