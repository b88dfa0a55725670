//! The remotes that a build is published to, and their observed state.

use std::cell::OnceCell;

use anyhow::{Context, Result, ensure};
use oci::documents::REVISION;
use oci::reference::Reference;
use serde::Deserialize;

use crate::credentials;
use crate::dist::Metadata;
use crate::dist::names::METADATA;
use crate::github::{GitHub, IssueState, Issues, Release, Releases, Repository, Settings, published_comment};
use crate::os::terminal::note;
use crate::published::{self, LARGEST_RECORD_BYTES, is_private, is_temporary};
use crate::registry::{Found, Registry};
use crate::release::download::download;
use crate::release::plan::{self, Desired, Issue, Latest, Observed};
use crate::upstream::CommitId;

/// Upstream, whose history decides what is newer.
const UPSTREAM: &str = "moby/buildkit";

/// GitHub and the registry.
pub struct Remotes {
    pub github: GitHub,
    pub repository: Repository,
    /// The repository of the image.
    pub registry: Registry,
    /// Read once.
    settings: OnceCell<Settings>,
}

/// The annotations of an image's manifest.
#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Remotes {
    /// Opens the remotes with the credentials in the environment.
    pub fn open(github: GitHub, repository: Repository, desired: &Desired) -> Result<Self> {
        let credentials = credentials::registry_credentials(&desired.image.repository)?;
        let registry = Registry::new(desired.image.repository.clone(), credentials);
        Ok(Self::new(github, repository, registry))
    }

    /// Remotes of which nothing is known yet.
    pub fn new(github: GitHub, repository: Repository, registry: Registry) -> Self {
        Self { github, repository, registry, settings: OnceCell::new() }
    }

    /// Fails early if credentials are missing. A registry other than GitHub's may not need any.
    pub fn require_credentials(&self) -> Result<()> {
        ensure!(self.github.has_token(), "publishing needs a token: set GITHUB_TOKEN (contents and issues: write)");
        ensure!(
            self.registry.has_credentials() || !self.registry.repository().is_github(),
            "pushing to {} needs credentials: set GITHUB_ACTOR and GITHUB_TOKEN (packages: write), \
             or REGISTRY_USERNAME and REGISTRY_PASSWORD",
            self.registry.repository()
        );
        Ok(())
    }

    /// The complete state. Fails if a remote refuses.
    pub fn observe(&self, desired: &Desired) -> Result<Observed> {
        let registry = self.images(desired)?;
        self.with(desired, registry)
    }

    /// The state as far as the credentials show it, because a dry run may have none.
    pub fn observe_public(&self, desired: &Desired) -> Result<Observed> {
        if !self.github.has_token() {
            note("GITHUB_TOKEN is not set: drafts are not visible, and the plan assumes that there are none");
        }
        let registry = match self.images(desired) {
            Err(error) if is_private(&error) => {
                note(format_args!(
                    "{} needs credentials to be read; the plan assumes that it is empty",
                    self.registry.repository()
                ));
                plan::Registry::default()
            }
            found => found?,
        };
        self.with(desired, registry)
    }

    fn with(&self, desired: &Desired, registry: plan::Registry) -> Result<Observed> {
        let releases = Releases { github: &self.github, repository: &self.repository }.all_with(&desired.name)?;
        let (published_record, unread_record) = match published_record(desired, &releases) {
            Err(error) if is_temporary(&error) => (None, Some(format!("{error:#}"))),
            found => (found?, None),
        };
        let settings = self.settings()?.clone();
        let issue = if settings.has_issues { self.issue(desired)? } else { None };
        Ok(Observed { settings, releases, published_record, unread_record, registry, issue })
    }

    fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = self.github.settings(&self.repository)?;
        Ok(self.settings.get_or_init(|| settings))
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
                if !registry.referrers(digest, &[&attachment.artifact_type])?.is_empty() {
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

    /// The commit that `latest` was built from, and how ours relates to it.
    fn latest(&self, found: &Found, ours: &CommitId) -> Result<Latest> {
        let manifest: Option<Annotated> = serde_json::from_slice(&found.bytes).ok();
        let revision = manifest.and_then(|manifest| manifest.annotations.get(REVISION)?.parse::<CommitId>().ok());
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

/// Downloads the published record from its public URL, if it differs from ours.
fn published_record(desired: &Desired, releases: &[Release]) -> Result<Option<Metadata>> {
    let name = desired.name.to_string();
    let Some(release) = releases.iter().find(|release| !release.draft && release.tag_name == name) else {
        return Ok(None);
    };
    let Some(asset) = release.assets.iter().find(|asset| asset.name == METADATA) else { return Ok(None) };
    let ours = desired.files.iter().find(|file| file.name == METADATA);
    if ours.is_none_or(|ours| asset.is_complete(ours.size_bytes, &ours.sha256)) {
        return Ok(None);
    }
    let url = published::url_of(asset)?;
    let record = Metadata::parse(&download(&url, LARGEST_RECORD_BYTES)?);
    record.with_context(|| format!("{url} is not the record of a build")).map(Some)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::http::Authorization;

    fn missing_credentials(has_token: bool, has_credentials: bool, image: &str) -> Option<String> {
        let token = has_token.then(|| Authorization::bearer("secret").expect("a token"));
        let credentials = has_credentials.then(|| Authorization::basic("o", "secret"));
        let remotes = Remotes {
            github: GitHub::new("https://api.github.com".parse().expect("a URL"), token),
            repository: "o/n".parse().expect("a repository"),
            registry: Registry::new(image.parse().expect("a repository"), credentials),
            settings: OnceCell::new(),
        };
        remotes.require_credentials().err().map(|error| error.to_string())
    }

    #[test]
    fn missing_credentials_are_named() {
        expect!["publishing needs a token: set GITHUB_TOKEN (contents and issues: write)"]
            .assert_eq(&missing_credentials(false, true, "ghcr.io/o/n").expect("no token"));
        expect!["pushing to ghcr.io/o/n needs credentials: set GITHUB_ACTOR and GITHUB_TOKEN (packages: write), or REGISTRY_USERNAME and REGISTRY_PASSWORD"].assert_eq(&missing_credentials(true, false, "ghcr.io/o/n").expect("no credentials"));
        assert_eq!(missing_credentials(true, true, "ghcr.io/o/n"), None);
        assert_eq!(missing_credentials(true, false, "localhost/o/n"), None);
    }
}
