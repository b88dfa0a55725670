//! Ctrl-C and its relatives: running children end, what a task made outside the checkout is removed, and
//! the exit status is the signal's.
#![allow(clippy::disallowed_methods, reason = "reads which signals are ignored")]

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

use crate::os::terminal::print_error;

/// How long a task may take to remove what it made.
const CLEANUP_LIMIT: Duration = Duration::from_secs(30);

/// The signal that was received first; zero is none.
static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// How many [`Cleanup`]s there are.
static CLEANUPS: AtomicUsize = AtomicUsize::new(0);
/// Process groups of children that run.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Something outside the checkout that its owner removes when it is dropped: a container, an image, a builder.
/// While one exists, a signal makes the task fail and return rather than end at once.
#[derive(Debug)]
pub struct Cleanup(());

impl Cleanup {
    /// Announces it, before it is made.
    pub fn announce() -> Self {
        CLEANUPS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        CLEANUPS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does a task's work. If a signal arrives meanwhile, the process ends by it once the task has removed what it
/// made.
///
/// # Errors
/// The task's own, and if the system does not allow signals to be handled.
pub fn with_signals<T>(task: impl FnOnce() -> Result<T>) -> Result<T> {
    install()?;
    let ended = task();
    let signal = RECEIVED.load(Ordering::SeqCst);
    if signal != 0 {
        if let Err(error) = &ended {
            print_error(error);
        }
        end(signal);
    }
    ended
}

/// Signals that would end this process are handled from now on, except those that it was told to ignore, such
/// as SIGHUP by `nohup`.
fn install() -> Result<()> {
    let handled = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals = Signals::new(handled).context("signals cannot be handled")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            receive(signal);
        }
    });
    Ok(())
}

fn receive(signal: i32) {
    let is_first = RECEIVED.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    for group in GROUPS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = Pid::from_raw(*group).map(|group| kill_process_group(group, Signal::KILL));
    }
    if !is_first || CLEANUPS.load(Ordering::SeqCst) == 0 {
        end(signal);
    }
    std::thread::spawn(move || {
        std::thread::sleep(CLEANUP_LIMIT);
        end(signal);
    });
}

/// Ends this process as the signal would have without a handler.
fn end(signal: i32) {
    if emulate_default_handler(signal).is_err() {
        std::process::exit(128 + signal);
    }
}

/// Name of the signal that was received, if one was.
pub fn received() -> Option<&'static str> {
    signal_name(RECEIVED.load(Ordering::SeqCst))
}

/// Starts a child, unless a signal was received and it is not one that `cleans_up`; `group_of` says in which
/// process group it is. A signal that arrives meanwhile is handled after the group is known.
pub(super) fn start<T>(
    cleans_up: bool,
    start: impl FnOnce() -> io::Result<T>,
    group_of: impl FnOnce(&T) -> Option<Pid>,
) -> io::Result<T> {
    let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Some(signal), false) = (received(), cleans_up) {
        return Err(io::Error::other(format!("{signal} was received")));
    }
    let started = start()?;
    groups.extend(group_of(&started).map(|group| group.as_raw_nonzero().get()));
    Ok(started)
}

/// The child of this process group has ended.
pub(super) fn ended(group: Pid) {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&group.as_raw_nonzero().get());
}

/// Whether this process was started with a signal ignored; not known on systems without `/proc`.
/// Source: `SigIgn` in `proc_pid_status(5)`.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
