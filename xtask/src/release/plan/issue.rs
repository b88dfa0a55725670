//! The issue that tracks the build: told where the release is, and closed.

use crate::github::tracking_issue::published_comment;
use crate::reconcile::step::Step;
use crate::release::plan::{Draft, Issue, Wanted};

/// Says in the issue where the release is, and closes it. A closed one is done.
pub(super) fn close(wanted: &Wanted, issue: Option<&Issue>, draft: &mut Draft) {
    let (Some(version), Some(issue)) = (wanted.name.upstream(), issue) else { return };
    if !issue.is_open {
        draft.same(format!("issue {}, closed", issue.number));
        return;
    }
    if !issue.is_commented {
        let (marker, text) = published_comment(version, &wanted.page());
        draft.step(Step::Comment { issue: issue.number, marker, text });
    }
    draft.step(Step::CloseIssue { issue: issue.number });
}
