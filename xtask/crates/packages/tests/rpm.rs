//! Our RPM by the real rpm, in a root of its own: `tests/rpm.sh` installs, upgrades and removes it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "starts processes")]

mod support;

use expect_test::expect;
use support::{OLDER_RPM, RPM, Scratch, can_mount, has, text, with_own_mounts};

#[test]
fn rpm_installs_upgrades_and_removes() {
    let name = "rpm_installs_upgrades_and_removes";
    if !has(name, "rpm") || !can_mount(name) {
        return;
    }
    let scratch = Scratch::new("rpm-root");
    scratch.write_two_versions();
    let packages = [RPM, OLDER_RPM].map(|name| scratch.path("out").join(name));
    let mut rpm = with_own_mounts("rpm.sh");
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
