//! The client against a server that sends scripted responses, one for each connection.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, opens sockets, reads the environment and asks the clock"
)]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use fakes::message::Response;
use fakes::script::{Script, body, cut, header, response, silence};
use http::StatusCode;

use super::*;

/// A server that sends these responses in order, and a URL on it.
fn serve(answers: impl IntoIterator<Item = Response>) -> (Url, Script) {
    let script = Script::in_order(answers);
    (format!("{}/a", script.url()).parse().expect("a URL"), script)
}

fn ok() -> Response {
    response(200, &[], "{}")
}

fn broken() -> Response {
    cut(ok())
}

fn get(url: &Url) -> Request {
    let token = Authorization::bearer("ghs_secret").expect("a token");
    Request::new(Method::GET, url.clone()).authorization(Some(&token))
}

fn post(url: &Url) -> Request {
    Request::new(Method::POST, url.clone()).bytes("application/json", "{}")
}

#[test]
fn a_read_is_retried_until_the_response_is_complete() {
    let (url, script) = serve([silence(), broken(), response(502, &[], ""), ok()]);
    assert_eq!(Http::default().send(&get(&url)).expect("the fourth is good").body, b"{}");
    assert_eq!(script.requests().len(), 4);
}

#[test]
fn a_write_is_not_retried_if_it_may_have_had_an_effect() {
    for answer in [silence(), broken()] {
        let (url, script) = serve([answer]);
        Http::default().send(&post(&url)).expect_err("no answer");
        assert_eq!(script.requests().len(), 1);
    }
    let (url, _script) = serve([response(502, &[], "")]);
    assert_eq!(Http::default().send(&post(&url)).expect("an answer").status, StatusCode::BAD_GATEWAY);
}

#[test]
fn a_write_is_retried_if_it_was_refused_for_now() {
    let later = response(429, &[("Retry-After", "1")], "");
    let reset = response(403, &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1")], "");
    let (url, script) = serve([later, reset, ok()]);
    let began = Instant::now();
    Http::default().send(&post(&url)).expect("the third is good");
    assert!(began.elapsed() >= Duration::from_secs(1), "it did not wait");
    assert_eq!(script.requests().len(), 3);
}

#[test]
fn a_wait_of_an_hour_is_refused() {
    let (url, _script) = serve([response(403, &[("Retry-After", "3600")], "")]);
    let message = Http::default().send(&get(&url)).expect_err("it is too long").to_string();
    assert!(message.contains("60 minutes"), "{message}");
}

#[test]
fn a_missing_permission_is_no_reason_to_wait() {
    let (url, script) = serve([response(403, &[("X-RateLimit-Remaining", "4999")], "")]);
    assert_eq!(Http::default().send(&get(&url)).expect("an answer").status, StatusCode::FORBIDDEN);
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn an_error_without_a_connection_does_not_quote_the_token() {
    // A port on which nothing listens: a scripted server cannot be that.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url: Url = format!("http://{}/", listener.local_addr().expect("an address")).parse().expect("a URL");
    drop(listener);
    let error = Http::default().send(&get(&url)).expect_err("nothing listens");
    assert!(!format!("{error:#}{error:?}").contains("ghs_secret"), "{error:?}");
}

#[test]
fn credentials_go_to_no_other_origin() {
    let (other, seen_there) = serve([ok()]);
    let elsewhere = response(302, &[("Location", other.as_str())], "");
    let (url, seen_here) = serve([response(307, &[("Location", "/b")], ""), elsewhere]);
    Http::default().send(&get(&url)).expect("is redirected");
    let here = seen_here.requests();
    assert!(here.iter().all(|request| header(request, "authorization") == Some("Bearer ghs_secret")), "{here:?}");
    assert_eq!((here[1].method(), here[1].uri().to_string().as_str()), (&Method::GET, "/b"));
    let there = format!("{:?}", seen_there.requests()[0]).to_ascii_lowercase();
    assert!(!there.contains("authorization"), "{there}");
}

#[test]
fn a_part_of_a_file_is_sent_with_its_length() {
    let path = std::env::temp_dir().join(format!("xtask-http-{}", std::process::id()));
    std::fs::write(&path, "0123456789").expect("is written");
    let (url, script) = serve([ok()]);
    let request =
        Request::new(Method::PUT, url).file("application/octet-stream", path.clone().try_into().expect("UTF-8"), 3, 4);
    Http::default().send(&request).expect("is sent");
    let request = &script.requests()[0];
    assert_eq!((header(request, "content-length"), body(request)), (Some("4"), &b"3456"[..]));
    std::fs::remove_file(path).expect("is removed");
}
