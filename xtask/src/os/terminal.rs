//! Status on standard error: a line for each step, and for long work a progress bar on a terminal and
//! timed lines elsewhere.
#![allow(clippy::disallowed_methods, reason = "reads the environment and asks the clock")]

use std::fmt::Display;
use std::io::Read;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use console::{style, user_attended_stderr};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::os::shell::abridged;
use crate::os::streams::{print_stderr, print_stdout};

/// Time between two lines of progress if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// A message may quote what is not ours, an image or the output of a program.
const MOST_ERROR_BYTES: usize = 16 << 10;

/// Whether status and progress are omitted. Set once, before a task begins.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Applies `--quiet` and `--color`. Without `--color`, colours depend on the terminal and on
/// `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE`.
pub fn configure(is_quiet: bool, is_colored: Option<bool>) {
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
    if let Some(is_colored) = is_colored {
        console::set_colors_enabled(is_colored);
        console::set_colors_enabled_stderr(is_colored);
    }
}

fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Prints a line of status: the step in a column, then the text.
pub fn print_status(step: &str, text: impl Display) {
    if !is_quiet() {
        print_stderr(format_args!("{} {text}", style(format!("{step:>9}")).for_stderr().green().bold()));
    }
}

/// Prints a line of a task's own form, on standard error.
pub fn print_line(text: impl Display) {
    if !is_quiet() {
        print_stderr(text);
    }
}

/// Prints a note: something that the user should know, but that is not an error.
pub fn note(text: impl Display) {
    print_stderr(format_args!("{} {text}", style("     note").for_stderr().yellow().bold()));
}

/// Prints a line of a plan on standard output, or on standard error if standard output is for JSON.
pub fn print_step(is_json: bool, line: &dyn Display) {
    if is_json {
        print_stderr(line);
    } else {
        print_stdout(line);
    }
}

/// Prints a table on standard error, with columns as wide as their content.
pub fn print_table<const N: usize>(rows: &[[String; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in rows {
        let cells: String = (0..N).map(|column| format!("  {:<width$}", row[column], width = width(column))).collect();
        print_stderr(cells.trim_end());
    }
}

/// Opens a group of lines that GitHub Actions folds; prints nothing elsewhere.
/// Source: "Workflow commands for GitHub Actions", grouping log lines.
pub fn group(title: &str) {
    if on_github_actions() {
        print_stderr(format_args!("::group::{title}"));
    }
}

/// Closes the group.
pub fn end_group() {
    if on_github_actions() {
        print_stderr("::endgroup::");
    }
}

fn on_github_actions() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Prints why the run failed, on GitHub Actions also as an annotation.
/// Source: "Workflow commands for GitHub Actions", setting an error message.
pub fn print_error(error: &anyhow::Error) -> ExitCode {
    let causes: String = error.chain().skip(1).map(|cause| format!("\n  because: {cause}")).collect();
    let message = format!("{error}{causes}");
    let message = abridged(&message, MOST_ERROR_BYTES);
    print_stderr(format_args!("{} {message}", style("    error").for_stderr().red().bold()));
    if on_github_actions() {
        let escaped = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        print_stderr(format_args!("::error::{escaped}"));
    }
    ExitCode::FAILURE
}

/// `1:05`, minutes and seconds.
pub fn clock(elapsed: Duration) -> String {
    format!("{}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
}

/// `4 kB`, `98.1 MB`, `1.2 GB`: decimal units, as download pages use them.
pub fn size(bytes: u64) -> String {
    if bytes >= 1_000_000_000 {
        return format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000);
    }
    if bytes < 1_000_000 {
        format!("{} kB", bytes.div_ceil(1000))
    } else {
        format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
    }
}

/// What a [`Progress`] counts.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Items, with their plural.
    Count(&'static str),
    /// Bytes.
    Bytes,
}

impl Unit {
    fn show(self, done: u64, total: u64) -> String {
        match (self, total) {
            (Self::Count(name), 0) => format!("{done} {name}"),
            (Self::Count(name), total) => format!("{done}/{total} {name}"),
            (Self::Bytes, total) => format!("{} of {}", size(done), size(total)),
        }
    }
}

/// Progress of one long piece of work.
pub struct Progress {
    step: &'static str,
    unit: Unit,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
    done: u64,
    total: u64,
}

impl Progress {
    /// Starts with nothing done and the total unknown.
    pub fn new(step: &'static str, unit: Unit) -> Self {
        let bar = (user_attended_stderr() && !is_quiet()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let form = "{prefix:.green.bold} [{bar:28.cyan}] {msg} {elapsed}";
            bar.set_style(
                ProgressStyle::with_template(form).expect("the template is a constant").progress_chars("━╸ "),
            );
            bar.set_prefix(format!("{step:>9}"));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        let now = Instant::now();
        Self { step, unit, bar, started: now, last_line: now, done: 0, total: 0 }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn set_total(&mut self, total: u64) {
        self.total = total;
        self.show();
    }

    pub fn done(&self) -> u64 {
        self.done
    }

    /// Resets the count to `done`, because the rest is done again.
    pub fn go_back_to(&mut self, done: u64) {
        self.done = done;
        self.show();
    }

    pub fn advance(&mut self, count: u64) {
        self.done += count;
        self.show();
    }

    /// Redraws, so that the elapsed time is current.
    pub fn tick(&mut self) {
        self.show();
    }

    /// Prints a line above the bar.
    pub fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print_stderr(line)),
            None if is_quiet() => {}
            None => print_stderr(line),
        }
    }

    fn show(&mut self) {
        let text = || self.unit.show(self.done, self.total);
        if let Some(bar) = &self.bar {
            bar.set_length(self.total.max(1));
            bar.set_position(self.done);
            bar.set_message(text());
        } else if self.last_line.elapsed() >= LINE_EVERY {
            print_status(self.step, format_args!("{} after {}", text(), clock(self.elapsed())));
            self.last_line = Instant::now();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A reader that advances a progress bar.
pub struct Counted<'a, R> {
    pub inner: R,
    pub progress: &'a mut Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_readable() {
        assert_eq!((clock(Duration::from_secs(65)), clock(Duration::from_secs(3600))), ("1:05".into(), "60:00".into()));
        assert_eq!(
            (size(0), size(1), size(999_999), size(98_149_000)),
            ("0 kB".into(), "1 kB".into(), "1000 kB".into(), "98.1 MB".into())
        );
        assert_eq!(
            (Unit::Count("packages").show(3, 0), Unit::Count("packages").show(3, 9)),
            ("3 packages".into(), "3/9 packages".into())
        );
    }
}
