//! The published commands: whether they pass the gate that `build` has, and what they say when they run.
#![allow(clippy::disallowed_types, reason = "reads files")]

use std::fs::File;

use anyhow::{Context, Result, anyhow};
use camino::Utf8Path;

use crate::dist::names::{self, COMMANDS};
use crate::dist::{Metadata, binary, recipe};
use crate::os::files;
use crate::verify::assets::AS_RECORDED;
use crate::verify::findings::Findings;

const NAMES: [&str; 2] = ["binaries-gate", "binaries-version"];

/// Checks the commands in `folder`; `None` if they were not downloaded. They are run only if they are what the record
/// says, and without any variable of this environment: an emulator confines nothing.
pub fn check(findings: &mut Findings, folder: Option<&Utf8Path>, record: &Metadata) {
    let Some(folder) = folder else { return };
    if !findings.has_passed(AS_RECORDED) {
        findings.not_run(&NAMES, "the files are not those of the record, and are not run");
        return;
    }
    if findings.add(NAMES[0], gate(folder, record)).is_none() {
        findings.not_run(&NAMES[1..], "what does not pass the gate is not run");
        return;
    }
    match versions(folder, record).transpose() {
        Some(said) => findings.add_evidence(NAMES[1], said),
        None => findings.not_run(
            &NAMES[1..],
            "riscv64 programs do not run here: there is no qemu-user; `cargo xtask doctor` prints how to install it",
        ),
    }
}

fn gate(folder: &Utf8Path, record: &Metadata) -> Result<((), String)> {
    for command in COMMANDS {
        let path = folder.join(command);
        let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        binary::inspect(file, command, record.go.version).map_err(|faults| anyhow!("{command}: {faults}"))?;
    }
    Ok(((), format!("{} are static riscv64 programs, built by Go {}", COMMANDS.join(" and "), record.go.version)))
}

/// What both say, or `None` if they do not run here.
fn versions(folder: &Utf8Path, record: &Metadata) -> Result<Option<String>> {
    let mut how = None;
    let modified = files::instant(record.source.source_date_epoch);
    for command in COMMANDS {
        // What is downloaded is no program yet.
        files::set_mode_and_time(&folder.join(command), names::mode(command), modified)?;
        let line = recipe::version_line(command, &record.source.version, &record.source.commit);
        how = binary::check_version(&folder.join(command), &line)?;
    }
    Ok(how.map(|how| format!("{} report {} {how}", COMMANDS.join(" and "), record.source.version)))
}
