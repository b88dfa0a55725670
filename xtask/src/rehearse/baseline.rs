//! The fault-free pipeline: the expected states, the requests that can have a fault, and the checkpoints
//! from which pipelines with faults start.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::Result;
use camino::Utf8Path;
use fakes::github::Exchange;
use serde_json::Value;

use crate::os::terminal::{print_line, print_status};
use crate::registry::ImageRepository;
use crate::rehearse::faults::{Fault, RecordedRequest, Schedule, Side};
use crate::rehearse::pipeline::{Checkpoint, Config, Pipeline};

/// The result of the scenario without faults.
pub struct Baseline {
    /// The state before each step; only kept if faults follow.
    pub checkpoints: Vec<Checkpoint>,
    /// The visible state after each step.
    pub states: Vec<Value>,
    /// Every request, to GitHub and to the registry.
    pub requests: [Vec<RecordedRequest>; 2],
    pub problems: Vec<String>,
    /// How often a task was rerun: never, without faults.
    pub repeats: u32,
    /// The pages of our releases.
    pub pages: Vec<String>,
    /// The exchanges with GitHub; only recorded if no faults follow.
    pub exchanges: Vec<Exchange>,
    pub image: ImageRepository,
    /// The registry's tags with their digests.
    pub tags: Vec<(String, String)>,
}

impl Baseline {
    /// Runs the scenario without faults, and prints each step if it is the only pipeline.
    pub fn run(config: &Config, folder: &Utf8Path, is_verbose: bool) -> Result<Self> {
        let mut checkpoints = vec![Checkpoint::beginning(config, is_verbose)];
        let mut states = Vec::new();
        let mut pipeline =
            Pipeline::start(config, folder.join("fault-free"), &checkpoints[0], &Schedule::default(), is_verbose)?;
        let steps = config.scenario.steps();
        for (index, step) in steps.iter().copied().enumerate() {
            if is_verbose {
                print_status(&format!("{} of {}", index + 1, steps.len()), step.title());
            }
            pipeline.run_step(step)?;
            // From here on it would be another scenario.
            if !pipeline.problems()?.is_empty() {
                break;
            }
            states.push(pipeline.state());
            if !is_verbose {
                checkpoints.push(pipeline.checkpoint());
            }
        }
        let pages = config.fixtures.builds().iter().filter_map(|build| pipeline.page(build)).collect();
        let (requests, tags, repeats) = (pipeline.recorded_requests(), pipeline.tags(), pipeline.repeats);
        pipeline.run_reader()?;
        let problems = pipeline.problems()?;
        let (exchanges, image) = (pipeline.exchanges(), pipeline.image()?);
        let baseline = Self { exchanges, image, checkpoints, states, requests, problems, repeats, pages, tags };
        if config.is_served && baseline.problems.is_empty() {
            baseline.print();
            pipeline.serve();
        }
        pipeline.clear()?;
        Ok(baseline)
    }

    /// Prints the final state: the page of our first release, the first lines of the others, and the tags.
    pub fn print(&self) {
        for (index, page) in self.pages.iter().enumerate() {
            print_line("");
            let head = if index == 0 { usize::MAX } else { 2 };
            page.lines().take(head).for_each(|line| print_line(format_args!("    │ {line}")));
        }
        print_line(format_args!("\n    {}", self.image));
        // Tags of the form sha256-… list what is attached to an image.
        let (lists, tags): (Vec<_>, Vec<_>) = self.tags.iter().partition(|(tag, _)| tag.contains(":sha256-"));
        for (tag, digest) in tags {
            print_line(format_args!("      {:<20} {digest}", tag.rsplit(':').next().unwrap_or_default()));
        }
        print_line(format_args!(
            "      and {} tags of the form sha256-…, which list what is attached to each image",
            lists.len()
        ));
        let [github, registry] = self.requests.each_ref().map(Vec::len);
        print_status(
            "rehearsed",
            format_args!("{} steps, {github} requests to GitHub, {registry} to the registry", self.states.len()),
        );
    }

    /// Every fault at every request to which it applies, one at a time.
    pub fn single_faults(&self) -> Vec<Schedule> {
        let [github, registry] = &self.requests;
        Fault::each(Side::Github, github).chain(Fault::each(Side::Registry, registry)).collect()
    }

    /// The steps that a schedule affects: from the one with its first fault to the last.
    pub fn steps(&self, schedule: &Schedule) -> Range<usize> {
        let step_of = |side: Side, number: u64| {
            let before = |checkpoint: &Checkpoint| checkpoint.requests[side as usize] < number;
            self.checkpoints.iter().take(self.states.len()).rposition(before).unwrap_or(0)
        };
        let first = schedule.0.iter().map(|one| step_of(one.side, one.number)).min().unwrap_or(0);
        first..self.states.len()
    }
}

/// The differences between two states, one line each.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", expected, found, &mut lines);
    lines
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let get = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&format!("{path}/{key}"), &get(one), &get(other), lines);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}/{index}"), one, other, lines);
            }
        }
        _ if expected == found => {}
        _ => lines.push(format!("{path}: {found} instead of {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_has_its_path() {
        let one = json!({ "runs": [{ "title": "a" }], "tags": { "x": "1" } });
        let other = json!({ "runs": [{ "title": "a" }, { "title": "a" }], "tags": { "x": "2", "y": "3" } });
        let lines = differences(&one, &other);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[1], "/tags/x: \"2\" instead of \"1\"");
        assert_eq!(differences(&one, &one), [""; 0]);
    }
}
