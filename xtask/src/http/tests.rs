//! The client against a server that answers from a script, one line of it a connection.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, opens sockets, reads the environment and asks the clock"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use http::StatusCode;

use super::*;
use crate::http::authorization::Authorization;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
const BROKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{";
const SILENCE: &str = "";

/// A server on loopback that gives these answers in turn, and what it was asked.
fn serve(answers: &[&str]) -> (Url, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/a", listener.local_addr().expect("an address")).parse().expect("a URL");
    let (asked, requests) = channel();
    let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("is cloned"));
            let (mut request, mut size_bytes) = (String::new(), 0);
            while !request.ends_with("\r\n\r\n") {
                let mut line = String::new();
                if reader.read_line(&mut line).expect("is read") == 0 {
                    break;
                }
                if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    size_bytes = length.trim().parse().expect("a length");
                }
                request += &line;
            }
            reader.take(size_bytes).read_to_string(&mut request).expect("is read");
            stream.write_all(answer.as_bytes()).expect("is sent");
            // A test that does not request what it was asked has gone by now.
            let _ = asked.send(request);
        }
    });
    (url, requests)
}

fn get(url: &Url) -> Request {
    let token = Authorization::bearer("ghs_secret").expect("a token");
    Request::new(Method::GET, url.clone()).authorization(Some(&token))
}

fn post(url: &Url) -> Request {
    Request::new(Method::POST, url.clone()).bytes("application/json", "{}")
}

fn status(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

#[test]
fn reading_is_repeated_until_an_answer_is_whole() {
    let (url, requests) = serve(&[SILENCE, BROKEN, &status("502 Bad Gateway", ""), OK]);
    assert_eq!(Http::default().send(&get(&url)).expect("the fourth is good").body, b"{}");
    assert_eq!(requests.iter().count(), 4);
}

#[test]
fn writing_is_not_repeated_where_it_may_have_had_its_effect() {
    for answer in [SILENCE, BROKEN] {
        let (url, requests) = serve(&[answer]);
        Http::default().send(&post(&url)).expect_err("no answer");
        assert_eq!(requests.iter().count(), 1);
    }
    let (url, _) = serve(&[&status("502 Bad Gateway", "")]);
    assert_eq!(Http::default().send(&post(&url)).expect("an answer").status, StatusCode::BAD_GATEWAY);
}

#[test]
fn writing_is_repeated_where_it_was_refused_for_now() {
    let later = status("429 Too Many Requests", "Retry-After: 1\r\n");
    let reset = status("403 Forbidden", "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1\r\n");
    let (url, requests) = serve(&[&later, &reset, OK]);
    let began = Instant::now();
    Http::default().send(&post(&url)).expect("the third is good");
    assert!(began.elapsed() >= Duration::from_secs(1), "it came back too soon");
    assert_eq!(requests.iter().count(), 3);
}

#[test]
fn nobody_waits_for_an_hour() {
    let (url, _) = serve(&[&status("403 Forbidden", "Retry-After: 3600\r\n")]);
    let message = Http::default().send(&get(&url)).expect_err("it is too long").to_string();
    assert!(message.contains("60 minutes"), "{message}");
}

#[test]
fn a_lack_of_permission_is_no_reason_to_wait() {
    let (url, requests) = serve(&[&status("403 Forbidden", "X-RateLimit-Remaining: 4999\r\n")]);
    assert_eq!(Http::default().send(&get(&url)).expect("an answer").status, StatusCode::FORBIDDEN);
    assert_eq!(requests.iter().count(), 1);
}

#[test]
fn nobody_listening_is_found_out_without_harm() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url: Url = format!("http://{}/", listener.local_addr().expect("an address")).parse().expect("a URL");
    drop(listener);
    let error = Http::default().send(&get(&url)).expect_err("nobody is there");
    assert!(!format!("{error:#}{error:?}").contains("ghs_secret"), "{error:?}");
}

#[test]
fn another_site_is_not_shown_who_we_are() {
    let (other, seen_there) = serve(&[OK]);
    let (url, seen_here) = serve(&[
        &status("307 Temporary Redirect", "Location: /b\r\n"),
        &status("302 Found", &format!("Location: {other}\r\n")),
    ]);
    Http::default().send(&get(&url)).expect("is led there");
    let here: Vec<String> = seen_here.iter().collect();
    assert!(here.iter().all(|request| request.contains("Bearer ghs_secret")), "{here:?}");
    assert!(here[1].starts_with("GET /b "), "{here:?}");
    let there = seen_there.recv().expect("it was asked").to_ascii_lowercase();
    assert!(!there.contains("authorization"), "{there}");
}

#[test]
fn a_part_of_a_file_is_sent_with_its_length() {
    let path = std::env::temp_dir().join(format!("xtask-http-{}", std::process::id()));
    std::fs::write(&path, "0123456789").expect("is written");
    let (url, requests) = serve(&[OK]);
    let request =
        Request::new(Method::PUT, url).file("application/octet-stream", path.clone().try_into().expect("UTF-8"), 3, 4);
    Http::default().send(&request).expect("is sent");
    let request = requests.recv().expect("it was asked");
    assert!(
        request.to_ascii_lowercase().contains("content-length: 4\r\n") && request.ends_with("\r\n\r\n3456"),
        "{request}"
    );
    std::fs::remove_file(path).expect("is removed");
}
