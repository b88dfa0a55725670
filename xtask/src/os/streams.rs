//! Standard output, for data, and standard error. The reader of a pipe may be gone, and a disk be full. No task ends
//! halfway because of that: printing never fails. What standard output did not take fails the run at its end, as with
//! the programs of the GNU coreutils.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;

/// Why standard output did not take everything.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints on standard output, and a line end.
pub fn print_stdout(text: impl Display) {
    write_stdout(format_args!("{text}\n"));
}

/// Prints a report on standard output, indented.
pub fn print_json(report: &Value) {
    print_stdout(format_args!("{report:#}"));
}

/// Prints on standard output as it is.
pub fn write_stdout(text: impl Display) {
    let mut stdout = io::stdout();
    // The reader of a pipe ends it when it has seen enough, as `head` does.
    if let Err(error) = write!(stdout, "{text}").and_then(|()| stdout.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Prints on standard error, and a line end.
pub fn print_stderr(text: impl Display) {
    write_stderr(format_args!("{text}\n"));
}

/// Prints on standard error as it is.
pub fn write_stderr(text: impl Display) {
    // Where errors are printed, there is no other place to report that they cannot be.
    let _ = write!(io::stderr(), "{text}");
}

/// The exit code of a task that has ended well, unless what it printed was lost.
///
/// # Errors
/// If standard output did not take everything.
pub fn check_stdout(code: ExitCode) -> Result<ExitCode> {
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner).take();
    lost.map_or(Ok(code), |error| Err(error).context("the task is done, but standard output did not take its result"))
}
