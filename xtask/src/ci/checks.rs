//! The checks that need only cargo.
#![allow(clippy::disallowed_methods, reason = "reads the environment and the clock")]

use std::time::Instant;

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::ci::programs::cargo;
use crate::ci::{Outcome, Row};
use crate::go::{PAGE, Sources, WantedGo};
use crate::http::Endpoint;
use crate::os::streams::{write_stderr, write_stdout};
use crate::os::terminal::print_status;
use crate::upstream::Upstream;

/// The oldest Go that the small upstream of the tests compiles with.
const TESTS_NEED_GO: &str = "1.21";

/// `cargo fmt --check`.
pub fn format(root: &Utf8Path) -> Result<Vec<Row>> {
    one(root, "format", &["fmt", "--all", "--check"], "rustfmt changes nothing")
}

/// `cargo clippy`, warnings denied.
pub fn clippy(root: &Utf8Path) -> Result<Vec<Row>> {
    let arguments = ["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    one(root, "clippy", &arguments, "no warning")
}

fn one(root: &Utf8Path, name: &str, arguments: &[&str], good: &str) -> Result<Vec<Row>> {
    let started = Instant::now();
    let output = cargo(root).args(arguments.iter().copied()).echoed()?;
    let outcome = if output.status.success() {
        Outcome::Passed(good.to_owned())
    } else {
        write_stderr(String::from_utf8_lossy(&output.stdout));
        Outcome::Failed(format!("cargo {} found something", arguments[0]))
    };
    Ok(vec![Row::new(name, outcome, started)])
}

/// All tests. A test that cannot run prints `SKIPPED name: reason`, and counts as skipped.
pub fn tests(root: &Utf8Path) -> Result<Vec<Row>> {
    let started = Instant::now();
    let mut run = cargo(root).args(["test", "--locked", "--workspace", "--no-fail-fast"]);
    match go_for_tests(root) {
        Ok(program) => run = run.env("XTASK_TEST_GO", program),
        Err(error) => print_status("ci", format_args!("the tests that need Go are skipped: {error:#}")),
    }
    let output = run.echoed()?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let skips = skipped(&output.stderr);
    let counted = counted(&stdout);
    let passed = counted.passed.saturating_sub(skips.len() as u64);
    let row = |outcome, count| Row { name: "tests".into(), outcome, took: started.elapsed(), count };
    let mut rows = Vec::new();
    if output.status.success() && counted.passed > 0 {
        rows.push(row(Outcome::Passed(format!("{passed} tests")), passed));
    } else {
        write_stdout(stdout);
        let failed = counted.failed.max(1);
        rows.push(row(Outcome::Failed(format!("{failed} of {} tests", counted.passed + counted.failed)), failed));
    }
    rows.extend(
        skips.into_iter().map(|(name, reason)| Row::new(format!("test {name}"), Outcome::Skipped(reason), started)),
    );
    Ok(rows)
}

struct Counted {
    passed: u64,
    failed: u64,
}

/// Adds up libtest's lines `test result: ok. 30 passed; 0 failed; …`.
fn counted(stdout: &str) -> Counted {
    let results = stdout.lines().filter(|line| line.starts_with("test result:"));
    results.fold(Counted { passed: 0, failed: 0 }, |sum, line| {
        let before = |word: &str| {
            let number = line.split(word).next().and_then(|front| front.trim_end().rsplit(' ').next());
            number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
        };
        Counted { passed: sum.passed + before("passed"), failed: sum.failed + before("failed") }
    })
}

/// Name and reason of each test that could not run.
fn skipped(stderr: &str) -> Vec<(String, String)> {
    let lines = stderr.lines().filter_map(|line| line.split_once("SKIPPED ")?.1.split_once(": "));
    lines.map(|(name, reason)| (name.to_owned(), reason.to_owned())).collect()
}

/// A Go for the tests: one that can build the pinned release, if its version is known.
fn go_for_tests(root: &Utf8Path) -> Result<String> {
    let pinned = Upstream::of(root).and_then(|upstream| upstream.pinned_go());
    let wanted = match pinned {
        Ok(wanted) => wanted,
        Err(_) => WantedGo::at_least(TESTS_NEED_GO.parse().map_err(anyhow::Error::msg)?),
    };
    let page = std::env::var("XTASK_GO_PAGE").unwrap_or_else(|_| PAGE.to_owned());
    let page: Endpoint = page.parse().map_err(anyhow::Error::msg).context("XTASK_GO_PAGE")?;
    Ok(Sources::new(root, None, &page).find(wanted)?.program.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_are_added_up() {
        let stdout = "test result: ok. 30 passed; 0 failed; 0 ignored;\nnoise\ntest result: FAILED. 4 passed; 2 failed; 1 ignored;\n";
        let Counted { passed, failed } = counted(stdout);
        assert_eq!((passed, failed), (34, 2));
    }

    #[test]
    fn a_skipped_test_has_a_name_and_a_reason() {
        let skips = skipped("noise\nSKIPPED kill: no Go: none\ntest x ... SKIPPED y: z\n");
        let expected = [("kill", "no Go: none"), ("y", "z")];
        assert_eq!(skips, expected.map(|(name, reason)| (name.to_owned(), reason.to_owned())));
    }
}
