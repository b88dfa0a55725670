//! `cargo xtask doctor` run as a command, on a PATH with chosen programs.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use fakes::script::{Script, response};
use serde_json::{Value, json};

/// A checkout, removed at the end, and a folder of its own on PATH.
struct Checkout(PathBuf);

impl Checkout {
    fn new(name: &str, programs: &[(&str, &str)]) -> Self {
        let checkout = Self(std::env::temp_dir().join(format!("xtask-doctor-{name}-{}", std::process::id())));
        for folder in ["xtask", "bin"] {
            fs::create_dir_all(checkout.0.join(folder)).expect("is made");
        }
        fs::write(checkout.0.join(".gitmodules"), "").expect("is written");
        for (program, prints) in programs {
            checkout.script(program, &format!("echo '{prints}'"));
        }
        checkout
    }

    /// Puts a program on PATH, in place of one that is there.
    fn script(&self, program: &str, script: &str) {
        let path = self.0.join("bin").join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("is written");
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("is executable");
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["doctor", "--json"]).args(arguments).current_dir(&self.0);
        let of_the_job = ["GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL"];
        for name in of_the_job.iter().chain(&["RUNNER_ENVIRONMENT", "RUNNER_TEMP", "BUILDKIT_RUNNER_IS_EPHEMERAL"]) {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        command.env("PATH", self.0.join("bin")).output().expect("runs")
    }

    /// The exit status, and the report.
    fn doctor(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, Value) {
        let output = self.run(arguments, environment);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        (output.status.code(), report)
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn finding<'a>(report: &'a Value, need: &str) -> &'a Value {
    report["findings"].as_array().expect("a list").iter().find(|finding| finding["need"] == need).expect(need)
}

#[test]
fn podman_alone_is_an_engine_but_not_enough_for_the_workflow() {
    let checkout = Checkout::new("podman", &[("podman", "4.3.1")]);
    let (status, report) = checkout.doctor(&["--for", "workflow"], &[]);
    assert_eq!((status, &report["can_run_workflow"]), (Some(1), &Value::Bool(false)));
    let has = |need: &str| finding(&report, need)["has"].clone();
    assert_eq!(["engine", "docker", "buildx", "qemu-system"].map(has), [true, false, false, false].map(Value::Bool));
}

#[test]
fn gpg_is_named_where_a_repository_is_to_be_signed() {
    let without = Checkout::new("no-gpg", &[]).doctor(&[], &[]).1;
    let gpg = finding(&without, "gpg");
    assert_eq!((&gpg["has"], &gpg["task"]), (&json!(false), &json!("package --repository, signed")));
    assert!(gpg["fixes"].to_string().contains("apt-get install gpg gpg-agent"), "{gpg}");
    let with = Checkout::new("gpg", &[("gpg", "gpg (GnuPG) 2.2.40")]).doctor(&[], &[]).1;
    assert_eq!(finding(&with, "gpg")["found"], "gpg (GnuPG) 2.2.40");
}

/// `apt-get` here is a program that only prints.
#[test]
fn packages_are_installed_only_on_a_machine_that_is_thrown_away() {
    let checkout = Checkout::new("ephemeral", &[("apt-get", "")]);
    let temporary = checkout.0.join("runner/_work/_temp");
    fs::create_dir_all(&temporary).expect("is made");
    fs::write(checkout.0.join("runner/.runner"), r#"{"Ephemeral":"True","WorkFolder":"_work"}"#).expect("is written");
    let temporary = temporary.to_str().expect("is text");

    let own = [("RUNNER_ENVIRONMENT", "self-hosted")];
    let just_in_time = [own[0], ("RUNNER_TEMP", temporary)];
    let said_to_be_ephemeral = [own[0], ("BUILDKIT_RUNNER_IS_EPHEMERAL", "true")];
    let said_to_be_kept = [just_in_time[0], just_in_time[1], ("BUILDKIT_RUNNER_IS_EPHEMERAL", "false")];
    let variable_not_set = [own[0], ("BUILDKIT_RUNNER_IS_EPHEMERAL", "")];
    for (environment, installs) in [
        (&[][..], false),
        (&[("RUNNER_ENVIRONMENT", "github-hosted")], true),
        (&own, false),
        (&just_in_time, true),
        (&said_to_be_ephemeral, true),
        (&said_to_be_kept, false),
        (&variable_not_set, false),
    ] {
        let output = checkout.run(&["--for", "workflow", "--install=ephemeral"], environment);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let tried = stderr.contains("apt-get install") || stderr.contains("on Debian and Ubuntu only");
        assert_eq!(tried, installs, "{environment:?}: {stderr}");
        assert_eq!(output.status.code(), Some(1), "{environment:?}: {stderr}");
    }
    let wrong = checkout.run(&[], &[("BUILDKIT_RUNNER_IS_EPHEMERAL", "maybe")]);
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
}

/// What is there but does not work is not installed again, and the message is whole.
#[test]
fn an_engine_that_does_not_answer_and_a_checkout_that_cannot_be_read_are_not_fixed_by_packages() {
    let checkout = Checkout::new("no-answer", &[]);
    let fail = |program: &str, says: &str| checkout.script(program, &format!("echo '{says}' >&2\nexit 1"));
    let findings = |environment: &[(&str, &str)]| checkout.doctor(&[], environment).1;
    for (says, address, fix) in [
        ("Cannot connect to the Docker daemon", "", "systemctl start docker"),
        ("permission denied while trying to connect", "", "usermod -aG docker"),
        ("Cannot connect to the Docker daemon", "unix:///nowhere", "set DOCKER_HOST"),
    ] {
        fail("docker", says);
        let report = findings(&[("DOCKER_HOST", address)]);
        for need in ["engine", "docker"] {
            let finding = finding(&report, need);
            assert!(finding["found"].as_str().is_some_and(|found| found.contains(says)), "{finding}");
            assert!(finding["fixes"][0].as_str().is_some_and(|line| line.contains(fix)), "{finding}");
        }
    }
    fs::create_dir(checkout.0.join(".git")).expect("is made");
    fail("git", "fatal: detected dubious ownership\nTo add an exception");
    let upstream = finding(&findings(&[]), "upstream").clone();
    assert!(upstream["found"].as_str().is_some_and(|found| found.ends_with("To add an exception")), "{upstream}");
    assert_eq!(upstream["fixes"], json!([]));
}

#[test]
fn a_directory_that_takes_no_files_and_a_registry_that_does_not_answer_are_found() {
    // No user can write there.
    let checkout = Checkout::new("read-only", &[]);
    symlink("/proc/self", checkout.0.join("dist")).expect("is linked");
    let pip_alone =
        "[ \"$*\" = '-m pip --version' ] && echo pip && exit\necho 'ERROR: No matching distribution' >&2\nexit 1";
    checkout.script("python3", pip_alone);
    let report = checkout.doctor(&[], &[]).1;
    let disk = finding(&report, "disk");
    assert!(disk["found"].as_str().is_some_and(|found| found.contains("dist takes no files")), "{disk}");
    assert_eq!((&disk["has"], &disk["fixes"]), (&json!(false), &json!([])));
    let go = finding(&report, "Go");
    assert!(go["found"].as_str().is_some_and(|found| !found.contains("install Go with pip")), "{go}");
}

/// Busybox has one that takes short options alone.
#[test]
fn any_xz_will_do() {
    let checkout = Checkout::new("xz", &[]);
    checkout.script("xz", "exit 1");
    assert_eq!(finding(&checkout.doctor(&[], &[]).1, "xz")["has"], json!(true));
}

#[test]
fn a_schedule_that_github_disabled_is_named_with_the_command_that_enables_it() {
    // The states are those of the schema `workflow` in GitHub's OpenAPI description.
    let state = |path: &str, of_build: &str| match path.rsplit('/').next() {
        Some("buildkit-weekly-build.yml") => response(200, &[], json!({ "state": of_build }).to_string()),
        Some("track-buildkit-releases.yml") => response(200, &[], json!({ "state": "active" }).to_string()),
        _ => response(404, &[], "{}"),
    };
    let checkout = Checkout::new("schedules", &[]);
    let schedules = |of_build: &'static str| {
        let github = Script::start(move |request| state(request.uri().path(), of_build));
        let environment =
            [("GITHUB_API_URL", github.url()), ("GITHUB_REPOSITORY", "o/n".into()), ("GITHUB_TOKEN", "secret".into())];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        finding(&checkout.doctor(&[], &environment).1, "schedules").clone()
    };
    let active = schedules("active");
    assert_eq!((&active["has"], &active["found"]), (&json!(true), &json!("GitHub runs the workflows of o/n")));
    let stopped = schedules("disabled_inactivity");
    let why = "in o/n, buildkit-weekly-build.yml is disabled, because nothing happened in the repository for 60 days";
    assert_eq!((&stopped["has"], &stopped["found"]), (&json!(false), &json!(why)));
    assert_eq!(stopped["fixes"], json!(["gh workflow enable WORKFLOW, for each that is named"]));
    let of_a_fork = schedules("disabled_fork");
    assert!(of_a_fork["found"].as_str().is_some_and(|found| found.contains("a new fork")), "{of_a_fork}");
    let of_a_later_api = schedules("paused");
    assert!(of_a_later_api["found"].as_str().is_some_and(|found| found.ends_with("is not active")), "{of_a_later_api}");

    let unknown = finding(&checkout.doctor(&[], &[("GITHUB_REPOSITORY", "o/n")]).1, "schedules").clone();
    assert_eq!((&unknown["has"], &unknown["found"]), (&json!(true), &json!("not known without a token")));
}
