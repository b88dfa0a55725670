//! The issues of one repository.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::json;

use crate::github::GitHub;
use crate::github::changed_issue::{CHANGED_LABEL, is_about_changes};
use crate::github::documents::{Comment, Issue, IssueState};
use crate::github::repository::Repository;
use crate::github::tracking_issue::{LABELS, comment_body, tracked_version};
use crate::upstream::ReleaseTag;

/// How many pages of all issues are read, a request each: the newest thousand issues and pull requests.
const NEWEST_PAGES: usize = 10;

pub struct Issues<'a> {
    pub github: &'a GitHub,
    pub repository: &'a Repository,
}

impl Issues<'_> {
    fn path(&self, rest: &str) -> String {
        format!("repos/{}/issues{rest}", self.repository)
    }

    /// All issues that track a build, open or closed, without pull requests.
    pub fn tracking(&self) -> Result<Vec<Issue>> {
        self.ours(LABELS[1], |issue| tracked_version(issue).is_some())
    }

    /// The issue that says that what is published has changed: the open one, or else the one that was closed last.
    pub fn about_changes(&self) -> Result<Option<Issue>> {
        let all = self.ours(CHANGED_LABEL, is_about_changes)?;
        Ok(all.into_iter().max_by_key(|issue| (issue.state == IssueState::Open, issue.number)))
    }

    /// Says that what is published has changed, unless an open issue does.
    pub fn report_change(&self, title: &str, body: &str) -> Result<()> {
        let document = json!({ "title": title, "body": body, "labels": [CHANGED_LABEL] });
        let find = || Ok(self.about_changes()?.filter(|issue| issue.state == IssueState::Open));
        let create = || self.github.create(&self.path(""), &document);
        self.github.ensure("the issue about what has changed", find, create).map(|_: Issue| ())
    }

    /// Issues that are ours in one way, open or closed: among the newest ones by author, title and marker, and among
    /// older ones by label.
    fn ours(&self, label: &str, is_wanted: impl Fn(&Issue) -> bool) -> Result<Vec<Issue>> {
        let (mut all, has_more) = self.github.begin::<Issue>(&self.path("?state=all"), NEWEST_PAGES)?;
        if has_more {
            let labelled: Vec<Issue> = self.github.list(&self.path(&format!("?state=all&labels={label}")))?;
            let known: BTreeSet<u64> = all.iter().map(|issue| issue.number).collect();
            all.extend(labelled.into_iter().filter(|issue| !known.contains(&issue.number)));
        }
        all.retain(is_wanted);
        Ok(all)
    }

    /// The issue that tracks the build of a version; the oldest if there are several.
    pub fn of(&self, version: &ReleaseTag) -> Result<Option<Issue>> {
        let is_match = |issue: &Issue| tracked_version(issue).as_ref() == Some(version);
        Ok(self.tracking()?.into_iter().filter(is_match).min_by_key(|issue| issue.number))
    }

    /// Files the issue of a version, unless it exists.
    pub fn file(&self, version: &ReleaseTag, title: &str, body: &str) -> Result<Issue> {
        let document = json!({ "title": title, "body": body, "labels": LABELS });
        let what = format!("the issue that tracks {version}");
        self.github.ensure(&what, || self.of(version), || self.github.create(&self.path(""), &document))
    }

    pub fn comments(&self, issue: u64) -> Result<Vec<Comment>> {
        self.github.list(&self.path(&format!("/{issue}/comments")))
    }

    /// Comments on an issue, unless it has a comment with that marker.
    pub fn comment(&self, issue: u64, marker: &str, text: &str) -> Result<()> {
        let document = json!({ "body": comment_body(marker, text) });
        let is_match = |comment: &Comment| comment.body.as_ref().is_some_and(|body| body.contains(marker));
        let find = || Ok(self.comments(issue)?.into_iter().find(is_match));
        let path = self.path(&format!("/{issue}/comments"));
        self.github
            .ensure(&format!("the comment on issue #{issue}"), find, || self.github.create(&path, &document))
            .map(|_| ())
    }

    pub fn reopen(&self, issue: u64) -> Result<()> {
        self.github.change(&self.path(&format!("/{issue}")), &json!({ "state": "open", "state_reason": "reopened" }))
    }

    /// Closes an issue as completed.
    pub fn close(&self, issue: u64) -> Result<()> {
        self.github.change(&self.path(&format!("/{issue}")), &json!({ "state": "closed", "state_reason": "completed" }))
    }
}
