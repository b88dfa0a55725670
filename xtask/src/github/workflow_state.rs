//! Whether GitHub runs a workflow at all: it disables the schedules of a public repository by itself.

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::github::tracking_issue::{BUILD_WORKFLOW, TRACK_WORKFLOW};
use crate::github::{GitHub, Repository};

/// The workflows that run on a schedule.
const SCHEDULED: [&str; 2] = [BUILD_WORKFLOW, TRACK_WORKFLOW];

/// The response of "Get a workflow".
#[derive(Deserialize)]
struct WorkflowDocument {
    state: WorkflowState,
}

/// Source: GitHub's OpenAPI description, the schema `workflow`. Why a state arises: "Disabling and enabling a workflow".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WorkflowState {
    Active,
    DisabledInactivity,
    DisabledFork,
    DisabledManually,
    #[serde(other)]
    Other,
}

impl WorkflowState {
    fn why_it_does_not_run(self) -> Option<&'static str> {
        match self {
            Self::Active => None,
            Self::DisabledInactivity => Some("is disabled, because nothing happened in the repository for 60 days"),
            Self::DisabledFork => Some("is disabled, as are all schedules of a new fork"),
            Self::DisabledManually => Some("was disabled by a person"),
            Self::Other => Some("is not active"),
        }
    }
}

/// Checks that GitHub runs both scheduled workflows of a repository.
///
/// # Errors
/// If one is disabled or cannot be seen.
pub fn schedules_are_active(github: &GitHub, repository: &Repository) -> Result<()> {
    let mut reasons = Vec::new();
    for file in SCHEDULED {
        let path = format!("repos/{repository}/actions/workflows/{file}");
        let why = match github.read::<WorkflowDocument>(&path)? {
            Some(found) => found.state.why_it_does_not_run(),
            None => Some("is not there, or the token may not see it"),
        };
        reasons.extend(why.map(|why| format!("{file} {why}")));
    }
    if reasons.is_empty() { Ok(()) } else { bail!("in {repository}, {}", reasons.join("; ")) }
}
