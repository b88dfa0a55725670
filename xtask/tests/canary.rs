//! `cargo xtask rehearse --canary` through its command line, against the fakes: it makes, checks and removes, refuses
//! what was not made for it, and removes what a killed run left.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "reads and writes files, starts processes, reads the environment and prints what a task printed"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use camino::Utf8PathBuf;
use fakes::github::FakeGitHub;
use fakes::registry::{Account, FakeRegistry, Referrers};
use fakes::server::{Action, Faults, NoFaults, Server, locked};
use serde_json::{Value, json};
use support::schema::must_match;
use support::{Scratch, empty_checkout};

const CANARY: &str = "me/throw-away";
const TOKEN: &str = "ghp_0123456789abcdefSECRET";
const PASSWORD: &str = "a0password0of0the0registry";

/// The canary is killed after a request to GitHub, by its number, or requests of one kind get another response.
#[derive(Default)]
struct Broken {
    killed_after: AtomicU64,
    process: AtomicU32,
    instead: Mutex<Option<(&'static str, fakes::message::Response)>>,
}

impl Faults for Broken {
    fn action(&self, number: u64, head: &http::Request<()>) -> Action {
        let killed_after = self.killed_after.load(Ordering::SeqCst);
        let instead = locked(&self.instead);
        match &*instead {
            Some((path, response)) if format!("{} {}", head.method(), head.uri().path()).contains(path) => {
                Action::Instead(response.clone())
            }
            _ if number == killed_after => Action::KillAfter,
            _ => Action::Pass,
        }
    }

    fn kill(&self) {
        let process = self.process.load(Ordering::SeqCst).to_string();
        assert!(Command::new("kill").args(["-KILL", &process]).status().expect("kill runs").success());
    }
}

/// A checkout whose remote is another repository, and the fakes.
struct World {
    scratch: Scratch,
    github: Arc<Mutex<FakeGitHub>>,
    registry: Arc<Mutex<FakeRegistry>>,
    broken: Arc<Broken>,
    servers: [Server; 2],
}

impl World {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let root = scratch.path();
        empty_checkout(root);
        git(root, &["init", "--quiet"]);
        git(root, &["remote", "add", "origin", "git@github.com:me/docker-for-riscv64.git"]);
        let mut github = FakeGitHub::new(CANARY);
        github.allow(TOKEN, &["contents=write", "issues=write", "actions=write"]);
        github.describe("xtask canary");
        let account = Account { username: "me".to_owned(), password: PASSWORD.to_owned(), may_push: true };
        let registry = FakeRegistry::new(account, vec![TOKEN.to_owned()]);
        let (github, registry) = (Arc::new(Mutex::new(github)), Arc::new(Mutex::new(registry)));
        let spool = Utf8PathBuf::try_from(root.to_owned()).expect("UTF-8");
        let broken = Arc::new(Broken::default());
        let servers = [
            Server::start(github.clone(), spool.clone(), broken.clone()).expect("starts"),
            Server::start(registry.clone(), spool, Arc::new(NoFaults)).expect("starts"),
        ];
        Self { scratch, github, registry, broken, servers }
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        self.run_on(CANARY, arguments)
    }

    /// The exit status, standard output and standard error.
    fn run_on(&self, repository: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
        let host = self.servers[1].url().replace("http://", "");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["rehearse", "--canary", repository, "--registry", &host]).args(arguments);
        command.current_dir(self.scratch.path()).env_clear().env("PATH", std::env::var_os("PATH").expect("a PATH"));
        command.env("GITHUB_API_URL", self.servers[0].url()).env("GITHUB_TOKEN", TOKEN);
        command.env("REGISTRY_USERNAME", "me").env("REGISTRY_PASSWORD", PASSWORD);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        self.broken.process.store(child.id(), Ordering::SeqCst);
        let output = child.wait_with_output().expect("ends");
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(![TOKEN, PASSWORD].iter().any(|secret| stdout.contains(secret) || stderr.contains(secret)), "{stderr}");
        (output.status.code(), stdout, stderr)
    }

    /// Executes it. Returns the exit status and what came of each point.
    fn execute(&self) -> (Option<i32>, BTreeMap<String, (String, String)>) {
        let (status, stdout, stderr) = self.run(&["--execute", "--json"]);
        println!("{stderr}");
        must_match("canary", "rehearse-canary", stdout.as_bytes());
        let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let of = |row: &Value| (text(&row["point"]), (text(&row["outcome"]), text(&row["found"])));
        (status, report["points"].as_array().expect("points").iter().map(of).collect())
    }

    fn snapshot(&self) -> Value {
        locked(&self.github).snapshot()
    }

    /// Nothing is left but closed issues.
    fn assert_clean(&self) {
        let left = self.snapshot();
        for list in ["releases", "labels"] {
            assert_eq!(left[list], json!([]), "{list}");
        }
        assert_eq!(left["tags"], json!({}));
        assert!(left["issues"].as_array().expect("issues").iter().all(|issue| issue["open"] == false), "{left:#}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(locked(&self.github).violations(), [""; 0]);
            assert_eq!(locked(&self.registry).violations(), [""; 0]);
        }
    }
}

fn git(root: &Path, arguments: &[&str]) {
    let status = Command::new("git").args(arguments).current_dir(root).status().expect("git runs");
    assert!(status.success(), "{arguments:?}");
}

#[test]
fn the_plan_changes_nothing_and_lists_what_the_document_lists() {
    let world = World::new("canary-plan");
    let before = world.snapshot();
    let (status, stdout, stderr) = world.run(&["--json"]);
    assert_eq!(status, Some(0), "{stderr}");
    must_match("canary", "rehearse-canary", stdout.as_bytes());
    assert_eq!((world.snapshot(), locked(&world.registry).snapshot()), (before, json!({})));
    let report: Value = serde_json::from_str(&stdout).expect("JSON");
    let points = report["points"].as_array().expect("points").iter();
    let planned: Vec<String> = points
        .map(|row| {
            assert_eq!(row["outcome"], "planned");
            format!("| `{}` | {} |", row["point"].as_str().expect("a name"), row["expected"].as_str().expect("a text"))
        })
        .collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dev/CANARY.md");
    let page = fs::read_to_string(page).expect("is read");
    let table = page.lines().skip_while(|line| *line != "| point | expected |").skip(2);
    let table: Vec<&str> = table.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(table, planned, "the table should be:\n{}", planned.join("\n"));
    let (_, stdout, _) = world.run(&[]);
    assert!(stdout.starts_with("export GH_REPO=me/throw-away\ngh release create buildkit-v0.0."), "{stdout}");
}

#[test]
fn it_makes_checks_and_removes() {
    for referrers in [Referrers::Redirected, Referrers::Empty, Referrers::Listed] {
        let world = World::new("canary");
        locked(&world.registry).referrers = referrers;
        let (status, rows) = world.execute();
        assert_eq!(status, Some(0));
        for (point, (outcome, found)) in &rows {
            // No token of an app removes a package.
            let expected = if point == "package-removed" { "not-done" } else { "ok" };
            assert_eq!(outcome, expected, "{point}: {found}");
        }
        assert!(rows["package-removed"].1.contains("delete:packages"), "{rows:?}");
        assert_eq!(rows["referrers"].1.contains("was acknowledged"), referrers == Referrers::Listed, "{rows:?}");
        world.assert_clean();
        // The second canary uses another version, and removes the run of the first.
        let run = locked(&world.github).pending_runs().pop().expect("a run");
        locked(&world.github).set_run(run.id, "completed", Some("success"));
        assert_eq!(world.execute().0, Some(0));
        let runs = locked(&world.github).pending_runs();
        assert!(runs.len() == 1 && runs[0].buildkit_ref != run.buildkit_ref, "{runs:?}");
    }
}

#[test]
fn a_classic_token_removes_the_package_too() {
    let world = World::new("canary-classic");
    locked(&world.github).allow_classic(TOKEN, &["repo", "write:packages", "read:packages", "delete:packages"]);
    locked(&world.github).add_package("throw-away-canary");
    let (status, rows) = world.execute();
    assert_eq!((status, rows["package-removed"].0.as_str()), (Some(0), "ok"), "{rows:?}");
    assert!(rows["token"].1.contains("delete:packages"), "{rows:?}");
    assert_eq!(locked(&world.github).packages(), [""; 0]);
}

#[test]
fn a_package_of_somebody_s_own_is_left_alone() {
    let world = World::new("canary-package");
    locked(&world.github).allow_classic(TOKEN, &["repo", "read:packages", "delete:packages"]);
    locked(&world.github).add_package("throw-away-canary");
    locked(&world.registry).add_tag("me/throw-away-canary", "latest");
    let before = locked(&world.registry).snapshot();
    let (_, rows) = world.execute();
    assert_eq!((rows["push"].0.as_str(), rows["package-removed"].0.as_str()), ("not-done", "not-done"), "{rows:?}");
    assert!(rows["package-removed"].1.contains("latest is not the canary's"), "{rows:?}");
    assert_eq!((locked(&world.registry).snapshot(), locked(&world.github).packages().len()), (before, 1));
}

#[test]
fn what_was_not_made_for_it_is_refused_and_not_changed() {
    type Prepare = fn(&World);
    let cases: [(&str, Prepare, &str); 4] = [
        ("me/throw-away", |world| locked(&world.github).describe("Canary of xtask"), "its description is not"),
        ("me/throw-away", |world| locked(&world.github).open_issue_by_stranger("Help", "me"), "it has the issue 1"),
        ("me/throw-away", |world| release(world, "buildkit-v0.32.2-riscv64"), "the release buildkit-v0.32.2-riscv64"),
        ("Me/Docker-for-riscv64", |_| (), "is a remote of this checkout"),
    ];
    for (repository, prepare, why) in cases {
        let world = World::new("canary-refused");
        prepare(&world);
        let before = world.snapshot();
        for arguments in [&["--execute"][..], &[]] {
            let (status, stdout, stderr) = world.run_on(repository, arguments);
            assert!(status == Some(1) && stderr.contains(why), "{why}: {stdout}{stderr}");
        }
        assert_eq!(world.snapshot(), before, "{why}");
    }
}

/// Publishes a release by hand.
fn release(world: &World, tag: &str) {
    let body = json!({ "tag_name": tag }).to_string().into_bytes();
    let request = http::Request::post(format!("/repos/{CANARY}/releases"))
        .header("user-agent", "test")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(fakes::message::Content::Memory(body))
        .expect("a request");
    assert_eq!(fakes::message::Service::handle(&mut *locked(&world.github), &request).status(), 201);
}

/// It is killed after every third of its requests to GitHub.
#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let world = World::new("canary-killed");
    let before = world.servers[0].requests();
    assert_eq!(world.execute().0, Some(0));
    let requests = world.servers[0].requests() - before;
    let mut left = 0;
    for number in (1..=requests).step_by(3) {
        world.broken.killed_after.store(world.servers[0].requests() + number, Ordering::SeqCst);
        let (status, _, _) = world.run(&["--execute"]);
        world.servers[0].wait_until_idle().expect("is idle");
        let state = world.snapshot();
        left += usize::from(state["releases"] != json!([]) || state["labels"] != json!([]));
        let (next, rows) = world.execute();
        assert_eq!((status, next), (None, Some(0)), "after {number} of {requests}: {rows:?}");
        world.assert_clean();
    }
    assert!(left > 5, "only {left} of {requests} runs left something");
}

#[test]
fn a_point_that_differs_says_what_came_and_the_rest_is_removed() {
    let not_found = fakes::script::response(404, &[], "{}");
    let refused = fakes::script::response(403, &[], r#"{"message":"Resource not accessible by integration"}"#);
    for (request, response, point, word) in [
        ("GET /repos/me/throw-away/git/ref/tags/", not_found, "publish", "not there after half a minute"),
        ("POST /repos/me/throw-away/issues", refused, "labels", "Resource not accessible by integration"),
    ] {
        let world = World::new("canary-differs");
        *locked(&world.broken.instead) = Some((request, response));
        let (status, rows) = world.execute();
        let (outcome, found) = &rows[point];
        assert!(status == Some(1) && outcome == "differs" && found.contains(word), "{rows:?}");
        assert_eq!(rows["removed"].0, "ok", "{rows:?}");
        world.assert_clean();
    }
}

#[test]
fn without_a_workflow_or_labels_it_says_so() {
    let world = World::new("canary-less");
    locked(&world.github).remove_workflow();
    locked(&world.github).drop_labels();
    let (status, rows) = world.execute();
    assert_eq!((status, rows["dispatch"].0.as_str()), (Some(1), "not-done"), "{rows:?}");
    let (outcome, found) = &rows["labels"];
    assert!(outcome == "differs" && found.contains("without build-in-progress, buildkit-release"), "{found}");
}
