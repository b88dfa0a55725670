//! The checks that need an engine: they run containers of the image, each once without and once with the
//! engine's own init (`--init`).
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::dist::{Check, Verdict};
use crate::engine::{Engine, Kind, Session};
use crate::os::process::{Output, Run, run};
use crate::os::shell::one_line;
use crate::verify_tini::image_checks::BUILDX_FLAGS;

mod checks;

/// A container with a short command takes one second, emulated three; a board is slower.
const CONTAINER_LIMIT: Duration = Duration::from_secs(60);
const DAEMON_LIMIT: Duration = Duration::from_secs(60);
/// The message for the kernel's ENOENT if the ELF interpreter is missing.
const NO_INTERPRETER: &str = "exec /sbin/docker-init: no such file or directory";
const POLL: Duration = Duration::from_millis(400);

/// Containers of one image in one engine.
pub struct Containers<'a> {
    session: &'a Session,
    image: &'a str,
    platform: String,
    started: AtomicU32,
}

/// A container; removed on drop.
struct Container<'a> {
    engine: &'a Engine,
    name: String,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // The end of the session removes what cannot be removed now.
        let remove = run!("rm --force --volumes").arg(&self.name);
        let _ = self.engine.run(remove).cleans_up().output();
    }
}

type CheckFn = fn(&Containers<'_>, bool) -> Result<String>;

const CHECKS: [(&str, CheckFn); 7] = [
    ("version", checks::version),
    ("form-no-argument", |containers, init| checks::daemon(containers, init, &[])),
    ("form-flags-only", |containers, init| checks::daemon(containers, init, &[BUILDX_FLAGS])),
    ("form-command", checks::command),
    ("exit-status", checks::exit_status),
    ("sigterm", checks::sigterm),
    ("orphans-reaped", checks::orphans),
];

/// All the checks, as not run.
pub fn not_run(why: &str) -> Vec<Check> {
    [false, true].into_iter().flat_map(|init| CHECKS.map(|(name, _)| Check::not_run(&named(name, init), why))).collect()
}

/// How many checks ran with the engine's init, if all of them passed.
pub fn passed_with_init(checks: &[Check]) -> Option<usize> {
    let all = CHECKS.map(|(name, _)| named(name, true));
    let has_passed = |name: &String| checks.iter().any(|check| check.name == *name && check.verdict == Verdict::Pass);
    all.iter().all(has_passed).then_some(all.len())
}

fn named(name: &str, init: bool) -> String {
    if init { format!("{name}-with-init") } else { name.to_owned() }
}

impl<'a> Containers<'a> {
    pub fn new(session: &'a Session, image: &'a str, platform: String) -> Self {
        Self { session, image, platform, started: AtomicU32::new(0) }
    }

    /// Runs every check, those with the engine's init beside those without it. Calls `report` after each; for those
    /// with the init, once the others are done.
    pub fn checks(&self, mut report: impl FnMut(&[Check])) -> Vec<Check> {
        std::thread::scope(|scope| {
            let with_init = scope.spawn(|| self.half(true, &mut |_| {}));
            let mut all = self.half(false, &mut report);
            let with_init = with_init.join().expect("a check does not panic");
            report(&with_init);
            all.extend(with_init);
            all
        })
    }

    /// Runs the checks with or without the engine's init.
    fn half(&self, init: bool, report: &mut impl FnMut(&[Check])) -> Vec<Check> {
        let mut done = Vec::new();
        for (name, run) in CHECKS {
            let name = named(name, init);
            let check = match run(self, init) {
                Ok(evidence) => Check::pass(&name, evidence),
                Err(error) => Check::fail(&name, format!("{error:#}")),
            };
            let is_first_failure = done.is_empty() && check.is_failure();
            if let Some((verdict, why)) = is_first_failure.then(|| self.obstacle(init)).flatten() {
                let stopped = CHECKS.map(|(name, _)| Check::new(&named(name, init), verdict, why.as_str()));
                report(&stopped);
                return stopped.to_vec();
            }
            report(std::slice::from_ref(&check));
            done.push(check);
        }
        done
    }

    /// Why no container at all can run here, and whether that is a failure or a limit of this host.
    fn obstacle(&self, init: bool) -> Option<(Verdict, String)> {
        let stderr = match self.run(init, &[], &["true"]) {
            Ok((_, output)) if output.status.success() => return None,
            Ok((_, output)) => output.stderr,
            // If this one hangs, each of the others would, for a minute each.
            Err(error) => return Some((Verdict::Fail, format!("{error:#}"))),
        };
        if stderr.contains(NO_INTERPRETER) {
            return Some((
                Verdict::Fail,
                format!("`{NO_INTERPRETER}`: see the check host-init-in-image for the cause and the fix"),
            ));
        }
        if !init && stderr.contains("exec format error") {
            let why = format!(
                "this host cannot run programs for {}; Debian and Ubuntu: apt-get install qemu-user-static \
                 binfmt-support, elsewhere: docker run --privileged --rm tonistiigi/binfmt --install riscv64",
                self.platform
            );
            return Some((Verdict::NotRun, why));
        }
        let has_no_init = self.session.engine.kind == Kind::Podman
            && (stderr.contains("catatonit") || stderr.contains("init binary"));
        (init && has_no_init).then(|| {
            (
                Verdict::NotRun,
                "podman has no init on this host; Debian and Ubuntu: apt-get install catatonit".to_owned(),
            )
        })
    }

    fn start(&self, init: bool, options: &[&str], arguments: &[&str]) -> (Container<'a>, Run) {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = self.session.name(&format!("verify-tini-{number}"));
        let label = self.session.label();
        let (image, platform, init) = (self.image, &self.platform, init.then_some("--init"));
        // A privileged daemon with an open port is reached from its own container alone.
        let fixed =
            ["--name", &name, "--label", &label, "--network", "none", "--pull", "never", "--platform", platform];
        let run = run!("run {fixed...} {init...} {options...} {image} {arguments...}");
        let engine = &self.session.engine;
        (Container { engine, name }, engine.run(run).limit(CONTAINER_LIMIT))
    }

    /// Runs a container to its end. Returns the command, for messages, and its output.
    fn run(&self, init: bool, options: &[&str], arguments: &[&str]) -> Result<(String, Output)> {
        let (_container, run) = self.start(init, options, arguments);
        let output = run.output()?;
        let shown = self.shown(init, options, arguments);
        Ok((shown, output))
    }

    /// Starts a container in the background.
    fn detached(&self, init: bool, options: &[&str], arguments: &[&str]) -> Result<Container<'a>> {
        let (container, run) = self.start(init, &[&["--detach"], options].concat(), arguments);
        let output = run.output()?;
        if !output.status.success() {
            bail!("`{}` did not start: {}", self.shown(init, options, arguments), last_lines("", &output.stderr));
        }
        Ok(container)
    }

    /// The command as a user would type it.
    fn shown(&self, init: bool, options: &[&str], arguments: &[&str]) -> String {
        let init = init.then_some("--init");
        self.session.engine.run(run!("run {init...} {options...} IMAGE {arguments...}")).to_string()
    }

    /// Runs a container, and fails unless it ends with `status`. Returns the command and all output.
    fn expect(&self, init: bool, options: &[&str], arguments: &[&str], status: i32) -> Result<(String, String)> {
        let (shown, output) = self.run(init, options, arguments)?;
        let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.code() != Some(status) {
            let ended = output.status.code().map_or("a signal".to_owned(), |code| code.to_string());
            bail!("`{shown}` ended with {ended}, not {status}: {}", last_lines(&stdout, &output.stderr));
        }
        Ok((shown, format!("{stdout}\n{}", output.stderr).trim().to_owned()))
    }
}

/// The last three lines of output, on one line.
fn last_lines(stdout: &str, stderr: &str) -> String {
    let lines: Vec<&str> =
        stdout.lines().chain(stderr.lines()).map(str::trim).filter(|line| !line.is_empty()).collect();
    // The image decides what it prints; a terminal must not obey it.
    if lines.is_empty() {
        "no output".to_owned()
    } else {
        one_line(&lines[lines.len().saturating_sub(3)..].join(" / "))
    }
}

impl Container<'_> {
    /// Runs a command of the engine on this container, which is its last argument.
    fn call(&self, command: Run) -> Result<String> {
        self.engine.run(command).arg(&self.name).limit(CONTAINER_LIMIT).read()
    }

    fn logs(&self) -> Result<String> {
        let output = self.engine.run(run!("logs")).arg(&self.name).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr)
    }

    /// Polls until `is_so`, the container ends, or the limit is reached.
    fn wait_for(&self, what: &str, limit: Duration, mut is_so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !is_so(self)? {
            let format = "{{.State.Running}} {{.State.ExitCode}}";
            let state = self.call(run!("inspect --format {format}"))?;
            if let Some(status) = state.trim().strip_prefix("false ") {
                bail!("the container ended with {status}: {}", last_lines(&self.logs()?, ""));
            }
            if Instant::now() >= deadline {
                bail!("waited {limit:?} for {what}: {}", last_lines(&self.logs()?, ""));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}
