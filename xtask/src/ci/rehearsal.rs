//! The rehearsal of every fault at every request: proves that rerunning a task is all that recovery
//! takes.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::Instant;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::Value;

use crate::ci::programs::cargo;
use crate::ci::{Outcome, Row};

/// With fewer, most of the pipeline would not be covered.
const FEWEST_PIPELINES: u64 = 500;

/// Runs `rehearse --faults each`, which logs its table of counts.
pub fn run(root: &Utf8Path) -> Result<Vec<Row>> {
    let started = Instant::now();
    let output = cargo(root).args(["xtask", "rehearse", "--faults", "each", "--json"]).echoed()?;
    let report: Value = serde_json::from_slice(&output.stdout).context("`rehearse --json` did not print JSON")?;
    let pipelines = &report["pipelines"];
    let count = |name: &str| pipelines[name].as_u64().unwrap_or(0);
    let rows = pipelines["by_fault"].as_array().map_or(&[][..], Vec::as_slice);
    let unused: Vec<&str> =
        rows.iter().filter(|row| row["pipelines"] == 0).filter_map(|row| row["fault"].as_str()).collect();
    let (broken, diverged) = (count("broken"), count("diverged"));
    let outcome = if !output.status.success() || diverged > 0 {
        Outcome::Failed(format!("{diverged} of {broken} pipelines with faults diverged; see above"))
    } else if broken < FEWEST_PIPELINES || rows.is_empty() || !unused.is_empty() {
        Outcome::Failed(format!("only {broken} pipelines with faults, and none with: {}", unused.join(", ")))
    } else {
        Outcome::Passed(format!("{broken} pipelines with faults, none diverged"))
    };
    Ok(vec![Row::new("rehearse", outcome, started)])
}
