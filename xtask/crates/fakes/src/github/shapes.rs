//! Fields that GitHub puts into every document and no task reads. They are here so that responses conform
//! to GitHub's OpenAPI description.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::digest::sha256;
use crate::github::Call;
use crate::github::response::Response;
use crate::message::encoded;

/// The start of the clock: 2026-01-01.
pub const EPOCH_SECONDS: u64 = 1_767_225_600;

/// The default branch.
pub const BRANCH: &str = "main";
const COUNTS: &str = "forks forks_count open_issues open_issues_count size stargazers_count watchers watchers_count
    network_count subscribers_count";

/// The time of a tick.
pub fn time(tick: u64) -> String {
    let seconds = i64::try_from(EPOCH_SECONDS + tick).expect("the clock fits in an i64");
    let time = OffsetDateTime::from_unix_timestamp(seconds).expect("the clock is in range");
    time.format(&Rfc3339).expect("the year has four digits")
}

/// A made-up commit hash for `what`.
pub fn sha(what: &str) -> String {
    sha256(what.as_bytes())[..40].to_owned()
}

impl Call<'_> {
    /// The URL of the repository in the API.
    pub fn api(&self) -> String {
        format!("{}/repos/{}", self.site.api, self.repository)
    }

    /// Whether the client asks for version 2026-03-10 of the API rather than the default, 2022-11-28.
    /// Source: GitHub REST API, "API Versions".
    pub fn is_newest(&self) -> bool {
        self.headers.get("x-github-api-version").is_some_and(|version| version == "2026-03-10")
    }

    /// One page of a list. `path` is its path below the repository.
    pub fn list_response(&self, items: Vec<Value>, path: &str) -> Response {
        if let Some(refused) = self.beyond_the_results() {
            return refused;
        }
        let (page, link) = self.page(items, path);
        let response = Response::ok(&Value::Array(page));
        if link.is_empty() { response } else { response.with("link", link) }
    }
}

/// The account of the token (`simple-user`).
pub fn user(call: &Call) -> Value {
    account(&call.site.api, call.login, "Bot")
}

/// Somebody without access to the repository.
pub fn stranger(call: &Call) -> Value {
    account(&call.site.api, "somebody", "User")
}

fn account(base: &str, login: &str, kind: &str) -> Value {
    let url = format!("{base}/users/{}", encoded(login));
    let mut user = json!({
        "login": login,
        "id": 41_898_282,
        "node_id": "U_1",
        "avatar_url": "https://avatars.githubusercontent.com/in/15368?v=4",
        "gravatar_id": "",
        "html_url": "https://github.com/apps/github-actions",
        "type": kind,
        "site_admin": false,
    });
    let parts = ["followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events"];
    for (key, part) in parts
        .map(|part| (part, part))
        .into_iter()
        .chain([("organizations", "orgs"), ("received_events", "received_events")])
    {
        user[format!("{key}_url")] = format!("{url}/{part}").into();
    }
    user["url"] = url.into();
    user
}

/// The repository (`minimal-repository` and `full-repository`).
pub fn repository(call: &Call, has_issues: bool) -> Value {
    let api = call.api();
    let (owner, name) = call.repository.split_once('/').unwrap_or_default();
    let mut repository = json!({
        "id": 1,
        "node_id": "R_1",
        "name": name,
        "full_name": call.repository,
        "owner": account(&call.site.api, owner, "User"),
        "private": false,
        "html_url": format!("https://github.com/{}", call.repository),
        "description": call.description,
        "fork": false,
        "url": api,
        "default_branch": BRANCH,
        "homepage": null, "language": null, "license": null, "mirror_url": null,
        "archived": call.is_archived, "disabled": false,
        "has_issues": has_issues, "has_projects": false, "has_wiki": false, "has_pages": false, "has_discussions": false,
        "created_at": time(0), "updated_at": time(0), "pushed_at": time(0),
    });
    // For a token only. Source: "Get a repository", its example, and `full-repository` of the OpenAPI description.
    if call.headers.contains_key("authorization") {
        let push = call.can_push;
        repository["permissions"] =
            json!({"admin": false, "maintain": false, "push": push, "triage": push, "pull": true});
    }
    for count in COUNTS.split_whitespace() {
        repository[count] = 0.into();
    }
    let parts = "archive assignees blobs branches collaborators clone comments commits compare contents contributors \
        deployments downloads events forks git git_commits git_refs git_tags issue_comment issue_events issues keys labels \
        languages merges milestones notifications pulls releases stargazers ssh statuses subscribers subscription svn tags \
        teams trees hooks";
    for part in parts.split_whitespace() {
        repository[format!("{part}_url")] = format!("{api}/{part}").into();
    }
    repository
}

/// The head commit of a run (`simple-commit`).
pub fn simple_commit(commit: &str) -> Value {
    let person = json!({"name": "Somebody", "email": "somebody@example.org"});
    json!({
        "id": commit, "tree_id": commit, "message": "", "timestamp": time(0), "author": person, "committer": person,
    })
}

/// A commit in a comparison (`commit`).
pub fn commit(call: &Call, commit: &str) -> Value {
    let url = format!("{}/commits/{commit}", call.api());
    let person = json!({"name": "Somebody", "email": "somebody@example.org", "date": time(0)});
    json!({
        "url": url,
        "sha": commit,
        "node_id": format!("C_{commit}"),
        "html_url": format!("https://github.com/{}/commit/{commit}", call.repository),
        "comments_url": format!("{url}/comments"),
        "commit": {
            "url": url, "author": person, "committer": person, "message": "", "comment_count": 0,
            "tree": {"sha": commit, "url": url},
        },
        "author": user(call),
        "committer": user(call),
        "parents": [],
    })
}
