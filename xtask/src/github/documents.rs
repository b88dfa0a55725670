//! GitHub's documents, of each only the fields that are looked at here, and what its refusals mean.
//! Source: GitHub's REST API, version 2026-03-10.

use std::fmt;

use oci::digest::Sha256;
use serde::{Deserialize, Serialize};

/// A release, published or a draft.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// What it is changed by: a draft cannot be looked up by its tag.
    pub id: u64,
    /// The git tag that it has, or as a draft will make.
    pub tag_name: String,
    /// Its title.
    pub name: Option<String>,
    /// Its notes, in Markdown.
    pub body: Option<String>,
    /// Whether only those who may push see it.
    pub draft: bool,
    /// Whether it is marked as not ready for production.
    pub prerelease: bool,
    /// Its page.
    pub html_url: String,
    /// A URI template, `https://uploads…/assets{?name,label}`.
    pub upload_url: String,
    /// Its files.
    pub assets: Vec<Asset>,
}

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Asset {
    /// What it is removed by.
    pub id: u64,
    /// Its name, as GitHub keeps it.
    pub name: String,
    /// Until it is `uploaded`, there is no file yet.
    pub state: AssetState,
    /// Its size in bytes.
    pub size: u64,
    /// `sha256:…`, computed by GitHub; older assets have none.
    pub digest: Option<String>,
    /// Where anyone gets it, once the release is published.
    pub browser_download_url: String,
}

impl Asset {
    /// Whether GitHub has all of a file. Assets of before June 2025 have no digest: their size decides.
    pub fn is_whole(&self, size_bytes: u64, sha256: &Sha256) -> bool {
        let is_same = self.digest.as_ref().is_none_or(|digest| *digest == format!("sha256:{sha256}"));
        self.state == AssetState::Uploaded && self.size == size_bytes && is_same
    }
}

/// An issue, or a pull request, which GitHub lists among them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Issue {
    /// Its number in the repository.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// What was written first.
    pub body: Option<String>,
    pub state: IssueState,
    pub state_reason: Option<StateReason>,
    /// Its page.
    pub html_url: String,
    /// There only on a pull request.
    pub pull_request: Option<serde_json::Value>,
}

/// A comment on an issue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// What was written.
    pub body: Option<String>,
}

/// A run of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Run {
    /// What it is looked up by.
    pub id: u64,
    /// What the workflow's `run-name` made of its inputs.
    pub display_title: String,
    pub status: Option<RunStatus>,
    /// `None` until the run is completed.
    pub conclusion: Option<RunConclusion>,
    /// Its page.
    pub html_url: String,
}

/// A page of runs.
#[derive(Clone, Debug, Deserialize)]
pub struct Runs {
    /// The runs, newest first.
    pub workflow_runs: Vec<Run>,
}

/// The answer to a dispatch.
#[derive(Clone, Debug, Deserialize)]
pub struct Dispatched {
    /// What it is looked up by.
    pub workflow_run_id: u64,
    /// Its page.
    pub html_url: String,
}

/// How two commits of one repository relate.
#[derive(Clone, Debug, Deserialize)]
pub struct Comparison {
    /// Where the head is, seen from the base.
    pub status: CompareStatus,
}

/// A state that GitHub names by a word. It may add others, which are kept as they are.
macro_rules! states {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident),* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(rename_all = "snake_case")]
            pub enum $name {
                $($variant,)*
                #[serde(untagged)]
                Other(String),
            }

            impl fmt::Display for $name {
                fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.serialize(out)
                }
            }
        )*
    };
}
states! {
    /// How far the upload of an asset is; `starter` remains after an upload that failed.
    AssetState { Uploaded, Open, Starter }
    IssueState { Open, Closed }
    /// Why an issue was last closed, or reopened.
    StateReason { Completed, NotPlanned, Duplicate, Reopened }
    /// Every state but `completed` is of a run that goes on.
    RunStatus { Queued, InProgress, Completed }
    RunConclusion { Success, Failure, Cancelled, TimedOut }
    CompareStatus { Ahead, Behind, Identical, Diverged }
}

/// What GitHub says where it refuses.
#[derive(Debug, Default, Deserialize)]
struct ApiError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

/// What a refusal means for a person, and what to do next. `permissions` is the header
/// `X-Accepted-GitHub-Permissions`, in which GitHub names what would have sufficed.
/// Source: "Troubleshooting the REST API", "Permissions required for GitHub Apps".
pub fn explain(status: u16, body: &[u8], permissions: Option<&str>, has_token: bool) -> String {
    let refusal: ApiError = serde_json::from_slice(body).unwrap_or_default();
    let said = if refusal.message.is_empty() { String::new() } else { format!(" ({})", refusal.message) };
    let needed = permissions.map_or_else(String::new, |names| format!("; it needs the permission {names}"));
    match status {
        401 => format!(
            "GitHub does not accept the token{said}: it is wrong or has expired; put a valid one into GITHUB_TOKEN"
        ),
        403 if has_token => format!("the token may not do this{said}{needed}"),
        404 if !has_token => {
            format!("GitHub answered 404{said}: it does not exist, or only a token (GITHUB_TOKEN) shows it")
        }
        404 => format!("GitHub answered 404{said}: it does not exist, or the token may not see it{needed}"),
        403 => format!("GitHub answered 403{said}; put a token into GITHUB_TOKEN"),
        _ => {
            let errors: String = refusal.errors.iter().map(|error| format!("; {error}")).collect();
            format!("GitHub answered {status}{said}{errors}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_github_adds_is_kept_as_it_is() {
        for (text, state) in [
            ("uploaded", AssetState::Uploaded),
            ("starter", AssetState::Starter),
            ("Uploaded", AssetState::Other("Uploaded".to_owned())),
            ("new\nstate", AssetState::Other("new\nstate".to_owned())),
        ] {
            let read: AssetState = serde_json::from_value(text.into()).expect("is a state");
            assert_eq!((&read, read.to_string().as_str()), (&state, text));
        }
        let reason: StateReason = serde_json::from_str(r#""not_planned""#).expect("is a reason");
        assert_eq!((&reason, reason.to_string().as_str()), (&StateReason::NotPlanned, "not_planned"));
        serde_json::from_str::<RunStatus>("1").expect_err("a number");
    }

    #[test]
    fn a_refusal_names_what_is_missing() {
        let body = br#"{"message":"Resource not accessible by integration","documentation_url":"x"}"#;
        let said = explain(403, body, Some("contents=write"), true);
        assert_eq!(
            said,
            "the token may not do this (Resource not accessible by integration); it needs the permission contents=write"
        );
        assert!(explain(401, br#"{"message":"Bad credentials"}"#, None, true).contains("wrong or has expired"));
        let body = br#"{"message":"Validation Failed","errors":[{"resource":"Release","code":"already_exists","field":"tag_name"}]}"#;
        assert!(explain(422, body, None, true).contains("already_exists"));
        assert_eq!(explain(500, b"<html>", None, true), "GitHub answered 500");
    }
}
