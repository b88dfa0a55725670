//! The fake through requests, without a socket: each documented behaviour.

use serde_json::{Value, json};

use crate::github::FakeGitHub;
use crate::message::{Content, Request, Response, Service};

mod access;
mod events;
mod history;
mod issues;
mod lists;
mod notes;
mod removal;
mod rulesets;
mod site;

const TOKEN: &str = "secret";
const OURS: &str = "/repos/o/n";

/// A repository with a token that has all the permissions that we need.
fn fake() -> FakeGitHub {
    let mut fake = FakeGitHub::new("o/n");
    fake.allow(TOKEN, &["contents=write", "issues=write", "actions=write"]);
    fake
}

fn request(method: &str, path: &str, token: Option<&str>, body: Vec<u8>) -> Request {
    let mut request = http::Request::builder().method(method).uri(path);
    request = request.header("host", "127.0.0.1:9").header("user-agent", "test");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if !body.is_empty() {
        request = request.header("content-type", "x/y").header("content-length", body.len());
    }
    request.body(Content::Memory(body)).expect("is a request")
}

fn read(response: &Response) -> (u16, Value) {
    let Content::Memory(bytes) = response.body() else { panic!("it is in a file") };
    (response.status().as_u16(), serde_json::from_slice(bytes).unwrap_or(Value::Null))
}

fn ask(fake: &mut FakeGitHub, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    read(&fake.handle(&request(method, &format!("{OURS}/{path}"), Some(TOKEN), body)))
}

fn get(fake: &mut FakeGitHub, path: &str) -> (u16, Value) {
    ask(fake, "GET", path, &Value::Null)
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or_else(String::new, |value| value.to_str().expect("is text").to_owned())
}

/// Creates a draft. Returns its path and the path for uploads to it.
fn draft(fake: &mut FakeGitHub, tag: &str) -> (String, String) {
    let (status, release) = ask(fake, "POST", "releases", &json!({"tag_name": tag, "draft": true}));
    assert_eq!(status, 201);
    let upload =
        release["upload_url"].as_str().and_then(|url| url.strip_prefix("http://127.0.0.1:9")).expect("is here");
    let upload = upload.strip_suffix("{?name,label}").expect("is a template").to_owned();
    (format!("releases/{}", release["id"]), upload)
}

fn upload(fake: &mut FakeGitHub, path: &str, name: &str) -> (u16, Value) {
    read(&fake.handle(&request("POST", &format!("{path}?name={name}"), Some(TOKEN), b"abc".to_vec())))
}

#[test]
fn a_draft_is_visible_with_push_access_and_never_by_tag() {
    let mut fake = fake();
    let (path, _) = draft(&mut fake, "t");
    assert_eq!(get(&mut fake, "releases").1[0]["tag_name"], "t");
    assert_eq!((get(&mut fake, &path).0, get(&mut fake, "releases/tags/t").0), (200, 404));
    let anonymous = fake.handle(&request("GET", "/repos/o/n/releases", None, Vec::new()));
    assert_eq!(read(&anonymous), (200, json!([])));
    draft(&mut fake, "t");
    assert_eq!(get(&mut fake, "releases").1.as_array().map(Vec::len), Some(2), "two drafts of one tag");
}

#[test]
fn publishing_creates_the_tag_and_sets_the_latest() {
    let mut fake = fake();
    let (path, _) = draft(&mut fake, "one");
    assert_eq!(get(&mut fake, "git/ref/tags/one").0, 404);
    assert_eq!(ask(&mut fake, "PATCH", &path, &json!({"draft": false})).1["draft"], false);
    assert_eq!(get(&mut fake, "git/ref/tags/one").0, 200);
    for (tag, edit) in [("two", json!({"make_latest": "false"})), ("three", json!({"prerelease": true}))] {
        let (path, _) = draft(&mut fake, tag);
        let mut publish = edit;
        publish["draft"] = false.into();
        assert_eq!(ask(&mut fake, "PATCH", &path, &publish).0, 200);
        assert_eq!(get(&mut fake, "releases/latest").1["tag_name"], "one", "{tag}");
    }
    let (status, refused) = ask(&mut fake, "POST", "releases", &json!({"tag_name": "one"}));
    assert_eq!((status, &refused["errors"][0]["code"]), (422, &json!("already_exists")));
    assert_eq!(fake.release_page("one").expect("is published").lines().next(), Some("one  [Latest]"));
}

#[test]
fn assets_are_uploaded_once_downloaded_from_another_host_and_deleted() {
    let mut fake = fake();
    let (path, to) = draft(&mut fake, "t");
    let (status, asset) = upload(&mut fake, &to, "a%20b");
    let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((status, &asset["state"], &asset["size"]), (201, &json!("uploaded"), &json!(3)));
    assert_eq!((&asset["name"], &asset["digest"]), (&json!("a.b"), &json!(digest)));
    let (status, refused) = upload(&mut fake, &to, "a.b");
    assert_eq!((status, &refused["errors"][0]["code"]), (422, &json!("already_exists")));

    let page = "/o/n/releases/download/t/a.b";
    assert_eq!(fake.handle(&request("GET", page, None, Vec::new())).status(), 404, "of a draft");
    ask(&mut fake, "PATCH", &path, &json!({"draft": false}));
    let elsewhere = fake.handle(&request("GET", page, None, Vec::new()));
    let location = header(&elsewhere, "location");
    assert!(elsewhere.status() == 302 && location.starts_with("http://localhost:9/objects/"), "{location}");
    let object = location.trim_start_matches("http://localhost:9");
    let content = fake.handle(&request("GET", object, None, Vec::new())).into_body();
    assert_eq!(content, Content::Memory(b"abc".to_vec()));
    assert!(fake.violations().is_empty());
    fake.handle(&request("GET", object, Some(TOKEN), Vec::new()));
    assert_eq!(fake.violations(), ["a token was sent to another host, 127.0.0.1:9"]);

    let id = &asset["id"];
    assert_eq!(ask(&mut fake, "DELETE", &format!("releases/assets/{id}"), &Value::Null).0, 204);
    assert_eq!(get(&mut fake, &format!("{path}/assets")), (200, json!([])));
}

#[test]
fn nothing_is_added_to_an_immutable_release_or_removed_from_it() {
    let mut fake = fake();
    let (before, _) = draft(&mut fake, "before");
    ask(&mut fake, "PATCH", &before, &json!({"draft": false}));
    fake.make_releases_immutable();
    assert_eq!(get(&mut fake, &before).1["immutable"], false, "it was published before");
    let (path, to) = draft(&mut fake, "t");
    let asset = upload(&mut fake, &to, "a").1;
    assert_eq!(get(&mut fake, &path).1["immutable"], false, "a draft can be changed");
    assert_eq!(ask(&mut fake, "PATCH", &path, &json!({"draft": false})).1["immutable"], true);
    let (status, refused) = upload(&mut fake, &to, "b");
    assert_eq!((status, &refused["message"]), (422, &json!("Cannot upload assets to an immutable release.")));
    let removed = ask(&mut fake, "DELETE", &format!("releases/assets/{}", asset["id"]), &Value::Null);
    let message = "Cannot delete asset from an immutable release";
    assert_eq!((removed.0, &removed.1["errors"][0]["message"]), (422, &json!(message)));
    assert_eq!(ask(&mut fake, "PATCH", &path, &json!({"name": "t", "body": "b"})).0, 200, "title and notes");
    assert_eq!(ask(&mut fake, "PATCH", &path, &json!({"draft": true})).0, 422);
}

#[test]
fn a_failed_upload_leaves_a_starter_that_blocks_its_name() {
    let mut fake = fake();
    let (path, to) = draft(&mut fake, "t");
    fake.starter_once();
    assert_eq!(upload(&mut fake, &to, "a").0, 502);
    let assets = get(&mut fake, &format!("{path}/assets")).1;
    assert_eq!((&assets[0]["state"], &assets[0]["size"]), (&json!("starter"), &json!(0)));
    assert_eq!(upload(&mut fake, &to, "a").0, 422);
    let id = &assets[0]["id"];
    ask(&mut fake, "DELETE", &format!("releases/assets/{id}"), &Value::Null);
    assert_eq!(upload(&mut fake, &to, "a").0, 201);
}

#[test]
fn a_dispatched_run_is_pending_and_listed() {
    let mut fake = fake();
    let runs = "actions/workflows/buildkit-weekly-build.yml/runs";
    let dispatches = "actions/workflows/buildkit-weekly-build.yml/dispatches";
    let mut body = json!({"ref": "main", "inputs": {"buildkit_ref": "v0.32.2"}});
    assert_eq!(ask(&mut fake, "POST", dispatches, &body), (204, Value::Null), "version 2022-11-28 is the default");
    let mut newest = |body: &Value| {
        let path = format!("{OURS}/{dispatches}");
        let mut request = request("POST", &path, Some(TOKEN), body.to_string().into_bytes());
        request.headers_mut().insert("x-github-api-version", "2026-03-10".parse().expect("is a value"));
        read(&fake.handle(&request))
    };
    let (status, details) = newest(&body);
    let (code, refused) = newest(&json!({"inputs": {}, "return_run_details": true, "x": 1}));
    let message = "Invalid request.\n\n\"return_run_details\", \"x\" are not permitted keys.\n\"ref\" wasn't supplied.";
    assert_eq!((code, &refused["message"]), (422, &json!(message)));
    let (code, refused) = newest(&json!({"ref": "main", "return_run_details": true}));
    let message = "Invalid request.\n\n\"return_run_details\" is not a permitted key.";
    assert_eq!((code, &refused["message"]), (422, &json!(message)));
    let waiting = fake.pending_runs();
    assert_eq!((status, details["workflow_run_id"].as_u64()), (200, waiting.last().map(|run| run.id)));
    fake.set_run(waiting[0].id, "completed", Some("failure"));
    let listed = get(&mut fake, &format!("{runs}?event=workflow_dispatch&status=failure")).1;
    let run = &listed["workflow_runs"][0];
    assert_eq!((&listed["total_count"], &run["display_title"]), (&json!(1), &json!("BuildKit v0.32.2")));
    assert_eq!((&run["status"], &run["conclusion"]), (&json!("completed"), &json!("failure")));
    fake.start_scheduled_run();
    assert_eq!(get(&mut fake, runs).1["workflow_runs"][0]["display_title"], "BuildKit master");
    body["inputs"]["other"] = "x".into();
    assert_eq!(ask(&mut fake, "POST", dispatches, &body).0, 422);
    assert_eq!(fake.violations().len(), 3);
    assert_eq!(fake.violations()[2], "Unexpected inputs provided: [\"other\"]");
}

#[test]
fn pages_of_lists_link_to_each_other() {
    let mut fake = fake();
    for (number, tag) in ["v0.1.0", "dockerfile/1.0", "v0.2.0-rc1", "v0.1.1"].into_iter().enumerate() {
        fake.publish_upstream(tag, &format!("c{number}"), tag.contains("rc"));
    }
    let first = fake.handle(&request("GET", "/repos/moby/buildkit/releases?per_page=3", None, Vec::new()));
    let tags = |response: &Response| -> Vec<String> {
        let list = read(response).1;
        list.as_array().expect("a list").iter().map(|one| one["tag_name"].as_str().expect("a tag").to_owned()).collect()
    };
    assert_eq!(tags(&first), ["v0.1.1", "v0.2.0-rc1", "dockerfile/1.0"], "newest first, whatever the version");
    let page = |page, relation| {
        format!("<http://127.0.0.1:9/repositories/87987343/releases?per_page=3&page={page}>; rel=\"{relation}\"")
    };
    assert_eq!(header(&first, "link"), [page(2, "next"), page(2, "last")].join(", "));
    let second = fake.handle(&request("GET", "/repositories/87987343/releases?per_page=3&page=2", None, Vec::new()));
    assert_eq!(tags(&second), ["v0.1.0"]);
    assert_eq!(header(&second, "link"), [page(1, "prev"), page(1, "first")].join(", "));
    let whole = fake.handle(&request("GET", "/repos/moby/buildkit/releases", None, Vec::new()));
    assert_eq!(header(&whole, "link"), "");
}

#[test]
fn a_304_has_no_body_and_does_not_count() {
    let mut fake = fake();
    fake.publish_upstream("v0.1.0", "c", false);
    let ask = request("GET", "/repos/moby/buildkit/releases", None, Vec::new());
    let first = fake.handle(&ask);
    let mut again = ask.clone();
    again.headers_mut().insert("if-none-match", first.headers()["etag"].clone());
    let second = fake.handle(&again);
    assert_eq!((second.status().as_u16(), second.body().size_bytes()), (304, 0));
    assert_eq!(header(&second, "x-ratelimit-remaining"), header(&first, "x-ratelimit-remaining"));
    fake.publish_upstream("v0.1.1", "d", false);
    assert_eq!(fake.handle(&again).status(), 200);
}

#[test]
fn upstream_commits_can_be_compared() {
    let mut fake = fake();
    fake.publish_upstream("v0.1.0", "a", false);
    fake.publish_upstream("v0.2.0", "b", false);
    fake.commit_upstream("backport", Some("a"));
    fake.publish_upstream("v0.1.1", "backport", false);
    let cases = [
        ("v0.1.0...v0.2.0", "ahead"),
        ("b...a", "behind"),
        ("master...v0.2.0", "identical"),
        ("v0.2.0...v0.1.1", "diverged"),
    ];
    for (basehead, status) in cases {
        let path = format!("/repos/moby/buildkit/compare/{basehead}");
        let response = fake.handle(&request("GET", &path, Some(TOKEN), Vec::new()));
        assert_eq!(read(&response).1["status"], status, "{basehead}");
    }
    let unknown = request("GET", "/repos/moby/buildkit/compare/a...z", None, Vec::new());
    assert_eq!(fake.handle(&unknown).status(), 404);
}

#[test]
fn equal_states_have_equal_snapshots() {
    let (mut straight, mut crooked) = (fake(), fake());
    for fake in [&mut straight, &mut crooked] {
        draft(fake, "t");
        ask(fake, "POST", "issues", &json!({"title": "t"}));
    }
    assert_eq!(straight.snapshot(), crooked.snapshot());
    let (_, to) = draft(&mut crooked, "u");
    upload(&mut crooked, &to, "a");
    assert_ne!(straight.snapshot(), crooked.snapshot());
    assert_eq!(crooked.snapshot()["releases"][1]["assets"][0]["size"], 3);
}
