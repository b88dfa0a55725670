//! The order of versions, as dpkg and rpm themselves see it.
#![allow(clippy::disallowed_types, reason = "starts processes")]

use std::io::Write;
use std::process::Command;

use packages::version::PackageVersion;

/// From the oldest to the newest.
fn versions() -> Vec<String> {
    let commit = "991535e0973488b6a429096d21fa13f81f2d89d8";
    let master = |day| PackageVersion::of_master(day, commit).expect("a version").with_revision();
    let of = |version| PackageVersion::of_version(version).expect("a version").with_revision();
    let numbered =
        ["v0.9.3", "v0.32.2", "v0.32.2-2-gabcdef012", "v0.33.0-beta1", "v0.33.0-rc1", "v0.33.0-rc2", "v0.33.0"];
    ["20260804", "20260811"].map(master).into_iter().chain(numbered.map(of)).collect()
}

/// Says by name and reason that a test could not run; `cargo xtask ci` counts these lines.
fn skip(name: &str, reason: &str) {
    writeln!(std::io::stderr(), "SKIPPED {name}: {reason}").expect("standard error takes a line");
}

#[test]
fn dpkg_sorts_the_versions_so() {
    for pair in versions().windows(2) {
        let [older, newer] = pair else { unreachable!("windows of two") };
        let Ok(status) = Command::new("dpkg").args(["--compare-versions", older, "lt", newer]).status() else {
            return skip("dpkg_sorts_the_versions_so", "there is no dpkg here");
        };
        assert!(status.success(), "dpkg does not take {older} for older than {newer}");
    }
}

#[test]
fn rpm_sorts_the_versions_so() {
    for pair in versions().windows(2) {
        let [older, newer] = pair else { unreachable!("windows of two") };
        let script = format!("%{{lua: print(rpm.vercmp('{older}', '{newer}'))}}");
        let Ok(output) = Command::new("rpm").args(["--eval", &script]).output() else {
            return skip("rpm_sorts_the_versions_so", "there is no rpm here");
        };
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), "-1", "rpm does not take {older} for older than {newer}");
    }
}
