//! Closes the issue that tracks the build, with a link to the release.

use crate::github::{GitHubStep, published_comment};
use crate::release::plan::{Desired, Issue, PlanBuilder};

/// Comments with the link to the release, and closes the issue, unless it is already closed.
pub(super) fn close(desired: &Desired, issue: Option<&Issue>, plan: &mut PlanBuilder) {
    let (Some(version), Some(issue)) = (desired.name.upstream(), issue) else { return };
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
