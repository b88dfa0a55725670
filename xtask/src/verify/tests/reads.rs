//! What is in the way of a read is told from what is there: limits, faults of the services, tokens that expire.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fakes::server::{Action, Faults};

use super::*;

/// Requests whose path contains this are answered so.
struct Instead(&'static str, u16, &'static str);

impl Faults for Instead {
    fn action(&self, _: u64, head: &http::Request<()>) -> Action {
        if head.uri().path().contains(self.0) && head.method() == http::Method::GET {
            Action::Instead(fakes::script::response(self.1, &[("Retry-After", self.2)], ""))
        } else {
            Action::Pass
        }
    }
}

#[test]
fn what_cannot_be_read_is_not_called_different() {
    for (path, status, checks) in [
        ("/releases/tags/", 403, &["release"][..]),
        ("/releases/tags/", 503, &["release"]),
        ("/releases/download/", 429, &["record"]),
        ("/objects/", 503, &["record"]),
    ] {
        // Faults begin after the publication, which needs the same addresses.
        let faults = Arc::new(Later { fault: Instead(path, status, "3600"), is_on: false.into() });
        let world = World::of(Scenario::with_faults(faults.clone(), |_| ()));
        faults.is_on.store(true, Ordering::SeqCst);
        let findings = world.verify(true);
        assert_eq!(Outcome::of([&findings]), Outcome::Undetermined, "{path} {status}\n{}", lines(&findings));
        assert_eq!(findings.undetermined, checks);
    }
    let world = World::new();
    locked(&world.scenario.registry).anonymous_requests = Some(0);
    let findings = world.verify(true);
    assert_eq!(
        (Outcome::of([&findings]), findings.undetermined.as_slice()),
        (Outcome::Undetermined, &["image-tag".to_owned()][..])
    );
}

struct Later {
    fault: Instead,
    is_on: AtomicBool,
}

impl Faults for Later {
    fn action(&self, number: u64, head: &http::Request<()>) -> Action {
        if self.is_on.load(Ordering::SeqCst) { self.fault.action(number, head) } else { Action::Pass }
    }
}

#[test]
fn a_token_that_expires_between_two_blobs_is_asked_for_again() {
    for requests in 2..7 {
        let world = World::new();
        locked(&world.scenario.registry).token_lifetime(requests);
        locked(&world.scenario.registry).expire_tokens();
        let findings = world.verify(true);
        assert_eq!(Outcome::of([&findings]), Outcome::Right, "{requests}\n{}", lines(&findings));
    }
}

/// An owner who is told of a change that nobody made believes no other.
#[test]
fn a_registry_that_refuses_once_is_not_told_of() {
    let world = World::new();
    locked(&world.scenario.registry).make_private();
    let verifier = world.verifier();
    let registry = world.scenario.registry.clone();
    let looks = std::cell::Cell::new(0);
    let found = all::seen_twice(|| {
        let mut findings = Findings::quiet();
        verifier.verify(&mut findings, &RELEASE.parse().expect("a name"), None, None);
        looks.set(looks.get() + 1);
        locked(&registry).make_public();
        findings
    });
    assert_eq!((looks.get(), Outcome::of([&found])), (2, Outcome::Right), "{}", lines(&found));
}
