//! Publishing a fake dist to the fakes, whose registry behaves as ghcr.io was reported to: `release` comes to rest
//! in each case.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use fakes::github::FakeGitHub;
use fakes::registry::{Account, FakeRegistry, Referrers};
use fakes::server::{NoFaults, Server, locked};

use super::*;
use crate::github::GitHub;
use crate::http::Authorization;
use crate::registry::Registry;
use crate::rehearse::fake_dist;

const TOKEN: &str = "secret";
const ACCOUNT: (&str, &str) = ("o", "password");

/// A build, and the fakes to publish it to.
struct Scenario {
    folder: Utf8PathBuf,
    desired: Desired,
    remotes: Remotes,
    registry: Arc<Mutex<FakeRegistry>>,
    github: Arc<Mutex<FakeGitHub>>,
    _servers: [Server; 2],
}

impl Scenario {
    fn new(prepare: impl FnOnce(&mut FakeRegistry)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("xtask-release-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Utf8PathBuf::try_from(std::env::temp_dir().join(name)).expect("UTF-8");
        let source = fake_dist::source("v0.32.2", 1_785_715_200).expect("a source");
        fake_dist::make(&folder.join("dist"), &source).expect("is made");
        std::fs::write(folder.join("bundle"), r#"{"fake":"bundle"}"#).expect("is written");

        let mut github = FakeGitHub::new("o/n");
        github.allow(TOKEN, &["contents=write", "issues=write"]);
        let (username, password) = (ACCOUNT.0.to_owned(), ACCOUNT.1.to_owned());
        let account = Account { username, password, may_push: true };
        let mut registry = FakeRegistry::new(account, vec![TOKEN.to_owned()]);
        prepare(&mut registry);
        let (github, registry) = (Arc::new(Mutex::new(github)), Arc::new(Mutex::new(registry)));
        let start = |service| Server::start(service, folder.clone(), Arc::new(NoFaults)).expect("starts");
        let servers = [start(github.clone()), start(registry.clone())];

        let repository = "o/n".parse().expect("a repository");
        let host = servers[1].url().replace("http://", "");
        let dist = Dist::open(&folder, Some(&folder.join("dist"))).expect("a dist");
        let bundle = folder.join("bundle");
        let desired = desired::read(&dist, &repository, &host, Some(&bundle)).expect("is complete");
        let token = Authorization::bearer(TOKEN).expect("a token");
        let remotes = Remotes {
            github: GitHub::new(servers[0].url().parse().expect("a URL"), Some(token)),
            repository,
            registry: Registry::new(desired.image.repository.clone(), Some(Authorization::basic(ACCOUNT.0, ACCOUNT.1))),
        };
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
    fn publish(&self) -> Result<bool> {
        let plan = plan(&self.desired, &self.remotes.observe(&self.desired)?)?;
        apply(&self.remotes, &plan, |_| ())?;
        verify::verify(&self.remotes, &self.desired)
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
fn a_second_run_plans_nothing_however_the_registry_answers_for_referrers() {
    for referrers in [Referrers::Absent, Referrers::Redirected, Referrers::Empty, Referrers::Listed] {
        let scenario = Scenario::new(|registry| registry.referrers = referrers);
        scenario.publish().unwrap_or_else(|error| panic!("{referrers:?}: {error:#}"));
        assert_eq!(scenario.left(), [""; 0], "{referrers:?}");
    }
}
