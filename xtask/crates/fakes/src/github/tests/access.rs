//! Who may do what, and what nobody should send.

use serde_json::{Value, json};

use crate::github::tests::{TOKEN, ask, double, header, read, request};
use crate::message::Service;

#[test]
fn a_token_may_do_what_it_may() {
    let mut double = double();
    double.allow("reader", &["contents=read", "issues=write"]);
    let body = || json!({"tag_name": "t"}).to_string().into_bytes();
    let mut post = |token| double.answer(&request("POST", "/repos/o/n/releases", token, body()));
    let refused = post(Some("reader"));
    assert_eq!(read(&refused).1["message"], "Resource not accessible by integration");
    let permissions = "x-accepted-github-permissions";
    assert_eq!((refused.status().as_u16(), header(&refused, permissions)), (403, "contents=write".to_owned()));
    let wrong = post(Some("wrong"));
    assert_eq!((wrong.status().as_u16(), read(&wrong).1["message"].as_str()), (401, Some("Bad credentials")));
    assert_eq!(post(None).status(), 404);
    assert_eq!(post(Some(TOKEN)).status(), 201);
    assert!(double.violations().is_empty(), "none of this is the client's mistake");
}

#[test]
fn what_no_client_should_send_is_held_against_it() {
    let mut double = double();
    let mut unnamed = request("GET", "/repos/o/n/releases", None, Vec::new());
    unnamed.headers_mut().remove("user-agent");
    assert_eq!(double.answer(&unnamed).status(), 403);
    let mut ancient = request("GET", "/repos/o/n/releases", None, Vec::new());
    ancient.headers_mut().insert("x-github-api-version", "2019-01-01".parse().expect("is a value"));
    assert_eq!(double.answer(&ancient).status(), 400);
    assert_eq!(ask(&mut double, "PUT", "releases", &Value::Null).0, 404);
    assert_eq!(ask(&mut double, "POST", "releases", &json!({"tag_name": "t", "tag": "t"})).0, 422);
    assert_eq!(ask(&mut double, "POST", "issues", &json!([])).0, 422);
    let broken = request("POST", "/repos/o/n/issues", Some(TOKEN), b"{".to_vec());
    assert_eq!(double.answer(&broken).status(), 400);
    let guessed = request("POST", "/repos/o/n/releases/1/assets?name=a", Some(TOKEN), b"a".to_vec());
    assert_eq!(double.answer(&guessed).status(), 404, "uploads go to the release's own address");
    assert_eq!(double.violations().len(), 7);
}
