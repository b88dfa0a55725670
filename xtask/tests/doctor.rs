//! `cargo xtask doctor` run as a command, on a PATH with chosen programs.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

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
            let path = checkout.0.join("bin").join(program);
            fs::write(&path, format!("#!/bin/sh\necho '{prints}'\n")).expect("is written");
            fs::set_permissions(path, Permissions::from_mode(0o755)).expect("is executable");
        }
        checkout
    }

    /// The exit status, and the report.
    fn doctor(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["doctor", "--json"]).args(arguments).current_dir(&self.0);
        let output = command.env("PATH", self.0.join("bin")).output().expect("runs");
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

#[test]
fn podman_alone_is_an_engine_but_not_enough_for_the_workflow() {
    let checkout = Checkout::new("podman", &[("podman", "4.3.1")]);
    let (status, report) = checkout.doctor(&["--for", "workflow"]);
    assert_eq!((status, &report["can_run_workflow"]), (Some(1), &Value::Bool(false)));
    let has = |need: &str| {
        let findings = report["findings"].as_array().expect("a list");
        findings.iter().find(|finding| finding["need"] == need).expect(need)["has"].clone()
    };
    assert_eq!(["engine", "docker", "buildx", "qemu-system"].map(has), [true, false, false, false].map(Value::Bool));
}
