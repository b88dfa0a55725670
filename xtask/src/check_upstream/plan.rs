//! What of upstream's we should have, what we have, and the steps between the two. Everything
//! follows from what GitHub shows now: nothing is remembered from an earlier pass.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dist::ReleaseName;
use crate::github::documents::{Comment, Issue, IssueState, Release, Run, RunConclusion, RunStatus, StateReason};
use crate::github::step::GitHubStep;
use crate::github::tracking_issue::{self, BUILD_INPUT, BUILD_WORKFLOW, published_comment};
use crate::upstream::version::ReleaseTag;

pub use status::{State, Status};

mod status;

/// How often a version is built before it is left to a person.
pub const MOST_ATTEMPTS: usize = 3;

/// A release in a list, as far as it is looked at here: nothing of its assets, so that a count of
/// downloads is no change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its git tag.
    pub tag_name: String,
    /// Whether only those who may push see it.
    pub draft: bool,
    /// Whether it is marked as not ready for production.
    pub prerelease: bool,
    /// Its page.
    pub html_url: String,
}

/// What GitHub shows.
///
/// It is read in the order of these fields, because the build goes on meanwhile: it publishes the
/// release, closes the issue, ends. A run that is seen ended has its release in a list that is read
/// later, and so has an issue that is seen closed; the other way round a version would be built
/// twice, or its issue opened again.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Upstream's stable releases.
    pub upstream: BTreeSet<ReleaseTag>,
    /// The runs of our workflow, newest first.
    pub runs: Vec<Run>,
    /// Our issues that track a build, open or closed.
    pub issues: Vec<Issue>,
    /// Our releases, drafts among them where the token shows these.
    pub ours: Vec<Listed>,
    /// What was said in those issues of which it matters, by their number.
    pub comments: BTreeMap<u64, Vec<Comment>>,
}

/// Upstream's stable releases, in their own order. Neither their place in the list nor their date
/// says which is the newest: patches to an old line come after the release of a new one.
///
/// # Errors
/// Where there is none: whatever answered, that was not upstream's list.
pub fn stable(listed: &[Listed]) -> Result<BTreeSet<ReleaseTag>, String> {
    let shown = listed.iter().filter(|release| !release.draft && !release.prerelease);
    let stable: BTreeSet<ReleaseTag> =
        shown.filter_map(|release| release.tag_name.parse().ok()).filter(ReleaseTag::is_stable).collect();
    if stable.is_empty() {
        return Err(format!("upstream's list ({} entries) has no release in it; that is no answer", listed.len()));
    }
    Ok(stable)
}

impl Observed {
    /// Every version that is wanted and where it stands, newest first.
    pub fn evaluate(&self) -> Vec<Status> {
        let (published, mut issues) = (self.published(), self.issues_by_version());
        let wanted = self.wanted(&published, &issues);
        let stands = |version| self.status(version, published.get(version).copied(), issues.remove(version));
        wanted.iter().rev().map(stands).collect()
    }

    /// The issues in which something would be said, that may have been said already: their comments are
    /// to be read.
    pub fn unread(&self) -> BTreeSet<u64> {
        let evaluate = self.evaluate();
        let spoken_in = |status: &Status, step: &GitHubStep| match step {
            GitHubStep::Comment { issue, .. } => Some(*issue),
            GitHubStep::RecordRun { .. } => status.issue,
            _ => None,
        };
        let steps = evaluate.iter().flat_map(|status| status.steps.iter().map(move |step| (status, step)));
        steps.filter_map(|(status, step)| spoken_in(status, step)).collect()
    }

    /// Our published releases of upstream's versions.
    fn published(&self) -> BTreeMap<ReleaseTag, &Listed> {
        let shown = self.ours.iter().filter(|release| !release.draft);
        shown.filter_map(|release| Some((upstream_of(release)?, release))).collect()
    }

    /// The issues that track each version, the oldest first: that is the one which the executor takes.
    fn issues_by_version(&self) -> BTreeMap<ReleaseTag, Vec<&Issue>> {
        let mut issues: Vec<&Issue> = self.issues.iter().collect();
        issues.sort_by_key(|issue| issue.number);
        let mut by_version = BTreeMap::<_, Vec<_>>::new();
        for issue in issues {
            if let Some(version) = issue.body.as_deref().and_then(tracking_issue::tracked_version) {
                by_version.entry(version).or_default().push(issue);
            }
        }
        by_version
    }

    /// The newest release; the newest patch to each minor line of which we have published one; nothing
    /// older than the first that we have published. And what was begun is finished: a version whose
    /// issue is open stays wanted after a newer one has come.
    fn wanted(
        &self,
        published: &BTreeMap<ReleaseTag, &Listed>,
        issues: &BTreeMap<ReleaseTag, Vec<&Issue>>,
    ) -> BTreeSet<ReleaseTag> {
        let lines: BTreeSet<_> = published.keys().map(ReleaseTag::line).collect();
        // Ascending, so that of a line the last one stays.
        let newest_by_line: BTreeMap<_, _> = self.upstream.iter().map(|version| (version.line(), version)).collect();
        let patches = newest_by_line.into_iter().filter(|(line, _)| lines.contains(line)).map(|(_, newest)| newest);
        let first = published.keys().next();
        let current = patches.chain(self.upstream.last()).filter(|version| first.is_none_or(|first| *version >= first));
        let is_real = |version: &ReleaseTag| self.upstream.contains(version) || published.contains_key(version);
        let begun = issues.iter().filter(|(version, issues)| is_real(version) && issues.iter().any(is_open));
        current.chain(begun.map(|(version, _)| version)).cloned().collect()
    }

    fn status(&self, version: &ReleaseTag, published: Option<&Listed>, issues: Option<Vec<&Issue>>) -> Status {
        let title = tracking_issue::run_title(version);
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
            // The run that has published it closes the issue next, and is not to be got in the way of.
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

    /// What is to be done for an unpublished version.
    fn steps(&self, version: &ReleaseTag, state: &State, issue: Option<&Issue>, runs: &[&Run]) -> Vec<GitHubStep> {
        let mut remarks: Vec<_> =
            runs.iter().rev().map(|run| tracking_issue::run_comment(run.id, &run.html_url)).collect();
        if matches!(state, State::NeedsAttention { .. }) {
            remarks.push(left_comment(version, runs));
        }
        let mut steps = Vec::new();
        match issue {
            // The number of an issue that is not yet filed is unknown: what would be said in a comment is
            // said in its body.
            None => steps.push(file(version, &remarks)),
            Some(issue) => {
                if !is_open(&issue) {
                    steps.push(GitHubStep::ReopenIssue { issue: issue.number });
                }
                remarks.retain(|(marker, _)| !self.is_said(issue, marker));
                let comment = |(marker, text)| GitHubStep::Comment { issue: issue.number, marker, text };
                steps.extend(remarks.into_iter().map(comment));
            }
        }
        if matches!(state, State::Missing { .. }) {
            steps.push(GitHubStep::Dispatch { version: version.clone(), known_runs: runs.len() });
            steps.push(GitHubStep::RecordRun { version: version.clone() });
        }
        steps
    }

    /// A published version needs no open issue, and no second one that a race has left.
    fn close_published(&self, version: &ReleaseTag, url: &str, issues: &[&Issue]) -> Vec<GitHubStep> {
        let mut steps = Vec::new();
        for issue in issues.iter().filter(|issue| is_open(issue)) {
            let (marker, text) = published_comment(version, url);
            if !self.is_said(issue, &marker) {
                steps.push(GitHubStep::Comment { issue: issue.number, marker, text });
            }
            steps.push(GitHubStep::CloseIssue { issue: issue.number });
        }
        steps
    }

    fn is_said(&self, issue: &Issue, marker: &str) -> bool {
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

/// Why a person does not want a version: the reason for which its issue was closed. `completed` is none
/// while the release is missing, nor is the absent reason of an old issue.
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

/// The markers stand at the end, because a line that begins with a comment is no Markdown.
fn file(version: &ReleaseTag, remarks: &[(String, String)]) -> GitHubStep {
    let release = ReleaseName::Upstream(version.clone());
    let remarks: String = remarks.iter().map(|(marker, text)| format!(" {text} {marker}")).collect();
    let body = format!(
        "Upstream has released [BuildKit {version}](https://github.com/moby/buildkit/releases/tag/{version}). \
         The workflow {BUILD_WORKFLOW} builds it for RISC-V64 and publishes it as {release}, which closes this \
         issue. Whoever does not want it closes the issue as not planned.{remarks} {}",
        tracking_issue::issue_marker(version)
    );
    GitHubStep::FileIssue { version: version.clone(), title: tracking_issue::issue_title(version), body }
}

/// The comment that executor a version over to a person.
fn left_comment(version: &ReleaseTag, runs: &[&Run]) -> (String, String) {
    let urls: Vec<&str> = runs.iter().rev().map(|run| run.html_url.as_str()).collect();
    let text = format!(
        "Built {} times without a release, and now left to a person: {}. Read what these runs say and mend it, then \
         start one more with `gh workflow run {BUILD_WORKFLOW} -f {BUILD_INPUT}={version}`; or close this issue as \
         not planned.",
        urls.len(),
        urls.join(", ")
    );
    (format!("<!-- xtask:left-to-a-person {version} -->"), text)
}

#[cfg(test)]
mod tests;
