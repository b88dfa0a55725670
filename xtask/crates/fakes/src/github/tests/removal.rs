//! What is removed is gone, and what stays.

use serde_json::{Value, json};

use crate::github::tests::{TOKEN, ask, draft, fake, get, header, read, request};
use crate::message::Service;

#[test]
fn a_release_leaves_its_git_tag() {
    let mut fake = fake();
    let (path, _) = draft(&mut fake, "v1");
    assert_eq!(ask(&mut fake, "PATCH", &path, &json!({"draft": false})).0, 200);
    assert_eq!(ask(&mut fake, "DELETE", &path, &Value::Null).0, 204);
    assert_eq!((get(&mut fake, &path).0, ask(&mut fake, "DELETE", &path, &Value::Null).0), (404, 404));
    assert_eq!(get(&mut fake, "git/matching-refs/tags/v").1[0]["ref"], "refs/tags/v1");
    assert_eq!(get(&mut fake, "git/matching-refs/tags/w").1, json!([]));
    assert_eq!(ask(&mut fake, "DELETE", "git/refs/tags/v1", &Value::Null).0, 204);
    let (status, missing) = ask(&mut fake, "DELETE", "git/refs/tags/v1", &Value::Null);
    assert_eq!((status, &missing["message"]), (422, &json!("Reference does not exist")));
}

#[test]
fn a_label_is_removed_from_issues_too() {
    let mut fake = fake();
    ask(&mut fake, "POST", "issues", &json!({"title": "t", "labels": ["a", "b"]}));
    assert_eq!(ask(&mut fake, "DELETE", "labels/A", &Value::Null).0, 204);
    assert_eq!(get(&mut fake, "issues/1").1["labels"].as_array().map(Vec::len), Some(1));
    assert_eq!(ask(&mut fake, "DELETE", "labels/a", &Value::Null).0, 404);
}

#[test]
fn a_run_is_removed_and_its_id_not_given_to_the_next() {
    let mut fake = fake();
    let [first, second] = [fake.start_scheduled_run(), fake.start_scheduled_run()];
    assert_eq!(ask(&mut fake, "DELETE", &format!("actions/runs/{first}"), &Value::Null).0, 204);
    assert!(fake.start_scheduled_run() > second);
}

#[test]
fn only_a_classic_token_with_its_scopes_removes_a_package() {
    let mut fake = fake();
    fake.allow_classic("narrow", &["repo", "write:packages"]);
    fake.allow_classic("wide", &["delete:packages", "read:packages"]);
    fake.add_package("n-canary");
    let mut remove =
        |token| fake.handle(&request("DELETE", "/users/o/packages/container/n-canary", Some(token), Vec::new()));
    assert_eq!([TOKEN, "narrow"].map(|token| remove(token).status().as_u16()), [403, 403]);
    let removed = remove("wide");
    assert_eq!(
        (removed.status().as_u16(), header(&removed, "x-oauth-scopes").as_str()),
        (204, "delete:packages, read:packages")
    );
    assert_eq!(remove("wide").status(), 404);
}

#[test]
fn a_repository_says_what_the_token_may_do() {
    let mut fake = fake();
    fake.describe("for tests");
    let document = read(&fake.handle(&request("GET", "/repos/o/n", Some(TOKEN), Vec::new()))).1;
    assert_eq!((&document["permissions"]["push"], &document["description"]), (&json!(true), &json!("for tests")));
    let public = read(&fake.handle(&request("GET", "/repos/o/n", None, Vec::new()))).1;
    assert_eq!(public["permissions"], Value::Null);
}
