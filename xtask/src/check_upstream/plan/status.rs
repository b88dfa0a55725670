//! Where one version stands, in data and in a line for a person.

use std::fmt;

use serde::Serialize;

use crate::github::{GitHubStep, StateReason};
use crate::upstream::version::ReleaseTag;

/// Where a wanted version stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The version.
    pub version: ReleaseTag,
    /// How far it is.
    #[serde(flatten)]
    pub state: State,
    /// Whether there is an unfinished release of it, which the next build goes on with.
    pub has_draft: bool,
    /// The issue that tracks it.
    pub issue: Option<u64>,
    /// Whether that, or a second one, is open.
    pub is_issue_open: bool,
    /// What is to be done about it.
    #[serde(skip)]
    pub steps: Vec<GitHubStep>,
}

/// How far a version is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Everyone can get it.
    Published {
        /// Its page.
        url: String,
    },
    /// A run is queued, waits or works.
    Building {
        /// The page of the run.
        url: String,
    },
    /// To be built, for the first time or again.
    Missing {
        /// How many runs have failed.
        failed: usize,
        /// How many have ended well, and left no release.
        succeeded: usize,
    },
    /// Tried often enough.
    NeedsAttention {
        /// How many runs have failed.
        failed: usize,
        /// How many have ended well, and left no release.
        succeeded: usize,
    },
    /// A person has closed its issue as something else than completed.
    Declined {
        /// As what: `not_planned`, `duplicate`.
        reason: StateReason,
    },
}

impl Status {
    /// Whether nothing can happen to it unless a release is added or removed.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Published { .. }) && !self.is_issue_open
    }

    /// Whether a run has ended or the issue is closed, and no release is seen. A list can be a moment
    /// older than the last write: before anything is made of it, the release is to be asked for by its
    /// name.
    pub fn is_doubtful(&self) -> bool {
        let is_closed = self.issue.is_some() && !self.is_issue_open;
        match self.state {
            State::Missing { failed, succeeded } => is_closed || failed + succeeded > 0,
            State::NeedsAttention { .. } => true,
            State::Building { .. } => is_closed,
            State::Published { .. } | State::Declined { .. } => false,
        }
    }

    /// What it is called in one word.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Published { .. } => "published",
            State::Building { .. } => "building",
            State::Missing { .. } => "missing",
            State::NeedsAttention { .. } => "left to a person",
            State::Declined { .. } => "declined",
        }
    }

    /// What is to be known about it.
    pub fn evidence(&self) -> String {
        let mut said = match &self.state {
            State::Published { url } | State::Building { url } => url.clone(),
            State::Missing { failed: 0, succeeded: 0 } => "never built".to_owned(),
            State::Missing { failed, succeeded } | State::NeedsAttention { failed, succeeded } => {
                attempts(*failed, *succeeded)
            }
            State::Declined { reason } => format!("its issue was closed as {reason}; open it again to have it built"),
        };
        if self.has_draft && !matches!(self.state, State::Published { .. }) {
            said.push_str(", a draft is left over");
        }
        match (self.issue, self.is_issue_open) {
            (Some(issue), true) => said.push_str(&format!(", issue #{issue}")),
            (Some(issue), false) => said.push_str(&format!(", issue #{issue} (closed)")),
            (None, _) => {}
        }
        said
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
