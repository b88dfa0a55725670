//! The issue that says that what is published has changed, and how it is found again.

use crate::github::documents::Issue;
use crate::github::tracking_issue::has_author_with_access;

pub const CHANGED_TITLE: &str = "What was published has changed";
/// The label of the issue, which GitHub creates if it does not exist.
pub const CHANGED_LABEL: &str = "published-changed";
/// Hidden in its text.
pub const CHANGED_MARKER: &str = "<!-- xtask:changed -->";

/// Whether an issue is it. As for builds, anyone may open one with that text, and nobody else can set the label.
pub fn is_about_changes(issue: &Issue) -> bool {
    let is_ours = issue.labels.iter().any(|label| label.is(CHANGED_LABEL)) || has_author_with_access(issue);
    let is_marked = issue.body.as_ref().is_some_and(|body| body.contains(CHANGED_MARKER));
    issue.pull_request.is_none() && is_ours && is_marked
}
