//! Publishing a fake dist to the fakes, which behave as GitHub and ghcr.io were reported to: `release` comes to rest
//! in each case, and a complete publication is no failure.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use fakes::github::FakeGitHub;
use fakes::registry::{Account, FakeRegistry, Referrers};
use fakes::server::{Faults, NoFaults, Server, locked};

use super::*;
use crate::dist::names;
use crate::github::{GitHub, Issues, issue_marker};
use crate::http::Authorization;
use crate::registry::Registry;
use crate::rehearse::fake_dist;

mod limits;
mod rulesets;
mod verification;

const TOKEN: &str = "secret";
const ACCOUNT: (&str, &str) = ("o", "password");

fn empty_registry() -> FakeRegistry {
    let (username, password) = (ACCOUNT.0.to_owned(), ACCOUNT.1.to_owned());
    FakeRegistry::new(Account { username, password, may_push: true }, vec![TOKEN.to_owned()])
}

/// A build, and the fakes to publish it to. `verify` verifies it.
pub struct Scenario {
    pub folder: Utf8PathBuf,
    pub desired: Desired,
    pub remotes: Remotes,
    pub registry: Arc<Mutex<FakeRegistry>>,
    pub github: Arc<Mutex<FakeGitHub>>,
    _servers: [Server; 2],
}

impl Scenario {
    /// The package exists and is public.
    pub fn new(prepare: impl FnOnce(&mut FakeRegistry)) -> Self {
        Self::with_faults(Arc::new(NoFaults), prepare)
    }

    /// The same, with faults of GitHub.
    pub fn with_faults(faults: Arc<dyn Faults>, prepare: impl FnOnce(&mut FakeRegistry)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("xtask-release-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Utf8PathBuf::try_from(std::env::temp_dir().join(name)).expect("UTF-8");
        let source = fake_dist::source("v0.32.2", 1_785_715_200).expect("a source");
        fake_dist::make(&folder.join("dist"), &source).expect("is made");
        std::fs::write(folder.join("bundle"), r#"{"fake":"bundle"}"#).expect("is written");

        let mut github = FakeGitHub::new("o/n");
        github.allow(TOKEN, &["contents=write", "issues=write"]);
        let mut registry = empty_registry();
        registry.create_public("o/buildkit-riscv64");
        prepare(&mut registry);
        let (github, registry) = (Arc::new(Mutex::new(github)), Arc::new(Mutex::new(registry)));
        let servers = [
            Server::start(github.clone(), folder.clone(), faults).expect("starts"),
            Server::start(registry.clone(), folder.clone(), Arc::new(NoFaults)).expect("starts"),
        ];

        let repository = "o/n".parse().expect("a repository");
        let host = servers[1].url().replace("http://", "");
        let dist = Dist::open(&folder, Some(&folder.join("dist"))).expect("a dist");
        let bundle = folder.join("bundle");
        let desired = desired::read(&dist, &repository, &host, Some(&bundle)).expect("is complete");
        let token = Authorization::bearer(TOKEN).expect("a token");
        let github_client = GitHub::new(servers[0].url().parse().expect("a URL"), Some(token));
        let account = Authorization::basic(ACCOUNT.0, ACCOUNT.1);
        let client = Registry::new(desired.image.repository.clone(), Some(account));
        let remotes = Remotes::new(github_client, repository, client);
        Self { folder, desired, remotes, registry, github, _servers: servers }
    }

    /// The steps that are left, by their name in JSON.
    fn left(&self) -> Vec<String> {
        let observed = self.remotes.observe(&self.desired).expect("is observed");
        let steps = plan(&self.desired, &observed).expect("nothing is refused").steps;
        let name = |step| serde_json::to_value(step).expect("is JSON")["step"].as_str().expect("a name").to_owned();
        steps.iter().map(name).collect()
    }

    /// Publishes once, as `--execute` does.
    pub fn publish(&self) -> Result<Verified> {
        let plan = plan(&self.desired, &self.remotes.observe(&self.desired)?)?;
        publish(&self.remotes, &self.desired, &plan, |_| ())
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        if !std::thread::panicking() {
            assert_eq!(locked(&self.registry).violations(), [""; 0]);
            assert_eq!(locked(&self.github).violations(), [""; 0]);
        }
    }
}

#[test]
fn the_image_is_published_with_its_own_sbom_and_not_with_that_of_the_binaries() {
    let scenario = Scenario::new(|_| ());
    let version = &scenario.desired.record.source.version;
    let of_image = names::image_sbom(version);
    let attached: Vec<_> =
        scenario.desired.image.attachments.iter().filter_map(|attachment| attachment.path.file_name()).collect();
    assert_eq!(attached, [of_image.as_str(), "bundle"]);
    scenario.publish().expect("is published");
    let github = locked(&scenario.github).snapshot();
    let names: Vec<_> =
        github["releases"][0]["assets"].as_array().expect("a list").iter().map(|asset| asset["name"].clone()).collect();
    assert!(names.contains(&of_image.into()) && names.contains(&names::sbom(version).into()), "{names:?}");
}

/// `package` leaves it beside the packages.
#[test]
fn the_overlay_of_gentoo_is_in_nobody_s_way() {
    let scenario = Scenario::new(|_| ());
    std::fs::create_dir(scenario.folder.join("dist/gentoo")).expect("is made");
    let (folder, images) = (scenario.folder.join("dist"), "ghcr.io");
    let dist = Dist::open(&folder, Some(&folder)).expect("a dist");
    let desired = desired::read(&dist, &scenario.remotes.repository, images, None).expect("is complete");
    let observed = scenario.remotes.observe(&desired).expect("is observed");
    assert_eq!(plan(&desired, &observed).map_err(|refused| refused.to_string()).err(), None);
}

#[test]
fn a_second_run_plans_nothing_however_the_registry_answers_for_referrers() {
    use Referrers::{Absent, Acknowledged, Empty, Listed, Redirected};
    for referrers in [Absent, Redirected, Empty, Acknowledged, Listed] {
        let scenario = Scenario::new(|registry| registry.referrers = referrers);
        scenario.publish().unwrap_or_else(|error| panic!("{referrers:?}: {error:#}"));
        assert_eq!(scenario.left(), [""; 0], "{referrers:?}");
    }
}

#[test]
fn a_new_package_is_published_and_private() {
    let verified = Scenario::new(|registry| *registry = empty_registry()).publish().expect("is published");
    assert_eq!(verified, Verified { is_public: Some(false), postponed: Vec::new() });
}

#[test]
fn a_package_that_may_not_be_created_ends_before_anything_is_public() {
    let scenario = Scenario::new(|registry| {
        *registry = empty_registry();
        registry.denies_creation = true;
    });
    let error = scenario.publish().expect_err("is denied").to_string();
    assert!(error.contains("not allowed to Create organization package"), "{error}");
    let published = locked(&scenario.github).snapshot()["releases"].as_array().expect("a list").clone();
    assert!(published.iter().all(|release| release["draft"] == true), "{published:?}");
}

/// What the tokens may not do is known before the draft is made, and all of it is said at once.
#[test]
fn what_is_not_permitted_is_said_before_the_first_write() {
    type Prepare = fn(&mut FakeGitHub);
    let cases: [(Prepare, &[&str]); 5] = [
        (|_| (), &["not allowed to Create organization package"]),
        (
            |github| github.allow(TOKEN, &["issues=write"]),
            &["not allowed to Create organization package", "contents=write"],
        ),
        (|github| github.allow_classic(TOKEN, &["read:org"]), &["has the scopes read:org"]),
        (|github| github.allow_classic(TOKEN, &[]), &["has no scope"]),
        (FakeGitHub::archive, &["is archived"]),
    ];
    for (prepare, words) in cases {
        let scenario = Scenario::new(|registry| {
            *registry = empty_registry();
            registry.denies_creation = true;
        });
        prepare(&mut locked(&scenario.github));
        let before = locked(&scenario.github).snapshot();
        let error = format!("{:#}", scenario.publish().expect_err("is refused"));
        assert_eq!(locked(&scenario.github).snapshot(), before, "{error}");
        assert!(error.contains("nothing was changed") && words.iter().all(|word| error.contains(word)), "{error}");
    }
}

/// The last step is to close the issue that tracks the build.
#[test]
fn a_token_that_may_not_write_issues_is_refused_before_the_first_write() {
    for (permissions, is_permitted) in [(&["contents=write"][..], false), (&["contents=write", "issues=write"], true)] {
        let scenario = Scenario::new(|_| ());
        let version = scenario.desired.name.upstream().expect("a version").clone();
        let issues = Issues { github: &scenario.remotes.github, repository: &scenario.remotes.repository };
        issues.file(&version, "Building", &issue_marker(&version)).expect("is filed");
        locked(&scenario.github).allow(TOKEN, permissions);
        let before = locked(&scenario.github).snapshot();
        let published = scenario.publish();
        if is_permitted {
            published.expect("is published");
            assert_eq!(locked(&scenario.github).snapshot()["issues"][0]["open"], false);
        } else {
            let error = published.expect_err("is refused").to_string();
            assert!(
                error.contains("the issue #1 of o/n cannot be written") && error.contains("issues=write"),
                "{error}"
            );
            assert_eq!(locked(&scenario.github).snapshot(), before);
        }
    }
}

/// As in a new fork. No request is about issues: the fake would object.
#[test]
fn a_repository_without_issues_is_published_to() {
    let scenario = Scenario::new(|_| ());
    locked(&scenario.github).switch_issues(false);
    scenario.publish().expect("is published");
    assert_eq!(scenario.left(), [""; 0]);
}

/// GitHub leads reads of the former name to the new one, so that only a write would fail.
#[test]
fn a_repository_that_was_renamed_is_said_before_the_first_write() {
    let scenario = Scenario::new(|_| ());
    locked(&scenario.github).rename("o/new");
    let snapshots = || (locked(&scenario.github).snapshot(), locked(&scenario.registry).snapshot());
    let before = snapshots();
    let error = scenario.publish().expect_err("is refused").to_string();
    assert!(error.contains("o/n is now o/new; use --repo o/new"), "{error}");
    assert_eq!(snapshots(), before);
}

#[test]
fn what_asks_for_permission_leaves_nothing() {
    let scenario = Scenario::new(|_| ());
    let before = (locked(&scenario.github).snapshot(), locked(&scenario.registry).snapshot());
    let plan = plan(&scenario.desired, &scenario.remotes.observe(&scenario.desired).expect("is observed"));
    preflight::check(&scenario.remotes, &scenario.desired, &plan.expect("nothing is refused")).expect("is permitted");
    assert_eq!((locked(&scenario.github).snapshot(), locked(&scenario.registry).snapshot()), before);
    assert_eq!(locked(&scenario.registry).sessions(), 0, "the upload session is cancelled");
}

/// Each list is read, changed and written back, so that a lagging read could drop what was just written.
#[test]
fn reads_that_lag_behind_a_push_do_not_fail_a_release() {
    for reads in [1, 4] {
        let scenario = Scenario::new(|registry| registry.lag(reads));
        let verified = scenario.publish().unwrap_or_else(|error| panic!("{reads}: {error:#}"));
        assert_eq!(verified, Verified { is_public: Some(true), postponed: Vec::new() });
        assert_eq!(scenario.left(), [""; 0]);
    }
}

#[test]
fn the_event_of_a_release_is_sent_last_and_again_but_not_for_master() {
    let event: EventType = "buildkit-released".parse().expect("is valid");
    let scenario = Scenario::new(|_| ());
    let name = &scenario.desired.name;
    let line = "gh api 'repos/{owner}/{repo}/dispatches' --silent -f event_type=buildkit-released -f \
                'client_payload[release_tag]=buildkit-v0.32.2-riscv64'";
    for times in 1..=2 {
        let observed = scenario.remotes.observe(&scenario.desired).expect("is observed");
        let mut plan = plan(&scenario.desired, &observed).expect("a plan");
        plan.steps.extend(send(&event, name));
        assert_eq!(plan.steps.last().expect("a step").to_string(), line);
        apply(&scenario.remotes, &plan, |_| ()).expect("is published");
        let sent = ("buildkit-released".to_owned(), json!({ "release_tag": name }));
        assert_eq!(locked(&scenario.github).events(), vec![sent; times]);
    }
    assert_eq!(send(&event, &"buildkit-v20260804-dev".parse().expect("a name")), None);
}
