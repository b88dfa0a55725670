//! What every task shares on the command line: the version, `--quiet` and `--color`.
#![allow(clippy::disallowed_types, reason = "starts processes")]

use std::process::{Command, Output, Stdio};

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

/// What newcomers typed: the answer names what they meant.
#[test]
fn a_wrong_argument_is_answered_with_the_right_one() {
    for (typed, answer) in [
        ("release --dry-run", "tip: there is '--execute' instead: Publish; without this, the plan is only printed"),
        ("release --dryrun", "tip: there is '--execute' instead: "),
        ("check-upstream -n", "tip: there is '--execute' instead: "),
        ("clean --dryrun", "tip: a similar argument exists: '--dry-run'"),
        ("build v0.32.2", "tip: use '--ref v0.32.2'"),
        ("release v0.32.2", "tip: use '--dist dist/v0.32.2'"),
        ("check-upstream v0.13.0", "tip: use '--since v0.13.0'"),
        ("doctor build", "tip: use '--for build'"),
        ("ci clippy", "tip: use '--only clippy'"),
        ("verify v0.32.2 you/fork", "tip: use '--repo you/fork'"),
        ("verify v0.32", "use a whole version (v0.32.2), a tag of ours (buildkit-v0.32.2-riscv64, "),
        ("verify 0.32.2", "buildkit-v20260804-dev), or latest"),
        ("smoke machine", "use --level machine, or ./machine for an image of that name"),
        ("relase", "some similar subcommands exist: 'rehearse', 'release'"),
    ] {
        let output = xtask(&typed.split(' ').collect::<Vec<_>>());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(answer), "{typed}: {stderr}");
    }
    // No option takes these.
    for typed in ["image --tag x", "clean dist", "build --dry-run"] {
        let output = xtask(&typed.split(' ').collect::<Vec<_>>());
        assert!(!String::from_utf8_lossy(&output.stderr).contains("tip: "), "{typed}");
    }
}

/// Terminals have 80 columns, and what clap has to wrap no longer stands in its column.
#[test]
fn help_fits_into_80_columns() {
    let help = |task: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let words = [task, "--help"].into_iter().filter(|word| !word.is_empty());
        stdout(&command.args(words).env("COLUMNS", "80").stdin(Stdio::null()).output().expect("runs"))
    };
    let all = help("");
    let tasks = all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let tasks = tasks.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let mut count = 0;
    for task in tasks.chain([""]) {
        let help = help(task);
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{task}: {line}");
        }
        let examples = help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty());
        for line in examples {
            assert!(line.starts_with("  "), "{task}: clap wrapped {line:?}");
            count += 1;
        }
    }
    assert!(count > 60, "only {count} lines of examples were found");
}

/// With `--quiet` the first `cargo xtask` compiled for over a minute, on a board for a quarter of an hour, without a word.
#[test]
fn the_alias_shows_that_it_compiles() {
    let alias = include_str!("../../.cargo/config.toml");
    assert!(alias.contains("xtask = \"run ") && !alias.contains("quiet") && !alias.contains("-q"), "{alias}");
}

#[test]
fn help_is_a_task_too() {
    let [as_task, as_option] = [&["help", "build"], &["build", "--help"]].map(|arguments| stdout(&xtask(arguments)));
    assert_eq!(as_task, as_option);
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
