//! Which upstream versions should be released here, which are, and the steps from one to the other.
//! Everything follows from what GitHub shows now; nothing is remembered from an earlier pass.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dist::ReleaseName;
use crate::github::{
    Comment, GitHubStep, Issue, IssueState, Release, Run, RunConclusion, RunStatus, StateReason, published_comment,
    run_comment, run_title, tracked_version,
};
use crate::upstream::ReleaseTag;

pub use status::{State, Status};
use texts::{file, needs_attention_comment, withdrawn_comment};

mod status;
mod texts;

/// How often a version is built before it needs attention.
pub const MOST_ATTEMPTS: usize = 3;
/// How many builds are in progress at once, unless somebody says otherwise.
pub const DEFAULT_LIMIT: usize = 2;
/// Upstream patches the line before the newest, until shortly after the release of a new one.
const PATCHED_LINES: usize = 2;

/// A release in a list, without its assets, so that a new download count is not a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub tag_name: String,
    pub draft: bool,
    pub prerelease: bool,
    pub html_url: String,
}

/// Which versions to build, and how many at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Every stable release from this one on. `None` for upstream's newest, and the patches of our newest lines.
    pub since: Option<ReleaseTag>,
    /// How many builds may be in progress after a pass. A limit on what is in progress, not on what a pass
    /// starts, gives the same result if a pass is interrupted and repeated.
    pub limit: usize,
}

impl Default for Desired {
    fn default() -> Self {
        Self { since: None, limit: DEFAULT_LIMIT }
    }
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
    /// The status of every wanted version, newest first. Builds beyond the limit are held back, and have no
    /// steps yet.
    pub fn evaluate(&self, desired: &Desired) -> Vec<Status> {
        let (published, mut issues) = (self.published(), self.issues_by_version());
        let wanted = self.wanted(desired, &published, &issues);
        let status = |version| self.status(version, published.get(version).copied(), issues.remove(version));
        let mut statuses: Vec<Status> = wanted.iter().rev().map(status).collect();
        let is_building = |status: &&Status| matches!(status.state, State::Building { .. });
        let free = desired.limit.saturating_sub(statuses.iter().filter(is_building).count());
        let missing = statuses.iter_mut().filter(|status| matches!(status.state, State::Missing { .. }));
        missing.skip(free).for_each(Status::hold_back);
        statuses
    }

    /// The issues to comment on. Their comments must be read, in case the comment already exists.
    pub fn unread(&self, desired: &Desired) -> BTreeSet<u64> {
        let statuses = self.evaluate(desired);
        let commented = |status: &Status, step: &GitHubStep| match step {
            GitHubStep::Comment { issue, .. } => Some(*issue),
            GitHubStep::RecordRun { .. } => status.issue,
            _ => None,
        };
        let steps = statuses.iter().flat_map(|status| status.steps.iter().map(move |step| (status, step)));
        steps.filter_map(|(status, step)| commented(status, step)).collect()
    }

    /// The versions with an open issue that upstream's list does not show: they must be looked up by their
    /// tags, because a list can be wrong for a moment, and their issues would be closed.
    pub fn withdrawn(&self, desired: &Desired) -> Vec<ReleaseTag> {
        let is_withdrawn = |status: &Status| status.state == State::Withdrawn;
        self.evaluate(desired).into_iter().filter(is_withdrawn).map(|status| status.version).collect()
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
            if let Some(version) = tracked_version(issue) {
                by_version.entry(version).or_default().push(issue);
            }
        }
        by_version
    }

    /// Every release from a version on; or else the newest release, and the newest patch release of each of the
    /// two newest lines that we have published, but nothing older than what we have. A version with an open issue
    /// stays wanted after a newer one is released, so that what was started is completed.
    fn wanted(
        &self,
        desired: &Desired,
        published: &BTreeMap<ReleaseTag, &Listed>,
        issues: &BTreeMap<ReleaseTag, Vec<&Issue>>,
    ) -> BTreeSet<ReleaseTag> {
        let current: Vec<&ReleaseTag> = if let Some(since) = &desired.since {
            self.upstream.range(since..).collect()
        } else {
            let lines: BTreeSet<_> = published.keys().map(ReleaseTag::line).collect();
            let lines: BTreeSet<_> = lines.into_iter().rev().take(PATCHED_LINES).collect();
            // Ascending, so that the last one of each line is kept.
            let newest_by_line: BTreeMap<_, _> =
                self.upstream.iter().map(|version| (version.line(), version)).collect();
            let patches = newest_by_line.into_iter().filter(|(line, newest)| {
                let is_ours = |ours: &&ReleaseTag| ours.line() == *line;
                lines.contains(line) && published.keys().filter(is_ours).all(|ours| ours <= *newest)
            });
            let newest = self.upstream.last().filter(|newest| published.keys().all(|ours| ours <= *newest));
            patches.map(|(_, newest)| newest).chain(newest).collect()
        };
        // Only stable versions are tracked; an issue of another one is somebody's own.
        let is_tracked = |version: &ReleaseTag| version.is_stable() || published.contains_key(version);
        let started = issues.iter().filter(|(version, issues)| is_tracked(version) && issues.iter().any(is_open));
        current.into_iter().chain(started.map(|(version, _)| version)).cloned().collect()
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
            (None, ..) if !self.upstream.contains(version) => State::Withdrawn,
            (None, Some(reason), _) => State::Declined { reason },
            (None, None, Some(run)) => State::Building { url: run.html_url.clone() },
            (None, None, None) if failed + succeeded >= MOST_ATTEMPTS => State::NeedsAttention { failed, succeeded },
            (None, None, None) => State::Missing { failed, succeeded },
        };
        let steps = match &state {
            State::Declined { .. } => Vec::new(),
            // The run that published it closes the issue next; that of a withdrawn version may still publish it.
            State::Published { .. } | State::Withdrawn if running.is_some() => Vec::new(),
            State::Published { url } => self.close(&issues, &published_comment(version, url)),
            State::Withdrawn => self.close(&issues, &withdrawn_comment(version)),
            State::Building { .. } | State::Missing { .. } | State::NeedsAttention { .. } => {
                self.steps(version, &state, issue, &runs)
            }
        };
        Status {
            version: version.clone(),
            has_draft: self.ours.iter().any(|release| release.draft && upstream_of(release).as_ref() == Some(version)),
            issue: issue.map(|issue| issue.number),
            is_issue_open: issues.iter().any(is_open),
            is_held_back: false,
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

    /// Closes all open issues of a version, each with a comment: a race may have left a second one. They are
    /// closed as completed: `not_planned` would decline a withdrawn version that upstream publishes again.
    fn close(&self, issues: &[&Issue], (marker, text): &(String, String)) -> Vec<GitHubStep> {
        let mut steps = Vec::new();
        for issue in issues.iter().filter(|issue| is_open(issue)) {
            if !self.has_comment(issue, marker) {
                let (marker, text) = (marker.clone(), text.clone());
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

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
