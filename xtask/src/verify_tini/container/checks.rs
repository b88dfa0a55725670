//! The checks of containers, a function each: it returns the evidence, or fails with the reason.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::os::host::Riscv64;
use crate::os::process::run;
use crate::verify_tini::container::{CONTAINER_LIMIT, Containers, DAEMON_LIMIT, SILENCE, WAITED, last_lines};
use crate::verify_tini::image_checks::{DOCKER_INIT, TINI};

/// A daemon that hangs under qemu-user is started again.
const MOST_STARTS: u32 = 3;
/// A process whose parent ends first: process 1 inherits it, and must reap it when it ends; a zombie stays in
/// /proc.
const ORPHAN: &str = "orphan=$(sh -c 'sleep 0.3 >/dev/null & echo $!'); tries=0; \
    while [ -e /proc/$orphan ] && [ $tries -lt 40 ]; do sleep 0.2; tries=$((tries + 1)); done; \
    if [ -e /proc/$orphan ]; then grep State /proc/$orphan/status; exit 9; fi; echo orphan $orphan is gone";
const TRAP: &str = "trap 'echo got SIGTERM; exit 7' TERM; echo ready; while :; do sleep 5 & wait $!; done";

pub(super) fn version(containers: &Containers<'_>, init: bool) -> Result<String> {
    let mut evidence = Vec::new();
    for path in [TINI, DOCKER_INIT] {
        let (shown, text) = containers.expect(init, &["--entrypoint", path], &["--version"], 0)?;
        if !text.starts_with("tini version ") {
            bail!("`{shown}` printed {:?}, not a version of tini", last_lines(&text, ""));
        }
        evidence.push(format!("{path}: {}", text.lines().next().unwrap_or_default()));
    }
    Ok(evidence.join("; "))
}

pub(super) fn command(containers: &Containers<'_>, init: bool) -> Result<String> {
    let (shown, text) = containers.expect(init, &[], &["ls", "-la", DOCKER_INIT], 0)?;
    if !text.contains(DOCKER_INIT) {
        bail!("`{shown}` did not list the file: {}", last_lines(&text, ""));
    }
    Ok(format!("`{shown}`: {}", last_lines(&text, "")))
}

pub(super) fn exit_status(containers: &Containers<'_>, init: bool) -> Result<String> {
    for (script, status) in [("exit 42", 42), ("kill -9 $$", 137)] {
        containers.expect(init, &[], &["sh", "-c", script], status)?;
    }
    Ok("`exit 42` ends the container with 42, a child that SIGKILL ended with 137".to_owned())
}

pub(super) fn orphans(containers: &Containers<'_>, init: bool) -> Result<String> {
    if init {
        // The engine's init is process 1 and prints nothing: the missing entry in /proc is the evidence.
        let (_, text) = containers.expect(init, &[], &["sh", "-c", ORPHAN], 0)?;
        return Ok(format!("an orphaned process left no zombie: {text}"));
    }
    // -w makes tini print what it reaps. Without -s: qemu-user does not support subreapers.
    let options = ["--entrypoint", TINI, "--env", "TINI_VERBOSITY=1"];
    let (shown, text) = containers.expect(init, &options, &["-w", "--", "sh", "-c", ORPHAN], 0)?;
    let reaped = text.lines().find(|line| line.contains("Reaped zombie process with pid="));
    let reaped =
        reaped.with_context(|| format!("tini reported no reaped process in `{shown}`: {}", last_lines(&text, "")))?;
    Ok(format!("{}; {}", reaped.trim(), last_lines(text.lines().next().unwrap_or_default(), "")))
}

pub(super) fn sigterm(containers: &Containers<'_>, init: bool) -> Result<String> {
    let container = containers.detached(init, "--network=none", &["sh", "-c", TRAP])?;
    container.wait_for("ready", CONTAINER_LIMIT, |container| Ok(container.logs()?.contains("ready")))?;
    container.call(run!("kill --signal TERM"))?;
    let status = container.call(run!("wait")).context("it did not end on SIGTERM")?;
    let logs = container.logs()?;
    if status.trim() != "7" || !logs.contains("got SIGTERM") {
        bail!(
            "on SIGTERM the container ended with {}, not with 7 by its own trap: {}",
            status.trim(),
            last_lines(&logs, "")
        );
    }
    Ok("the child's trap ran on SIGTERM, and its exit status 7 is the container's".to_owned())
}

/// buildkitd starts, and `buildctl` in the container reaches it, as buildx does. Under qemu-user one start in
/// eight hangs before the daemon's first line: only that is tried again, and the evidence says so.
pub(super) fn daemon(containers: &Containers<'_>, init: bool, arguments: &[&str]) -> Result<String> {
    // One that ended without a word did not hang.
    let is_hang = |error: &anyhow::Error| {
        let message = error.to_string();
        message.starts_with(WAITED) && message.ends_with(SILENCE)
    };
    for hung in 0..MOST_STARTS - 1 {
        match daemon_once(containers, init, arguments) {
            Err(error) if is_hang(&error) && Riscv64::here() != Riscv64::Natively => {}
            Ok(evidence) if hung > 0 => {
                return Ok(format!(
                    "{evidence} (at attempt {}; earlier attempts hung under qemu-user without output)",
                    hung + 1
                ));
            }
            other => return other,
        }
    }
    daemon_once(containers, init, arguments)
}

fn daemon_once(containers: &Containers<'_>, init: bool, arguments: &[&str]) -> Result<String> {
    let started = Instant::now();
    let container = containers.detached(init, "--privileged", arguments)?;
    let mut workers = String::new();
    container.wait_for("`buildctl debug workers` to answer", DAEMON_LIMIT, |container| {
        let name = &container.name;
        let output = container.engine.run(run!("exec {name} buildctl debug workers")).output()?;
        workers = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(output.status.success() && workers.contains("linux/"))
    })?;
    let platforms = workers.lines().last().and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    let seconds = started.elapsed().as_secs_f32();
    Ok(format!("buildkitd answered `buildctl debug workers` after {seconds:.1} s: {platforms}"))
}
