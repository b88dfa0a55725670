//! Compiles both commands in one call of Go, so that they share every package, and shows progress:
//! Go prints each package as it compiles it, and `go list` gives those that are stale.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files and reads the environment"
)]

use std::collections::{HashMap, VecDeque};
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
    let list_form = ["-deps", "-f", "{{.Stale}} {{.ImportPath}}"].map(str::to_owned);
    let list = run(&[vec!["list".to_owned()], list_form.to_vec(), flags.to_vec()].concat());

    let mut shown = Shown::new(listed(list));
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

/// The names of all packages, and whether each has to be compiled.
type Packages = HashMap<String, bool>;

/// Lists the packages on another thread: it takes a second or more, during which Go already compiles.
fn listed(list: Run) -> Receiver<Packages> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // If this fails, the build fails too and prints why; no line counts as a package then.
        let _ = sender.send(packages(&list.read().unwrap_or_default()));
    });
    receiver
}

/// Lines of the form `true cmp`.
fn packages(text: &str) -> Packages {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(stale, name)| (name.to_owned(), stale == "true"))
        .collect()
}

/// Separates the names of packages in the output of Go from errors, once the packages are known.
struct Shown {
    listed: Receiver<Packages>,
    packages: Option<Packages>,
    waiting: VecDeque<String>,
    progress: Progress,
    compiled: u64,
    /// How many packages there are to compile.
    total: u64,
}

impl Shown {
    fn new(listed: Receiver<Packages>) -> Self {
        let progress = Progress::new("compile", Unit::Count("packages"));
        Self { listed, packages: None, waiting: VecDeque::new(), progress, compiled: 0, total: 0 }
    }

    fn take(&mut self, event: Event<'_>) {
        if let Event::Line(line) = event {
            self.waiting.push_back(line.to_owned());
        }
        if self.packages.is_none() {
            match self.listed.try_recv() {
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
            let packages = self.listed.recv().unwrap_or_default();
            self.set_packages(packages);
        }
        self.show_waiting();
        (self.compiled, self.progress.elapsed())
    }

    fn set_packages(&mut self, packages: Packages) {
        self.total = packages.values().filter(|is_stale| **is_stale).count() as u64;
        self.progress.set_total(self.total);
        self.packages = Some(packages);
    }

    fn show_waiting(&mut self) {
        while let Some(line) = self.waiting.pop_front() {
            let Some(is_stale) = self.packages.as_ref().and_then(|packages| packages.get(&line)) else {
                self.progress.print(&line);
                continue;
            };
            // What Go had compiled before it was listed was in the cache by then.
            if !is_stale {
                self.total += 1;
                self.progress.set_total(self.total);
            }
            self.compiled += 1;
            self.progress.advance(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_compiled_before_it_is_listed_counts_and_is_not_printed() {
        let (sender, receiver) = channel();
        let mut shown = Shown::new(receiver);
        shown.take(Event::Line("cmp"));
        assert_eq!((shown.compiled, shown.waiting.len()), (0, 1));
        sender.send(packages("false cmp\ntrue a/b\nfalse c\n")).expect("is received");
        shown.take(Event::Line("a/b"));
        assert_eq!((shown.compiled, shown.total), (2, 2));
        shown.take(Event::Line("# a/b"));
        assert_eq!(shown.end().0, 2);
    }

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
