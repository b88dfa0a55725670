//! Issues, their comments and labels, labels that GitHub drops, authors, and a repository without issues.

use serde_json::{Value, json};

use crate::github::tests::{OURS, TOKEN, ask, fake, get, header, read, request};
use crate::message::Service;

#[test]
fn labels_are_dropped_silently() {
    let mut fake = fake();
    ask(&mut fake, "POST", "issues", &json!({"title": "before", "labels": ["x"]}));
    fake.drop_labels();
    let (status, issue) = ask(&mut fake, "POST", "issues", &json!({"title": "after", "labels": ["x", "y"]}));
    assert_eq!((status, &issue["labels"]), (201, &json!([])));
    assert_eq!(get(&mut fake, "issues?labels=x").1.as_array().map(Vec::len), Some(1), "only the first");
    assert_eq!(get(&mut fake, "labels").1.as_array().map(Vec::len), Some(1), "none is created");
    let (status, issue) = ask(&mut fake, "PATCH", "issues/1", &json!({"state": "closed", "labels": []}));
    assert_eq!((status, &issue["labels"][0]["name"], &issue["state"]), (200, &json!("x"), &json!("closed")));
    assert!(fake.violations().is_empty());
}

#[test]
fn an_issue_names_its_author() {
    let mut fake = fake();
    ask(&mut fake, "POST", "issues", &json!({"title": "ours"}));
    fake.open_issue_by_stranger("theirs", "b");
    let author = |issue: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&issue["user"]["type"]), text(&issue["author_association"]))
    };
    let issues = get(&mut fake, "issues").1;
    assert_eq!(author(&issues[0]), ("User".to_owned(), "NONE".to_owned()));
    assert_eq!(author(&issues[1]), ("Bot".to_owned(), "CONTRIBUTOR".to_owned()));
}

#[test]
fn issue_lists_contain_pull_requests_and_new_labels_are_created() {
    let mut fake = fake();
    fake.open_pull_request("pull", &["x"]);
    let (status, issue) = ask(&mut fake, "POST", "issues", &json!({"title": "t", "body": "b", "labels": ["x", "y z"]}));
    assert_eq!((status, &issue["number"], &issue["labels"][1]["color"]), (201, &json!(2), &json!("ededed")));
    let listed = get(&mut fake, "issues?state=all&labels=x").1;
    assert!(listed[0].get("pull_request").is_none() && listed[1]["pull_request"].is_object());
    assert_eq!(get(&mut fake, "issues?labels=x,y%20z").1.as_array().map(Vec::len), Some(1));
    let (_, closed) = ask(&mut fake, "PATCH", "issues/2", &json!({"state": "closed", "labels": ["x"]}));
    assert_eq!((&closed["state"], &closed["state_reason"]), (&json!("closed"), &json!("completed")));
    assert_eq!(get(&mut fake, "issues?labels=y%20z&state=all").1, json!([]));
    assert_eq!(ask(&mut fake, "POST", "issues/2/comments", &json!({"body": "c"})).0, 201);
    assert_eq!(get(&mut fake, "issues/2/comments").1[0]["body"], "c");
    assert_eq!((get(&mut fake, "issues/2").1["comments"].as_u64(), get(&mut fake, "issues/9").0), (Some(1), 404));
    assert_eq!(ask(&mut fake, "POST", "labels", &json!({"name": "X"})).0, 422);
    assert_eq!(ask(&mut fake, "POST", "labels", &json!({"name": "new", "color": "0e8a16"})).0, 201);
    assert_eq!(get(&mut fake, "labels").1.as_array().map(Vec::len), Some(3));
}

#[test]
fn a_repository_without_issues_answers_410() {
    let mut fake = fake();
    fake.open_pull_request("pull", &["x"]);
    ask(&mut fake, "POST", "issues", &json!({"title": "t"}));
    fake.switch_issues(false);
    assert_eq!(read(&fake.handle(&request("GET", OURS, None, Vec::new()))).1["has_issues"], false);
    let refused = ask(&mut fake, "POST", "issues", &json!({"title": "u"}));
    assert_eq!((refused.0, &refused.1["message"]), (410, &json!("Issues has been disabled in this repository.")));
    assert_eq!(ask(&mut fake, "PATCH", "issues/2", &json!({"state": "closed"})).0, 410);
    assert_eq!(ask(&mut fake, "POST", "issues/2/comments", &json!({"body": "c"})).0, 410);
    assert_eq!((get(&mut fake, "issues/2").0, get(&mut fake, "issues/2/comments").0), (410, 410));
    assert!(fake.violations().is_empty());
    assert_eq!(get(&mut fake, "issues").1.as_array().map(Vec::len), Some(1), "the pull request");
    fake.switch_issues(true);
    assert_eq!(get(&mut fake, "issues").1.as_array().map(Vec::len), Some(2));
    assert_eq!(fake.violations(), ["a list of issues where there are none"]);
}

#[test]
fn an_issue_that_was_transferred_leads_to_another_repository_and_is_not_listed() {
    let mut fake = fake();
    ask(&mut fake, "POST", "issues", &json!({"title": "t"}));
    fake.transfer_issue(1);
    assert_eq!(get(&mut fake, "issues?state=all").1, json!([]));
    let moved = fake.handle(&request("PATCH", "/repos/o/n/issues/1", Some(TOKEN), b"{}".to_vec()));
    assert_eq!((moved.status().as_u16(), header(&moved, "location").ends_with("/issues/1")), (301, true));
    let moved = fake.handle(&request("POST", "/repos/o/n/issues/1/comments", Some(TOKEN), b"{}".to_vec()));
    let there = header(&moved, "location").replace("http://127.0.0.1:9", "");
    assert_eq!(fake.handle(&request("GET", &there, Some(TOKEN), Vec::new())).status(), 200);
    assert_eq!(fake.violations(), [""; 0]);
    assert_eq!(fake.handle(&request("POST", &there, Some(TOKEN), b"{}".to_vec())).status(), 404);
    assert_eq!(fake.violations().len(), 1, "a write to another repository");
}
