//! Which upstream versions should be released here, which are, and the steps from one to the other.
//! Everything follows from what GitHub shows now; nothing is remembered from an earlier pass.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dist::ReleaseName;
use crate::github::{
    BUILD_INPUT, BUILD_WORKFLOW, Comment, GitHubStep, Issue, IssueState, Release, Run, RunConclusion, RunStatus,
    StateReason, issue_marker, issue_title, published_comment, run_comment, run_title, tracked_version,
};
use crate::upstream::ReleaseTag;

pub use status::{State, Status};

mod status;

/// How often a version is built before it needs attention.
pub const MOST_ATTEMPTS: usize = 3;

/// A release in a list, without its assets, so that a new download count is not a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub tag_name: String,
    pub draft: bool,
    pub prerelease: bool,
    pub html_url: String,
}

/// The observed state on GitHub.
///
/// The fields are read in this order, because a build continues meanwhile: it publishes the release,
/// closes the issue, and completes. If a run is seen as completed or an issue as closed, a list of
/// releases that is read later has its release. In the opposite order, a version could be built twice,
/// or its issue reopened.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Upstream's stable releases.
    pub upstream: BTreeSet<ReleaseTag>,
    /// The runs of our workflow, newest first.
    pub runs: Vec<Run>,
    /// Our issues that track a build, open or closed.
    pub issues: Vec<Issue>,
    /// Our releases, including drafts if the token may see them.
    pub ours: Vec<Listed>,
    /// Whether the repository has no issues: a build is then tracked by its runs alone.
    pub are_issues_off: bool,
    /// The comments of the issues in [`Observed::unread`], by issue number.
    pub comments: BTreeMap<u64, Vec<Comment>>,
}

/// Upstream's stable releases, ordered by version. Neither the order of the list nor the dates show which
/// is the newest: patch releases of an old minor version come after the release of a new one. Fails if
/// there is none, because then the answer cannot be upstream's list.
pub fn stable(listed: &[Listed]) -> Result<BTreeSet<ReleaseTag>, String> {
    let shown = listed.iter().filter(|release| !release.draft && !release.prerelease);
    let stable: BTreeSet<ReleaseTag> =
        shown.filter_map(|release| release.tag_name.parse().ok()).filter(ReleaseTag::is_stable).collect();
    if stable.is_empty() {
        return Err(format!("upstream's list of {} releases has no stable one, so it cannot be right", listed.len()));
    }
    Ok(stable)
}

impl Observed {
    /// The status of every wanted version, newest first.
    pub fn evaluate(&self) -> Vec<Status> {
        let (published, mut issues) = (self.published(), self.issues_by_version());
        let wanted = self.wanted(&published, &issues);
        let status = |version| self.status(version, published.get(version).copied(), issues.remove(version));
        wanted.iter().rev().map(status).collect()
    }

    /// The issues to comment on. Their comments must be read, in case the comment already exists.
    pub fn unread(&self) -> BTreeSet<u64> {
        let statuses = self.evaluate();
        let commented = |status: &Status, step: &GitHubStep| match step {
            GitHubStep::Comment { issue, .. } => Some(*issue),
            GitHubStep::RecordRun { .. } => status.issue,
            _ => None,
        };
        let steps = statuses.iter().flat_map(|status| status.steps.iter().map(move |step| (status, step)));
        steps.filter_map(|(status, step)| commented(status, step)).collect()
    }

    /// Our published releases of upstream's versions.
    fn published(&self) -> BTreeMap<ReleaseTag, &Listed> {
        let shown = self.ours.iter().filter(|release| !release.draft);
        shown.filter_map(|release| Some((upstream_of(release)?, release))).collect()
    }

    /// The issues that track each version, oldest first: the executor uses the oldest.
    fn issues_by_version(&self) -> BTreeMap<ReleaseTag, Vec<&Issue>> {
        let mut issues: Vec<&Issue> = self.issues.iter().collect();
        issues.sort_by_key(|issue| issue.number);
        let mut by_version = BTreeMap::<_, Vec<_>>::new();
        for issue in issues {
            if let Some(version) = issue.body.as_deref().and_then(tracked_version) {
                by_version.entry(version).or_default().push(issue);
            }
        }
        by_version
    }

    /// The newest release, and the newest patch release of each minor version that we have published, but
    /// nothing older than our first release. A version with an open issue stays wanted after a newer one
    /// is released, so that what was started is completed.
    fn wanted(
        &self,
        published: &BTreeMap<ReleaseTag, &Listed>,
        issues: &BTreeMap<ReleaseTag, Vec<&Issue>>,
    ) -> BTreeSet<ReleaseTag> {
        let lines: BTreeSet<_> = published.keys().map(ReleaseTag::line).collect();
        // Ascending, so that the last one of each line is kept.
        let newest_by_line: BTreeMap<_, _> = self.upstream.iter().map(|version| (version.line(), version)).collect();
        let patches = newest_by_line.into_iter().filter(|(line, _)| lines.contains(line)).map(|(_, newest)| newest);
        let first = published.keys().next();
        let current = patches.chain(self.upstream.last()).filter(|version| first.is_none_or(|first| *version >= first));
        let is_real = |version: &ReleaseTag| self.upstream.contains(version) || published.contains_key(version);
        let started = issues.iter().filter(|(version, issues)| is_real(version) && issues.iter().any(is_open));
        current.chain(started.map(|(version, _)| version)).cloned().collect()
    }

    fn status(&self, version: &ReleaseTag, published: Option<&Listed>, issues: Option<Vec<&Issue>>) -> Status {
        let title = run_title(version);
        let runs: Vec<&Run> = self.runs.iter().filter(|run| run.display_title == title).collect();
        let running = runs.iter().find(|run| !is_completed(run));
        let failed = runs.iter().filter(|run| is_completed(run) && !is_success(run)).count();
        let succeeded = runs.iter().filter(|run| is_completed(run) && is_success(run)).count();
        let issues = issues.unwrap_or_default();
        let issue = issues.first().copied();
        let state = match (published, issue.and_then(declined), running) {
            (Some(release), ..) => State::Published { url: release.html_url.clone() },
            (None, Some(reason), _) => State::Declined { reason },
            (None, None, Some(run)) => State::Building { url: run.html_url.clone() },
            (None, None, None) if failed + succeeded >= MOST_ATTEMPTS => State::NeedsAttention { failed, succeeded },
            (None, None, None) => State::Missing { failed, succeeded },
        };
        let steps = match &state {
            State::Declined { .. } => Vec::new(),
            // The run that published it closes the issue next.
            State::Published { .. } if running.is_some() => Vec::new(),
            State::Published { url } => self.close_published(version, url, &issues),
            State::Building { .. } | State::Missing { .. } | State::NeedsAttention { .. } => {
                self.steps(version, &state, issue, &runs)
            }
        };
        Status {
            version: version.clone(),
            has_draft: self.ours.iter().any(|release| release.draft && upstream_of(release).as_ref() == Some(version)),
            issue: issue.map(|issue| issue.number),
            is_issue_open: issues.iter().any(is_open),
            steps,
            state,
        }
    }

    /// The steps for an unpublished version.
    fn steps(&self, version: &ReleaseTag, state: &State, issue: Option<&Issue>, runs: &[&Run]) -> Vec<GitHubStep> {
        let mut comments: Vec<_> = runs.iter().rev().map(|run| run_comment(run.id, &run.html_url)).collect();
        if matches!(state, State::NeedsAttention { .. }) {
            comments.push(needs_attention_comment(version, runs));
        }
        let mut steps = Vec::new();
        let dispatch = GitHubStep::Dispatch { version: version.clone(), known_runs: runs.len() };
        if self.are_issues_off {
            return if matches!(state, State::Missing { .. }) { vec![dispatch] } else { steps };
        }
        match issue {
            // The number of an issue that is not yet filed is unknown, so its body includes the comments.
            None => steps.push(file(version, &comments)),
            Some(issue) => {
                if !is_open(&issue) {
                    steps.push(GitHubStep::ReopenIssue { issue: issue.number });
                }
                comments.retain(|(marker, _)| !self.has_comment(issue, marker));
                let comment = |(marker, text)| GitHubStep::Comment { issue: issue.number, marker, text };
                steps.extend(comments.into_iter().map(comment));
            }
        }
        if matches!(state, State::Missing { .. }) {
            steps.push(dispatch);
            steps.push(GitHubStep::RecordRun { version: version.clone() });
        }
        steps
    }

    /// Closes all open issues of a published version: a race may have left a second one.
    fn close_published(&self, version: &ReleaseTag, url: &str, issues: &[&Issue]) -> Vec<GitHubStep> {
        let mut steps = Vec::new();
        for issue in issues.iter().filter(|issue| is_open(issue)) {
            let (marker, text) = published_comment(version, url);
            if !self.has_comment(issue, &marker) {
                steps.push(GitHubStep::Comment { issue: issue.number, marker, text });
            }
            steps.push(GitHubStep::CloseIssue { issue: issue.number });
        }
        steps
    }

    fn has_comment(&self, issue: &Issue, marker: &str) -> bool {
        let comments = self.comments.get(&issue.number).into_iter().flatten();
        let mut texts = comments.filter_map(|comment| comment.body.as_ref()).chain(&issue.body);
        texts.any(|text| text.contains(marker))
    }
}

impl From<Release> for Listed {
    fn from(release: Release) -> Self {
        let Release { tag_name, draft, prerelease, html_url, .. } = release;
        Self { tag_name, draft, prerelease, html_url }
    }
}

fn upstream_of(release: &Listed) -> Option<ReleaseTag> {
    release.tag_name.parse::<ReleaseName>().ok()?.upstream().cloned()
}

fn is_open(issue: &&Issue) -> bool {
    issue.state == IssueState::Open
}

/// The reason why somebody closed the issue to decline the version. `completed` does not decline it while
/// the release is missing, nor does the absent reason of an old issue.
fn declined(issue: &Issue) -> Option<StateReason> {
    let reason = issue.state_reason.as_ref().filter(|reason| **reason != StateReason::Completed);
    reason.filter(|_| !is_open(&issue)).cloned()
}

fn is_completed(run: &Run) -> bool {
    run.status == Some(RunStatus::Completed)
}

fn is_success(run: &Run) -> bool {
    run.conclusion == Some(RunConclusion::Success)
}

/// The markers are at the end, because GitHub does not render Markdown on a line that begins with a comment.
fn file(version: &ReleaseTag, comments: &[(String, String)]) -> GitHubStep {
    let release = ReleaseName::Upstream(version.clone());
    let comments: String = comments.iter().map(|(marker, text)| format!(" {text} {marker}")).collect();
    let body = format!(
        "Upstream has released [BuildKit {version}](https://github.com/moby/buildkit/releases/tag/{version}). \
         The workflow {BUILD_WORKFLOW} builds it for RISC-V64 and publishes it as {release}, which closes this \
         issue. To skip this version, close the issue as not planned.{comments} {}",
        issue_marker(version)
    );
    GitHubStep::FileIssue { version: version.clone(), title: issue_title(version), body }
}

/// The comment that asks a maintainer to act.
fn needs_attention_comment(version: &ReleaseTag, runs: &[&Run]) -> (String, String) {
    let urls: Vec<&str> = runs.iter().rev().map(|run| run.html_url.as_str()).collect();
    let text = format!(
        "Built {} times without a release, so this needs attention: {}. Find the cause in the logs of these runs and \
         fix it, then start another run with `gh workflow run {BUILD_WORKFLOW} -f {BUILD_INPUT}={version}`; or close \
         this issue as not planned.",
        urls.len(),
        urls.join(", ")
    );
    (format!("<!-- xtask:left-to-a-person {version} -->"), text)
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
