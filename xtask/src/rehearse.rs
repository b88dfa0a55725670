//! `cargo xtask rehearse`: the whole pipeline, offline, against doubles of GitHub and of a registry on
//! loopback, with faults on demand. The tasks are the real ones, run as processes of their own.
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
use serde_json::{Value, json};

use crate::os::terminal::{Progress, Unit, note, print_error, print_status};

pub mod baseline;
pub mod checkout;
pub mod fake_dist;
pub mod fault_injector;
pub mod faults;
pub mod faulty_runs;
pub mod fixtures;
pub mod pipeline;
pub mod report;
pub mod scenario;

/// Rehearse the whole pipeline offline: check-upstream, build, release, against doubles on loopback
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask rehearse                            the scenario, told as it goes; nothing is touched
  cargo xtask rehearse --faults each              every request broken in every way, one at a time
  cargo xtask rehearse --faults each:9            every ninth of these, in a ninth of the time
  cargo xtask rehearse --faults random:7 --for 600
                                                  pairs and triples of faults, for ten minutes
  cargo xtask rehearse --faults github:12:reset-after
                                                  one pipeline again, told as it goes
  cargo xtask rehearse --registry 127.0.0.1:5000  push to a real registry on this machine

GitHub and the registry are doubles inside this process, each on a port of 127.0.0.1; the tasks are the
real ones. What is built are stand-ins, except where dist/ has a real build with its proofs. A broken
pipeline is run again as the schedule or a person would, and must come to the very state of the
undisturbed one. Exit status: 0 it did, 1 something diverged or failed, 2 bad arguments.")]
pub struct Rehearse {
    /// none, each, each:N (every Nth), random:SEED, or faults as a failed rehearsal names them (github:12:500,registry:3:429)
    #[arg(long, value_name = "FAULTS", default_value = "none")]
    faults: Choice,
    /// How long random faults go on
    #[arg(long = "for", value_name = "SECONDS", default_value = "60")]
    seconds: u64,
    /// A real registry on this machine in place of the double; credentials as for `release`
    #[arg(long, value_name = "HOST", value_parser = loopback)]
    registry: Option<String>,
    /// Without faults: write what was exchanged with GitHub to a file, to be held against its description
    #[arg(long, value_name = "FILE", hide = true)]
    record: Option<Utf8PathBuf>,
    /// Rehearse this program in place of the one that runs: so that a bad one can be seen to be found
    #[arg(long, value_name = "PROGRAM", hide = true)]
    program: Option<Utf8PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What is to be broken.
#[derive(Clone, Debug)]
enum Choice {
    None,
    /// Every request in every way, of which every so many-th.
    Each(NonZero<usize>),
    Random(u64),
    These(Schedule),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_a_number = |text: &str| format!("{text:?} is no number");
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
        _ => Err("a rehearsal pushes to this machine alone: localhost:PORT, 127.0.0.1:PORT".to_owned()),
    }
}

/// The folder of a rehearsal, gone when it is over.
struct Folder(Utf8PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It is below target/, and the next `cargo clean` removes what cannot be removed now.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// Where the rehearsal cannot be held. A pipeline that diverges is no error, but an exit status.
pub fn run(root: &Utf8Path, arguments: &Rehearse) -> Result<ExitCode> {
    let folder = Folder(root.join("target/rehearse").join(std::process::id().to_string()));
    let is_plain = matches!(arguments.faults, Choice::None);
    ensure!(is_plain || arguments.registry.is_none(), "faults need the double of a registry; leave --registry out");
    let config = Config {
        program: arguments.program.clone().map_or_else(this_program, Ok)?.into_string(),
        fixtures: Arc::new(Fixtures::create(&folder.0.join("dist"), is_plain.then_some(root))?),
        repository: checkout::repository(arguments.registry.is_some())?,
        registry: arguments.registry.clone(),
        secrets: arguments.registry.as_ref().map_or_else(Secrets::made_up, |_| Secrets::for_a_real_registry()),
    };
    let baseline = Baseline::run(&config, &folder.0, is_plain)?;
    let is_sound = baseline.problems.is_empty() && baseline.repeats == 0;
    for problem in &baseline.problems {
        print_error(&anyhow::anyhow!("{problem}"));
    }
    if !is_sound {
        note("without a fault the scenario does not go as it should: nothing else was rehearsed");
    }
    if let Some(path) = &arguments.record {
        let lines: Result<String, _> = baseline
            .exchanges
            .iter()
            .map(|one| Ok(serde_json::to_string(one)? + "\n"))
            .collect::<serde_json::Result<_>>();
        fs::write(path, lines?).with_context(|| format!("cannot write {path}"))?;
    }
    let mut report = report_json(&baseline);
    let is_clean = match (is_sound, &arguments.faults) {
        (false, _) => false,
        (true, Choice::None) => {
            print_result(&baseline);
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
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn this_program() -> Result<Utf8PathBuf> {
    let path = std::env::current_exe().context("this program has no path")?;
    Utf8PathBuf::try_from(path).context("this program's path is not UTF-8")
}

fn report_json(baseline: &Baseline) -> Value {
    let [github, registry] = baseline.requests.each_ref().map(Vec::len);
    json!({
        "acts": scenario::SCENARIO.len(),
        "image": baseline.image.to_string(),
        "requests": { "github": github, "registry": registry },
        "state": baseline.states.last(),
        "problems": baseline.problems,
        "repeats": baseline.repeats,
    })
}

/// The end of the scenario: the page of our first release, the heads of the others, and the tags.
fn print_result(baseline: &Baseline) {
    for (index, page) in baseline.pages.iter().enumerate() {
        eprintln!();
        let head = if index == 0 { usize::MAX } else { 2 };
        page.lines().take(head).for_each(|line| eprintln!("    │ {line}"));
    }
    eprintln!("\n    {}", baseline.image);
    // Tags of the form sha256-… stand in for a list of what is attached to an image.
    let (lists, tags): (Vec<_>, Vec<_>) = baseline.tags.iter().partition(|(tag, _)| tag.contains(":sha256-"));
    for (tag, digest) in tags {
        eprintln!("      {:<20} {digest}", tag.rsplit(':').next().unwrap_or_default());
    }
    eprintln!("      and {} tags of the form sha256-…, for what is attached to each image", lists.len());
    let [github, registry] = baseline.requests.each_ref().map(Vec::len);
    print_status(
        "rehearsed",
        format_args!("{} acts, {github} requests to GitHub, {registry} to the registry", scenario::SCENARIO.len()),
    );
}

fn faulty_runs(
    config: &Config,
    baseline: &Baseline,
    folder: &Utf8Path,
    choice: &Choice,
    seconds: u64,
) -> Result<Report> {
    let singles = baseline.single_faults();
    let mut progress = Progress::new("rehearse", Unit::Count("broken pipelines"));
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
