//! Pipelines with faults: each starts from the checkpoint before its first fault and runs until its state
//! equals that of the fault-free pipeline. Many run at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use fakes::server::locked;

use crate::os::terminal::print_status;
use crate::rehearse::baseline::{Baseline, differences};
use crate::rehearse::faults::{PlannedFault, Schedule};
use crate::rehearse::pipeline::{Config, Pipeline};

/// A pipeline sleeps for 0.2 s on average (`Retry-After`) and computes for 0.03 s, so it takes many at
/// once to keep a core busy.
const PIPELINES_PER_CORE: usize = 12;
/// How many differences are printed.
const MOST_LINES: usize = 12;

/// The outcome of a pipeline with faults.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub schedule: Schedule,
    /// How often a task was rerun.
    pub repeats: u32,
    /// How it differs from the fault-free pipeline; empty if it does not.
    pub problems: Vec<String>,
}

/// Runs one pipeline.
pub fn run(
    config: &Config,
    baseline: &Baseline,
    schedule: &Schedule,
    root: Utf8PathBuf,
    is_verbose: bool,
) -> Result<Outcome> {
    let (scenario, steps) = (config.scenario.steps(), baseline.steps(schedule));
    let mut pipeline = Pipeline::start(config, root, &baseline.checkpoints[steps.start], schedule, is_verbose)?;
    let mut lines = Vec::new();
    let mut not_reached = Vec::new();
    for index in steps {
        if is_verbose {
            print_status(&format!("{} of {}", index + 1, scenario.len()), scenario[index].title());
        }
        pipeline.run_step(scenario[index])?;
        lines = differences(&baseline.states[index], &pipeline.state());
        let requests = pipeline.requests();
        not_reached = schedule.0.iter().filter(|one| requests[one.side as usize] < one.number).collect();
        // If the state is the same and no fault is left, the rest would be the same too.
        if lines.is_empty() && not_reached.is_empty() {
            break;
        }
    }
    let mut problems = pipeline.problems()?;
    let more = lines.len().saturating_sub(MOST_LINES);
    problems.extend(lines.drain(..lines.len() - more));
    if more > 0 {
        problems.push(format!("and {more} more differences"));
    }
    // After a first fault, the request of another may never be sent.
    if let ([_], true) = (schedule.0.as_slice(), !not_reached.is_empty()) {
        problems.push("the request that the fault was for was never sent".to_owned());
    }
    let repeats = pipeline.repeats;
    pipeline.clear()?;
    Ok(Outcome { schedule: schedule.clone(), repeats, problems })
}

/// Runs many pipelines at once, until `next` returns `None`. Calls `on_end` with each outcome.
pub fn run_all(
    config: &Config,
    baseline: &Baseline,
    folder: &Utf8Path,
    next: impl FnMut() -> Option<Schedule> + Send,
    mut on_end: impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = Arc::new(Mutex::new(next));
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for worker in 0..cores * PIPELINES_PER_CORE {
            let (next, sender) = (Arc::clone(&next), sender.clone());
            scope.spawn(move || work(config, baseline, &folder.join(format!("pipeline-{worker}")), &next, &sender));
        }
        drop(sender);
        receiver.into_iter().inspect(|outcome| on_end(outcome)).collect()
    })
}

fn work(
    config: &Config,
    baseline: &Baseline,
    root: &Utf8Path,
    next: &Mutex<impl FnMut() -> Option<Schedule>>,
    sender: &Sender<Outcome>,
) {
    loop {
        let taken = (locked(next))();
        let Some(schedule) = taken else { break };
        let outcome = run(config, baseline, &schedule, root.to_owned(), false).unwrap_or_else(|error| {
            let problems = vec![format!("cannot run the pipeline: {error:#}")];
            Outcome { schedule, repeats: 0, problems }
        });
        if sender.send(outcome).is_err() {
            break;
        }
    }
}

/// Random pairs and triples of faults, from the upper bits of Knuth's MMIX generator.
pub struct Random<'a> {
    state: u64,
    singles: &'a [Schedule],
    is_over: &'a AtomicBool,
}

impl<'a> Random<'a> {
    pub fn new(seed: u64, singles: &'a [Schedule], is_over: &'a AtomicBool) -> Self {
        Self { state: seed, singles, is_over }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).expect("31 bits") % below.max(1)
    }

    /// The next schedule: two or three faults, each at another request.
    pub fn start_scheduled_run(&mut self) -> Option<Schedule> {
        if self.is_over.load(Ordering::SeqCst) || self.singles.is_empty() {
            return None;
        }
        let mut faults: Vec<_> =
            (0..2 + self.draw(2)).flat_map(|_| self.singles[self.draw(self.singles.len())].0.clone()).collect();
        let place = |one: &PlannedFault| (one.side, one.number);
        faults.sort_by_key(place);
        faults.dedup_by_key(|one| place(one));
        Some(Schedule(faults))
    }
}
