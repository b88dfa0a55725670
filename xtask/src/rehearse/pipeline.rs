//! One pipeline: two doubles behind servers, a little checkout, and the acts of the scenario, each done by
//! the real task as a process of its own. What fails is run again, as a person or the schedule
//! would do it; nothing else ever mends anything.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fakes::github;
use fakes::registry::{Account, FakeRegistry};
use fakes::server::{Server, locked};

use crate::os::process::KillHandle;
use crate::rehearse::checkout::{self, Secrets};
use crate::rehearse::fault_injector::{Fake, FaultInjector, Monitor, Monitored};
use crate::rehearse::faults::{Schedule, Side};
use crate::rehearse::fixtures::{Build, Fixtures, copy_tree};
use crate::rehearse::scenario::{MASTER, Published, ScenarioStep};

mod observe;
mod tasks;

/// A token of the registry expires in the middle of a release, even where nothing is broken.
const TOKEN_REQUESTS: u32 = 12;

/// What every pipeline of a rehearsal has in common.
pub struct Config {
    /// This very program.
    pub program: String,
    /// What is built.
    pub fixtures: Arc<Fixtures>,
    /// Whose releases these are.
    pub repository: String,
    /// A real registry, in place of the double.
    pub registry: Option<String>,
    /// What must never be seen outside of a header.
    pub secrets: Secrets,
}

/// The world between two acts.
pub struct Checkpoint {
    github: github::FakeGitHub,
    registry: FakeRegistry,
    /// Where the registry was.
    host: Option<String>,
    /// How many requests there have been, to GitHub and to the registry.
    pub requests: [u64; 2],
    /// A copy of the little checkout as it was; none at the beginning.
    checkout: Option<Utf8PathBuf>,
}

impl Checkpoint {
    /// Before the first act: nothing is published, and nothing is known.
    pub fn beginning(config: &Config, is_recorded: bool) -> Self {
        let secrets = &config.secrets;
        let mut github = github::FakeGitHub::new(&config.repository);
        if is_recorded {
            github.record();
        }
        github.allow(&secrets.tracking, &["contents=read", "issues=write", "actions=write"]);
        github.allow(&secrets.release, &["contents=write", "issues=write"]);
        // GitHub lists pull requests among issues; this one bears the label of ours.
        github.open_pull_request("Docs: say what a BuildKit release is", &["buildkit-release"]);
        let (username, password) = (secrets.username.clone(), secrets.password.clone());
        let account = Account { username, password, may_push: true };
        let mut registry = FakeRegistry::new(account, vec![secrets.tracking.clone(), secrets.release.clone()]);
        registry.token_lifetime(TOKEN_REQUESTS);
        Self { github, registry, host: None, requests: [0, 0], checkout: None }
    }
}

/// A double and what stands before it.
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

    fn with<T>(&self, step: impl FnOnce(&mut D) -> T) -> T {
        step(&mut locked(&self.service).fake)
    }
}

/// A pipeline under way.
pub struct Pipeline<'a> {
    config: &'a Config,
    folder: Utf8PathBuf,
    /// The little checkout in it, and nothing of the doubles'.
    checkout: Utf8PathBuf,
    github: FakeServer<github::FakeGitHub>,
    registry: FakeServer<FakeRegistry>,
    before: [u64; 2],
    kill_handle: KillHandle,
    /// Whether the scenario is told on standard error.
    is_verbose: bool,
    /// How often a task failed and was run again.
    pub repeats: u32,
    problems: Vec<String>,
}

impl<'a> Pipeline<'a> {
    /// Puts a pipeline on the rails at a checkpoint, in `folder`, which is made.
    ///
    /// # Errors
    /// Where there is no room on the disk, or no port.
    pub fn start(
        config: &'a Config,
        folder: Utf8PathBuf,
        at: &Checkpoint,
        schedule: &Schedule,
        is_verbose: bool,
    ) -> Result<Self> {
        let (checkout, spool) = (folder.join("checkout"), folder.join("spool"));
        if let Some(earlier) = &at.checkout {
            copy_tree(earlier, &checkout)?;
        }
        checkout::make(&checkout)?;
        fs::create_dir_all(&spool).with_context(|| format!("cannot make {spool}"))?;
        let kill_handle = KillHandle::default();
        let fixtures = Arc::clone(&config.fixtures);
        let watch: Monitor<github::FakeGitHub> = Box::new(move |fake| fixtures.partial_release(&fake.snapshot()));
        let github = Monitored::new(at.github.clone(), watch);
        let registry = Monitored::new(at.registry.clone(), Box::new(|_| None));
        let github = FaultInjector::new(Side::Github, github, schedule, at.requests[0], kill_handle.clone());
        let registry = FaultInjector::new(Side::Registry, registry, schedule, at.requests[1], kill_handle.clone());
        let pipeline = Self {
            config,
            github: FakeServer::open(github, &spool)?,
            registry: FakeServer::open(registry, &spool)?,
            folder,
            checkout,
            before: at.requests,
            kill_handle,
            is_verbose,
            repeats: 0,
            problems: Vec::new(),
        };
        if let Some(host) = &at.host {
            pipeline.github.with(|github| github.replace_text(host, &pipeline.registry_host()));
        }
        Ok(pipeline)
    }

    /// Lets one thing happen.
    ///
    /// # Errors
    /// Where a task cannot be started at all. A task that fails is run again, and one that never
    /// succeeds is a problem of the pipeline.
    pub fn run_step(&mut self, step: ScenarioStep) -> Result<()> {
        match step {
            ScenarioStep::PublishUpstream(releases) => self.upstream(releases),
            ScenarioStep::CheckUpstream => {
                self.run_until_success(&["check-upstream", "--execute"], &self.config.secrets.tracking)
            }
            ScenarioStep::Release => self.build(),
            ScenarioStep::MakePublic => {
                self.registry.with(FakeRegistry::make_public);
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
            ScenarioStep::NothingToDo => self.check_nothing_to_do(),
        }
    }

    fn upstream(&self, releases: &[Published]) -> Result<()> {
        for release in releases {
            let commit = self.config.fixtures.commit(release.tag, release.date_epoch)?;
            let is_candidate = release.tag.contains("-rc");
            let onto = release.onto.map(|tag| self.config.fixtures.commit(tag, 0)).transpose()?;
            self.github.with(|github| {
                if let Some(parent) = &onto {
                    github.commit_upstream(&commit, Some(parent));
                }
                github.publish_upstream(release.tag, &commit, is_candidate);
            });
        }
        Ok(())
    }

    /// The oldest run that waits, which ends well once `release` has: until then a person presses
    /// "Re-run failed jobs", which goes on within the same run (GitHub Docs, "Re-running workflows
    /// and jobs").
    fn build(&mut self) -> Result<()> {
        let Some(run) = self.github.with(|github| github.pending_runs().into_iter().next()) else {
            self.problems.push("no run waits where one should".to_owned());
            return Ok(());
        };
        let Some(build) = self.build_of(run.buildkit_ref.as_deref()) else {
            self.problems.push(format!("a run was started for {:?}, which nobody wants", run.buildkit_ref));
            return Ok(());
        };
        self.github.with(|github| github.set_run(run.id, "in_progress", None));
        let kind = if build.is_fake { "a fake dist" } else { "the real build in dist/" };
        self.print(&format!("the workflow builds {}: {kind}", build.source.version));
        let host = self.registry_host();
        let words = ["release", "--execute", "--dist", build.folder.as_str(), "--registry", &host];
        self.run_until_success(&words, &self.config.secrets.release)?;
        self.github.with(|github| github.set_run(run.id, "completed", Some("success")));
        Ok(())
    }

    /// What a run builds: a tag or, on schedule, the newest commit of master, whose builds come about
    /// in the order of their runs.
    fn build_of(&self, r#ref: Option<&str>) -> Option<Build> {
        let mut builds = self.config.fixtures.builds().iter();
        let Some(tag) = r#ref.filter(|name| *name != MASTER) else {
            let published = |build: &&Build| self.page(build).is_some();
            return builds.filter(|build| build.source.r#ref == MASTER).find(|build| !published(build)).cloned();
        };
        builds.find(|build| build.source.r#ref == tag).cloned()
    }

    /// The world as it is now; `copy` is where the checkout is kept.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub fn checkpoint(&self, copy: Utf8PathBuf) -> Result<Checkpoint> {
        copy_tree(&self.checkout, &copy)?;
        let (github, registry) =
            (self.github.with(|github| github.clone()), self.registry.with(|registry| registry.clone()));
        let host = Some(self.registry_host());
        Ok(Checkpoint { github, registry, host, requests: self.requests(), checkout: Some(copy) })
    }

    /// Removes what the pipeline left.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn clear(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder))
    }
}
