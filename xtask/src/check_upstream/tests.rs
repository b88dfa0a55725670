//! Whole passes against the fake of GitHub: what a new version leads to, request by request broken,
//! and what a quiet day costs.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::sync::{Arc, Mutex};

use camino::Utf8PathBuf;
use clap::Parser;
use fakes::github::FakeGitHub;
use fakes::server::{Action, Faults, Server};

use super::*;
use crate::http::Authorization;

const TOKEN: &str = "ghs_double";
const COMMIT: &str = "991535e0973488b6a429096d21fa13f81f2d89d8";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    task: CheckUpstream,
}

/// Breaks the request of one number: its effect is had and the answer lost, or connections are refused
/// from there on. `cargo xtask rehearse --faults each` knows more ways.
struct Break(u64, usize);

const WAYS: usize = 2;

impl Faults for Break {
    fn action(&self, number: u64, _head: &http::Request<()>) -> Action {
        match self.1 {
            _ if number != self.0 => Action::Pass,
            0 => Action::CloseAfter,
            _ => Action::RefuseNext,
        }
    }
}

/// A world in which upstream has v0.33.0, and we have v0.32.2.
struct Stage {
    fake: Arc<Mutex<FakeGitHub>>,
    server: Server,
    /// What the builds speak to; nothing is broken there.
    calm: Server,
    path: Utf8PathBuf,
}

impl Stage {
    fn set(name: &str, fault: Break) -> Self {
        let mut fake = FakeGitHub::new("o/n");
        fake.allow(TOKEN, &["actions=write", "issues=write", "contents=write"]);
        fake.commit_upstream(COMMIT, None);
        fake.publish_upstream("v0.33.0", COMMIT, false);
        fake.publish_upstream("v0.34.0-rc1", COMMIT, true);
        fake.publish_upstream("v0.32.2", COMMIT, false);
        let fake = Arc::new(Mutex::new(fake));
        let calm = Server::start(fake.clone(), Utf8PathBuf::new(), Arc::new(Break(0, 0))).expect("starts");
        publish(&github(&calm), "v0.32.2");
        let server = Server::start(fake.clone(), Utf8PathBuf::new(), Arc::new(fault)).expect("starts");
        let folder = std::env::temp_dir().join(format!("xtask-check-{name}-{}", std::process::id()));
        Self { fake, server, calm, path: Utf8PathBuf::try_from(folder.join("kept.json")).expect("a UTF-8 name") }
    }

    /// Passes until one comes to its end; says how many requests the last one took.
    fn pass(&self) -> u64 {
        let task = Line::parse_from(["check-upstream", "--execute", "--json"]).task;
        for _ in 0..3 {
            let before = self.server.requests();
            match compare(github(&self.server), repository(), &self.path, &task) {
                Ok(()) => return self.server.requests() - before,
                Err(error) => eprintln!("{error:#}"),
            }
            self.server.wait_until_idle().expect("settles");
            self.server.reopen().expect("opens");
        }
        panic!("three passes have failed");
    }

    /// The build that was asked for ends well, and publishes.
    fn build(&self) {
        let waiting = self.fake.lock().expect("no panic").pending_runs();
        assert_eq!(waiting.len(), 1, "one build");
        publish(&github(&self.calm), "v0.33.0");
        self.fake.lock().expect("no panic").set_run(waiting[0].id, "completed", Some("success"));
    }

    /// From the new version to the day after its release; all that is there then.
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

impl Drop for Stage {
    fn drop(&mut self) {
        // A folder for temporary things may keep what cannot be removed.
        let _ = std::fs::remove_dir_all(self.path.parent().expect("it lies in a folder"));
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
    let draft = releases.draft(&name, None, "notes").expect("is made");
    releases.publish(draft.id, true).expect("is published");
}

#[test]
fn a_quiet_day_is_two_requests() {
    let stage = Stage::set("quiet", Break(0, 0));
    assert!(stage.pass() > 10, "an issue, a run, a comment");
    assert!(stage.pass() > 2, "a run is going on");
    stage.build();
    assert!(stage.pass() > 2, "the issue is closed");
    assert_eq!((stage.pass(), stage.pass()), (2, 2));
    // A candidate is news that changes nothing.
    stage.fake.lock().expect("no panic").publish_upstream("v0.34.0-rc2", COMMIT, true);
    assert!(stage.pass() > 2);
    assert_eq!(stage.pass(), 2);
}

#[test]
fn each_request_broken_in_each_way_ends_in_the_same_state() {
    let undisturbed = Stage::set("whole", Break(0, 0));
    let expected = undisturbed.whole();
    assert_eq!(expected.matches("xtask:tracking").count(), 1, "{expected}");
    let requests = undisturbed.server.requests();
    for number in 1..=requests {
        for way in 0..WAYS {
            let found = Stage::set(&format!("{number}-{way}"), Break(number, way)).whole();
            assert_eq!(found, expected, "request {number} of {requests}, way {way}");
        }
    }
    println!("{requests} requests, each broken in {WAYS} ways: {} trains", requests * WAYS as u64);
}

#[test]
fn a_list_that_is_late_once_does_no_harm() {
    let expected = Stage::set("prompt", Break(0, 0)).whole();
    let stage = Stage::set("late", Break(0, 0));
    stage.fake.lock().expect("no panic").stale_once();
    assert_eq!(stage.whole(), expected);
}
