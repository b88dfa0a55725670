//! The level `packages`: apt-get installs, upgrades, removes and purges the Debian package in a riscv64 container of
//! Debian, systemd checks its units, and rpm installs the RPM into a root. Then a riscv64 machine boots that container's
//! files with systemd as init, and `buildctl` asks the daemon, which its socket starts.
#![allow(clippy::disallowed_types, reason = "names a lock")]

use std::fs::File;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use oci::layout::Image;

use crate::dist::{Check, Dist, names, recipe};
use crate::engine::{Choice, Engine, Session};
use crate::os::files::{self, Staging};
use crate::os::host::{self, Riscv64};
use crate::os::terminal::{note, print_status};
use crate::smoke::Outcome;
use crate::smoke::machine::console::Console;
use crate::smoke::machine::{self, Guest};
use crate::smoke::packages::debian::{BASE, Debian};

mod debian;

const INIT: &str = include_str!("packages/init.sh");
const TEST: &str = include_str!("packages/test.sh");

/// The steps in the container, in this order. Each begins with the format that it tests.
const STEPS: [&str; 6] = ["deb-upgrades", "deb-removes", "deb-purges", "deb-installs", "deb-units", "rpm-installs"];
/// The phases that the machine reports.
const PHASES: [&str; 7] = ["userspace", "listening", "daemon", "build", "restart", "purge", "end"];
/// A check for each of them, in the same order.
const CHECKS: [&str; 7] =
    ["deb-boots", "deb-listens", "deb-answers", "deb-builds", "deb-restarts", "deb-stops", "deb-powers-off"];

/// What this host is missing, each with the command that installs it.
pub fn missing() -> Vec<String> {
    let engine = Engine::find(Choice::Auto).err();
    let engine = engine.map(|error| format!("the level packages needs a container engine: {error:#}"));
    engine.into_iter().chain(host::why_no_riscv64_containers()).chain(machine::Level::missing()).collect()
}

/// Tests the packages of `dist`.
///
/// # Errors
/// If a package is not as it was recorded, or the container or the machine cannot be prepared. Any problem after that
/// is a failed check.
pub fn run(root: &Utf8Path, dist: &Dist, level: &machine::Level) -> Result<Outcome> {
    let folder = root.join("target/smoke/packages");
    let lock = files::lock(&folder.with_extension("lock"), || note("waiting for another run of smoke"))?;
    let work = Staging::new(&folder)?;
    let engine = Engine::find(Choice::Auto)?;
    let session = Session::begin(&engine, root)?;
    let debian = Debian::start(&session)?;
    dist.verify_packages()?;
    let mut formats = Vec::new();
    for package in &dist.record.packages {
        let path = dist.folder.join(&package.name);
        let format = path.extension().with_context(|| format!("{path} has no extension"))?.to_owned();
        debian.copy(&path, &format!("/root/buildkit.{format}"))?;
        formats.push(format);
    }
    print_status("packages", format_args!("preparing a riscv64 {BASE} with systemd and rpm"));
    debian.step("prepare").with_context(|| format!("the container of {BASE} cannot be prepared"))?;

    // The checks of a format begin with its name.
    let has = |name: &str| formats.iter().any(|format| name.split_once('-').is_some_and(|(of, _)| of == format));
    let mut checks = Vec::new();
    for name in STEPS.into_iter().filter(|name| has(name)) {
        checks.push(in_order(&checks, name, || {
            print_status("packages", name);
            let seen = debian.step(name)?;
            if matches!(name, "deb-installs" | "rpm-installs") {
                has_version_of(&seen, dist)?;
            }
            Ok(seen)
        }));
    }
    let mut tools = vec![
        (engine.kind.command().to_owned(), engine.version.clone()),
        ("riscv64 programs".to_owned(), Riscv64::here().describe()),
    ];
    if has(CHECKS[0]) {
        if checks.iter().any(|check| check.is_failure() && check.name.starts_with("deb-")) {
            let why = "the Debian package failed in the container";
            checks.extend(CHECKS.map(|name| Check::not_run(name, why)));
        } else {
            debian.step("freeze").context("the files for the machine cannot be prepared")?;
            let log = folder.with_file_name("packages-console.log");
            checks.extend(boot(&debian, level, work.path(), &lock, &log)?);
            tools.extend(level.tools());
        }
    }
    Ok(Outcome { checks, tools })
}

/// Does a step unless one of the same format failed before it.
fn in_order(before: &[Check], name: &str, step: impl FnOnce() -> Result<String>) -> Check {
    let format = name.split_once('-').map_or(name, |(format, _)| format);
    match before.iter().find(|check| check.is_failure() && check.name.starts_with(format)) {
        Some(failed) => Check::not_run(name, format!("{} failed before it", failed.name)),
        None => match step() {
            Ok(evidence) => Check::pass(name, evidence),
            Err(error) => Check::fail(name, format!("{error:#}")),
        },
    }
}

/// Both commands print the version and commit of the build, `rpm-installs` only that of the client.
fn has_version_of(seen: &str, dist: &Dist) -> Result<()> {
    let source = &dist.record.source;
    let line = recipe::version_line(names::BUILDCTL, &source.version, &source.commit);
    ensure!(seen.contains(&line), "the installed buildctl is not that of this build, {line:?}: {seen}");
    Ok(())
}

/// Boots the container's files, and asks the daemon there.
fn boot(
    debian: &Debian<'_>,
    level: &machine::Level,
    work: &Utf8Path,
    lock: &File,
    log: &Utf8Path,
) -> Result<Vec<Check>> {
    let archive = work.join("debian.tar");
    debian.save(&archive)?;
    let image = Image::open(&archive)?;
    let tree = image.files()?;
    let settings = level.settings(&[], &[]);
    let guest =
        Guest { image: &image, tree: &tree, init: INIT, script: Some(TEST), settings: &settings, phases: &PHASES };
    let (console, ended) = level.boot(&guest, work, log, lock)?;
    let checks = checks_of(&console, &ended, level);
    if checks.iter().any(Check::is_failure) {
        console.print_tail(log);
    }
    Ok(checks)
}

/// A check for each phase.
fn checks_of(console: &Console, ended: &Result<(), String>, level: &machine::Level) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for (phase, name) in PHASES.into_iter().zip(CHECKS) {
        let has_failure = checks.iter().any(Check::is_failure);
        let check = match (console.detail(phase), ended) {
            (Some(_), Err(why)) if phase == "end" => Check::fail(name, why),
            (Some((seconds, detail)), _) => {
                let evidence = match phase {
                    "userspace" => format!("{detail}, {}", level.describe()),
                    "daemon" => format!("the socket starts it, and buildctl lists {detail}"),
                    "build" => format!("RUN wrote {:?}", detail.trim()),
                    "restart" => format!("dpkg upgrades it, and it runs again: {detail}"),
                    "end" => "powered off by systemd".to_owned(),
                    _ => detail.to_owned(),
                };
                Check::pass(name, format!("{evidence}; {seconds} s after boot"))
            }
            (None, _) => console.missing(phase, name, ended, level.limit(), has_failure),
        };
        checks.push(check);
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::proofs::REQUIRED;

    #[test]
    fn every_check_is_required() {
        assert_eq!([&STEPS[..], &CHECKS[..]].concat(), REQUIRED[4].checks);
    }

    #[test]
    fn after_a_failure_only_steps_of_the_other_format_are_run() {
        let failed = [Check::fail("deb-upgrades", "dpkg said no")];
        let after = in_order(&failed, "deb-removes", || panic!("is not run"));
        assert_eq!(after, Check::not_run("deb-removes", "deb-upgrades failed before it"));
        let other = in_order(&failed, "rpm-installs", || Ok("rpm said yes".to_owned()));
        assert_eq!(other, Check::pass("rpm-installs", "rpm said yes"));
    }
}
