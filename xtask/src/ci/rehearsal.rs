//! The rehearsal of every fault at every request, which proves that rerunning a task is all that recovery takes, and
//! the one under the real names.
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
    let (is_success, report) = rehearse(root, &["--faults", "each"])?;
    let pipelines = &report["pipelines"];
    let count = |name: &str| pipelines[name].as_u64().unwrap_or(0);
    let rows = pipelines["by_fault"].as_array().map_or(&[][..], Vec::as_slice);
    let unused: Vec<&str> =
        rows.iter().filter(|row| row["pipelines"] == 0).filter_map(|row| row["fault"].as_str()).collect();
    let (broken, diverged) = (count("broken"), count("diverged"));
    let outcome = if !is_success || diverged > 0 {
        Outcome::Failed(format!("{diverged} of {broken} pipelines with faults diverged; see above"))
    } else if broken < FEWEST_PIPELINES || rows.is_empty() || !unused.is_empty() {
        Outcome::Failed(format!("only {broken} pipelines with faults, and none with: {}", unused.join(", ")))
    } else {
        Outcome::Passed(format!("{broken} pipelines with faults, none diverged"))
    };
    Ok(vec![Row::new("rehearse", outcome, started)])
}

/// Runs `rehearse --real-names`, which says so if the machine does not allow it.
pub fn under_real_names(root: &Utf8Path) -> Result<Vec<Row>> {
    let started = Instant::now();
    let (is_success, report) = rehearse(root, &["--real-names"])?;
    Ok(vec![Row::new("real names", real_names_outcome(is_success, &report), started)])
}

fn real_names_outcome(is_success: bool, report: &Value) -> Outcome {
    if let Some(why) = report["skipped"].as_str() {
        return Outcome::Skipped(why.to_owned());
    }
    let hosts = report["hosts"].as_object().map_or(0, serde_json::Map::len);
    let count = |service: &str| report["requests"][service].as_u64().unwrap_or(0);
    let (github, registry) = (count("github"), count("registry"));
    if !is_success || report["passed"] != true || github == 0 || registry == 0 {
        return Outcome::Failed("the scenario under the real names differs; see above".to_owned());
    }
    Outcome::Passed(format!("{github} requests to GitHub and {registry} to the registry, at {hosts} hosts, over TLS"))
}

/// Whether the rehearsal succeeded, and its report.
fn rehearse(root: &Utf8Path, arguments: &[&str]) -> Result<(bool, Value)> {
    let output = cargo(root).args(["xtask", "rehearse", "--json"]).args(arguments.iter().copied()).echoed()?;
    let report = serde_json::from_slice(&output.stdout).context("`rehearse --json` did not print JSON")?;
    Ok((output.status.success(), report))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_machine_without_namespaces_skips_the_real_names_with_the_reason() {
        let outcome =
            |is_success, report| Row::new("real names", real_names_outcome(is_success, &report), Instant::now());
        let skipped = outcome(false, json!({ "passed": false, "skipped": "namespaces are not allowed here" }));
        assert_eq!((skipped.word(), skipped.detail()), ("skipped", "namespaces are not allowed here"));
        let mut report =
            json!({ "passed": true, "requests": { "github": 2, "registry": 3 }, "hosts": { "ghcr.io": 5 } });
        assert_eq!(outcome(true, report.clone()).word(), "passed");
        assert_eq!(outcome(false, report.clone()).word(), "failed");
        report["requests"]["github"] = 0.into();
        assert_eq!(outcome(true, report).word(), "failed");
    }
}
