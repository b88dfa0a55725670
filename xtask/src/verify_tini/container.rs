//! What containers of the image do, each way with and without the engine's own init in front: the
//! checks that need an engine.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::dist::check::{Check, Verdict};
use crate::engine::{Engine, Kind};
use crate::os::process::{Output, Run};
use crate::verify_tini::image_checks::BUILDX_FLAGS;

mod checks;

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

type Inspect = fn(&Containers<'_>, bool) -> Result<String>;

/// Names and what is behind them.
const CHECKS: [(&str, Inspect); 7] = [
    ("version", checks::version),
    ("form-no-argument", |containers, init| checks::daemon(containers, init, &[])),
    ("form-flags-only", |containers, init| checks::daemon(containers, init, &[BUILDX_FLAGS])),
    ("form-command", checks::command),
    ("exit-status", checks::exit_status),
    ("sigterm", checks::sigterm),
    ("orphans-reaped", checks::orphans),
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
