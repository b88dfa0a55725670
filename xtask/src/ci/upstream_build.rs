//! The checks on the real upstream: its pinned release built twice, made into an image, and tested.
#![allow(clippy::disallowed_methods, reason = "reads and removes files and reads the clock")]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::ci::programs::cargo;
use crate::ci::{Outcome, Row};
use crate::dist::names::{METADATA, SHA256SUMS};
use crate::engine::{Builder, Choice, Engine};
use crate::upstream::Upstream;

const UPSTREAM_LIMIT: Duration = Duration::from_secs(20);

/// The pinned release, built to `dist/` and again to another directory, has the same bytes.
pub fn build(root: &Utf8Path) -> Result<Vec<Row>> {
    let started = Instant::now();
    let row = |outcome| Ok(vec![Row::new("real build", outcome, started)]);
    if let Some(reason) = unreachable(root) {
        return row(Outcome::Skipped(reason));
    }
    let again = root.join("target/ci/again");
    if again.exists() {
        fs::remove_dir_all(&again).with_context(|| format!("cannot remove {again}"))?;
    }
    let (Some(first), Some(second)) = (built(root, &[])?, built(root, &["--out", again.as_str()])?) else {
        return row(Outcome::Failed("the build failed; see above".to_owned()));
    };
    row(if sums(&first)? == sums(&second)? {
        Outcome::Passed(format!("{first}, the same bytes twice"))
    } else {
        Outcome::Failed(format!("{first} and {second} differ"))
    })
}

/// The image of that build passes `verify-tini` and all levels of `smoke`.
pub fn image(root: &Utf8Path) -> Result<Vec<Row>> {
    let started = Instant::now();
    let no_engine = || Engine::find(Choice::Auto).and_then(|engine| Builder::of(&engine)?.must_run_riscv64()).err();
    let reason = unreachable(root).or_else(|| no_engine().map(|error| first_line(&error)));
    if let Some(reason) = reason {
        return Ok(vec![Row::new("real image", Outcome::Skipped(reason), started)]);
    }
    let Some(dist) = built(root, &[])? else {
        return Ok(vec![Row::new("real image", Outcome::Failed("there is no build; see above".to_owned()), started)]);
    };
    let mut rows = Vec::new();
    for task in [&["image"][..], &["verify-tini"], &["smoke", "--level", "all"]] {
        let started = Instant::now();
        let run = cargo(root).arg("xtask").args(task.iter().copied()).args(["--dist", dist.as_str()]);
        let output = run.echoed()?;
        let last = output.stderr.lines().last().unwrap_or_default().trim().to_owned();
        let outcome = if output.status.success() { Outcome::Passed(last) } else { Outcome::Failed(last) };
        rows.push(Row::new(format!("real {}", task[0]), outcome, started));
    }
    Ok(rows)
}

/// Why upstream's pinned commit cannot be fetched, if it cannot.
pub fn unreachable(root: &Utf8Path) -> Option<String> {
    let at_hand = Upstream::of(root).and_then(|upstream| upstream.at_hand(UPSTREAM_LIMIT));
    at_hand.err().map(|error| first_line(&error))
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Runs `build`; returns its directory if it succeeds.
pub fn built(root: &Utf8Path, arguments: &[&str]) -> Result<Option<Utf8PathBuf>> {
    let output = cargo(root).args(["xtask", "build"]).args(arguments.iter().copied()).echoed()?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().into();
    Ok(output.status.success().then_some(folder))
}

/// Digests of a build's files, without the record: that changes as the image is built and tested.
fn sums(folder: &Utf8Path) -> Result<Vec<String>> {
    let path = folder.join(SHA256SUMS);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.lines().filter(|line| !line.ends_with(METADATA)).map(str::to_owned).collect())
}
