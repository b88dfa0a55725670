//! The console of the riscv64 machine: its lines, split in bounded memory, and the status lines among
//! them that the guest's scripts print.

use std::time::Duration;

use camino::Utf8Path;

use crate::dist::Check;
use crate::os::streams::print_stderr;
use crate::os::terminal::{Progress, clock};

/// The phases of a guest, in the order in which they are reached.
pub type Phases = &'static [&'static str];
const TAIL_LINES: usize = 30;
/// Stands in place of a phase when the machine cannot go on.
const FAILED: &str = "failed";
/// The guest decides what it prints: the rest of a longer line is dropped.
const LONGEST_LINE_BYTES: usize = 8 << 10;

/// A status line of a guest: `smoke: SECONDS PHASE DETAIL` or `smoke: SECONDS failed PHASE WHY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusLine {
    Reached {
        /// One of those that the guest has.
        phase: &'static str,
        /// Seconds since the kernel started, with two decimals.
        seconds: String,
        detail: String,
    },
    Failed {
        /// One of those that the guest has.
        phase: &'static str,
        why: String,
    },
}

impl StatusLine {
    /// Reads a line of the console; `None` for any other output.
    pub fn parse(line: &str, phases: Phases) -> Option<Self> {
        // The kernel's own messages may precede it on the same line.
        let (_, rest) = line.trim_end().split_once("smoke: ")?;
        let (seconds, rest) = rest.split_once(' ')?;
        let is_number =
            seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && seconds.parse::<f64>().is_ok();
        let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let known = |word: &str| phases.iter().copied().find(|phase| *phase == word);
        if !is_number {
            return None;
        }
        if word == FAILED {
            let (phase, why) = rest.split_once(' ')?;
            return Some(Self::Failed { phase: known(phase)?, why: why.to_owned() });
        }
        Some(Self::Reached { phase: known(word)?, seconds: seconds.to_owned(), detail: rest.to_owned() })
    }
}

/// The state of the guest, as far as its console shows it.
pub struct Console {
    phases: Phases,
    reached: Vec<(&'static str, String, String)>,
    failed: Option<(&'static str, String)>,
    tail: Vec<String>,
}

impl Console {
    pub fn new(phases: Phases) -> Self {
        Self { phases, reached: Vec::new(), failed: None, tail: Vec::new() }
    }

    pub fn take(&mut self, line: &str, progress: &mut Progress) {
        if self.tail.len() == TAIL_LINES {
            self.tail.remove(0);
        }
        self.tail.push(plain(line));
        match StatusLine::parse(line, self.phases) {
            Some(StatusLine::Reached { phase, seconds, detail }) if self.detail(phase).is_none() => {
                progress.advance(1);
                progress.print(&format!("{:>9} {phase:<10} {} {detail}", "", clock(progress.elapsed())));
                self.reached.push((phase, seconds, plain(&detail)));
            }
            Some(StatusLine::Failed { phase, why }) => {
                self.failed.get_or_insert((phase, plain(&why)));
            }
            _ => {}
        }
    }

    /// When a phase was reached, in seconds after boot, and what the guest said then.
    pub fn detail(&self, phase: &str) -> Option<(&str, &str)> {
        let found = self.reached.iter().find(|(reached, ..)| *reached == phase)?;
        Some((&found.1, &found.2))
    }

    /// The check of a phase that was not reached.
    pub fn missing(
        &self,
        phase: &str,
        name: &str,
        ended: &Result<(), String>,
        limit: Duration,
        has_failure: bool,
    ) -> Check {
        match (&self.failed, ended) {
            (Some((failed, why)), _) if *failed == phase => Check::fail(name, why),
            _ if has_failure => Check::not_run(name, "the machine did not reach this phase"),
            (_, Ok(())) => Check::fail(name, "the machine powered off before this phase; see its console"),
            (_, Err(why)) if why.contains("took longer than") => {
                let seconds = limit.as_secs();
                Check::fail(name, format!("not reached in {seconds} s; if the machine is slow, raise --machine-limit"))
            }
            (_, Err(why)) => Check::fail(name, why),
        }
    }

    /// Prints the last lines, for a person who looks for the cause of a failure. `log` has all of them.
    pub fn print_tail(&self, log: &Utf8Path) {
        print_stderr(format_args!("--- the last lines of the machine's console, {log}"));
        for line in &self.tail {
            print_stderr(format_args!("    {line}"));
        }
    }
}

/// Splits the bytes of the console into lines as they arrive, in linear time and bounded memory.
#[derive(Default)]
pub struct LineSplitter {
    pending: Vec<u8>,
}

impl LineSplitter {
    /// Passes each line that `bytes` completes to `on_line`, without its end.
    pub fn push(&mut self, bytes: &[u8], on_line: &mut impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE_BYTES - self.pending.len();
            self.pending.extend(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                on_line(String::from_utf8_lossy(&self.pending).trim_end());
                self.pending.clear();
            }
        }
    }
}

/// The text of a line without control characters, which could move a terminal's cursor or change its colours.
pub fn plain(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const PHASES: Phases = &["userspace", "daemon", "riscv64", "end"];

    #[test]
    fn status_lines_are_found_in_the_console() {
        let reached =
            |phase, detail: &str| StatusLine::Reached { phase, seconds: "8.04".to_owned(), detail: detail.to_owned() };
        assert_eq!(
            StatusLine::parse("smoke: 8.04 userspace 6.12.107\r\n", PHASES),
            Some(reached("userspace", "6.12.107"))
        );
        assert_eq!(StatusLine::parse("[ 9.1] ext4: x smoke: 8.04 end", PHASES), Some(reached("end", "")));
        let failed = StatusLine::Failed { phase: "daemon", why: "it ended with exit status 3".to_owned() };
        assert_eq!(StatusLine::parse("smoke: 9.00 failed daemon it ended with exit status 3", PHASES), Some(failed));
        for line in [
            "",
            "smoke: ",
            "smoke: x end",
            "smoke: inf end",
            "smoke: 1.0 other",
            "smoke: 1.0 failed end",
            "#5 DONE 8.3s",
        ] {
            assert_eq!(StatusLine::parse(line, PHASES), None, "{line}");
        }
    }

    const CONSOLE: &str = "[    0.000000] Linux version 6.12\r\n[ 9.1] x smoke: 8.04 userspace 6.12.107\r\n\
        smoke: 12.5 daemon linux/riscv64,linux/amd64\r\n#5 \u{1b}[31mDONE 8.3s\r\n\r\n\
        smoke: 13.00 failed riscv64 it ended with exit status 3\r\nsmoke: 14.0 end\n";

    fn lines_of<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let (mut lines, mut splitter) = (Vec::new(), LineSplitter::default());
        for chunk in chunks {
            splitter.push(chunk, &mut |line| lines.push(line.to_owned()));
            assert!(splitter.pending.len() <= LONGEST_LINE_BYTES);
        }
        lines
    }

    #[test]
    fn a_mutated_console_gives_bounded_lines_and_known_phases_however_it_arrives() {
        arbtest::arbtest(|source| {
            let bytes = mutated_input::bytes(source, CONSOLE.as_bytes())?;
            let lines = lines_of([&bytes[..]]);
            assert_eq!(lines, lines_of(bytes.chunks(source.int_in_range(1..=64)?)));
            assert_eq!(lines.len(), bytes.iter().filter(|byte| **byte == b'\n').count());
            for line in &lines {
                // A byte that is not UTF-8 becomes one character of three bytes.
                assert!(line.len() <= 3 * LONGEST_LINE_BYTES);
                assert!(!plain(line).chars().any(|c| c.is_control() && c != '\t'));
                match StatusLine::parse(line, PHASES) {
                    Some(StatusLine::Reached { phase, seconds, detail }) => {
                        assert!(PHASES.contains(&phase) && seconds.parse::<f64>().is_ok_and(f64::is_finite));
                        assert!(line.contains(&detail));
                    }
                    Some(StatusLine::Failed { phase, why }) => assert!(PHASES.contains(&phase) && line.contains(&why)),
                    None => {}
                }
            }
            Ok(())
        });
    }

    #[test]
    fn a_line_without_end_and_a_megabyte_of_empty_lines_are_split_in_bounded_memory() {
        let endless = vec![b'x'; 1 << 20];
        assert!(lines_of([&endless[..]]).is_empty());
        let lines = lines_of([&endless[..], b"\nsmoke: 1.0 end\n"]);
        assert_eq!((lines[0].len(), lines[1].as_str()), (LONGEST_LINE_BYTES, "smoke: 1.0 end"));
        assert_eq!(lines_of([&vec![b'\n'; 1 << 20][..]]).len(), 1 << 20);
    }
}
