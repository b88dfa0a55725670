//! The checks of containers, a function each: it returns the evidence, or fails with the reason.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::engine::{HungFork, after_hangs};
use crate::os::process::run;
use crate::verify_tini::container::{CONTAINER_LIMIT, Containers, DAEMON_LIMIT, last_lines};
use crate::verify_tini::image_checks::{DOCKER_INIT, TINI};

/// A daemon that hangs under qemu-user is started again.
const MOST_STARTS: u32 = 3;
/// An emulated start takes three seconds. One that takes longer than this may hang, and its processes are looked at.
const SLOW_START: Duration = Duration::from_secs(10);
/// A process whose parent ends first: process 1 inherits it, and must reap it when it ends; a zombie stays in
/// /proc.
const ORPHAN: &str = "orphan=$(sh -c 'sleep 0.3 >/dev/null & echo $!'); tries=0; \
    while [ -e /proc/$orphan ] && [ $tries -lt 40 ]; do sleep 0.2; tries=$((tries + 1)); done; \
    if [ -e /proc/$orphan ]; then grep State /proc/$orphan/status; exit 9; fi; echo orphan $orphan is gone";
const VERSIONS: &str = "\"$0\" --version && \"$1\" --version";
const TRAP: &str = "trap 'echo got SIGTERM; exit 7' TERM; echo ready; while :; do sleep 5 & wait $!; done";

pub(super) fn version(containers: &Containers<'_>, init: bool) -> Result<String> {
    let options = ["--entrypoint", "sh"];
    let (shown, text) = containers.expect(init, &options, &["-c", VERSIONS, TINI, DOCKER_INIT], 0)?;
    let versions: Vec<&str> = text.lines().filter(|line| line.starts_with("tini version ")).collect();
    let [of_tini, of_init] = versions[..] else {
        bail!("`{shown}` printed {:?}, not two versions of tini", last_lines(&text, ""));
    };
    Ok(format!("{TINI}: {of_tini}; {DOCKER_INIT}: {of_init}"))
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
    let container = containers.detached(init, &[], &["sh", "-c", TRAP])?;
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

/// buildkitd starts, and `buildctl` in the container reaches it, as buildx does. A start that hangs in QEMU is tried
/// again, and the evidence says so; nothing else is.
pub(super) fn daemon(containers: &Containers<'_>, init: bool, arguments: &[&str]) -> Result<String> {
    let mut hung = None;
    for attempt in 1..=MOST_STARTS {
        match daemon_once(containers, init, arguments)? {
            Start::Answered(evidence) => return Ok(evidence + &after_hangs(attempt, hung.as_ref())),
            Start::Hung(fork) => hung = Some(fork),
        }
    }
    let fork = hung.map(|fork| format!("{fork}; ")).unwrap_or_default();
    bail!("it hung at each of {MOST_STARTS} starts: {fork}see \"hangs at its start\" in docs/TROUBLESHOOTING.md")
}

/// What came of one start.
enum Start {
    Answered(String),
    Hung(HungFork),
}

fn daemon_once(containers: &Containers<'_>, init: bool, arguments: &[&str]) -> Result<Start> {
    let started = Instant::now();
    let container = containers.detached(init, &["--privileged"], arguments)?;
    let (mut workers, mut hung) = (String::new(), None);
    container.wait_for("`buildctl debug workers` to answer", DAEMON_LIMIT, |container| {
        let name = &container.name;
        let output = container.engine.run(run!("exec {name} buildctl debug workers")).output()?;
        workers = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && workers.contains("linux/") {
            return Ok(true);
        }
        if started.elapsed() >= SLOW_START {
            hung = container.engine.hung_fork(name);
        }
        Ok(hung.is_some())
    })?;
    if let Some(fork) = hung {
        return Ok(Start::Hung(fork));
    }
    let platforms = workers.lines().last().and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    let seconds = started.elapsed().as_secs_f32();
    Ok(Start::Answered(format!("buildkitd answered `buildctl debug workers` after {seconds:.1} s: {platforms}")))
}
