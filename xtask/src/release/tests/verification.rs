//! What a release says of its verification, when reads without credentials lag, are limited or refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fakes::server::Action;

use super::*;
use crate::dist::names::{METADATA, SHA256SUMS};

/// Requests of GitHub whose path contains `path` are answered with `response`, as often as is left.
struct Instead {
    path: &'static str,
    response: fakes::message::Response,
    left: AtomicU32,
}

impl Faults for Instead {
    fn action(&self, _number: u64, head: &http::Request<()>) -> Action {
        let is_left = || self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if head.uri().path().contains(self.path) && is_left() {
            Action::Instead(self.response.clone())
        } else {
            Action::Pass
        }
    }
}

/// A scenario in which downloads of assets are answered like that, so often.
fn downloads(status: u16, retry_after: &str, times: u32) -> Scenario {
    let response = fakes::script::response(status, &[("Retry-After", retry_after)], "");
    let faults = Instead { path: "/releases/download/", response, left: AtomicU32::new(times) };
    Scenario::with_faults(Arc::new(faults), |_| ())
}

/// Source: reports of a release that is not there yet, or lists no assets yet (zosmaai/zosma-cowork pull request 318).
#[test]
fn a_release_that_is_incomplete_at_first_is_read_again() {
    let empty = json!({
        "id": 1, "tag_name": "buildkit-v0.32.2-riscv64", "name": null, "body": null, "draft": false, "prerelease": false,
        "target_commitish": "main", "html_url": "", "upload_url": "", "assets": [],
    });
    for (status, body) in [(404, "{}".to_owned()), (200, empty.to_string())] {
        let response = fakes::script::response(status, &[], body);
        let faults = Instead { path: "/releases/tags/", response, left: AtomicU32::new(3) };
        let verified = Scenario::with_faults(Arc::new(faults), |_| ()).publish().expect("is published");
        assert_eq!(verified, Verified { is_public: Some(true), postponed: Vec::new() });
    }
}

#[test]
fn what_is_published_is_verified_without_credentials() {
    let verified = Scenario::new(|_| ()).publish().expect("is published");
    assert_eq!(verified, Verified { is_public: Some(true), postponed: Vec::new() });
}

#[test]
fn a_download_that_is_missing_at_first_is_tried_again() {
    let verified = downloads(404, "", 3).publish().expect("is published");
    assert_eq!(verified, Verified { is_public: Some(true), postponed: Vec::new() });
}

#[test]
fn a_download_that_stays_missing_or_limited_is_verified_later() {
    for (status, retry_after, expected) in [
        (404, "", "SHA256SUMS answered 404"),
        (429, "0", "SHA256SUMS answered 429"),
        (429, "3600", "asks to wait 60 minutes"),
    ] {
        let verified = downloads(status, retry_after, u32::MAX).publish().expect("is published");
        let [why] = &verified.postponed[..] else { panic!("{verified:?}") };
        assert!(why.contains(expected), "{why}");
        assert_eq!(verified.is_public, Some(true));
    }
}

/// A second run, whose record differs because its tests ran at another time.
#[test]
fn a_record_that_cannot_be_read_now_does_not_fail_a_second_run() {
    for (status, retry_after) in [(404, ""), (429, "0"), (429, "3600")] {
        let mut scenario = downloads(status, retry_after, u32::MAX);
        scenario.publish().expect("is published");
        let files = scenario.desired.files.iter_mut();
        files.filter(|file| [METADATA, SHA256SUMS].contains(&file.name.as_str())).for_each(|file| file.size_bytes += 1);
        let observed = scenario.remotes.observe(&scenario.desired).expect("is observed");
        let plan = plan(&scenario.desired, &observed).expect("nothing is refused");
        assert!(plan.steps.is_empty(), "{:?}", plan.steps);
        let notes: Vec<_> = plan.notes.iter().filter(|note| note.contains("was not compared")).collect();
        assert_eq!(notes.len(), 2, "{status}: {:?}", plan.notes);
    }
}

#[test]
fn a_download_that_is_refused_is_not_verified_later() {
    downloads(410, "", u32::MAX).publish().expect_err("is gone");
}

#[test]
fn the_command_that_verifies_later_names_the_same_build_and_places() {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        release: Release,
    }
    let parsed = |line: &[&str]| <Command as clap::Parser>::try_parse_from(line).expect("parses").release;
    let arguments = parsed(&["xtask", "--registry", "127.0.0.1:5000", "--execute", "--unproved"]);
    let again = arguments.again("dist/it's v0.32.2".into(), &"o/n".parse().expect("a repository"));
    let expected = "cargo xtask release --execute --dist 'dist/it'\\''s v0.32.2' --repo o/n --registry 127.0.0.1:5000 \
                    --unproved";
    assert_eq!(again, expected);
    let words = shlex::split(&again).expect("a line for a shell");
    let words: Vec<&str> = words[2..].iter().map(String::as_str).collect();
    assert_eq!(parsed(&words).dist.as_deref(), Some("dist/it's v0.32.2".into()));
}

/// The publication is complete; only reads without credentials are limited.
#[test]
fn an_image_that_nobody_may_read_now_is_verified_later() {
    for requests in [0, 1] {
        let scenario = Scenario::new(|registry| registry.anonymous_requests = Some(requests));
        let verified = scenario.publish().expect("is published");
        let [why] = &verified.postponed[..] else { panic!("{verified:?}") };
        assert!(why.contains("429") && why.contains("TOOMANYREQUESTS"), "{why}");
        assert_eq!((verified.is_public, scenario.left()), (None, Vec::new()));
        locked(&scenario.registry).anonymous_requests = None;
        let again = scenario.publish().expect("is verified");
        assert_eq!(again, Verified { is_public: Some(true), postponed: Vec::new() });
    }
}

#[test]
fn what_is_missing_is_not_verified_later() {
    let scenario = Scenario::new(|registry| registry.lag(u32::MAX));
    scenario.publish().expect_err("the image cannot be seen by anyone");
}
