//! Our Debian package by the real dpkg, in a root of its own and under conditions that a maintainer script does not expect.
//! `tests/dpkg.sh` says which.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "starts processes")]

mod support;

use std::process::Command;

use support::{DEB, Scratch, can_mount, has, text};

#[test]
fn scripts_keep_to_their_root_run_twice_and_delete_through_no_mount() {
    let name = "scripts_keep_to_their_root_run_twice_and_delete_through_no_mount";
    if !has(name, "dpkg") || !has(name, "deb-systemd-helper") || !can_mount(name) {
        return;
    }
    let scratch = Scratch::new("dpkg");
    for version in ["v0.31.0", "v0.32.2"] {
        text(&scratch.packager_for(version, "octo-riscv/docker-for-riscv64"));
    }
    let packages = [DEB, "buildkit_0.31.0-1_riscv64.deb"].map(|name| scratch.path("out").join(name));
    for mounted in ["none", "below", "at"] {
        let mut dpkg = Command::new("unshare");
        dpkg.args(["--map-root-user", "--mount", "sh", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dpkg.sh")]);
        dpkg.arg(scratch.path(&format!("root {mounted}"))).args(&packages).arg(mounted);
        text(&dpkg.output().expect("was there"));
    }
}
