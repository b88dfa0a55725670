//! Conditions that only the prose of GitHub's description has: docs/dev/GITHUB-NOTES.md lists them.

use serde_json::json;

use crate::github::tests::{TOKEN, ask, draft, fake, get, request};
use crate::message::Service;

/// "Update an issue", `state_reason`: "Ignored unless `state` is changed".
#[test]
fn a_reason_without_a_change_of_state_is_ignored() {
    let mut fake = fake();
    ask(&mut fake, "POST", "issues", &json!({"title": "t"}));
    ask(&mut fake, "PATCH", "issues/1", &json!({"state": "closed", "state_reason": "completed"}));
    let (status, issue) =
        ask(&mut fake, "PATCH", "issues/1", &json!({"state": "closed", "state_reason": "not_planned"}));
    assert_eq!((status, &issue["state_reason"]), (200, &json!("completed")));
}

/// "Get a workflow": "You can replace `workflow_id` with the workflow file name."
#[test]
fn a_workflow_is_found_by_its_file_or_its_id() {
    let mut fake = fake();
    let (status, workflow) = get(&mut fake, "actions/workflows/track-buildkit-releases.yml");
    assert_eq!((status, &workflow["state"]), (200, &json!("active")));
    let by_id = format!("actions/workflows/{}", workflow["id"]);
    assert_eq!(get(&mut fake, &by_id).1["path"], workflow["path"]);
    assert_eq!(get(&mut fake, "actions/workflows/other.yml").0, 404);
    fake.start_scheduled_run();
    let id = get(&mut fake, "actions/workflows/buildkit-weekly-build.yml").1["id"].clone();
    assert_eq!(get(&mut fake, &format!("actions/workflows/{id}/runs")).1["total_count"], 1);
}

/// "Upload a release asset": "Use the required `Content-Type` header", and `Content-Length`.
#[test]
fn an_upload_without_its_type_or_length_is_refused() {
    let mut fake = fake();
    let (path, to) = draft(&mut fake, "t");
    for name in ["content-type", "content-length"] {
        let mut upload = request("POST", &format!("{to}?name=a"), Some(TOKEN), b"abc".to_vec());
        upload.headers_mut().remove(name);
        assert_eq!(fake.handle(&upload).status(), 400, "without {name}");
    }
    assert_eq!(get(&mut fake, &path).1["assets"], json!([]));
    assert_eq!(fake.violations().len(), 2);
}

/// "List issue comments": "Issue comments are ordered by ascending ID."
#[test]
fn comments_are_listed_from_the_oldest() {
    let mut fake = fake();
    ask(&mut fake, "POST", "issues", &json!({"title": "t"}));
    for body in ["first", "second"] {
        ask(&mut fake, "POST", "issues/1/comments", &json!({"body": body}));
    }
    let comments = get(&mut fake, "issues/1/comments").1;
    assert_eq!((&comments[0]["body"], &comments[1]["body"]), (&json!("first"), &json!("second")));
    assert!(comments[0]["id"].as_u64() < comments[1]["id"].as_u64());
}

/// "List repository issues": "Only open issues will be listed", unless `state` says otherwise.
#[test]
fn closed_issues_are_listed_only_if_asked_for() {
    let mut fake = fake();
    for title in ["open", "closed"] {
        ask(&mut fake, "POST", "issues", &json!({"title": title}));
    }
    ask(&mut fake, "PATCH", "issues/2", &json!({"state": "closed"}));
    let count = |fake: &mut _, query| get(fake, query).1.as_array().map(Vec::len);
    assert_eq!(get(&mut fake, "issues").1[0]["title"], "open");
    let counts = ["issues", "issues?state=closed", "issues?state=all"].map(|query| count(&mut fake, query));
    assert_eq!(counts, [Some(1), Some(1), Some(2)]);
}

/// "Create a release", `target_commitish`: "Unused if the Git tag already exists."
#[test]
fn a_tag_that_exists_keeps_its_commit() {
    let mut fake = fake();
    let (path, _) = draft(&mut fake, "t");
    ask(&mut fake, "PATCH", &path, &json!({"draft": false}));
    let commit = get(&mut fake, "git/ref/tags/t").1["object"]["sha"].clone();
    ask(&mut fake, "PATCH", &path, &json!({"draft": true}));
    fake.push(&"f".repeat(40));
    let other = json!({"tag_name": "t", "target_commitish": "f".repeat(40)});
    assert_eq!(ask(&mut fake, "POST", "releases", &other).0, 201);
    assert_eq!(get(&mut fake, "git/ref/tags/t").1["object"]["sha"], commit);
}
