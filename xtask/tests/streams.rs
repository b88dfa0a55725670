//! Standard output and standard error that take nothing: a closed pipe, a full disk. The task does its work all the
//! same, nothing panics, and a result that is lost fails the run.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "starts processes and opens files")]

use std::fs::File;
use std::io::pipe;
use std::process::{Command, Output, Stdio};

fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("GITHUB_ACTIONS");
    command
}

/// The writing end of a pipe that nobody reads.
fn closed_pipe() -> Stdio {
    pipe().expect("a pipe").1.into()
}

/// A device that takes nothing, as a full disk; see full(4).
fn full() -> Option<Stdio> {
    File::options().write(true).open("/dev/full").ok().map(Stdio::from)
}

fn exit_code(output: &Output) -> i32 {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    output.status.code().expect("no signal ended it")
}

const TASKS: [&[&str]; 4] =
    [&["--version"], &["completions", "bash"], &["clean", "--dry-run", "--json"], &["rehearse", "--json"]];

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for task in TASKS {
        let output = xtask(task).stdout(closed_pipe()).stderr(Stdio::piped()).output().expect("xtask starts");
        assert_eq!(exit_code(&output), 0, "{task:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_result_that_is_lost_fails_the_run() {
    for task in TASKS {
        let Some(full) = full() else { return };
        let output = xtask(task).stdout(full).stderr(Stdio::piped()).output().expect("xtask starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(exit_code(&output), 1, "{task:?}: {stderr}");
        assert!(stderr.contains("standard output did not take its result\n  because: "), "{task:?}: {stderr}");
    }
}

#[test]
fn a_status_that_nobody_reads_ends_no_task() {
    for task in TASKS {
        for stderr in [Some(closed_pipe()), full()].into_iter().flatten() {
            let output = xtask(task).stderr(stderr).stdout(Stdio::piped()).output().expect("xtask starts");
            assert_eq!(exit_code(&output), 0, "{task:?}");
            assert!(output.stdout.ends_with(b"\n"), "{task:?}");
        }
    }
}
