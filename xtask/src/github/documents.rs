//! The documents of GitHub's API, each with only the fields that are used here.
//! Source: GitHub's REST API, version 2026-03-10.

use std::fmt;

use oci::digest::Sha256;
use serde::{Deserialize, Serialize};

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
    /// `OWNER/NAME`, as it is now.
    pub full_name: String,
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
}
