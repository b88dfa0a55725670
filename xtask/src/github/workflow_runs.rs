//! The runs of the workflow that builds a version.

use anyhow::{Context, Result};
use serde_json::json;

use crate::github::GitHub;
use crate::github::documents::{Dispatched, Run, Runs};
use crate::github::repository::Repository;
use crate::github::tracking_issue::{BUILD_INPUT, BUILD_WORKFLOW, run_title};
use crate::upstream::ReleaseTag;

/// The workflow [`BUILD_WORKFLOW`] in a repository.
pub struct Workflow<'a> {
    pub github: &'a GitHub,
    pub repository: &'a Repository,
}

impl Workflow<'_> {
    fn path(&self, rest: &str) -> String {
        format!("repos/{}/actions/workflows/{BUILD_WORKFLOW}{rest}", self.repository)
    }

    /// The last hundred runs that were started by a dispatch, newest first.
    pub fn runs(&self) -> Result<Vec<Run>> {
        let runs: Option<Runs> = self.github.read(&self.path("/runs?event=workflow_dispatch&per_page=100"))?;
        let runs = runs.with_context(|| {
            format!("{} has no workflow {BUILD_WORKFLOW}, or the token may not see it", self.repository)
        })?;
        Ok(runs.workflow_runs)
    }

    /// The runs that build a version, newest first.
    pub fn runs_of(&self, version: &ReleaseTag) -> Result<Vec<Run>> {
        let title = run_title(version);
        Ok(self.runs()?.into_iter().filter(|run| run.display_title == title).collect())
    }

    /// Starts a run for a version, unless there are already more than `known`. Returns its id and URL.
    pub fn dispatch(&self, version: &ReleaseTag, known: usize) -> Result<(u64, String)> {
        let branch = self.github.settings(self.repository)?.default_branch;
        let document = json!({ "ref": branch, "inputs": { BUILD_INPUT: version.to_string() } });
        let find = || {
            let mut runs = self.runs_of(version)?;
            let is_new = runs.len() > known;
            Ok(is_new
                .then(|| runs.swap_remove(0))
                .map(|run| Dispatched { workflow_run_id: run.id, html_url: run.html_url }))
        };
        let what = format!("the run that builds {version}");
        let run = self.github.ensure(&what, find, || self.github.create(&self.path("/dispatches"), &document))?;
        Ok((run.workflow_run_id, run.html_url))
    }
}
