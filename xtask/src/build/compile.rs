//! Compiles both commands in one call of Go, so that they share every package, and shows progress:
//! Go prints each package as it compiles it, and `go list` gives those that are stale.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files and reads the environment"
)]

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::dist::Metadata;
use crate::go::{self, Go};
use crate::os::host;
use crate::os::process::{Event, Run, run};
use crate::os::terminal::{Progress, Unit, clock, print_status};

/// Emulated or slow riscv64 boards take an hour; a compiler that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

/// The heap at which a program of Go begins to collect garbage, instead of at twice what it holds: a build then takes
/// 0.94 (the least) to 0.91 (the most) of the CPU time. The linker of `buildkitd` needs 0.9 GB in any case.
const HEAP_BYTES: RangeInclusive<u64> = 1280 << 20..=3 << 30;

/// How Go works: none of it changes a byte of the output.
#[derive(Debug, Default)]
pub struct Settings {
    /// The most programs at once, if not one for each processor.
    pub jobs: Option<NonZeroU32>,
    /// A directory for Go's cache, if not the user's own.
    pub cache: Option<Utf8PathBuf>,
    /// A directory for Go's temporary files, if not the system's.
    pub temporary: Option<Utf8PathBuf>,
}

/// Compiles the commands of `record` from `worktree` into `folder`.
pub fn compile(
    record: &Metadata,
    go: &Go,
    settings: &Settings,
    worktree: &Utf8Path,
    folder: &Utf8Path,
    lock: &File,
) -> Result<()> {
    let (recipe, program) = (&record.recipe, &go.program);
    let run = |arguments: &[String]| {
        let run = go::environment(run!("{program}")).directory(worktree).limit(LIMIT);
        let run = recipe.environment.iter().fold(run, |run, (name, value)| run.env(name, value));
        settings.apply(run).args(arguments)
    };
    let (verb, flags) = recipe.arguments.split_first().expect("a recipe begins with Go's verb");
    let jobs = settings.jobs.map_or_else(Vec::new, |jobs| vec!["-p".to_owned(), jobs.to_string()]);
    let build_form = ["-v", "-o", &format!("{folder}/")].map(str::to_owned);
    let build = run(&[vec![verb.clone()], jobs, build_form.to_vec(), flags.to_vec()].concat());
    let list_form = ["-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"].map(str::to_owned);
    let list = run(&[vec!["list".to_owned()], list_form.to_vec(), flags.to_vec()].concat());

    let mut shown = Shown {
        stale: listed(list),
        packages: None,
        waiting: VecDeque::new(),
        progress: Progress::new("compile", Unit::Count("packages")),
        compiled: 0,
    };
    let status = build.follow(Some(lock), |event| shown.take(event))?.status;
    let (compiled, took) = shown.end();
    if !status.success() {
        bail!("Go could not compile {}: {status}; its output is above\n  {build}", record.source.version);
    }
    match compiled {
        0 => print_status("compile", format_args!("linked, all packages were cached, {}", clock(took))),
        _ => print_status("compile", format_args!("{compiled} packages, {}", clock(took))),
    }
    Ok(())
}

impl Settings {
    /// Sets them for a run of Go, and how much memory it takes, where the user's environment does not.
    fn apply(&self, run: Run) -> Run {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        let run = match self.jobs {
            Some(jobs) if !is_set("GOMAXPROCS") => run.env("GOMAXPROCS", jobs.to_string()),
            _ => run,
        };
        let run = match &self.cache {
            Some(cache) => run.env("GOCACHE", cache.as_str()).env_remove("GOCACHEPROG"),
            None => run,
        };
        let run = match &self.temporary {
            Some(temporary) if !is_set("GOTMPDIR") => run.env("GOTMPDIR", temporary.as_str()),
            _ => run,
        };
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
        let programs = self.jobs.map_or(processors, |jobs| u64::from(jobs.get()));
        match host::available_memory_bytes().and_then(|available| heap_bytes(available, programs)) {
            Some(bytes) if !is_set("GOGC") && !is_set("GOMEMLIMIT") => {
                run.env("GOGC", "off").env("GOMEMLIMIT", bytes.to_string())
            }
            _ => run,
        }
    }
}

/// The heap for each of so many programs at once: half of its share of the available memory. `None` if that is too
/// little; Go's own defaults are then better.
fn heap_bytes(available: u64, programs: u64) -> Option<u64> {
    let share = (available / programs / 2).min(*HEAP_BYTES.end());
    HEAP_BYTES.contains(&share).then_some(share)
}

/// Lists the packages that will be compiled, on another thread: it takes a second, during which Go
/// already compiles.
fn listed(list: Run) -> Receiver<HashSet<String>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // If this fails, the build fails too and prints why; no line counts as a package then.
        let packages = list.read().unwrap_or_default();
        let _ = sender.send(packages.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect());
    });
    receiver
}

/// Separates the names of packages in the output of Go from errors, once the packages are known.
struct Shown {
    stale: Receiver<HashSet<String>>,
    packages: Option<HashSet<String>>,
    waiting: VecDeque<String>,
    progress: Progress,
    compiled: u64,
}

impl Shown {
    fn take(&mut self, event: Event<'_>) {
        if let Event::Line(line) = event {
            self.waiting.push_back(line.to_owned());
        }
        if self.packages.is_none() {
            match self.stale.try_recv() {
                Ok(packages) => self.set_packages(packages),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
        }
        if self.packages.is_some() {
            self.show_waiting();
        }
        self.progress.tick();
    }

    /// Waits for the list of packages, shows the rest and removes the bar. Returns how many packages
    /// were compiled, and how long that took.
    fn end(mut self) -> (u64, Duration) {
        if self.packages.is_none() {
            let packages = self.stale.recv().unwrap_or_default();
            self.set_packages(packages);
        }
        self.show_waiting();
        (self.compiled, self.progress.elapsed())
    }

    fn set_packages(&mut self, packages: HashSet<String>) {
        self.progress.set_total(packages.len() as u64);
        self.packages = Some(packages);
    }

    fn show_waiting(&mut self) {
        while let Some(line) = self.waiting.pop_front() {
            if self.packages.as_ref().is_some_and(|packages| packages.contains(&line)) {
                self.compiled += 1;
                self.progress.advance(1);
            } else {
                self.progress.print(&line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_half_of_a_program_s_share_of_the_memory_within_bounds() {
        let cases = [
            (22 << 30, 2, Some(3 << 30)),
            (14 << 30, 4, Some(7 << 28)),
            (5 << 30, 2, Some(1280 << 20)),
            ((5 << 30) - 4, 2, None),
            (u64::MAX, 1, Some(3 << 30)),
            (0, 64, None),
        ];
        for (available, programs, expected) in cases {
            assert_eq!(heap_bytes(available, programs), expected, "{available} {programs}");
        }
    }
}
