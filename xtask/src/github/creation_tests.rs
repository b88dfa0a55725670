//! What must not exist twice, if the request that creates it has no reply: it is looked for, and sent once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use fakes::github::FakeGitHub;
use fakes::server::{Action, Faults, Server};
use http::Method;

use crate::github::{Executor, GitHub, GitHubStep};
use crate::http::{Authorization, Clock};

const TOKEN: &str = "secret";
/// The sum of all pauses.
const ALL_PAUSES: Duration = Duration::from_millis(31_500);

/// What becomes of every POST.
#[derive(Clone, Copy)]
enum Fault {
    /// It has no effect, and no reply.
    Dropped,
    /// There is no connection for it.
    Refused,
}

/// Injects the fault, and records the method of each request.
struct Recorder {
    fault: Fault,
    methods: Mutex<Vec<Method>>,
    /// The number of the last request before the first POST.
    before: u64,
}

impl Faults for Recorder {
    fn action(&self, number: u64, head: &http::Request<()>) -> Action {
        self.methods.lock().expect("no panic").push(head.method().clone());
        match self.fault {
            Fault::Dropped if head.method() == Method::POST => Action::ResetBefore,
            Fault::Refused if number == self.before => Action::RefuseNext,
            Fault::Dropped | Fault::Refused => Action::Pass,
        }
    }
}

/// The steps that create something, each with the number of reads before its request.
fn steps() -> Vec<(GitHubStep, u64)> {
    let version = || "v0.32.2".parse().expect("a version");
    let release = || crate::dist::ReleaseName::Upstream(version());
    let (marker, text) = ("<!-- x -->".to_owned(), "text".to_owned());
    vec![
        (GitHubStep::FileIssue { version: version(), title: "title".to_owned(), body: "body".to_owned() }, 1),
        (GitHubStep::Dispatch { version: version(), known_runs: 0 }, 2),
        (GitHubStep::Comment { issue: 1, marker, text }, 1),
        (GitHubStep::DraftRelease { release: release(), notes: "notes".to_owned() }, 1),
    ]
}

/// Executes a step. Returns the error, the methods of the requests, and how long the client waited between them.
fn execute(step: &GitHubStep, fault: Fault, before: u64) -> (String, Vec<Method>, Duration) {
    let mut fake = FakeGitHub::new("o/n");
    fake.allow(TOKEN, &["contents=write", "issues=write", "actions=write"]);
    fake.open_pull_request("a comment needs an issue", &[]);
    let faults = Arc::new(Recorder { fault, methods: Mutex::default(), before });
    let server = Server::start(Arc::new(Mutex::new(fake)), Utf8PathBuf::new(), faults.clone()).expect("starts");
    let waited = Arc::new(Mutex::new(Duration::ZERO));
    let clock = Clock::simulated({
        let waited = Arc::clone(&waited);
        move |pause| *waited.lock().expect("no panic") += pause
    });
    let token = Authorization::bearer(TOKEN).expect("a token");
    let github = GitHub::new(server.url().parse().expect("a URL"), Some(token)).with_clock(clock);
    let repository = "o/n".parse().expect("a repository");
    let error = Executor::new(&github, &repository).execute(step).expect_err("has no reply");
    let (methods, waited) = (faults.methods.lock().expect("no panic").clone(), *waited.lock().expect("no panic"));
    (format!("{error:#}"), methods, waited)
}

#[test]
fn what_has_no_reply_is_looked_for_and_never_sent_again() {
    for (step, before) in steps() {
        let (error, methods, waited) = execute(&step, Fault::Dropped, before);
        let is_post = |method: &&Method| **method == Method::POST;
        assert_eq!(methods.iter().filter(is_post).count(), 1, "{step}: {methods:?}");
        let looks = methods.iter().rev().take_while(|method| **method == Method::GET).count();
        assert_eq!((looks, waited), (7, ALL_PAUSES), "{step} ends on a look");
        assert!(error.contains("may exist, but is not listed yet; run this again in a few minutes: "), "{error}");
    }
}

#[test]
fn what_was_never_sent_is_not_looked_for() {
    for (step, before) in steps() {
        let (error, methods, waited) = execute(&step, Fault::Refused, before);
        assert_eq!((methods.len() as u64, waited), (before, Duration::ZERO), "{step}: {methods:?}");
        assert!(!error.contains("may exist"), "{error}");
    }
}
