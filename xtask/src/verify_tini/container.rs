//! What containers of the image do, each way with and without the engine's own init in front: the
//! checks that need an engine.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::contents::{BUILDX_FLAGS, DOCKER_INIT, TINI};
use crate::model::check::{Check, Verdict};
use crate::sys::engine::{Engine, Kind};
use crate::sys::host::Riscv64;
use crate::sys::process::{Output, Run};

/// Put on every container, with the checkout that made it, so that what a killed run left behind is
/// found by the next.
pub const LABEL: &str = "io.github.gounthar.xtask.verify-tini";

/// A container that does one small thing takes a second, emulated three; a board is slower.
const CONTAINER_LIMIT: Duration = Duration::from_secs(60);
const DAEMON_LIMIT: Duration = Duration::from_secs(60);
/// What the kernel's ENOENT for a missing ELF interpreter reads like.
const NO_INTERPRETER: &str = "exec /sbin/docker-init: no such file or directory";
const SILENCE: &str = "it said nothing";
const POLL: Duration = Duration::from_millis(400);

/// A process whose parent ends before it: process 1 inherits it, and has to reap it when it ends.
/// A zombie is still in /proc.
const ORPHAN: &str = "orphan=$(sh -c 'sleep 0.3 >/dev/null & echo $!'); tries=0; \
    while [ -e /proc/$orphan ] && [ $tries -lt 40 ]; do sleep 0.2; tries=$((tries + 1)); done; \
    if [ -e /proc/$orphan ]; then grep State /proc/$orphan/status; exit 9; fi; echo orphan $orphan is gone";
const TRAP: &str = "trap 'echo got SIGTERM; exit 7' TERM; echo ready; while :; do sleep 5 & wait $!; done";

/// Containers of one image in one engine.
pub struct Containers<'a> {
    engine: &'a Engine,
    image: &'a str,
    platform: String,
    owner: &'a str,
    started: Cell<u32>,
}

/// A container that is removed when this goes, however it came to that.
struct Container<'a> {
    engine: &'a Engine,
    name: String,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // The next run removes what cannot be removed now.
        let _ = self.engine.run(["rm", "--force", "--volumes", &self.name]).output();
    }
}

type Look = fn(&Containers<'_>, bool) -> Result<String>;

/// Names and what is behind them.
const CHECKS: [(&str, Look); 7] = [
    ("version", version),
    ("form-no-argument", |containers, init| daemon(containers, init, &[])),
    ("form-flags-only", |containers, init| daemon(containers, init, &[BUILDX_FLAGS])),
    ("form-command", command),
    ("exit-status", exit_status),
    ("sigterm", sigterm),
    ("orphans-reaped", orphans),
];

/// The same checks, none of them run.
pub fn not_run(why: &str) -> Vec<Check> {
    [false, true].into_iter().flat_map(|init| CHECKS.map(|(name, _)| Check::not_run(&named(name, init), why))).collect()
}

/// Name of a check with or without the engine's init.
fn named(name: &str, init: bool) -> String {
    if init { format!("{name}-with-init") } else { name.to_owned() }
}

impl<'a> Containers<'a> {
    /// Of `image`, for `platform`, labelled as `owner`'s.
    pub fn new(engine: &'a Engine, image: &'a str, platform: String, owner: &'a str) -> Self {
        Self { engine, image, platform, owner, started: Cell::new(0) }
    }

    /// Removes what an earlier run of the same checkout left behind.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub fn remove_leftovers(&self) -> Result<()> {
        let filter = format!("label={LABEL}={}", self.owner);
        let found = self.engine.run(["ps", "--all", "--quiet", "--filter", &filter]).read()?;
        let leftovers: Vec<&str> = found.split_whitespace().collect();
        if !leftovers.is_empty() {
            self.engine.run(["rm", "--force", "--volumes"]).args(leftovers).limit(CONTAINER_LIMIT).read()?;
        }
        Ok(())
    }

    /// Every check, one after the other; each is handed to `report` as it is done.
    pub fn checks(&self, mut report: impl FnMut(&[Check])) -> Vec<Check> {
        let mut all = Vec::new();
        for init in [false, true] {
            if let Some((verdict, why)) = self.obstacle(init) {
                let stopped = CHECKS.map(|(name, _)| Check { name: named(name, init), verdict, evidence: why.clone() });
                report(&stopped);
                all.extend(stopped);
                continue;
            }
            for (name, look) in CHECKS {
                let name = named(name, init);
                let check = match look(self, init) {
                    Ok(evidence) => Check::pass(&name, evidence),
                    Err(error) => Check::fail(&name, format!("{error:#}")),
                };
                report(std::slice::from_ref(&check));
                all.push(check);
            }
        }
        all
    }

    /// What keeps every container from running here, and whether that is a failure.
    fn obstacle(&self, init: bool) -> Option<(Verdict, String)> {
        let said = match self.run(init, &[], &["true"]) {
            Ok((_, output)) if output.status.success() => return None,
            Ok((_, output)) => output.stderr,
            // One that hangs will hang in each of the others too, for a minute each.
            Err(error) => return Some((Verdict::Fail, format!("{error:#}"))),
        };
        if said.contains(NO_INTERPRETER) {
            return Some((Verdict::Fail, format!("`{NO_INTERPRETER}`: host-init-in-image has the cause and the cure")));
        }
        if !init && said.contains("exec format error") {
            let why = format!(
                "this machine runs no programs for {}: apt-get install qemu-user-static binfmt-support, or docker run \
                 --privileged --rm tonistiigi/binfmt --install riscv64",
                self.platform
            );
            return Some((Verdict::NotRun, why));
        }
        let lacks_init =
            self.engine.kind == Kind::Podman && (said.contains("catatonit") || said.contains("init binary"));
        (init && lacks_init).then(|| (Verdict::NotRun, "podman has no init here: apt-get install catatonit".to_owned()))
    }

    fn start(&self, init: bool, options: &[&str], arguments: &[&str]) -> (Container<'a>, Run) {
        self.started.set(self.started.get() + 1);
        let name = format!("xtask-verify-tini-{}-{}", self.owner, self.started.get());
        let label = format!("{LABEL}={}", self.owner);
        let run = self
            .engine
            .run(["run", "--name", &name, "--label", &label, "--pull", "never", "--platform", &self.platform])
            .args(init.then_some("--init"))
            .args(options.iter().copied())
            .arg(self.image)
            .args(arguments.iter().copied())
            .limit(CONTAINER_LIMIT);
        (Container { engine: self.engine, name }, run)
    }

    /// A container that runs to its end: the command, for evidence, and what came of it.
    fn run(&self, init: bool, options: &[&str], arguments: &[&str]) -> Result<(String, Output)> {
        let (_container, run) = self.start(init, &[&["--network", "none"], options].concat(), arguments);
        let output = run.output()?;
        let shown = self.shown(init, options, arguments);
        Ok((shown, output))
    }

    /// A container that goes on by itself.
    fn detached(&self, init: bool, option: &str, arguments: &[&str]) -> Result<Container<'a>> {
        let (container, run) = self.start(init, &["--detach", option], arguments);
        let output = run.output()?;
        if !output.status.success() {
            bail!("`{}` did not start: {}", self.shown(init, &[option], arguments), said("", &output.stderr));
        }
        Ok(container)
    }

    /// The call as a person would write it.
    fn shown(&self, init: bool, options: &[&str], arguments: &[&str]) -> String {
        let run = Run::new(self.engine.kind.command()).arg("run").args(init.then_some("--init"));
        run.args(options.iter().copied()).arg("IMAGE").args(arguments.iter().copied()).to_string()
    }

    /// The same; anything but `status` is a failure.
    fn expect(&self, init: bool, options: &[&str], arguments: &[&str], status: i32) -> Result<(String, String)> {
        let (shown, output) = self.run(init, options, arguments)?;
        let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.code() != Some(status) {
            let ended = output.status.code().map_or("a signal".to_owned(), |code| code.to_string());
            bail!("`{shown}` ended with {ended}, not {status}: {}", said(&stdout, &output.stderr));
        }
        Ok((shown, format!("{stdout}\n{}", output.stderr).trim().to_owned()))
    }
}

/// The last lines of what was said, in one.
fn said(stdout: &str, stderr: &str) -> String {
    let lines: Vec<&str> =
        stdout.lines().chain(stderr.lines()).map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { SILENCE.to_owned() } else { lines[lines.len().saturating_sub(3)..].join(" / ") }
}

fn version(containers: &Containers<'_>, init: bool) -> Result<String> {
    let mut evidence = Vec::new();
    for path in [TINI, DOCKER_INIT] {
        let (shown, text) = containers.expect(init, &["--entrypoint", path], &["--version"], 0)?;
        if !text.starts_with("tini version ") {
            bail!("`{shown}` says {:?}, which is not tini's version", said(&text, ""));
        }
        evidence.push(format!("{path}: {}", text.lines().next().unwrap_or_default()));
    }
    Ok(evidence.join("; "))
}

fn command(containers: &Containers<'_>, init: bool) -> Result<String> {
    let (shown, text) = containers.expect(init, &[], &["ls", "-la", DOCKER_INIT], 0)?;
    if !text.contains(DOCKER_INIT) {
        bail!("`{shown}` did not list it: {}", said(&text, ""));
    }
    Ok(format!("`{shown}`: {}", said(&text, "")))
}

fn exit_status(containers: &Containers<'_>, init: bool) -> Result<String> {
    for (script, status) in [("exit 42", 42), ("kill -9 $$", 137)] {
        containers.expect(init, &[], &["sh", "-c", script], status)?;
    }
    Ok("`exit 42` ends the container with 42, a child that SIGKILL ended with 137".to_owned())
}

fn orphans(containers: &Containers<'_>, init: bool) -> Result<String> {
    if init {
        // The engine's init is process 1 and says nothing: the empty place in /proc is the evidence.
        let (_, text) = containers.expect(init, &[], &["sh", "-c", ORPHAN], 0)?;
        return Ok(format!("an orphan that ended left no zombie: {text}"));
    }
    // -w lets tini tell what it reaps. Not with -s: as a subreaper it is refused by qemu-user.
    let options = ["--entrypoint", TINI, "--env", "TINI_VERBOSITY=1"];
    let (shown, text) = containers.expect(init, &options, &["-w", "--", "sh", "-c", ORPHAN], 0)?;
    let reaped = text.lines().find(|line| line.contains("Reaped zombie process with pid="));
    let reaped = reaped.with_context(|| format!("`{shown}` told of no reaped process: {}", said(&text, "")))?;
    Ok(format!("{}; {}", reaped.trim(), said(text.lines().next().unwrap_or_default(), "")))
}

fn sigterm(containers: &Containers<'_>, init: bool) -> Result<String> {
    let container = containers.detached(init, "--network=none", &["sh", "-c", TRAP])?;
    container.wait_for("ready", CONTAINER_LIMIT, |container| Ok(container.logs()?.contains("ready")))?;
    container.call(["kill", "--signal", "TERM"])?;
    let status = container.call(["wait"]).context("it did not end on SIGTERM")?;
    let logs = container.logs()?;
    if status.trim() != "7" || !logs.contains("got SIGTERM") {
        bail!("on SIGTERM the container ended with {}, not with 7 by its own trap: {}", status.trim(), said(&logs, ""));
    }
    Ok("the child's trap ran on SIGTERM, and its exit status 7 is the container's".to_owned())
}

/// buildkitd comes up, and `buildctl` inside the container reaches it, as buildx asks for it. Under
/// qemu-user a Go program now and then hangs before its first line: that alone is tried again, aloud.
fn daemon(containers: &Containers<'_>, init: bool, arguments: &[&str]) -> Result<String> {
    let first = daemon_once(containers, init, arguments);
    let is_hang = |error: &anyhow::Error| error.to_string().ends_with(SILENCE);
    match first {
        Err(error) if is_hang(&error) && Riscv64::here() != Riscv64::Natively => {
            let again = daemon_once(containers, init, arguments)?;
            Ok(format!("{again} (the first attempt hung without a line, as emulated programs now and then do)"))
        }
        other => other,
    }
}

fn daemon_once(containers: &Containers<'_>, init: bool, arguments: &[&str]) -> Result<String> {
    let started = Instant::now();
    let container = containers.detached(init, "--privileged", arguments)?;
    let mut workers = String::new();
    container.wait_for("`buildctl debug workers` to answer", DAEMON_LIMIT, |container| {
        let exec = ["exec", &container.name, "buildctl", "debug", "workers"];
        let output = container.engine.run(exec).output()?;
        workers = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(output.status.success() && workers.contains("linux/"))
    })?;
    let platforms = workers.lines().last().and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    let seconds = started.elapsed().as_secs_f32();
    Ok(format!("buildkitd answered `buildctl debug workers` after {seconds:.1} s: {platforms}"))
}

impl Container<'_> {
    fn call<const N: usize>(&self, words: [&str; N]) -> Result<String> {
        self.engine.run(words).arg(&self.name).limit(CONTAINER_LIMIT).read()
    }

    fn logs(&self) -> Result<String> {
        let output = self.engine.run(["logs", &self.name]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr)
    }

    /// Asks again and again, as long as the container runs.
    fn wait_for(&self, what: &str, limit: Duration, mut is_so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !is_so(self)? {
            let state = self.call(["inspect", "--format", "{{.State.Running}} {{.State.ExitCode}}"])?;
            if let Some(status) = state.trim().strip_prefix("false ") {
                bail!("the container ended with {status}: {}", said(&self.logs()?, ""));
            }
            if Instant::now() >= deadline {
                bail!("waited {limit:?} for {what}, in vain: {}", said(&self.logs()?, ""));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}
