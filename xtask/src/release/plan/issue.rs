//! Closes the issue that tracks the build, with a link to the release.

use crate::github::{GitHubStep, SWITCH_ISSUES_ON, published_comment};
use crate::release::plan::{Desired, Observed, PlanBuilder};

/// Comments with the link to the release, and closes the issue, unless it is already closed. A repository
/// without issues is published to all the same.
pub(super) fn close(desired: &Desired, observed: &Observed, plan: &mut PlanBuilder) {
    let Some(version) = desired.name.upstream() else { return };
    if !observed.settings.has_issues {
        let repository = &desired.repository;
        plan.note(format!("{repository} has no issues, so none is closed; {SWITCH_ISSUES_ON} switches them on"));
    }
    let Some(issue) = &observed.issue else { return };
    if !issue.is_open {
        plan.same(format!("issue {}, closed", issue.number));
        return;
    }
    if !issue.is_commented {
        let (marker, text) = published_comment(version, &desired.page());
        plan.step(GitHubStep::Comment { issue: issue.number, marker, text });
    }
    plan.step(GitHubStep::CloseIssue { issue: issue.number });
}
