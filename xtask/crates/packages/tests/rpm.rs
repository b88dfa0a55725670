//! Our RPM by the real rpm, in a root of its own: `tests/rpm.sh` installs, upgrades and removes it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "starts processes")]

mod support;

use std::process::Command;

use expect_test::expect;
use support::{RPM, Scratch, can_mount, has, text};

#[test]
fn rpm_installs_upgrades_and_removes() {
    let name = "rpm_installs_upgrades_and_removes";
    if !has(name, "rpm") || !can_mount(name) {
        return;
    }
    let scratch = Scratch::new("rpm-root");
    for version in ["v0.31.0", "v0.32.2"] {
        text(&scratch.packager_for(version, "octo-riscv/docker-for-riscv64"));
    }
    let packages = [RPM, "buildkit-0.31.0-1.riscv64.rpm"].map(|name| scratch.path("out").join(name));
    let mut rpm = Command::new("unshare");
    rpm.args(["--map-root-user", "--mount", "sh", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rpm.sh")]);
    rpm.arg(scratch.path("root")).args(&packages);
    // The state of the daemon stays, and a changed configuration.
    expect![[r#"
        install-system-units buildkit.socket buildkit.service
        upgrade
        mark-restart-system-units buildkit.service
        erase
        remove-system-units buildkit.socket buildkit.service
        etc/buildkit
        etc/buildkit/buildkitd.toml.rpmsave
        var/lib/buildkit
    "#]]
    .assert_eq(&text(&rpm.output().expect("was there")));
}
