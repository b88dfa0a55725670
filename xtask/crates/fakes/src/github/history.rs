//! The history of our repository's default branch, as far as releases depend on it: which commits exist,
//! and which state of the workflow files each has.

use http::StatusCode;

use crate::github::releases::Release;
use crate::github::response::Response;
use crate::github::shapes::{self, BRANCH};
use crate::github::{Call, FakeGitHub, State};

/// The default branch, which begins with one commit.
#[derive(Clone)]
pub struct History {
    /// Each commit with the number of changes to `.github/workflows/` until then, oldest first.
    commits: Vec<(String, usize)>,
}

impl Default for History {
    fn default() -> Self {
        Self { commits: vec![(shapes::sha("ours"), 0)] }
    }
}

impl History {
    fn newest(&self) -> &(String, usize) {
        self.commits.last().expect("it begins with one commit")
    }

    /// The commit that a `target_commitish` names: "any branch or commit SHA". Source: "Create a release".
    fn resolve(&self, commitish: &str) -> Option<&(String, usize)> {
        if commitish == BRANCH {
            return Some(self.newest());
        }
        self.commits.iter().find(|(commit, _)| commit == commitish)
    }

    fn push(&mut self, commit: &str, is_workflow_change: bool) {
        let changes = self.newest().1 + usize::from(is_workflow_change);
        self.commits.push((commit.to_owned(), changes));
    }
}

impl FakeGitHub {
    /// Adds a commit to the default branch that changes no workflow file.
    pub fn push(&mut self, commit: &str) {
        self.state.history.push(commit, false);
    }

    /// Adds a commit to the default branch that changes a file under `.github/workflows/`.
    pub fn push_workflow_change(&mut self, commit: &str) {
        self.state.history.push(commit, true);
    }
}

impl State {
    /// The commit that a release is to tag. If it "adds or modifies any file under `.github/workflows/`
    /// relative to the repository's default branch, the authenticating token must be authorized to modify
    /// workflows", which `GITHUB_TOKEN` cannot be. Source: the notes of "Create a release" and "Update a
    /// release", for which an omitted target is the default branch or the existing target. They name 404,
    /// and 403 for "some authentication paths"; a workflow's token gets 403 (cli/cli#9514).
    pub fn target(&self, call: &Call, release: &Release) -> Result<String, Response> {
        let target = self.history.resolve(&release.commit);
        let (commit, changes) = target.ok_or_else(|| {
            let violation = format!("{} is no commit of the default branch", release.commit);
            Response::invalid("Release", "target_commitish", "invalid").violating(violation)
        })?;
        if *changes != self.history.newest().1 && !call.can_change_workflows {
            return Err(Response::message(StatusCode::FORBIDDEN, "Resource not accessible by integration"));
        }
        Ok(commit.clone())
    }
}
