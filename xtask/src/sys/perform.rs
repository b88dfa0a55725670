//! The one place where a [`Step`] is made. Each ensures rather than does: where the world already is
//! as the step would make it, nothing happens.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::github::{GitHub, Issues, Releases, Workflow};
use crate::model::release_name::ReleaseName;
use crate::model::repository::Repository;
use crate::model::step::{Step, run_comment};
use crate::model::version::ReleaseTag;

/// Who makes the steps, and what the earlier ones of this run left for the later ones.
pub struct Hands<'a> {
    github: &'a GitHub,
    repository: &'a Repository,
    releases: BTreeMap<ReleaseName, u64>,
    runs: BTreeMap<ReleaseTag, (u64, String)>,
}

impl<'a> Hands<'a> {
    /// Hands for one repository.
    pub fn new(github: &'a GitHub, repository: &'a Repository) -> Self {
        Self { github, repository, releases: BTreeMap::new(), runs: BTreeMap::new() }
    }

    /// Makes one step.
    ///
    /// # Errors
    /// Where it cannot be made; what was made before it stays, and running the task again goes on.
    pub fn perform(&mut self, step: &Step) -> Result<()> {
        let (github, repository) = (self.github, self.repository);
        let issues = Issues { github, repository };
        let releases = Releases { github, repository };
        let workflow = Workflow { github, repository };
        match step {
            Step::FileIssue { version, title, body } => issues.file(version, title, body).map(|_| ()),
            Step::ReopenIssue { issue } => issues.reopen(*issue),
            Step::Comment { issue, marker, text } => issues.comment(*issue, marker, text),
            Step::CloseIssue { issue } => issues.close(*issue),
            Step::Dispatch { version, known_runs } => {
                self.runs.insert(version.clone(), workflow.dispatch(version, *known_runs)?);
                Ok(())
            }
            Step::RecordRun { version } => {
                let (run_id, url) = self.runs.get(version).context("a run is recorded before it was started")?;
                let issue = issues.of(version)?;
                let issue =
                    issue.with_context(|| format!("the issue that tracks {version} is gone; run this again"))?;
                let (marker, text) = run_comment(*run_id, url);
                issues.comment(issue.number, &marker, &text)
            }
            Step::DraftRelease { release, target, notes } => {
                let draft = releases.draft(release, target.as_ref(), notes)?;
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
        }
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
