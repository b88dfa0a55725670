//! Issues and their comments.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::github::response::{Outcome, Response};
use crate::github::{Call, FakeGitHub, State, shapes};

const LARGEST_BODY_CHARACTERS: usize = 65_536;

/// An issue. A pull request is one too.
#[derive(Clone)]
pub struct Issue {
    pub id: u64,
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub is_open: bool,
    pub state_reason: Option<String>,
    pub closed: Option<u64>,
    pub labels: Vec<String>,
    pub comments: Vec<Comment>,
    pub is_pull_request: bool,
    /// Whether its author has no access to the repository, as anyone on GitHub may open an issue.
    pub is_by_stranger: bool,
    /// Whether it is in another repository now.
    pub is_transferred: bool,
}

#[derive(Clone)]
pub struct Comment {
    pub id: u64,
    pub body: String,
}

/// The fields of "Create an issue" and "Update an issue" that we send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    title: Option<String>,
    body: Option<String>,
    state: Option<IssueState>,
    state_reason: Option<String>,
    labels: Option<Vec<String>>,
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum IssueState {
    Open,
    Closed,
}

/// The fields of "Create an issue comment".
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewComment {
    body: String,
}

impl FakeGitHub {
    /// Switches issues off or on. A fork begins without them.
    pub fn switch_issues(&mut self, are_on: bool) {
        self.state.are_issues_off = !are_on;
    }

    /// Opens a pull request, which lists of issues contain too.
    pub fn open_pull_request(&mut self, title: &str, labels: &[&str]) {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        self.state.ensure_labels(&labels);
        let mut issue = self.state.blank_issue(title.to_owned());
        issue.labels = labels;
        issue.is_pull_request = true;
        self.state.issues.push(issue);
    }

    /// Transfers an issue to a repository of the same owner.
    pub fn transfer_issue(&mut self, number: u64) {
        let found = self.state.issues.iter_mut().find(|issue| issue.number == number);
        found.expect("there is such an issue").is_transferred = true;
    }

    /// Opens an issue as somebody without access to the repository, who cannot set labels.
    pub fn open_issue_by_stranger(&mut self, title: &str, body: &str) {
        let mut issue = self.state.blank_issue(title.to_owned());
        issue.body = Some(body.to_owned());
        issue.is_by_stranger = true;
        self.state.issues.push(issue);
    }

    /// Drops the labels of all issues that are created or updated from now on, without an error. Source:
    /// "Create an issue" and "Update an issue", `labels`: "Only users with push access can set labels. Labels
    /// are silently dropped otherwise."
    pub fn drop_labels(&mut self) {
        self.state.drops_labels = true;
    }
}

impl State {
    pub(super) fn blank_issue(&mut self, title: String) -> Issue {
        Issue {
            id: self.tick(),
            number: self.issues.len() as u64 + 1,
            title,
            body: None,
            is_open: true,
            state_reason: None,
            closed: None,
            labels: Vec::new(),
            comments: Vec::new(),
            is_pull_request: false,
            is_by_stranger: false,
            is_transferred: false,
        }
    }

    fn issue_mut(&mut self, number: &str) -> Result<&mut Issue, Response> {
        self.issues.iter_mut().find(|issue| issue.number.to_string() == number).ok_or_else(Response::not_found)
    }

    /// "If issues are disabled in the repository, the API returns a `410 Gone` status." Source: "Create an
    /// issue"; the descriptions of the other operations list that status too, except "List repository
    /// issues", which then shows pull requests alone. Reports quote the message in other words, too (ossf/allstar#64).
    fn require_issues(&self) -> Result<(), Response> {
        if self.are_issues_off {
            return Err(Response::message(StatusCode::GONE, "Issues has been disabled in this repository."));
        }
        Ok(())
    }

    /// "List repository issues": newest first, only open ones unless `state` says otherwise, and only
    /// those with all the `labels`; "may return both issues and pull requests in the response".
    pub fn list_issues(&self, call: &Call) -> Response {
        let state = call.parameter("state").unwrap_or("open");
        let labels: Vec<&str> = call.parameter("labels").map_or(Vec::new(), |labels| labels.split(',').collect());
        let has = |issue: &Issue, label: &str| issue.labels.iter().any(|name| name.eq_ignore_ascii_case(label));
        let is_wanted = |issue: &&Issue| {
            (issue.is_pull_request || !self.are_issues_off)
                && !issue.is_transferred
                && (state == "all" || (state == "open") == issue.is_open)
                && labels.iter().all(|label| has(issue, label))
        };
        let wanted = self.issues.iter().rev().filter(is_wanted);
        let response = call.list_response(wanted.map(|issue| self.issue_json(call, issue)).collect(), "issues");
        // Reports have 410 for this operation too.
        let is_ours = !call.is_upstream && self.are_issues_off;
        if is_ours { response.violating("a list of issues where there are none".to_owned()) } else { response }
    }

    pub fn get_issue(&mut self, call: &Call, number: &str) -> Outcome {
        self.require_issues()?;
        let issue = self.issue_mut(number)?.clone();
        Ok(Response::ok(&self.issue_json(call, &issue)))
    }

    pub fn create_issue(&mut self, call: &Call) -> Outcome {
        self.require_issues()?;
        let mut edit: Edit = call.document()?;
        let Some(title) = edit.title.take().filter(|title| !title.is_empty()) else {
            return Err(
                Response::invalid("Issue", "title", "missing_field").violating("an issue without a title".to_owned())
            );
        };
        let issue = self.blank_issue(title);
        let issue = self.edited_issue(issue, edit)?;
        let document = self.issue_json(call, &issue);
        self.issues.push(issue);
        Ok(Response::created(&document))
    }

    pub fn update_issue(&mut self, call: &Call, number: &str) -> Outcome {
        self.require_issues()?;
        let edit: Edit = call.document()?;
        let issue = self.issue_mut(number)?.clone();
        let issue = self.edited_issue(issue, edit)?;
        let document = self.issue_json(call, &issue);
        *self.issue_mut(number)? = issue;
        Ok(Response::ok(&document))
    }

    /// The issue after the edit. `labels` replaces all labels and creates those that do not exist
    /// (github/docs#35718); `state_reason` is "ignored unless `state` is changed".
    fn edited_issue(&mut self, mut issue: Issue, edit: Edit) -> Result<Issue, Response> {
        check_length(edit.body.as_deref().unwrap_or_default(), "Issue")?;
        if let Some(labels) = edit.labels.filter(|_| !self.drops_labels) {
            self.ensure_labels(&labels);
            issue.labels = labels;
        }
        issue.title = edit.title.unwrap_or(issue.title);
        issue.body = edit.body.or(issue.body);
        let opens = edit.state.map_or(issue.is_open, |state| state == IssueState::Open);
        if opens != issue.is_open {
            issue.is_open = opens;
            issue.closed = (!opens).then(|| self.tick());
            let default = if opens { "reopened" } else { "completed" };
            issue.state_reason = edit.state_reason.or_else(|| Some(default.to_owned()));
        }
        Ok(issue)
    }

    /// "List issue comments": "ordered by ascending ID".
    pub fn list_comments(&mut self, call: &Call, number: &str) -> Outcome {
        self.require_issues()?;
        let comments = self.issue_mut(number)?.comments.iter().map(|comment| comment.to_json(call, number)).collect();
        Ok(call.list_response(comments, &format!("issues/{number}/comments")))
    }

    pub fn create_comment(&mut self, call: &Call, number: &str) -> Outcome {
        self.require_issues()?;
        let comment_in: NewComment = call.document()?;
        check_length(&comment_in.body, "IssueComment")?;
        let comment = Comment { id: self.tick(), body: comment_in.body };
        let document = comment.to_json(call, number);
        self.issue_mut(number)?.comments.push(comment);
        Ok(Response::created(&document))
    }

    /// The JSON of an issue.
    fn issue_json(&self, call: &Call, issue: &Issue) -> Value {
        let (api, number, repository) = (call.api(), issue.number, call.repository);
        let kind = if issue.is_pull_request { "pull" } else { "issues" };
        let named = |name: &String| self.labels.iter().find(|label| label.name.eq_ignore_ascii_case(name));
        // Source: GitHub's OpenAPI description, `author-association` and `simple-user`.
        let (user, association) =
            if issue.is_by_stranger { (shapes::stranger(call), "NONE") } else { (shapes::user(call), "CONTRIBUTOR") };
        let labels: Vec<Value> = issue.labels.iter().filter_map(named).map(|label| label.to_json(call)).collect();
        let mut document = json!({
            "id": issue.id,
            "node_id": format!("I_{}", issue.id),
            "url": format!("{api}/issues/{number}"),
            "repository_url": api,
            "labels_url": format!("{api}/issues/{number}/labels{{/name}}"),
            "comments_url": format!("{api}/issues/{number}/comments"),
            "events_url": format!("{api}/issues/{number}/events"),
            "html_url": format!("https://github.com/{repository}/{kind}/{number}"),
            "number": number,
            "state": if issue.is_open { "open" } else { "closed" },
            "state_reason": issue.state_reason,
            "title": issue.title,
            "body": issue.body,
            "user": user,
            "labels": labels,
            "assignees": [],
            "milestone": null,
            "locked": false,
            "comments": issue.comments.len(),
            "closed_at": issue.closed.map(shapes::time),
            "created_at": shapes::time(issue.id),
            "updated_at": shapes::time(self.ticks),
            "author_association": association,
        });
        if !call.is_newest() {
            // Source: "Breaking changes", version 2026-03-10.
            document["assignee"] = Value::Null;
        }
        if issue.is_pull_request {
            let url = format!("{api}/pulls/{number}");
            let html = &document["html_url"];
            document["pull_request"] = json!({"url": url, "html_url": html, "diff_url": html, "patch_url": html});
        }
        document
    }
}

fn check_length(body: &str, resource: &str) -> Result<(), Response> {
    if body.chars().count() <= LARGEST_BODY_CHARACTERS {
        return Ok(());
    }
    Err(Response::invalid(resource, "body", "custom").violating(format!("the body of an {resource} is too long")))
}

impl Comment {
    fn to_json(&self, call: &Call, number: &str) -> Value {
        let (id, api, repository) = (self.id, call.api(), call.repository);
        json!({
            "id": id,
            "node_id": format!("IC_{id}"),
            "url": format!("{api}/issues/comments/{id}"),
            "html_url": format!("https://github.com/{repository}/issues/{number}#issuecomment-{id}"),
            "issue_url": format!("{api}/issues/{number}"),
            "body": self.body,
            "user": shapes::user(call),
            "created_at": shapes::time(id),
            "updated_at": shapes::time(id),
            "author_association": "CONTRIBUTOR",
        })
    }
}
