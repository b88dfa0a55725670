//! The documents of GitHub's API, each with only the fields that are used here, and its errors.
//! Source: GitHub's REST API, version 2026-03-10.

use std::fmt;

use oci::digest::Sha256;
use serde::{Deserialize, Serialize};

use crate::github::issues::SWITCH_ISSUES_ON;
use crate::os::shell::one_line;

const MAX_ERRORS: usize = 10;
const MAX_EXCERPT_CHARS: usize = 1000;

/// A release, published or a draft.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// Needed because a draft cannot be looked up by its tag.
    pub id: u64,
    /// The git tag, which a draft creates on publication.
    pub tag_name: String,
    /// The branch or commit at which publication creates the tag; without effect if the tag exists.
    pub target_commitish: String,
    /// The title.
    pub name: Option<String>,
    /// The notes, in Markdown.
    pub body: Option<String>,
    /// Whether only users with push access see it.
    pub draft: bool,
    pub prerelease: bool,
    /// Whether its files can no longer be changed: a setting of the repository when it was published.
    #[serde(default)]
    pub immutable: bool,
    pub html_url: String,
    /// A URI template, `https://uploads…/assets{?name,label}`.
    pub upload_url: String,
    pub assets: Vec<Asset>,
}

/// The settings of a repository that decide what can be done in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Settings {
    pub default_branch: String,
    /// Whether there are issues at all; a fork begins without them.
    pub has_issues: bool,
}

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Asset {
    pub id: u64,
    pub name: String,
    /// Complete only if `uploaded`.
    pub state: AssetState,
    /// In bytes.
    pub size: u64,
    /// `sha256:…`, computed by GitHub; `None` for assets from before June 2025.
    pub digest: Option<String>,
    /// Public once the release is published.
    pub browser_download_url: String,
}

impl Asset {
    /// Whether the asset is this file, completely uploaded. Without a digest, the size decides.
    pub fn is_complete(&self, size_bytes: u64, sha256: &Sha256) -> bool {
        let is_same = self.digest.as_ref().is_none_or(|digest| *digest == format!("sha256:{sha256}"));
        self.state == AssetState::Uploaded && self.size == size_bytes && is_same
    }
}

/// An issue, or a pull request, which GitHub lists among them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub state: IssueState,
    pub state_reason: Option<StateReason>,
    pub html_url: String,
    #[serde(default)]
    pub labels: Vec<Label>,
    /// The author; `None` if the account was deleted.
    pub user: Option<Account>,
    pub author_association: Option<AuthorAssociation>,
    /// `Some` if it is a pull request.
    pub pull_request: Option<serde_json::Value>,
}

/// A label of an issue, which GitHub's description allows to be an object or only a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Label {
    Name(String),
    Object { name: Option<String> },
}

impl Label {
    pub fn is(&self, wanted: &str) -> bool {
        let (Self::Name(name) | Self::Object { name: Some(name) }) = self else { return false };
        name.eq_ignore_ascii_case(wanted)
    }
}

/// A user or an app.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    pub r#type: AccountType,
}

/// An app that is installed in the repository, such as `github-actions[bot]`, is a `Bot`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum AccountType {
    Bot,
    User,
    #[serde(untagged)]
    Other(String),
}

/// What the author of an issue is to the repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthorAssociation {
    Owner,
    Member,
    Collaborator,
    /// None of these has access: `CONTRIBUTOR`, `NONE` and others.
    #[serde(untagged)]
    Other(String),
}

/// A comment on an issue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Comment {
    pub body: Option<String>,
}

/// A run of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Run {
    pub id: u64,
    /// From the workflow's `run-name` and its inputs.
    pub display_title: String,
    pub status: Option<RunStatus>,
    /// `None` until the run is completed.
    pub conclusion: Option<RunConclusion>,
    pub html_url: String,
}

/// A page of runs.
#[derive(Clone, Debug, Deserialize)]
pub struct Runs {
    /// Newest first.
    pub workflow_runs: Vec<Run>,
}

/// The response to a workflow dispatch.
#[derive(Clone, Debug, Deserialize)]
pub struct Dispatched {
    pub workflow_run_id: u64,
    pub html_url: String,
}

/// The comparison of two commits of one repository.
#[derive(Clone, Debug, Deserialize)]
pub struct Comparison {
    /// The position of the head relative to the base.
    pub status: CompareStatus,
}

/// Enums for states that GitHub names by a word. Unknown words are preserved in `Other`.
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
    /// The progress of an upload; `starter` remains after a failed one.
    AssetState { Uploaded, Open, Starter }
    IssueState { Open, Closed }
    /// Why an issue was last closed, or reopened.
    StateReason { Completed, NotPlanned, Duplicate, Reopened }
    /// In every state except `completed`, the run is still in progress.
    RunStatus { Queued, InProgress, Completed }
    RunConclusion { Success, Failure, Cancelled, TimedOut }
    CompareStatus { Ahead, Behind, Identical, Diverged }
}

/// The body of an error response.
#[derive(Debug, Default, Deserialize)]
struct ApiError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

/// Explains an error response, and what to do next. `permissions` is the header
/// `X-Accepted-GitHub-Permissions`, in which GitHub names the permissions that it requires.
/// Source: "Troubleshooting the REST API", "Permissions required for GitHub Apps".
pub fn explain(status: u16, body: &[u8], permissions: Option<&str>, has_token: bool) -> String {
    let error: ApiError = serde_json::from_slice(body).unwrap_or_default();
    let message = if error.message.is_empty() { String::new() } else { format!(" ({})", excerpt(&error.message)) };
    let needed = permissions.map_or_else(String::new, |names| format!("; it needs the permission {}", excerpt(names)));
    match status {
        401 => format!(
            "GitHub does not accept the token{message}: it is wrong or has expired; set GITHUB_TOKEN to a valid one"
        ),
        403 if has_token => format!("the token does not have permission for this{message}{needed}"),
        404 if !has_token => {
            format!("GitHub answered 404{message}: it does not exist, or reading it needs a token in GITHUB_TOKEN")
        }
        404 => format!("GitHub answered 404{message}: it does not exist, or the token may not see it{needed}"),
        403 => format!("GitHub answered 403{message}; set GITHUB_TOKEN"),
        // Source: "Create an issue". Nothing else that is used here answers 410.
        410 => {
            format!("GitHub answered 410{message}: the repository has no issues; {SWITCH_ISSUES_ON} switches them on")
        }
        _ => {
            let errors: String = error.errors.iter().take(MAX_ERRORS).map(|error| format!("; {error}")).collect();
            format!("GitHub answered {status}{message}{}", excerpt(&errors))
        }
    }
}

/// Explains a refusal because of too many requests, which has the status of a missing permission too.
/// Source: "Rate limits for the REST API", exceeding the rate limit.
pub fn explain_limit(body: &[u8], has_token: bool) -> String {
    let error: ApiError = serde_json::from_slice(body).unwrap_or_default();
    let advice = if has_token { "" } else { ", or set GITHUB_TOKEN, which has a higher limit" };
    format!("GitHub limits the rate of requests ({}); run this again later{advice}", excerpt(&error.message))
}

/// The start of a text, without control characters, which a terminal could interpret.
fn excerpt(text: &str) -> String {
    one_line(text).chars().take(MAX_EXCERPT_CHARS).collect()
}

#[cfg(test)]
impl Issue {
    /// An open issue with our label.
    pub fn sample(number: u64, title: &str, body: &str) -> Self {
        Self {
            number,
            title: title.to_owned(),
            body: Some(body.to_owned()),
            state: IssueState::Open,
            state_reason: None,
            html_url: format!("https://github.com/o/n/issues/{number}"),
            labels: vec![Label::Name("buildkit-release".to_owned())],
            user: None,
            author_association: None,
            pull_request: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn an_unknown_state_is_preserved() {
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
    fn an_error_names_the_missing_permission() {
        let body = br#"{"message":"Resource not accessible by integration","documentation_url":"x"}"#;
        let message = explain(403, body, Some("contents=write"), true);
        assert_eq!(
            message,
            "the token does not have permission for this (Resource not accessible by integration); it needs the permission contents=write"
        );
        assert!(explain(401, br#"{"message":"Bad credentials"}"#, None, true).contains("wrong or has expired"));
        let body = br#"{"message":"Validation Failed","errors":[{"resource":"Release","code":"already_exists","field":"tag_name"}]}"#;
        assert!(explain(422, body, None, true).contains("already_exists"));
        assert_eq!(explain(500, b"<html>", None, true), "GitHub answered 500");
    }

    #[test]
    fn common_errors_name_the_cause_and_what_to_do() {
        let explained: String = [
            (401, "Bad credentials", None, true),
            (403, "Resource not accessible by integration", Some("issues=write"), true),
            (403, "Resource not accessible by personal access token", Some("contents=write; workflows=write"), true),
            (403, "API rate limit exceeded for 192.0.2.1.", None, false),
            (404, "Not Found", Some("contents=read"), true),
            (404, "Not Found", None, false),
            (410, "Issues has been disabled in this repository.", None, true),
            (422, "Validation Failed", None, true),
        ]
        .iter()
        .map(|&(status, message, permissions, has_token)| {
            let body = serde_json::json!({ "message": message }).to_string();
            explain(status, body.as_bytes(), permissions, has_token) + "\n"
        })
        .collect();
        expect![[r#"
            GitHub does not accept the token (Bad credentials): it is wrong or has expired; set GITHUB_TOKEN to a valid one
            the token does not have permission for this (Resource not accessible by integration); it needs the permission issues=write
            the token does not have permission for this (Resource not accessible by personal access token); it needs the permission contents=write; workflows=write
            GitHub answered 403 (API rate limit exceeded for 192.0.2.1.); set GITHUB_TOKEN
            GitHub answered 404 (Not Found): it does not exist, or the token may not see it; it needs the permission contents=read
            GitHub answered 404 (Not Found): it does not exist, or reading it needs a token in GITHUB_TOKEN
            GitHub answered 410 (Issues has been disabled in this repository.): the repository has no issues; Settings > General > Features > Issues switches them on
            GitHub answered 422 (Validation Failed)
        "#]].assert_eq(&explained);
    }
}
