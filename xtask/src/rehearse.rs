//! `cargo xtask rehearse`: the whole pipeline, offline, against a fake GitHub and a fake registry on
//! loopback, with faults on demand. The tasks are the real ones, run as separate processes.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::fs;
use std::num::NonZero;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use baseline::Baseline;
use camino::{Utf8Path, Utf8PathBuf};
use checkout::Secrets;
use clap::Args;
use faults::Schedule;
use faulty_runs::Random;
use fixtures::Fixtures;
use pipeline::Config;
use report::Report;
use scenario::Scenario;
use serde_json::{Value, json};

use crate::github::Repository;
use crate::http::Endpoint;
use crate::os::process::this_program;
use crate::os::streams::print_json;
use crate::os::terminal::{Progress, Unit, note, print_error, print_status};

mod baseline;
mod canary;
mod checkout;
/// Also what the tests of `release` publish.
pub mod fake_dist;
mod fault_injector;
mod faults;
mod faulty_runs;
mod fixtures;
mod history;
mod pipeline;
mod real_names;
mod report;
mod scenario;

/// Rehearse the whole pipeline offline: check-upstream, build and release against fakes on loopback
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask rehearse                    the scenario, step by step
  cargo xtask rehearse --faults each      every fault at every request
  cargo xtask rehearse --faults each:9    every ninth of these
  cargo xtask rehearse --faults random:7 --for 600
                                          pairs and triples, for ten minutes
  cargo xtask rehearse --faults github:12:reset-after
                                          one pipeline again, step by step
  cargo xtask rehearse --registry 127.0.0.1:5000
                                          push to a real registry
  cargo xtask rehearse --adoption         in a repository that has a history
  cargo xtask rehearse --serve            and serve what was published
  cargo xtask rehearse --real-names       as api.github.com, ghcr.io and others,
                                          over TLS (Linux)
  cargo xtask rehearse --canary me/throw-away
                                          what only a real account can show;
                                          with --execute, do it

GitHub and the registry are fakes in this process, each on a port of 127.0.0.1; the tasks are the real ones. \
The builds are fakes too, except those in dist/ that are real and proved. Nothing outside target/ is changed. A \
task that fails because of a fault is rerun, as the schedule or a person would, and the pipeline must end in \
the same state as the one without faults.

The canary works at GitHub and ghcr.io, in a repository made for it (docs/dev/CANARY.md); environment as for \
`release`.

Exit status: 0 it does, 1 a pipeline diverged or a task failed, 2 invalid arguments.")]
pub struct Rehearse {
    /// none, each, each:N (every Nth), random:SEED, or faults as a failed rehearsal prints them
    /// (github:12:500,registry:3:429)
    #[arg(long, value_name = "FAULTS", default_value = "none")]
    faults: Choice,
    /// How long to go on with random faults
    #[arg(long = "for", value_name = "SECONDS", default_value = "60")]
    seconds: u64,
    /// Use a real registry on this machine instead of the fake; credentials as for `release`
    #[arg(long, value_name = "HOST", value_parser = loopback)]
    registry: Option<String>,
    /// Begin with a repository that has releases, images and issues of an earlier workflow, and adopt it
    #[arg(long, conflicts_with_all = ["registry", "real_names"])]
    adoption: bool,
    /// Serve the fakes as api.github.com, ghcr.io and others, over TLS, in a network namespace of their own
    #[arg(long, conflicts_with_all = ["faults", "registry"])]
    real_names: bool,
    /// After the last step: serve what was published until Ctrl-C, and print the command that verifies it
    #[arg(long, conflicts_with_all = ["faults", "real_names", "canary"])]
    serve: bool,
    /// How the task calls itself in namespaces of its own: the names of those that it was called from
    #[arg(long, value_name = "NAMESPACES", requires = "real_names", hide = true)]
    outside: Option<String>,
    /// Instead of the rehearsal: check on a throw-away repository what only a real account can show
    #[arg(long, value_name = "OWNER/REPO", conflicts_with_all = ["faults", "seconds", "record", "program", "real_names"])]
    canary: Option<Repository>,
    /// Let the canary make, check and remove; without this, its plan is only printed
    #[arg(long, requires = "canary")]
    execute: bool,
    /// The URL of GitHub's API for the canary, which is itself rehearsed against a fake
    #[arg(long, value_name = "URL", env = "GITHUB_API_URL", default_value = "https://api.github.com", hide = true)]
    api: Endpoint,
    /// Without faults: write the exchanges with GitHub to a file, to be checked against GitHub's
    /// description
    #[arg(long, value_name = "FILE", hide = true)]
    record: Option<Utf8PathBuf>,
    /// After the last step: run this program, which reads the fake GitHub and compares what it reads with its state
    #[arg(long, value_name = "PROGRAM", hide = true, conflicts_with_all = ["faults", "real_names"])]
    reader: Option<Utf8PathBuf>,
    /// Rehearse this program instead of xtask itself: lets tests check that a faulty program is detected
    #[arg(long, value_name = "PROGRAM", hide = true)]
    program: Option<Utf8PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The faults to rehearse.
#[derive(Clone, Debug)]
enum Choice {
    None,
    /// Every fault at every request, or every nth of these.
    Each(NonZero<usize>),
    Random(u64),
    These(Schedule),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_a_number = |text: &str| format!("{text:?} is not a number");
        match text.split_once(':').unwrap_or((text, "")) {
            ("none", "") => Ok(Self::None),
            ("each", "") => Ok(Self::Each(NonZero::<usize>::MIN)),
            ("each", number) => number.parse().map(Self::Each).map_err(|_| not_a_number(number)),
            ("random", seed) => seed.parse().map(Self::Random).map_err(|_| not_a_number(seed)),
            _ => text.parse().map(Self::These),
        }
    }
}

fn loopback(text: &str) -> Result<String, String> {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    match host {
        "localhost" | "127.0.0.1" | "[::1]" => Ok(text.to_owned()),
        _ => Err("a rehearsal only pushes to this machine: localhost:PORT or 127.0.0.1:PORT".to_owned()),
    }
}

/// The working directory of a rehearsal, removed at its end.
struct WorkDirectory(Utf8PathBuf);

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        // It is below target/, so the next `cargo clean` removes what cannot be removed now.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the task in the checkout at `root`. A pipeline that diverges is not an error, but exit status 1.
pub fn run(root: &Utf8Path, arguments: &Rehearse) -> Result<ExitCode> {
    if arguments.real_names && arguments.outside.is_none() {
        return real_names::run_in_namespaces(root, arguments);
    }
    if let Some(repository) = &arguments.canary {
        return canary::run(root, repository, arguments);
    }
    let folder = WorkDirectory(root.join("target/rehearse").join(std::process::id().to_string()));
    let is_plain = matches!(arguments.faults, Choice::None);
    ensure!(is_plain || arguments.registry.is_none(), "faults need the fake registry; remove --registry");
    let scenario = if arguments.adoption { Scenario::Adoption } else { Scenario::New };
    let fixtures = Fixtures::create(&folder.0.join("dist"), scenario, is_plain.then_some(root))?;
    // What anyone makes again has the names of the repository that it is served in.
    let made_for = fixtures.repository().filter(|_| arguments.serve && arguments.registry.is_none());
    let mut config = Config {
        program: arguments.program.clone().map_or_else(this_program, Ok)?.into_string(),
        packager: fixtures::packager(root)?,
        scenario,
        repository: match made_for {
            Some(repository) => repository.to_string(),
            None => checkout::repository(arguments.registry.is_some())?,
        },
        fixtures: Arc::new(fixtures),
        registry: arguments.registry.clone(),
        real_names: None,
        is_served: arguments.serve,
        reader: arguments.reader.clone(),
        secrets: arguments.registry.as_ref().map_or_else(Secrets::made_up, |_| Secrets::for_a_real_registry()),
    };
    let baseline = match &arguments.outside {
        Some(outside) => real_names::run(&mut config, &folder.0, outside)?,
        None => Baseline::run(&config, &folder.0, is_plain)?,
    };
    let is_sound = baseline.problems.is_empty() && baseline.repeats == 0;
    for problem in &baseline.problems {
        print_error(&anyhow::anyhow!("{problem}"));
    }
    if !is_sound {
        note("the scenario fails even without faults, so no faults were rehearsed");
    }
    if let Some(path) = &arguments.record {
        let lines: Result<String, _> = baseline
            .exchanges
            .iter()
            .map(|one| Ok(serde_json::to_string(one)? + "\n"))
            .collect::<serde_json::Result<_>>();
        fs::write(path, lines?).with_context(|| format!("cannot write {path}"))?;
    }
    let mut report = report_json(scenario, &baseline);
    let is_clean = match (is_sound, &arguments.faults) {
        (false, _) => false,
        (true, Choice::None) => {
            if !arguments.serve {
                baseline.print();
            }
            true
        }
        (true, choice) => {
            let faulty = faulty_runs(&config, &baseline, &folder.0, choice, arguments.seconds)?;
            faulty.print();
            report["pipelines"] = faulty.json();
            faulty.is_clean()
        }
    };
    report["passed"] = json!(is_clean);
    if arguments.real_names {
        report["hosts"] = real_names::report(&baseline);
    }
    if arguments.json {
        print_json(&report);
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report_json(scenario: Scenario, baseline: &Baseline) -> Value {
    let [github, registry] = baseline.requests.each_ref().map(Vec::len);
    json!({
        "steps": scenario.steps().len(),
        "image": baseline.image.to_string(),
        "requests": { "github": github, "registry": registry },
        "state": baseline.states.last(),
        "problems": baseline.problems,
        "repeats": baseline.repeats,
    })
}

fn faulty_runs(
    config: &Config,
    baseline: &Baseline,
    folder: &Utf8Path,
    choice: &Choice,
    seconds: u64,
) -> Result<Report> {
    let singles = baseline.single_faults();
    let mut progress = Progress::new("rehearse", Unit::Count("pipelines with faults"));
    let outcomes = match choice {
        Choice::These(schedule) => vec![faulty_runs::run(config, baseline, schedule, folder.join("pipeline"), true)?],
        Choice::Random(seed) => {
            print_status("random", format_args!("seed {seed}, for {seconds} s"));
            let is_over = AtomicBool::new(false);
            let mut random = Random::new(*seed, &singles, &is_over);
            faulty_runs::run_all(
                config,
                baseline,
                folder,
                || random.start_scheduled_run(),
                |_| {
                    progress.advance(1);
                    if progress.elapsed() > Duration::from_secs(seconds) {
                        is_over.store(true, Ordering::SeqCst);
                    }
                },
            )
        }
        Choice::Each(step) => {
            let mut chosen = singles.into_iter().step_by(step.get());
            progress.set_total(chosen.len() as u64);
            faulty_runs::run_all(config, baseline, folder, || chosen.next(), |_| progress.advance(1))
        }
        Choice::None => Vec::new(),
    };
    Ok(Report::of(&outcomes))
}
