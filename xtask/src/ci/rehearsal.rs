//! The rehearsal with every request broken in every way: the proof that running again is enough.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::Instant;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::Value;

use crate::ci::checks::{cargo, followed};
use crate::ci::{Outcome, Row};

/// Fewer would mean that most of the pipeline is not looked at.
const FEWEST_PIPELINES: u64 = 500;

/// `rehearse --faults each`, whose table of counts goes to the log.
pub fn run(root: &Utf8Path) -> Result<Vec<Row>> {
    let started = Instant::now();
    let output = followed(&cargo(root).args(["xtask", "rehearse", "--faults", "each", "--json"]))?;
    let report: Value = serde_json::from_slice(&output.stdout).context("`rehearse --json` printed no JSON")?;
    let pipelines = &report["pipelines"];
    let count = |name: &str| pipelines[name].as_u64().unwrap_or(0);
    let rows = pipelines["by_fault"].as_array().map_or(&[][..], Vec::as_slice);
    let unused: Vec<&str> =
        rows.iter().filter(|row| row["pipelines"] == 0).filter_map(|row| row["fault"].as_str()).collect();
    let (broken, diverged) = (count("broken"), count("diverged"));
    let outcome = if !output.status.success() || diverged > 0 {
        Outcome::Failed(format!("{diverged} of {broken} broken pipelines diverged; see above"))
    } else if broken < FEWEST_PIPELINES || rows.is_empty() || !unused.is_empty() {
        Outcome::Failed(format!("only {broken} broken pipelines, and none with: {}", unused.join(", ")))
    } else {
        Outcome::Passed(format!("{broken} broken pipelines, none diverged"))
    };
    Ok(vec![Row::new("rehearse", outcome, started)])
}
