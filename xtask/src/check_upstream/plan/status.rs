//! The status of one version, as data and as a line of output.

use std::fmt;

use serde::Serialize;

use crate::github::{GitHubStep, StateReason};
use crate::upstream::ReleaseTag;

/// The status of a wanted version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    pub version: ReleaseTag,
    #[serde(flatten)]
    pub state: State,
    /// Whether there is a draft release, which the next build continues.
    pub has_draft: bool,
    /// The number of the tracking issue.
    pub issue: Option<u64>,
    /// Whether that issue, or a second one, is open.
    pub is_issue_open: bool,
    /// Whether it must be built, and waits until fewer builds are in progress.
    pub is_held_back: bool,
    #[serde(skip)]
    pub steps: Vec<GitHubStep>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    Published {
        url: String,
    },
    /// A run is not completed yet.
    Building {
        /// The page of the run.
        url: String,
    },
    /// Must be built, for the first time or again.
    Missing {
        /// How many runs failed.
        failed: usize,
        /// How many runs succeeded, but left no release.
        succeeded: usize,
    },
    /// Built [`MOST_ATTEMPTS`](super::MOST_ATTEMPTS) times without a release.
    NeedsAttention {
        /// How many runs failed.
        failed: usize,
        /// How many runs succeeded, but left no release.
        succeeded: usize,
    },
    /// Somebody closed the issue with another reason than `completed`.
    Declined {
        /// Such as `not_planned` or `duplicate`.
        reason: StateReason,
    },
    /// Has an open issue, and upstream does not have the release any more.
    Withdrawn,
}

impl Status {
    /// Holds a version back that must be built, and with it all its steps.
    pub fn hold_back(&mut self) {
        if matches!(self.state, State::Missing { .. }) {
            self.is_held_back = true;
            self.steps.clear();
        }
    }

    /// Whether nothing is left to do until a release is added or removed.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Published { .. }) && !self.is_issue_open
    }

    /// Whether a run is completed, the issue closed or the version withdrawn, but the release is not in the list. A list can be
    /// slightly older than the last write, so the release must be looked up by its tag before acting.
    pub fn is_doubtful(&self) -> bool {
        let is_closed = self.issue.is_some() && !self.is_issue_open;
        match self.state {
            State::Missing { failed, succeeded } => is_closed || failed + succeeded > 0,
            State::NeedsAttention { .. } | State::Withdrawn => true,
            State::Building { .. } => is_closed,
            State::Published { .. } | State::Declined { .. } => false,
        }
    }

    pub fn word(&self) -> &'static str {
        match self.state {
            State::Published { .. } => "published",
            State::Building { .. } => "building",
            State::Missing { .. } if self.is_held_back => "held back",
            State::Missing { .. } => "missing",
            State::NeedsAttention { .. } => "needs attention",
            State::Declined { .. } => "declined",
            State::Withdrawn => "withdrawn",
        }
    }

    /// The facts behind the state.
    pub fn evidence(&self) -> String {
        let mut evidence = match &self.state {
            State::Published { url } | State::Building { url } => url.clone(),
            State::Missing { failed: 0, succeeded: 0 } => "never built".to_owned(),
            State::Missing { failed, succeeded } | State::NeedsAttention { failed, succeeded } => {
                attempts(*failed, *succeeded)
            }
            State::Declined { reason } => format!("its issue was closed as {reason}; reopen it to build this version"),
            State::Withdrawn => "upstream does not have it any more".to_owned(),
        };
        if self.has_draft && !matches!(self.state, State::Published { .. }) {
            evidence.push_str(", a draft exists");
        }
        match (self.issue, self.is_issue_open) {
            (Some(issue), true) => evidence.push_str(&format!(", issue #{issue}")),
            (Some(issue), false) => evidence.push_str(&format!(", issue #{issue} (closed)")),
            (None, _) => {}
        }
        evidence
    }
}

fn attempts(failed: usize, succeeded: usize) -> String {
    match (failed, succeeded) {
        (1, 0) => "1 build failed".to_owned(),
        (failed, 0) => format!("{failed} builds failed"),
        (failed, succeeded) => format!("{} builds left no release, {failed} of them failed", failed + succeeded),
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:<10} {:<17} {}", self.version.to_string(), self.word(), self.evidence())
    }
}
