//! Whole passes against the fake GitHub: what a new version leads to, with a fault at each request, and
//! how many requests a pass without changes takes.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::sync::{Arc, Mutex};

use camino::Utf8PathBuf;
use clap::Parser;
use fakes::github::FakeGitHub;
use fakes::server::{Action, Faults, Server};

use super::*;
use crate::http::Authorization;

mod lag;

const TOKEN: &str = "ghs_fake";
const COMMIT: &str = "991535e0973488b6a429096d21fa13f81f2d89d8";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    task: CheckUpstream,
}

/// A fault at the request of one number: its response is lost after it took effect, or connections are
/// refused from then on. `cargo xtask rehearse --faults each` has more kinds.
struct Fault(u64, usize);

const KINDS: usize = 2;

impl Faults for Fault {
    fn action(&self, number: u64, _head: &http::Request<()>) -> Action {
        match self.1 {
            _ if number != self.0 => Action::Pass,
            0 => Action::CloseAfter,
            _ => Action::RefuseNext,
        }
    }
}

/// A fake GitHub on which upstream has v0.33.0, and we have v0.32.2.
struct Scenario {
    fake: Arc<Mutex<FakeGitHub>>,
    server: Server,
    /// For the builds, without faults.
    reliable: Server,
    path: Utf8PathBuf,
}

impl Scenario {
    fn new(name: &str, faults: impl Faults + 'static) -> Self {
        let mut fake = FakeGitHub::new("o/n");
        fake.allow(TOKEN, &["actions=write", "issues=write", "contents=write"]);
        fake.commit_upstream(COMMIT, None);
        fake.publish_upstream("v0.33.0", COMMIT, false);
        fake.publish_upstream("v0.34.0-rc1", COMMIT, true);
        fake.publish_upstream("v0.32.2", COMMIT, false);
        let fake = Arc::new(Mutex::new(fake));
        let reliable = Server::start(fake.clone(), Utf8PathBuf::new(), Arc::new(Fault(0, 0))).expect("starts");
        publish(&github(&reliable), "v0.32.2");
        let server = Server::start(fake.clone(), Utf8PathBuf::new(), Arc::new(faults)).expect("starts");
        let folder = std::env::temp_dir().join(format!("xtask-check-{name}-{}", std::process::id()));
        Self { fake, server, reliable, path: Utf8PathBuf::try_from(folder.join("cache.json")).expect("a UTF-8 name") }
    }

    fn pass(&self) -> u64 {
        self.pass_with(&[])
    }

    /// Repeats the pass until it completes. Returns how many requests the last one took.
    fn pass_with(&self, arguments: &[&str]) -> u64 {
        let task = Line::parse_from([&["check-upstream", "--execute", "--json"], arguments].concat()).task;
        for _ in 0..3 {
            let before = self.server.requests();
            match compare(github(&self.server), repository(), &self.path, &task) {
                Ok(()) => return self.server.requests() - before,
                Err(error) => eprintln!("{error:#}"),
            }
            self.server.wait_until_idle().expect("settles");
            self.server.reopen().expect("opens");
        }
        panic!("three passes failed");
    }

    /// The build that was started publishes and succeeds.
    fn build(&self) {
        let waiting = self.fake.lock().expect("no panic").pending_runs();
        assert_eq!(waiting.len(), 1, "one build");
        publish(&github(&self.reliable), "v0.33.0");
        self.fake.lock().expect("no panic").set_run(waiting[0].id, "completed", Some("success"));
    }

    /// From the new version to the pass after its release. Returns the final state.
    fn whole(&self) -> String {
        self.pass();
        self.server.wait_until_idle().expect("settles");
        self.build();
        self.pass();
        let fake = self.fake.lock().expect("no panic");
        assert!(fake.violations().is_empty(), "{:?}", fake.violations());
        fake.snapshot().to_string()
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        // A leftover in the directory for temporary files does no harm.
        let _ = std::fs::remove_dir_all(self.path.parent().expect("it has a parent directory"));
    }
}

fn repository() -> Repository {
    "o/n".parse().expect("a repository")
}

fn github(server: &Server) -> GitHub {
    let token = Authorization::bearer(TOKEN).expect("a token");
    GitHub::new(server.url().parse().expect("a URL"), Some(token))
}

fn publish(github: &GitHub, version: &str) {
    let repository = repository();
    let releases = Releases { github, repository: &repository };
    let name = ReleaseName::Upstream(version.parse().expect("a version"));
    let draft = releases.draft(&name, "notes").expect("is made");
    releases.publish(draft.id, true).expect("is published");
}

#[test]
fn a_pass_without_changes_takes_two_requests() {
    let scenario = Scenario::new("quiet", Fault(0, 0));
    assert!(scenario.pass() > 10, "an issue, a run, a comment");
    assert!(scenario.pass() > 2, "a run is in progress");
    scenario.build();
    assert!(scenario.pass() > 2, "the issue is closed");
    assert_eq!((scenario.pass(), scenario.pass()), (2, 2));
    // A release candidate changes the list, but not the result.
    scenario.fake.lock().expect("no panic").publish_upstream("v0.34.0-rc2", COMMIT, true);
    assert!(scenario.pass() > 2);
    assert_eq!(scenario.pass(), 2);
}

#[test]
fn a_repository_without_issues_gets_one_build_and_no_issue() {
    let scenario = Scenario::new("no-issues", Fault(0, 0));
    scenario.fake.lock().expect("no panic").switch_issues(false);
    let state: serde_json::Value = serde_json::from_str(&scenario.whole()).expect("JSON");
    assert_eq!((&state["issues"], state["runs"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    assert_eq!(scenario.pass(), 2, "nothing is left to do");
}

#[test]
fn every_fault_at_every_request_leads_to_the_same_state() {
    let without_fault = Scenario::new("whole", Fault(0, 0));
    let expected = without_fault.whole();
    assert_eq!(expected.matches("xtask:tracking").count(), 1, "{expected}");
    let requests = without_fault.server.requests();
    for number in 1..=requests {
        for kind in 0..KINDS {
            let found = Scenario::new(&format!("{number}-{kind}"), Fault(number, kind)).whole();
            assert_eq!(found, expected, "request {number} of {requests}, kind {kind}");
        }
    }
    println!("{requests} requests, each with {KINDS} kinds of fault: {} pipelines", requests * KINDS as u64);
}

#[test]
fn a_list_that_is_stale_once_does_no_harm() {
    let expected = Scenario::new("current", Fault(0, 0)).whole();
    let scenario = Scenario::new("stale", Fault(0, 0));
    scenario.fake.lock().expect("no panic").stale_once();
    assert_eq!(scenario.whole(), expected);
}

#[test]
fn an_issue_without_its_labels_is_found_the_next_day() {
    let expected =
        Scenario::new("labelled", Fault(0, 0)).whole().replace(r#""build-in-progress","buildkit-release""#, "");
    let scenario = Scenario::new("unlabelled", Fault(0, 0));
    scenario.fake.lock().expect("no panic").drop_labels();
    let found = scenario.whole();
    assert_eq!(found.matches("xtask:tracking").count(), 1, "one issue: {found}");
    assert_eq!(found.replace(r#""labels":[]"#, ""), expected.replace(r#""labels":[]"#, ""));
    assert_eq!((scenario.pass(), scenario.pass()), (2, 2));
}

/// Anyone may open an issue with our title and marker, and close it as not planned.
#[test]
fn an_issue_by_a_stranger_is_not_ours() {
    let scenario = Scenario::new("stranger", Fault(0, 0));
    let body = "<!-- xtask:tracking v0.33.0 -->";
    scenario.fake.lock().expect("no panic").open_issue_by_stranger("Building BuildKit v0.33.0 for RISC-V64", body);
    scenario.pass();
    let state = scenario.fake.lock().expect("no panic").snapshot();
    assert_eq!(state["issues"].as_array().map(Vec::len), Some(2), "{state:#}");
    assert_eq!(state["issues"][0]["comments"], json!([]), "{state:#}");
}

#[test]
fn a_release_that_upstream_withdraws_has_its_issue_closed_and_may_come_back() {
    let scenario = Scenario::new("withdrawn", Fault(0, 0));
    scenario.pass();
    let change = |change: &dyn Fn(&mut FakeGitHub)| change(&mut scenario.fake.lock().expect("no panic"));
    let issue = || scenario.fake.lock().expect("no panic").snapshot()["issues"][0].clone();
    let run = scenario.fake.lock().expect("no panic").pending_runs()[0].id;
    change(&|fake| fake.withdraw_upstream("v0.33.0"));
    scenario.pass();
    assert_eq!(issue()["open"], true, "a run is in progress");
    change(&|fake| fake.set_run(run, "completed", Some("failure")));
    scenario.pass();
    let closed = issue();
    assert_eq!((&closed["open"], closed["comments"].as_array().map(Vec::len)), (&json!(false), Some(2)), "{closed:#}");
    assert!(closed["comments"][1].as_str().is_some_and(|text| text.contains("xtask:withdrawn v0.33.0")), "{closed:#}");
    scenario.pass();
    assert_eq!((scenario.pass(), issue()), (2, closed));
    change(&|fake| fake.publish_upstream("v0.33.0", COMMIT, false));
    scenario.pass();
    assert_eq!(issue()["open"], true);
    scenario.build();
    scenario.pass();
    assert_eq!(issue()["open"], false);
    assert_eq!(scenario.pass(), 2);
}

#[test]
fn the_issue_of_a_release_that_a_list_leaves_out_stays_open() {
    let scenario = Scenario::new("unlisted", Fault(0, 0));
    scenario.pass();
    let run = scenario.fake.lock().expect("no panic").pending_runs()[0].id;
    scenario.fake.lock().expect("no panic").set_run(run, "completed", Some("failure"));
    scenario.fake.lock().expect("no panic").list_upstream("v0.33.0", false);
    scenario.pass();
    let issue = scenario.fake.lock().expect("no panic").snapshot()["issues"][0].clone();
    assert_eq!(issue["open"], true, "{issue:#}");
    assert_eq!(scenario.fake.lock().expect("no panic").pending_runs().len(), 1, "it is built again");
}

#[test]
fn a_backlog_is_worked_off_after_everything_was_done() {
    let scenario = Scenario::new("backlog", Fault(0, 0));
    for tag in ["v0.30.0", "v0.31.0", "v0.32.0"] {
        scenario.fake.lock().expect("no panic").publish_upstream(tag, COMMIT, false);
    }
    scenario.whole();
    assert_eq!((scenario.pass(), scenario.pass()), (2, 2), "nothing older is wanted");
    let mut passes = Vec::new();
    loop {
        scenario.pass_with(&["--since", "v0.30.0"]);
        let waiting = scenario.fake.lock().expect("no panic").pending_runs();
        let versions: Vec<String> = waiting.iter().filter_map(|run| run.buildkit_ref.clone()).collect();
        for run in &waiting {
            publish(&github(&scenario.reliable), run.buildkit_ref.as_deref().expect("a version"));
            scenario.fake.lock().expect("no panic").set_run(run.id, "completed", Some("success"));
        }
        if versions.is_empty() {
            break;
        }
        passes.push(versions.join(" "));
    }
    assert_eq!(passes, ["v0.32.0 v0.31.0", "v0.30.0"]);
    assert_eq!((scenario.pass_with(&["--since", "v0.30.0"]), scenario.pass()), (2, 2));
}

#[test]
fn arguments_of_a_backlog_are_a_release_and_a_small_number() {
    let parse = |arguments: &[&str]| Line::try_parse_from([&["check-upstream"], arguments].concat());
    let task = parse(&[]).map_err(|error| error.to_string()).expect("defaults").task;
    assert!(task.since.is_none() && task.limit == plan::DEFAULT_LIMIT);
    for wrong in [["--since", "0.13.0"], ["--since", "master"], ["--limit", "51"], ["--limit", "two"]] {
        assert!(parse(&wrong).is_err(), "{wrong:?}");
    }
}
