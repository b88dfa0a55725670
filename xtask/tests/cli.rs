//! What every task shares on the command line: the version, `--quiet` and `--color`.
#![allow(clippy::disallowed_types, reason = "starts processes")]

use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.args(arguments).output().expect("runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn version_names_the_checkout_and_the_pinned_buildkit() {
    let output = xtask(&["--version"]);
    let line = stdout(&output);
    let commits = line.trim_end().strip_prefix("xtask 0.0.0 (checkout ").and_then(|rest| rest.strip_suffix(')'));
    let (checkout, buildkit) = commits.and_then(|text| text.split_once(", BuildKit ")).expect(&line);
    let is_short = |commit: &str| commit.len() == 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(output.status.success() && is_short(checkout) && is_short(buildkit), "{line}");
}

#[test]
fn a_missing_task_is_a_usage_error() {
    let output = xtask(&["--quiet"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("name a task"));
}

#[test]
fn quiet_leaves_out_status_and_color_is_as_asked() {
    let loud = xtask(&["ci", "--only", "format"]);
    assert!(String::from_utf8_lossy(&loud.stderr).contains("ci format"));
    assert!(!stdout(&loud).contains('\u{1b}'), "colour in a pipe: {:?}", stdout(&loud));
    let quiet = xtask(&["--quiet", "--color=always", "ci", "--only", "format"]);
    assert_eq!(String::from_utf8_lossy(&quiet.stderr), "");
    assert!(stdout(&quiet).contains("\u{1b}[32mpassed"), "{:?}", stdout(&quiet));
}
