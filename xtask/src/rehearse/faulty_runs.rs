//! Broken pipelines: taken up where the undisturbed one stood before the act that a fault is in, run on
//! until they are where that one was, and many of them at once.

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
use crate::rehearse::scenario::SCENARIO;

/// A pipeline sleeps for 0.2 s on average (`Retry-After`) and computes for 0.04 s, so that many have to
/// run at once to keep a core busy.
const PIPELINES_PER_CORE: usize = 12;
/// How much of a difference is told.
const MOST_LINES: usize = 12;

/// How a broken pipeline ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was broken in it.
    pub schedule: Schedule,
    /// How often a task had to be run again.
    pub repeats: u32,
    /// Where it did not come to what the undisturbed one did: how it differs.
    pub problems: Vec<String>,
}

/// Runs one.
///
/// # Errors
/// Where a task cannot be started at all.
pub fn run(
    config: &Config,
    baseline: &Baseline,
    schedule: &Schedule,
    root: Utf8PathBuf,
    is_verbose: bool,
) -> Result<Outcome> {
    let steps = baseline.steps(schedule);
    let mut pipeline = Pipeline::start(config, root, &baseline.checkpoints[steps.start], schedule, is_verbose)?;
    let mut lines = Vec::new();
    let mut not_reached = Vec::new();
    for index in steps {
        if is_verbose {
            print_status(&format!("{} of {}", index + 1, SCENARIO.len()), SCENARIO[index].title());
        }
        pipeline.run_step(SCENARIO[index])?;
        lines = differences(&baseline.states[index], &pipeline.state());
        let requests = pipeline.requests();
        not_reached = schedule.0.iter().filter(|one| requests[one.side as usize] < one.number).collect();
        // In the same state, and with no fault to come, the rest of the way is the same.
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
    // After a first fault, the requests that another was meant for may never come.
    if let ([_], true) = (schedule.0.as_slice(), !not_reached.is_empty()) {
        problems.push("the request that was to be broken never came".to_owned());
    }
    let repeats = pipeline.repeats;
    pipeline.clear()?;
    Ok(Outcome { schedule: schedule.clone(), repeats, problems })
}

/// Runs many beside each other, as long as `next` gives schedules; `on_end` gets each outcome.
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
            let problems = vec![format!("the pipeline could not be run: {error:#}")];
            Outcome { schedule, repeats: 0, problems }
        });
        if sender.send(outcome).is_err() {
            break;
        }
    }
}

/// Pairs and triples of faults, drawn by a generator of Knuth's (MMIX) from its upper bits.
pub struct Random<'a> {
    state: u64,
    singles: &'a [Schedule],
    is_over: &'a AtomicBool,
}

impl<'a> Random<'a> {
    /// Draws from these until it is over.
    pub fn new(seed: u64, singles: &'a [Schedule], is_over: &'a AtomicBool) -> Self {
        Self { state: seed, singles, is_over }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).expect("31 bits") % below.max(1)
    }

    /// The next schedule: two or three faults, no two at one request.
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
