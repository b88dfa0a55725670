//! One pipeline: two fakes behind servers, a small checkout, and the steps of the scenario, each done by the real task as
//! a separate process. A task that fails is rerun, as a person or the schedule would; nothing else ever repairs anything.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fakes::github;
use fakes::registry::{Account, FakeRegistry};
use fakes::server::{Server, locked};
use fakes::tls::TlsTerminator;

use crate::os::process::KillHandle;
use crate::rehearse::checkout::{self, Secrets};
use crate::rehearse::fault_injector::{Fake, FaultInjector, Monitor, Monitored};
use crate::rehearse::faults::{Schedule, Side};
use crate::rehearse::fixtures::Fixtures;
use crate::rehearse::history;
use crate::rehearse::real_names::certificates::Certificates;
use crate::rehearse::scenario::{BACKLOG, MASTER, Scenario, ScenarioStep};

mod adoption;
mod builds;
mod observe;
mod reader;
mod repositories;
mod serve;
mod tasks;
mod verification;

/// So few that a registry token expires in the middle of a release even without faults.
const TOKEN_REQUESTS: u32 = 12;

/// Between two tasks, or before one is run again: more than any lag.
const PAUSE: Duration = Duration::from_secs(5 * 60);

/// The directory of the large bodies that the fakes received.
const SPOOL: &str = "spool";

/// What all pipelines of a rehearsal have in common.
pub struct Config {
    pub program: String,
    /// The program that writes the indexes of packages.
    pub packager: Utf8PathBuf,
    pub fixtures: Arc<Fixtures>,
    pub scenario: Scenario,
    /// `OWNER/NAME` of our repository.
    pub repository: String,
    /// A real registry, instead of the fake.
    pub registry: Option<String>,
    /// Whether the fakes are served under the real names, and with which certificates.
    pub real_names: Option<Certificates>,
    /// Whether the fakes are served after the last step, until a signal arrives.
    pub is_served: bool,
    /// A program that reads the fake GitHub after the last step.
    pub reader: Option<Utf8PathBuf>,
    /// What must never appear outside of a header.
    pub secrets: Secrets,
}

/// The state between two steps.
pub struct Checkpoint {
    github: github::FakeGitHub,
    registry: FakeRegistry,
    /// The host and port of the registry, and the address of the pages.
    addresses: Option<[String; 2]>,
    /// The number of requests so far, to GitHub and to the registry.
    pub requests: [u64; 2],
}

impl Checkpoint {
    /// The state before the first step: nothing is published, nothing is known.
    pub fn beginning(config: &Config, is_recorded: bool) -> Self {
        let secrets = &config.secrets;
        let mut github = github::FakeGitHub::new(&config.repository);
        if is_recorded {
            github.record();
        }
        github.push(checkout::OUR_COMMIT);
        if config.scenario == Scenario::New {
            github.switch_issues(false);
            // The stricter setting: it refuses more than the other one, and nothing that a release needs.
            github.make_releases_immutable();
        }
        github.allow(&secrets.tracking, &["contents=read", "issues=write", "actions=write"]);
        github.allow(&secrets.release, &["contents=write", "issues=write"]);
        // GitHub lists pull requests as issues; this one has the label of our issues.
        github.open_pull_request("Docs: explain what a BuildKit release is", &["buildkit-release"]);
        let (username, password) = (secrets.username.clone(), secrets.password.clone());
        let account = Account { username, password, may_push: true };
        let mut foreign_secrets = vec![secrets.tracking.clone(), secrets.release.clone()];
        foreign_secrets.retain(|secret| *secret != secrets.password);
        let mut registry = FakeRegistry::new(account, foreign_secrets);
        registry.token_lifetime(TOKEN_REQUESTS);
        if config.scenario == Scenario::Adoption {
            let owner = config.repository.split('/').next().unwrap_or_default();
            history::fill(&mut github, &mut registry, &format!("{owner}/buildkit-riscv64"));
        }
        Self { github, registry, addresses: None, requests: [0, 0] }
    }
}

/// A fake with its fault injector and server.
struct FakeServer<D> {
    service: Arc<Mutex<Monitored<D>>>,
    injector: Arc<FaultInjector<D>>,
    server: Server,
}

impl<D: Fake> FakeServer<D> {
    fn open(injector: FaultInjector<D>, spool: &Utf8Path) -> Result<Self> {
        let (service, injector) = (injector.service(), Arc::new(injector));
        let server = Server::start(service.clone(), spool.to_owned(), injector.clone())?;
        if injector.starts_closed() {
            server.stop();
        }
        Ok(Self { service, injector, server })
    }

    fn with<T>(&self, use_fake: impl FnOnce(&mut D) -> T) -> T {
        use_fake(&mut locked(&self.service).fake)
    }
}

/// A running pipeline.
pub struct Pipeline<'a> {
    config: &'a Config,
    folder: Utf8PathBuf,
    /// Below `folder`, without the files of the fakes.
    checkout: Utf8PathBuf,
    github: FakeServer<github::FakeGitHub>,
    registry: FakeServer<FakeRegistry>,
    /// In front of both, under the real names.
    _terminator: Option<TlsTerminator>,
    before: [u64; 2],
    kill_handle: KillHandle,
    /// Whether the tasks and their output are printed.
    is_verbose: bool,
    /// How often a task failed and was rerun.
    pub repeats: u32,
    problems: Vec<String>,
}

impl<'a> Pipeline<'a> {
    /// Starts a pipeline from a checkpoint, in `folder`, which is created.
    pub fn start(
        config: &'a Config,
        folder: Utf8PathBuf,
        at: &Checkpoint,
        schedule: &Schedule,
        is_verbose: bool,
    ) -> Result<Self> {
        let (checkout, spool) = (folder.join("checkout"), folder.join(SPOOL));
        checkout::make(&checkout)?;
        fs::create_dir_all(&spool).with_context(|| format!("cannot create {spool}"))?;
        let kill_handle = KillHandle::default();
        let fixtures = Arc::clone(&config.fixtures);
        let check: Monitor<github::FakeGitHub> = Box::new(move |fake| fixtures.partial_release(&fake.snapshot()));
        let github = Monitored::new(at.github.clone(), check);
        let registry = Monitored::new(at.registry.clone(), Box::new(|_| None));
        let github = FaultInjector::new(Side::Github, github, schedule, at.requests[0], kill_handle.clone());
        let registry = FaultInjector::new(Side::Registry, registry, schedule, at.requests[1], kill_handle.clone());
        let (github, registry) = (FakeServer::open(github, &spool)?, FakeServer::open(registry, &spool)?);
        let serve = |certificates: &Certificates| certificates.serve(github.server.port(), registry.server.port());
        let pipeline = Self {
            config,
            _terminator: config.real_names.as_ref().map(serve).transpose()?,
            github,
            registry,
            folder,
            checkout,
            before: at.requests,
            kill_handle,
            is_verbose,
            repeats: 0,
            problems: Vec::new(),
        };
        if let Some([host, pages]) = &at.addresses {
            pipeline.github.with(|github| {
                github.replace_text(host, &pipeline.registry_host());
                github.replace_in_pages(pages, &pipeline.pages_url());
            });
        }
        Ok(pipeline)
    }

    /// Runs one step. A task that fails is rerun; one that never succeeds is recorded as a problem.
    pub fn run_step(&mut self, step: ScenarioStep) -> Result<()> {
        self.pause();
        match step {
            ScenarioStep::PublishUpstream(releases) => self.publish_upstream(releases),
            ScenarioStep::CheckUpstream => {
                self.run_until_success(&["check-upstream", "--execute"], &self.config.secrets.tracking)
            }
            ScenarioStep::CheckBacklog => {
                let arguments = [&["check-upstream", "--execute"], &BACKLOG[..]].concat();
                self.run_until_success(&arguments, &self.config.secrets.tracking)
            }
            ScenarioStep::Release => self.release(),
            ScenarioStep::ReleaseAgain(version) => self.release_again(version),
            ScenarioStep::AdoptLatest => self.adopt_latest(),
            ScenarioStep::MakePublic => {
                self.registry.with(FakeRegistry::make_public);
                Ok(())
            }
            ScenarioStep::SwitchIssuesOn => {
                self.github.with(|github| github.switch_issues(true));
                Ok(())
            }
            ScenarioStep::ChangeWorkflow => {
                self.github.with(|github| github.push_workflow_change(checkout::LATER_COMMIT));
                Ok(())
            }
            ScenarioStep::ScheduledBuild(date_epoch) => {
                let commit = self.config.fixtures.commit(MASTER, date_epoch)?;
                self.github.with(|github| {
                    github.commit_upstream(&commit, None);
                    github.start_scheduled_run();
                });
                Ok(())
            }
            ScenarioStep::PublishPackages => self.publish_packages(),
            ScenarioStep::Verify(version) => self.verify(version),
            ScenarioStep::Tamper => self.tamper(),
            ScenarioStep::VerifyTampered => self.verify_tampered(),
            ScenarioStep::PutRight => self.put_right(),
            ScenarioStep::VerifyAll => self.verify_all(),
            ScenarioStep::NothingToDo(plan) => self.check_plan(plan),
        }
    }

    /// Lets the time pass in which nothing happens.
    fn pause(&self) {
        self.github.with(|github| github.advance(PAUSE));
    }

    /// Takes a checkpoint. It has nothing of the checkout: the next job has a new machine, and the answers that
    /// `check-upstream` keeps for it are of a fake at another address.
    pub fn checkpoint(&self) -> Checkpoint {
        let (github, registry) =
            (self.github.with(|github| github.clone()), self.registry.with(|registry| registry.clone()));
        let addresses = Some([self.registry_host(), self.pages_url()]);
        Checkpoint { github, registry, addresses, requests: self.requests() }
    }

    /// Removes what the tasks and the fakes left. The next pipeline in this folder begins with the rest.
    pub fn clear(self) -> Result<()> {
        checkout::clear(&self.checkout)?;
        let spool = self.folder.join(SPOOL);
        checkout::files_below(&spool)?
            .iter()
            .try_for_each(|path| fs::remove_file(path).with_context(|| format!("cannot remove {path}")))
    }
}
