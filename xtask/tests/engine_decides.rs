//! `cargo xtask verify-tini` with an engine whose answers a script gives: what the engine does decides, and reading
//! its files only explains. The script answers in the forms of Docker's command-line reference (`docker run`,
//! "Exit status"; `docker inspect`; `docker info --format`).
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fakes::sample_image::{ENTRYPOINT, good};
use serde_json::Value;

use crate::support::Scratch;
use crate::support::image::{checks_of, layout, verify_command};

const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>"$FAKE_LOG"
case $1 in
version) echo '28.0.0 amd64' ;;
info) printf '%s\tDebian\t%s\n' "$(cat /proc/sys/kernel/hostname)" "$FAKE_INIT" ;;
wait) echo 7 ;;
logs) [ -n "$FAKE_SILENT" ] || echo 'ready, got SIGTERM' ;;
inspect) if [ -n "$FAKE_SILENT" ]; then echo 'false 1'; else echo 'true 0'; fi ;;
exec) [ -z "$FAKE_SILENT" ] || exit 1; printf 'ID PLATFORMS\nx linux/riscv64\n' ;;
run)
  case "$*" in
  *--init*) [ -z "$FAKE_INIT_FAILS" ] || { echo 'exec /sbin/docker-init: no such file or directory' >&2; exit 127; } ;;
  esac
  case "$*" in
  *--detach*) echo 0123 ;;
  *--version*) printf 'tini version 0.19.0\ntini version 0.19.0\n' ;;
  *'ls -la'*) echo /sbin/docker-init ;;
  *'exit 42') exit 42 ;;
  *'kill -9'*) exit 137 ;;
  *orphan*) echo 'Reaped zombie process with pid=2' ;;
  esac ;;
esac
"#;

/// Runs the task with that engine. Returns its checks, and the commands of the engine.
fn run(name: &str, settings: &[(&str, &str)]) -> (Vec<Value>, String) {
    let scratch = Scratch::new(name);
    let (folder, log, bin) = ["layout", "log", "bin"].map(|name| scratch.path().join(name)).into();
    let folder = folder.to_str().expect("UTF-8");
    layout(folder, &[&good()], &ENTRYPOINT);
    fs::create_dir(&bin).expect("is made");
    fs::write(bin.join("docker"), DOCKER).expect("is written");
    fs::set_permissions(bin.join("docker"), fs::Permissions::from_mode(0o755)).expect("is made executable");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("is set"));
    let mut command = verify_command(&["--json", "--engine", "docker", folder]);
    command.env("PATH", path).env("FAKE_LOG", &log).env("FAKE_INIT", "no-such-init");
    let output = command.envs(settings.iter().copied()).output().expect("xtask starts");
    (checks_of(&output), fs::read_to_string(&log).expect("is read"))
}

/// Verdict and evidence of a check.
fn check(checks: &[Value], name: &str) -> (String, String) {
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}"));
    let text = |key: &str| check[key].as_str().expect("a text").to_owned();
    (text("verdict"), text("evidence"))
}

#[test]
fn an_init_that_works_is_no_failure_though_its_file_is_not_found() {
    for init in ["no-such-init", "/no/such/init"] {
        let (checks, _) = run("works", &[("FAKE_INIT", init)]);
        let failed: Vec<&Value> = checks.iter().filter(|check| check["verdict"] == "fail").collect();
        assert!(failed.is_empty(), "{failed:#?}");
        let (verdict, evidence) = check(&checks, "host-init");
        assert_eq!(verdict, "not-run");
        assert!(evidence.contains("all 7 checks with --init passed") && evidence.contains(init), "{evidence}");
    }
}

#[test]
fn an_init_that_does_not_work_is_explained_by_its_missing_file() {
    let (checks, _) = run("fails", &[("FAKE_INIT", "/no/such/init"), ("FAKE_INIT_FAILS", "1")]);
    let (verdict, evidence) = check(&checks, "host-init");
    assert_eq!(verdict, "fail");
    for part in ["/no/such/init", "--init-path", "does not exist", "daemon.json"] {
        assert!(evidence.contains(part), "{part} is not in: {evidence}");
    }
    assert_eq!(check(&checks, "version").0, "pass");
    assert_eq!(check(&checks, "version-with-init").0, "fail");
}

#[test]
fn a_daemon_that_ends_without_a_word_did_not_hang() {
    let (checks, log) = run("silent", &[("FAKE_SILENT", "1")]);
    let (verdict, evidence) = check(&checks, "form-no-argument");
    assert_eq!(verdict, "fail");
    assert!(evidence.contains("ended with 1") && !evidence.contains("hung"), "{evidence}");
    let starts = log.lines().filter(|line| line.contains("--privileged")).count();
    assert_eq!(starts, 4, "each form of the daemon is started once, without and with --init");
}

/// A privileged daemon that listens on an open port must not be reachable from anywhere but its own container.
#[test]
fn no_container_has_a_network() {
    let (_, log) = run("network", &[]);
    let runs: Vec<&str> = log.lines().filter(|line| line.starts_with("run ")).collect();
    assert_eq!(runs.len(), 16, "each start takes a second or more: {log}");
    assert!(runs.iter().filter(|line| line.contains("--privileged")).count() == 4, "{log}");
    for run in runs {
        let networks = run.matches("--network").count();
        assert!(run.contains(" --network none ") && networks == 1 && !run.contains("--publish"), "{run}");
    }
}
