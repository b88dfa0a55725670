//! Permissions, and requests that no client should send.

use serde_json::{Value, json};

use crate::github::tests::{TOKEN, ask, fake, header, read, request};
use crate::message::Service;

#[test]
fn a_token_is_limited_to_its_permissions() {
    let mut fake = fake();
    fake.allow("reader", &["contents=read", "issues=write"]);
    let body = || json!({"tag_name": "t"}).to_string().into_bytes();
    let mut post = |token| fake.handle(&request("POST", "/repos/o/n/releases", token, body()));
    let refused = post(Some("reader"));
    assert_eq!(read(&refused).1["message"], "Resource not accessible by integration");
    let permissions = "x-accepted-github-permissions";
    assert_eq!((refused.status().as_u16(), header(&refused, permissions)), (403, "contents=write".to_owned()));
    let wrong = post(Some("wrong"));
    assert_eq!((wrong.status().as_u16(), read(&wrong).1["message"].as_str()), (401, Some("Bad credentials")));
    assert_eq!(post(None).status(), 404);
    assert_eq!(post(Some(TOKEN)).status(), 201);
    assert!(fake.violations().is_empty(), "none of this is the client's mistake");
}

/// By this a client learns whether it may write, and leaves nothing.
#[test]
fn generated_notes_need_write_access_and_are_not_saved() {
    let mut fake = fake();
    fake.allow("reader", &["contents=read"]);
    let before = fake.snapshot();
    let body = || json!({"tag_name": "t", "target_commitish": "main"}).to_string().into_bytes();
    let mut post = |token| fake.handle(&request("POST", "/repos/o/n/releases/generate-notes", Some(token), body()));
    assert_eq!([TOKEN, "reader"].map(|token| post(token).status().as_u16()), [200, 403]);
    assert_eq!(fake.snapshot(), before);
    assert_eq!(ask(&mut fake, "POST", "releases/generate-notes", &json!({"tag_name": "t"})).0, 422);
    assert_eq!(fake.violations(), ["notes of a new tag without a target"]);
}

#[test]
fn requests_that_no_client_should_send_are_violations() {
    let mut fake = fake();
    let mut unnamed = request("GET", "/repos/o/n/releases", None, Vec::new());
    unnamed.headers_mut().remove("user-agent");
    assert_eq!(fake.handle(&unnamed).status(), 403);
    let mut ancient = request("GET", "/repos/o/n/releases", None, Vec::new());
    ancient.headers_mut().insert("x-github-api-version", "2019-01-01".parse().expect("is a value"));
    assert_eq!(fake.handle(&ancient).status(), 400);
    assert_eq!(ask(&mut fake, "PUT", "releases", &Value::Null).0, 404);
    assert_eq!(ask(&mut fake, "POST", "releases", &json!({"tag_name": "t", "tag": "t"})).0, 422);
    assert_eq!(ask(&mut fake, "POST", "issues", &json!([])).0, 422);
    let broken = request("POST", "/repos/o/n/issues", Some(TOKEN), b"{".to_vec());
    assert_eq!(fake.handle(&broken).status(), 400);
    let guessed = request("POST", "/repos/o/n/releases/1/assets?name=a", Some(TOKEN), b"a".to_vec());
    assert_eq!(fake.handle(&guessed).status(), 404, "uploads go to the release's own address");
    assert_eq!(fake.violations().len(), 7);
}
