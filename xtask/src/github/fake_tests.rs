//! The client against the fake GitHub, over HTTP.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::fs;
use std::sync::{Arc, Mutex};

use camino::Utf8PathBuf;
use fakes::github::FakeGitHub;
use fakes::script::{Script, response};
use fakes::server::{NoFaults, Server};
use oci::digest::sha256;
use serde_json::json;

use crate::dist::ReleaseName;
use crate::github::documents::Release;
use crate::github::issues::Issues;
use crate::github::releases::Releases;
use crate::github::workflow_runs::Workflow;
use crate::github::workflow_state::schedules_are_active;
use crate::github::{Creation, Executor, GitHub, GitHubStep};
use crate::http::Authorization;

const TOKEN: &str = "secret";

fn fake() -> FakeGitHub {
    let mut fake = FakeGitHub::new("o/n");
    fake.allow(TOKEN, &["contents=write", "issues=write", "actions=write"]);
    fake
}

fn start(fake: FakeGitHub) -> (Server, Arc<Mutex<FakeGitHub>>, GitHub) {
    let fake = Arc::new(Mutex::new(fake));
    let server = Server::start(fake.clone(), Utf8PathBuf::new(), Arc::new(NoFaults)).expect("starts");
    let token = Authorization::bearer(TOKEN).expect("is valid");
    let github = GitHub::new(server.url().parse().expect("is a URL"), Some(token));
    (server, fake, github)
}

#[test]
fn a_release_is_drafted_filled_and_published() {
    let mut seeded = fake();
    seeded.starter_once();
    let (_server, fake, github) = start(seeded);
    let repository = "o/n".parse().expect("is valid");
    let releases = Releases { github: &github, repository: &repository };
    let name = ReleaseName::Upstream("v0.32.2".parse().expect("is valid"));
    let draft = releases.draft(&name, "notes").expect("is created");
    assert_eq!(releases.draft(&name, "notes").expect("exists").id, draft.id);

    let path = Utf8PathBuf::try_from(std::env::temp_dir().join(format!("xtask-fake-{}", std::process::id())));
    let path = path.expect("has a UTF-8 name");
    fs::write(&path, b"content").expect("is written");
    releases.upload(draft.id, "file.tar.gz", &path, (7, &sha256(b"content"))).expect("replaces the starter");
    fs::remove_file(&path).expect("exists");
    releases.publish(draft.id, true).expect("is published");

    let published: Release = github.anonymous().read("repos/o/n/releases/latest").expect("answers").expect("is public");
    assert_eq!((published.id, published.assets.len()), (draft.id, 1));
    assert!(fake.lock().expect("no panic").violations().is_empty());
}

#[test]
fn an_immutable_release_is_recognized() {
    let mut seeded = fake();
    seeded.make_releases_immutable();
    let (_server, _fake, github) = start(seeded);
    let repository = "o/n".parse().expect("is valid");
    let releases = Releases { github: &github, repository: &repository };
    let name = ReleaseName::Upstream("v0.32.2".parse().expect("is valid"));
    let draft = releases.draft(&name, "notes").expect("is created");
    assert!(!draft.immutable, "a draft can be filled");
    releases.publish(draft.id, true).expect("is published");
    releases.publish(draft.id, true).expect("is published already, as after a lost reply");
    assert!(releases.by_id(draft.id).expect("exists").immutable);
}

/// A draft of an earlier version, which named the commit of the run as its target.
#[test]
fn a_draft_whose_target_can_no_longer_be_used_is_published() {
    let name = ReleaseName::Upstream("v0.32.2".parse().expect("is valid"));
    let (release, notes) = (name.clone(), "notes".to_owned());
    for prepare in [
        // Planned although the draft exists, from a list that did not show it yet.
        GitHubStep::DraftRelease { release: release.clone(), notes: notes.clone() },
        GitHubStep::EditDraft { release, target: Some("main".to_owned()), notes },
    ] {
        let (_server, fake, github) = start(fake());
        let (repository, commit) = ("o/n".parse().expect("is valid"), "5ca1ab1e".repeat(5));
        fake.lock().expect("no panic").push(&commit);
        let document =
            json!({ "tag_name": name.to_string(), "draft": true, "target_commitish": commit, "body": "notes" });
        let begun = github.create::<Release>("repos/o/n/releases", &document).expect("is not refused");
        assert!(matches!(begun, Creation::Created(draft) if draft.target_commitish == commit));
        fake.lock().expect("no panic").push_workflow_change(&"1a7e51a7".repeat(5));

        let releases = Releases { github: &github, repository: &repository };
        let draft = releases.find(&name).expect("answers").expect("exists");
        releases.publish(draft.id, true).expect_err("its target has another workflow file");
        let mut executor = Executor::new(&github, &repository);
        for step in [prepare, GitHubStep::PublishRelease { release: name.clone(), is_latest: true }] {
            executor.execute(&step).unwrap_or_else(|error| panic!("{step}: {error:#}"));
        }
        let fake = fake.lock().expect("no panic");
        assert_eq!(fake.snapshot()["tags"][name.to_string()], "1a7e51a7".repeat(5));
        assert!(fake.violations().is_empty(), "{:?}", fake.violations());
    }
}

/// A limit has the status of a missing permission. Source: "Rate limits for the REST API".
#[test]
fn a_limit_of_requests_is_no_missing_permission() {
    const LIMITED: &[(&str, &str)] = &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")];
    let message = r#"{"message":"API rate limit exceeded for installation ID 1."}"#;
    for (headers, expected) in [(LIMITED, "run this again later"), (&[], "does not have permission")] {
        let body = if headers.is_empty() { "{}" } else { message };
        let script = Script::start(move |request| match request.method().as_str() {
            "GET" => response(200, &[], r#"{"default_branch":"main"}"#),
            _ => response(403, headers, body),
        });
        let token = Authorization::bearer(TOKEN).expect("is valid");
        let github = GitHub::new(script.url().parse().expect("is a URL"), Some(token));
        let name = ReleaseName::Upstream("v0.32.2".parse().expect("is valid"));
        let found = match github.refusals(&"o/n".parse().expect("is valid"), Some(&name), None) {
            Ok(refusals) => refusals.join(" "),
            Err(error) => format!("{error:#}"),
        };
        assert!(found.contains(expected) && (headers.is_empty() || !found.contains("permission")), "{found}");
    }
}

#[test]
fn the_schedules_of_the_fake_are_active() {
    let (_server, fake, github) = start(fake());
    schedules_are_active(&github, &"o/n".parse().expect("is valid")).expect("both are there");
    assert!(fake.lock().expect("no panic").violations().is_empty());
}

#[test]
fn an_issue_is_filed_commented_and_closed_and_a_run_started_once() {
    let (_server, fake, github) = start(fake());
    fake.lock().expect("no panic").open_pull_request("pull", &["buildkit-release"]);
    let repository = "o/n".parse().expect("is valid");
    let version = "v0.32.2".parse().expect("is valid");
    let issues = Issues { github: &github, repository: &repository };
    let body = crate::github::tracking_issue::issue_marker(&version);
    let issue = issues.file(&version, "Building", &body).expect("is filed");
    assert_eq!(issues.file(&version, "Building", &body).expect("exists").number, issue.number);
    issues.comment(issue.number, "<!-- x -->", "text").expect("is created");
    issues.comment(issue.number, "<!-- x -->", "text").expect("exists");
    let workflow = Workflow { github: &github, repository: &repository };
    let (run, _) = workflow.dispatch(&version, 0).expect("is started");
    assert_eq!(workflow.dispatch(&version, 0).expect("exists").0, run);
    issues.close(issue.number).expect("is closed");
    let fake = fake.lock().expect("no panic");
    let snapshot = fake.snapshot();
    assert_eq!((snapshot["issues"][1]["open"].as_bool(), fake.pending_runs()[0].id), (Some(false), run));
    assert_eq!(snapshot["issues"][1]["comments"].as_array().map(Vec::len), Some(1));
    assert!(fake.violations().is_empty(), "{:?}", fake.violations());
}

#[test]
fn an_old_issue_is_found_by_its_label_behind_a_thousand_newer_ones() {
    let (_server, fake, github) = start(fake());
    let repository = "o/n".parse().expect("is valid");
    let version = "v0.32.2".parse().expect("is valid");
    let issues = Issues { github: &github, repository: &repository };
    let body = crate::github::tracking_issue::issue_marker(&version);
    let number = issues.file(&version, "Building", &body).expect("is filed").number;
    for _ in 0..1000 {
        fake.lock().expect("no panic").open_issue_by_stranger("Building BuildKit v0.32.2 for RISC-V64", &body);
    }
    assert_eq!(issues.of(&version).expect("answers").map(|issue| issue.number), Some(number));
}
