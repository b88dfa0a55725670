//! Child processes: an argument vector and never a shell, a limit on time and on output that ends the whole
//! process group, and a `Display` that can be pasted into a shell.
//!
//! Commands are written with xshell's `cmd!`, as one would type them; xshell itself has no limits, and no way
//! to follow a child's lines.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and asks the clock"
)]

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::os::interrupt;
use crate::os::process::running::{End, Running};
use crate::os::shell::quoted;
use crate::os::streams::print_stderr;

pub use running::{Event, KillHandle};

mod command;
mod running;

const LARGEST_OUTPUT_BYTES: usize = 64 << 20;
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// A process to be run.
#[derive(Clone, Debug)]
pub struct Run {
    program: String,
    arguments: Vec<String>,
    directory: Option<Utf8PathBuf>,
    environment: Vec<(String, Option<String>)>,
    hidden_environment: Hidden,
    inherits: bool,
    kill_handle: Option<KillHandle>,
    in_foreground: bool,
    cleans_up: bool,
    lock: Option<Arc<File>>,
    limit: Duration,
}

/// A [`Run`] of a command as one would type it, with xshell's `cmd!`: `{name}` is one argument, whatever is in
/// it, and `{names...}` are several.
macro_rules! run {
    ($($command:tt)*) => {
        $crate::os::process::Run::of(|shell| xshell::cmd!(shell, $($command)*).into())
    };
}
pub(crate) use run;

/// The path of this program, for a task that runs others.
pub fn this_program() -> Result<Utf8PathBuf> {
    let path = std::env::current_exe().context("cannot find the path of this program")?;
    Utf8PathBuf::try_from(path).context("this program's path is not UTF-8")
}

/// Variables whose values are never printed, not even by `Debug`.
#[derive(Clone, Default)]
struct Hidden(Vec<(String, String)>);

impl fmt::Debug for Hidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// What a child printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, whole.
    pub stdout: Vec<u8>,
    /// Standard error, whole.
    pub stderr: String,
}

impl Run {
    /// A run of `program`, looked up on PATH unless it has a slash, for at most one minute.
    fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            directory: None,
            environment: Vec::new(),
            hidden_environment: Hidden::default(),
            inherits: true,
            kill_handle: None,
            in_foreground: false,
            cleans_up: false,
            lock: None,
            limit: DEFAULT_LIMIT,
        }
    }

    /// What [`run!`] makes of a command: its program and its arguments.
    pub fn of(written: impl FnOnce(&xshell::Shell) -> Command) -> Self {
        let shell = xshell::Shell::new().expect("the current directory is there");
        let command = written(&shell);
        let text = |word: &OsStr| word.to_str().expect("words of a command are UTF-8").to_owned();
        Self::new(text(command.get_program())).args(command.get_args().map(text))
    }

    /// The same command as the arguments of another program, such as `sudo`.
    pub fn below(mut self, program: &str) -> Self {
        self.arguments.insert(0, std::mem::replace(&mut self.program, program.to_owned()));
        self
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets the working directory.
    pub fn directory(mut self, directory: &Utf8Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(name.into(), Some(value.into()))
    }

    /// Sets a variable of the child's environment that may hold a secret, so that it is never printed.
    pub fn env_hidden(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.hidden_environment.0.push((name.into(), value.into()));
        self
    }

    /// Gives the child no variables but those that are set here.
    pub fn bare(mut self) -> Self {
        self.inherits = false;
        self
    }

    /// Lets the holder of the kill handle end the child.
    pub fn kill_handle(mut self, kill_handle: &KillHandle) -> Self {
        self.kill_handle = Some(kill_handle.clone());
        self
    }

    /// Lets the child read from the terminal, as `sudo` has to; a limit then ends the child alone.
    pub fn in_foreground(mut self) -> Self {
        self.in_foreground = true;
        self
    }

    /// Marks a run that removes what the task made: it is started after a signal, too.
    pub fn cleans_up(mut self) -> Self {
        self.cleans_up = true;
        self
    }

    /// Lets the child hold a lock for as long as it runs, even if it outlives us, as [`Run::effect`] does.
    pub fn holding(mut self, lock: Option<&Arc<File>>) -> Self {
        self.lock = lock.cloned();
        self
    }

    /// Takes a variable out of the child's environment.
    pub fn env_remove(self, name: impl Into<String>) -> Self {
        self.change(name.into(), None)
    }

    fn change(mut self, name: String, value: Option<String>) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value));
        self
    }

    /// Sets how long it may take before it is killed.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs to the end, whatever the exit status.
    ///
    /// # Errors
    /// If the program cannot be started, outlives its limit or prints more than 64 MiB.
    pub fn output(&self) -> Result<Output> {
        self.follow(None, |_| {})
    }

    /// Runs to the end and returns standard output without its last line end.
    ///
    /// # Errors
    /// As [`Run::output`], and if the exit status is not zero; the message then ends with what
    /// the child printed on standard error.
    pub fn read(&self) -> Result<String> {
        self.text_of(self.output()?)
    }

    /// Standard output of a run that has ended, without its last line end. Fails if its exit status is not zero.
    pub fn text_of(&self, output: Output) -> Result<String> {
        self.must_succeed(&output)?;
        let text = String::from_utf8(output.stdout).with_context(|| format!("`{self}` printed what is not UTF-8"))?;
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// Runs to the end for its effect. `lock` is held on by the child too, so that a child which
    /// outlives us is still waited for by the next run.
    ///
    /// # Errors
    /// As [`Run::read`].
    pub fn effect(&self, lock: &File) -> Result<()> {
        let output = self.follow(Some(lock), |_| {})?;
        self.must_succeed(&output)
    }

    /// Runs to the end, whatever the exit status, and passes standard error on line by line.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub fn echoed(&self) -> Result<Output> {
        self.follow(None, |event| {
            if let Event::Line(line) = event {
                print_stderr(line);
            }
        })
    }

    /// Runs to the end, and reports each line of standard error as it comes; the exit status is the
    /// caller's to judge. `lock` is as for [`Run::effect`].
    ///
    /// # Errors
    /// As [`Run::output`].
    pub fn follow(&self, lock: Option<&File>, on_event: impl FnMut(Event<'_>)) -> Result<Output> {
        let running = self.start(lock)?;
        let kill_handle = self.kill_handle.clone().unwrap_or_default();
        kill_handle.hold(Some(running.clone()));
        let (mut stdout, mut stderr) = (Vec::new(), String::new());
        let ended = running.follow(Instant::now() + self.limit, &mut stdout, &mut stderr, on_event);
        kill_handle.hold(None);
        let why = match ended {
            _ if !self.cleans_up && interrupt::received().is_some() => "this run was interrupted".to_owned(),
            Ok(status) => return Ok(Output { status, stdout, stderr }),
            Err(End::Late) => format!("it took longer than {:?}", self.limit),
            Err(End::TooMuchOutput) => format!("it printed more than {} MiB", LARGEST_OUTPUT_BYTES >> 20),
            Err(End::Lost(error)) => format!("its end cannot be waited for: {error}"),
        };
        running.kill();
        bail!("`{self}` was killed with all that it started: {why}\n{}", stderr.trim_end())
    }

    fn must_succeed(&self, output: &Output) -> Result<()> {
        if !output.status.success() {
            bail!("`{self}` failed ({})\n{}", output.status, output.stderr.trim_end());
        }
        Ok(())
    }

    /// A child's standard input is the empty lock file if there is one: it reads as /dev/null
    /// does, and an advisory lock lasts until the last process that has the open file is gone.
    fn start(&self, lock: Option<&File>) -> Result<Running> {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(match lock.or(self.lock.as_deref()) {
            Some(lock) => Stdio::from(lock.try_clone().context("cannot pass the lock on")?),
            None => Stdio::null(),
        });
        Running::start(&mut command, self.in_foreground, self.cleans_up).map_err(|error| self.not_started(error))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(out, "cd {} && ", quoted(directory.as_str()))?;
        }
        for (name, value) in &self.environment {
            if let Some(value) = value {
                write!(out, "{name}={} ", quoted(value))?;
            }
        }
        out.write_str(&quoted(&self.program))?;
        self.arguments.iter().try_for_each(|argument| write!(out, " {}", quoted(argument)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Run {
        Run::new("sh").args(["-c", script])
    }

    #[test]
    fn it_displays_as_a_shell_reads_it() {
        let run =
            Run::new("git").args(["log", "a b", "it's", ""]).directory("/x y".into()).env("A", "1 2").env_remove("B");
        assert_eq!(run.to_string(), r"cd '/x y' && A='1 2' git log 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_failure_carries_the_command_the_status_and_what_was_said() {
        let message = sh("echo why >&2; exit 3").read().expect_err("fails").to_string();
        assert!(
            message.contains("exit 3") && message.contains("exit status: 3") && message.ends_with("\nwhy"),
            "{message}"
        );
    }

    #[test]
    fn a_child_that_hangs_is_ended_at_its_limit() {
        let started = Instant::now();
        let message = sh("echo begun >&2; exec sleep 60")
            .limit(Duration::from_millis(300))
            .read()
            .expect_err("hangs")
            .to_string();
        assert!(message.contains("took longer than 300ms") && message.ends_with("begun"), "{message}");
        assert!(started.elapsed() < Duration::from_secs(30), "the limit was not kept");
    }

    /// The process with this id; none once it has ended, even if nobody has waited for it.
    fn is_alive(pid: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
    }

    #[test]
    fn a_child_that_closes_its_pipes_is_ended_at_its_limit_too() {
        let message = sh("exec >&- 2>&-; sleep 60").limit(Duration::from_millis(300)).read().expect_err("hangs");
        assert!(message.to_string().contains("took longer than 300ms"), "{message}");
    }

    #[test]
    fn a_limit_ends_what_the_child_started() {
        let mut grandchild = String::new();
        let run = sh("sleep 60 & echo $! >&2; wait").limit(Duration::from_millis(500));
        let ended = run.follow(None, |event| {
            if let Event::Line(line) = event {
                line.clone_into(&mut grandchild);
            }
        });
        let message = ended.expect_err("hangs").to_string();
        assert!(message.contains("was killed with all that it started"), "{message}");
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_alive(&grandchild) {
            assert!(Instant::now() < deadline, "{grandchild} is left");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_command_is_written_as_one_would_type_it() {
        assert_eq!(run!("env A=1 apt-get update").below("sudo").to_string(), "sudo env A=1 apt-get update");
        let (name, more) = ("it's; $HOME", ["-a", "b c"]);
        let run = run!("git log --grep={name} {more...} 'two words'");
        assert_eq!(run.to_string(), r"git log '--grep=it'\''s; $HOME' -a 'b c' 'two words'");
    }

    #[test]
    fn another_thread_can_end_a_child() {
        let kill_handle = KillHandle::default();
        let run = sh("echo begun >&2; exec sleep 60").bare().env("PATH", "/usr/bin:/bin").kill_handle(&kill_handle);
        let output = run.follow(None, |event| {
            if let Event::Line(_) = event {
                kill_handle.kill();
            }
        });
        assert_eq!(output.expect("is awaited").status.code(), None, "a signal ended it");
        kill_handle.kill();
    }

    #[test]
    fn lines_are_reported_as_they_come_and_output_is_whole() {
        let mut lines = Vec::new();
        let output = sh("printf 'a\\nb' >&2; printf 'out\\n\\n'").follow(None, |event| {
            if let Event::Line(line) = event {
                lines.push(line.to_owned());
            }
        });
        assert_eq!((lines.join("|"), output.expect("runs").stdout), ("a|b".to_owned(), b"out\n\n".to_vec()));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let message = format!("{:#}", Run::new("no-such-program-here").read().expect_err("is absent"));
        assert!(message.starts_with("cannot start `no-such-program-here`"), "{message}");
    }
}
