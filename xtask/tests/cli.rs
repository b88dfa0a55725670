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

#[test]
fn an_empty_variable_is_no_value() {
    // Every variable that stands for an option, as a workflow sets it that has no value for it.
    let variables = [
        "ADOPT_LATEST",
        "BUILDKIT_LIMIT",
        "BUILDKIT_REF",
        "BUILDKIT_RUNNER_IS_EPHEMERAL",
        "BUILDKIT_SINCE",
        "GITHUB_API_URL",
        "GITHUB_REPOSITORY",
        "PROVENANCE",
        "RELEASE_EVENT",
        "XTASK_DEBIAN_ARCHIVE",
        "XTASK_EMULATORS",
        "XTASK_GO_PAGE",
        "XTASK_MACHINE_LIMIT",
    ];
    let tasks = ["build", "image", "smoke", "package", "release", "verify", "check-upstream", "rehearse", "doctor"];
    for task in tasks {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg(task).envs(variables.map(|name| (name, ""))).current_dir("/").env_remove("CARGO_MANIFEST_DIR");
        let output = command.output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains("is not in a checkout"), "{task}: {stderr}");
    }
}

#[test]
fn a_wrong_value_is_blamed_on_the_variable_that_has_it() {
    let with = |arguments: &[&str], variable: (&str, &str)| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = command.args(arguments).env(variable.0, variable.1).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{variable:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (task, name, value) in [
        ("build", "BUILDKIT_REF", "a b"),
        ("check-upstream", "BUILDKIT_SINCE", "new"),
        ("check-upstream", "BUILDKIT_LIMIT", "many"),
        ("doctor", "BUILDKIT_RUNNER_IS_EPHEMERAL", "maybe"),
        ("release", "GITHUB_REPOSITORY", "x"),
        ("release", "RELEASE_EVENT", "a b"),
        ("smoke", "XTASK_MACHINE_LIMIT", "long"),
    ] {
        let stderr = with(&[task], (name, value));
        assert!(stderr.contains(&format!("for '{name}'")), "{task}: {stderr}");
        assert!(stderr.contains(&format!("'{value}'")), "{task}: {stderr}");
    }
    let stderr = with(&["build", "--again"], ("BUILDKIT_REF", "v0.1.0"));
    assert!(stderr.contains("'BUILDKIT_REF'") && !stderr.contains("'--ref"), "{stderr}");
    let stderr = with(&["build", "--ref", "a b"], ("BUILDKIT_REF", "v0.1.0"));
    assert!(stderr.contains("for '--ref <REF>'"), "{stderr}");
}
