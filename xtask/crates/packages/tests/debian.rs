//! Our Debian package by the real dpkg, in a root of its own and under conditions that a maintainer script does not expect.
//! `tests/dpkg.sh` says which.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "starts processes")]

mod support;

use support::{DEB, OLDER_DEB, Scratch, can_mount, has, text, with_own_mounts};

#[test]
fn scripts_keep_to_their_root_run_twice_and_delete_through_no_mount() {
    let name = "scripts_keep_to_their_root_run_twice_and_delete_through_no_mount";
    if !has(name, "dpkg") || !has(name, "deb-systemd-helper") || !can_mount(name) {
        return;
    }
    let scratch = Scratch::new("dpkg");
    scratch.write_two_versions();
    let packages = [DEB, OLDER_DEB].map(|name| scratch.path("out").join(name));
    for mounted in ["none", "below", "at"] {
        let mut dpkg = with_own_mounts("dpkg.sh");
        dpkg.arg(scratch.path(&format!("root {mounted}"))).args(&packages).arg(mounted);
        text(&dpkg.output().expect("was there"));
    }
}
