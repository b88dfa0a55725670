//! The undisturbed pipeline: the measure of all others, and where they can be taken up.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::Result;
use camino::Utf8Path;
use fakes::github::Exchange;
use serde_json::Value;

use crate::os::terminal::print_status;
use crate::registry::repository::ImageRepository;
use crate::rehearse::faults::{Fault, RecordedRequest, Schedule, Side};
use crate::rehearse::pipeline::{Checkpoint, Config, Pipeline};
use crate::rehearse::scenario::SCENARIO;

/// What the whole scenario came to, without a fault.
pub struct Baseline {
    /// The world before each act; kept where the scenario is not told but broken.
    pub checkpoints: Vec<Checkpoint>,
    /// What a user could see after each act.
    pub states: Vec<Value>,
    /// Every request, to GitHub and to the registry.
    pub requests: [Vec<RecordedRequest>; 2],
    /// What was wrong with it.
    pub problems: Vec<String>,
    /// How often a task had to be run again, which without a fault is never.
    pub repeats: u32,
    /// The pages of our releases.
    pub pages: Vec<String>,
    /// What was exchanged with GitHub, where the scenario was told.
    pub exchanges: Vec<Exchange>,
    /// Where the image was published.
    pub image: ImageRepository,
    /// The registry's tags with their digests.
    pub tags: Vec<(String, String)>,
}

impl Baseline {
    /// Lives through the scenario, and tells it where it is the only one.
    ///
    /// # Errors
    /// Where a task cannot be started at all.
    pub fn run(config: &Config, folder: &Utf8Path, is_verbose: bool) -> Result<Self> {
        let mut checkpoints = vec![Checkpoint::beginning(config, is_verbose)];
        let mut states = Vec::new();
        let mut pipeline =
            Pipeline::start(config, folder.join("undisturbed"), &checkpoints[0], &Schedule::default(), is_verbose)?;
        for (index, step) in SCENARIO.into_iter().enumerate() {
            if is_verbose {
                print_status(&format!("{} of {}", index + 1, SCENARIO.len()), step.title());
            }
            pipeline.run_step(step)?;
            // What comes after would be another scenario.
            if !pipeline.problems()?.is_empty() {
                break;
            }
            states.push(pipeline.state());
            if !is_verbose {
                checkpoints.push(pipeline.checkpoint(folder.join(format!("after-act-{}", index + 1)))?);
            }
        }
        let pages = config.fixtures.builds().iter().filter_map(|build| pipeline.page(build)).collect();
        let (requests, tags, problems, repeats) =
            (pipeline.recorded_requests(), pipeline.tags(), pipeline.problems()?, pipeline.repeats);
        let (exchanges, image) = (pipeline.exchanges(), pipeline.image()?);
        pipeline.clear()?;
        Ok(Self { exchanges, image, checkpoints, states, requests, problems, repeats, pages, tags })
    }

    /// Every way to break one request.
    pub fn single_faults(&self) -> Vec<Schedule> {
        let [github, registry] = &self.requests;
        Fault::each(Side::Github, github).chain(Fault::each(Side::Registry, registry)).collect()
    }

    /// The acts that a schedule bears upon: from the one in which its first fault is, to the end.
    pub fn steps(&self, schedule: &Schedule) -> Range<usize> {
        let step_of = |side: Side, number: u64| {
            let before = |checkpoint: &Checkpoint| checkpoint.requests[side as usize] < number;
            self.checkpoints.iter().take(SCENARIO.len()).rposition(before).unwrap_or(0)
        };
        let first = schedule.0.iter().map(|one| step_of(one.side, one.number)).min().unwrap_or(0);
        first..SCENARIO.len()
    }
}

/// Where two states differ, a line each.
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
    fn a_difference_is_named_by_its_place() {
        let one = json!({ "runs": [{ "title": "a" }], "tags": { "x": "1" } });
        let other = json!({ "runs": [{ "title": "a" }, { "title": "a" }], "tags": { "x": "2", "y": "3" } });
        let lines = differences(&one, &other);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[1], "/tags/x: \"2\" instead of \"1\"");
        assert_eq!(differences(&one, &one), [""; 0]);
    }
}
