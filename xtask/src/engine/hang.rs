//! The hang of an emulated daemon at its start, told from a daemon that is slow or has ended.
//!
//! The fault is QEMU's (`docs/upstream/qemu-user-hang.md`): the child of a fork inherits a lock that another thread
//! held, its exec fails, and its exit waits for that lock for ever. The daemon waits for the child. Seen from outside,
//! such a child has the command line of its parent, as it never became another program, and sleeps. A child that is
//! well is gone after milliseconds.
#![allow(clippy::disallowed_methods, reason = "waits between two looks")]

use std::fmt;
use std::time::Duration;

use crate::engine::{Engine, Kind};
use crate::os::process::run;

/// How much later a child must still be there, asleep.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The name of the program that hangs.
const DAEMON: &str = "buildkitd";

/// The fork of a daemon that sleeps in its exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HungFork {
    process: u32,
    /// The kernel function that it sleeps in, if the engine shows it.
    sleeps_in: Option<String>,
}

impl fmt::Display for HungFork {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, sleeps_in } = self;
        let place = sleeps_in.as_ref().map(|place| format!(" in {place}")).unwrap_or_default();
        write!(out, "a fork of {DAEMON}, process {process}, sleeps{place} under qemu-user instead of ending")
    }
}

/// Ends the evidence for a start that succeeded after others had hung.
pub fn after_hangs(attempt: u32, hung: Option<&HungFork>) -> String {
    hung.map(|fork| format!(" (at attempt {attempt}; before that {fork})")).unwrap_or_default()
}

/// A row of the list of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process<'a> {
    number: u32,
    parent: u32,
    is_asleep: bool,
    sleeps_in: Option<&'a str>,
    command: &'a str,
}

impl Engine {
    /// The hung fork of the daemon in a container. None if there is no such process, if the container has ended, and
    /// if the engine does not list its processes: what cannot be seen is not called a hang.
    ///
    /// Takes two seconds if a process looks like one.
    pub fn hung_fork(&self, container: &str) -> Option<HungFork> {
        // Docker's daemon runs the ps of its host. That of procps shows where a process sleeps if it may look, as root
        // may; that of BusyBox cannot. podman lists processes itself, and does not know that column.
        let formats: &[&[&str]] = match self.kind {
            Kind::Docker => &[&["-eo", "pid,ppid,stat,wchan:32,args"], &["-o", "pid,ppid,stat,args"]],
            Kind::Podman => &[&["pid,ppid,state,args"]],
        };
        let list = |format: &[&str]| self.run(run!("top {container} {format...}")).read().ok();
        let (format, first) = formats.iter().find_map(|format| Some((format, list(format)?)))?;
        let first = processes(&first);
        candidates(&first).next()?;
        std::thread::sleep(LOOK_AGAIN);
        hung_fork(&first, &processes(&list(format)?))
    }
}

/// The list that `top` prints. The title says which columns there are; the command is the last of them.
fn processes(list: &str) -> Vec<Process<'_>> {
    let mut lines = list.lines();
    let titles: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let column = |title: &str| titles.iter().position(|found| *found == title);
    let sleeps_in = column("WCHAN");
    let read = |line| -> Option<Process<'_>> {
        let mut rest: &str = line;
        let mut fields = Vec::new();
        for _ in 1..titles.len() {
            let (field, after) = rest.trim_start().split_once(char::is_whitespace)?;
            fields.push(field);
            rest = after;
        }
        // "-", "0" and "?" say that it is not known.
        let is_known = |place: &&str| place.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        Some(Process {
            number: fields.get(column("PID")?)?.parse().ok()?,
            parent: fields.get(column("PPID")?)?.parse().ok()?,
            is_asleep: fields.get(column("STAT").or_else(|| column("STATE"))?)?.starts_with('S'),
            sleeps_in: sleeps_in.and_then(|index| fields.get(index).copied()).filter(is_known),
            command: rest.trim(),
        })
    };
    lines.filter_map(read).collect()
}

/// The forks of an emulated daemon that sleep, in a futex as far as is known.
fn candidates<'a>(processes: &'a [Process<'a>]) -> impl Iterator<Item = &'a Process<'a>> {
    processes.iter().filter(move |child| {
        let is_fork = |parent: &Process<'_>| parent.number == child.parent && parent.command == child.command;
        let waits_for_a_lock = child.sleeps_in.is_none_or(|place| place.contains("futex"));
        child.is_asleep && waits_for_a_lock && is_emulated_daemon(child.command) && processes.iter().any(is_fork)
    })
}

/// The one that was there before, and still is.
fn hung_fork(before: &[Process<'_>], after: &[Process<'_>]) -> Option<HungFork> {
    let was_there = |process: &Process<'_>| candidates(before).any(|earlier| earlier == process);
    let found = candidates(after).find(|process| was_there(process))?;
    Some(HungFork { process: found.number, sleeps_in: found.sleeps_in.map(str::to_owned) })
}

/// `binfmt_misc` puts the emulator and the path of the program before the program's arguments.
/// Source: the kernel's `admin-guide/binfmt-misc.rst`.
fn is_emulated_daemon(command: &str) -> bool {
    let mut words = command.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or_default());
    words.next().is_some_and(|emulator| emulator.starts_with("qemu-")) && words.next() == Some(DAEMON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const HUNG: &str = "\
PID    PPID   STAT   WCHAN             COMMAND
4700   4680   Ssl    futex_do_wait     /usr/bin/qemu-riscv64-static /usr/bin/tini -- buildkitd
4711   4700   Sl     futex_do_wait     /usr/bin/qemu-riscv64-static /usr/bin/buildkitd --addr unix:///run/b.sock
4733   4711   Sl     futex_do_wait     /usr/bin/qemu-riscv64-static /usr/bin/buildkitd --addr unix:///run/b.sock";

    fn found(before: &str, after: &str) -> Option<String> {
        hung_fork(&processes(before), &processes(after)).map(|fork| fork.to_string())
    }

    #[test]
    fn a_fork_that_sleeps_at_both_looks_is_hung() {
        let text = "a fork of buildkitd, process 4733, sleeps in futex_do_wait under qemu-user instead of ending";
        assert_eq!(found(HUNG, HUNG).as_deref(), Some(text));
        // Where the engine may not look, as without root, and where it has no such column.
        let unknown = text.replace(" in futex_do_wait", "");
        let hidden = HUNG.replace("futex_do_wait", "-            ");
        assert_eq!(found(&hidden, &hidden).as_deref(), Some(&*unknown));
        let podman = "PID  PPID  STATE  COMMAND\n7    1     S      /usr/bin/qemu-riscv64 /usr/bin/buildkitd\n\
                      4733 7     S      /usr/bin/qemu-riscv64 /usr/bin/buildkitd";
        assert_eq!(found(podman, podman).as_deref(), Some(&*unknown));
        // Linux before 6.13 names another function.
        let older = HUNG.replace("futex_do_wait", "futex_wait_queue");
        assert_eq!(found(&older, &older), Some(text.replace("futex_do_wait", "futex_wait_queue")));
    }

    #[test]
    fn a_daemon_that_only_waits_is_not_hung() {
        let last = |change: &dyn Fn(&str) -> String| {
            let (rest, last) = HUNG.rsplit_once('\n').expect("lines");
            format!("{rest}\n{}", change(last))
        };
        for (other, why) in [
            (last(&|_| String::new()), "no child"),
            (last(&|line| line.replace("Sl", "Rl")), "it runs"),
            (last(&|line| line.replace("Sl", "Zl")), "it has ended"),
            (last(&|line| line.replace("futex_do_wait", "do_epoll_wait")), "it waits for something else"),
            (last(&|line| line.replace("4733", "4734")), "the first has ended, this is another"),
            (last(&|line| line.replace("/usr/bin/buildkitd --addr", "/usr/bin/runc --addr")), "it is another program"),
            (last(&|line| line.replace("4711", "4700")), "its parent is not the daemon"),
            (HUNG.replace("/usr/bin/qemu-riscv64-static ", ""), "nothing is emulated"),
            (HUNG.replace("/usr/bin/buildkitd", "/bin/sh"), "a shell, which forks and waits"),
        ] {
            assert_eq!(found(HUNG, &other), None, "{why}");
            assert_eq!(found(&other, HUNG), None, "{why}");
        }
        assert_eq!(found("", ""), None);
    }

    #[test]
    fn a_mutated_list_gives_processes_of_the_list() {
        arbtest::arbtest(|source| {
            let list = mutated_input::text(source, HUNG)?;
            let processes = processes(&list);
            assert!(processes.len() <= list.lines().count());
            assert!(processes.iter().all(|process| list.contains(process.command)));
            let _ = hung_fork(&processes, &processes);
            Ok(())
        });
    }
}
