//! The published archive: it has the two commands that are published beside it, and nothing else.
#![allow(clippy::disallowed_types, reason = "reads files")]

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use flate2::read::GzDecoder;
use oci::digest::sha256_of;

use crate::dist::names::{self, COMMANDS};
use crate::dist::{FileRecord, Metadata};
use crate::os::shell::one_line;
use crate::verify::assets::AS_RECORDED;
use crate::verify::findings::Findings;

const NAME: &str = "archive";

/// Checks the archive in `folder`; `None` if it was not downloaded.
pub fn check(findings: &mut Findings, folder: Option<&Utf8Path>, record: &Metadata) {
    let Some(folder) = folder else { return };
    if !findings.has_passed(AS_RECORDED) {
        return findings.not_run(&[NAME], "the files are not those of the record");
    }
    findings.add_evidence(NAME, has_the_commands(&folder.join(names::tarball(&record.source.version)), record));
}

fn has_the_commands(path: &Utf8Path, record: &Metadata) -> Result<String> {
    let mut commands: Vec<&FileRecord> =
        record.files.iter().filter(|file| COMMANDS.contains(&file.name.as_str())).collect();
    // As much as both commands have, and a mebibyte for headers: it unpacks to no more.
    let most_bytes = commands.iter().fold(1 << 20, |sum: u64, file| sum.saturating_add(file.size_bytes));
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(most_bytes));
    for member in archive.entries()?.raw(true) {
        // An error of the archive, and none of the way to it.
        let Ok(mut member) = member else { bail!("it is no archive of tar and gzip, or larger than its commands") };
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        if name == "bin/" {
            continue;
        }
        let known = COMMANDS.iter().any(|command| name == format!("bin/{command}"));
        ensure!(known, "{:?} in it is none of the commands", one_line(&name));
        let index = commands.iter().position(|file| name == format!("bin/{}", file.name));
        let command = commands.remove(index.with_context(|| format!("{name:?} is in it twice"))?);
        let Ok(found) = sha256_of(&mut member) else { bail!("it ends early") };
        ensure!(found == command.sha256, "{name} in it is not the {} beside it", command.name);
    }
    if let Some(command) = commands.first() {
        bail!("it has no bin/{}", command.name);
    }
    Ok("it has the two commands that are published beside it, and nothing else".to_owned())
}
