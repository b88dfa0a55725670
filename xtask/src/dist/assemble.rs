//! Writes the archive, the SBOM, the record and the digests into `dist/<version>/`, with the same
//! modes and dates on every machine.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};

use anyhow::{Context, Result};
use camino::Utf8Path;
use flate2::{Compression, GzBuilder};
use oci::digest::file_digest;

use crate::dist::record::{FileRecord, Metadata};
use crate::dist::{Dist, names, recipe, sbom};
use crate::go::BuildInfo;
use crate::os::files::{self, MODE_FILE, MODE_PROGRAM};

/// Completes the record, and the directory that already contains the two commands and the archive.
pub fn assemble(folder: &Utf8Path, record: &mut Metadata, build_infos: [BuildInfo; 2]) -> Result<()> {
    let source = record.source.clone();
    let modified = files::instant(source.source_date_epoch);
    let set = |name: &str, mode: u32| files::set_mode_and_time(&folder.join(name), mode, modified);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
        set(name, MODE_FILE)
    };

    for command in names::COMMANDS {
        set(command, MODE_PROGRAM)?;
    }
    let commands = names::COMMANDS.map(|command| record_of(folder, command));
    let [daemon, client] = commands;
    let commands = [daemon?, client?];

    let tarball = names::tarball(&source.version);
    set(&tarball, MODE_FILE)?;

    let [daemon_info, client_info] = build_infos;
    let document = sbom::binaries::document(&source, &[(&commands[0], daemon_info), (&commands[1], client_info)]);
    let sbom = names::sbom(&source.version);
    write(&sbom, &format!("{document:#}\n"))?;

    let versions = names::COMMANDS.map(|command| recipe::version_line(command, &source.version, &source.commit) + "\n");
    write(names::VERSION_TXT, &versions.concat())?;

    record.files = commands.into();
    for name in [tarball.as_str(), &sbom, names::VERSION_TXT] {
        record.files.push(record_of(folder, name)?);
    }
    Dist::create(folder, record.clone())
}

/// The record of one file in `folder`.
fn record_of(folder: &Utf8Path, name: &str) -> Result<FileRecord> {
    let (size_bytes, sha256) = file_digest(&folder.join(name))?;
    Ok(FileRecord { name: name.to_owned(), size_bytes, sha256 })
}

/// The archive as upstream lays it out: `bin/` and the commands in it, sorted by name, with the
/// date of the commit. Source: the `releaser` stage of upstream's Dockerfile.
pub fn archive(folder: &Utf8Path, record: &Metadata) -> Result<()> {
    let source = &record.source;
    let path = folder.join(names::tarball(&source.version));
    let modified_epoch = source.source_date_epoch;
    let write = || -> Result<()> {
        let file = BufWriter::new(File::create(&path)?);
        // The header of gzip holds a time and an operating system: none and "unknown".
        let gzip =
            GzBuilder::new().mtime(0).operating_system(255).write(file, Compression::new(record.recipe.archive.level));
        let mut tar = tar::Builder::new(gzip);
        tar.append_data(&mut header(tar::EntryType::Directory, 0, modified_epoch)?, "bin/", std::io::empty())?;
        let mut commands = names::COMMANDS;
        commands.sort_unstable();
        for command in commands {
            let program = File::open(folder.join(command))?;
            let size_bytes = program.metadata()?.len();
            let mut header = header(tar::EntryType::Regular, size_bytes, modified_epoch)?;
            tar.append_data(&mut header, format!("bin/{command}"), BufReader::with_capacity(256 << 10, program))?;
        }
        tar.into_inner()?.finish()?.flush()?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {path}"))
}

fn header(kind: tar::EntryType, size_bytes: u64, modified_epoch: i64) -> Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size_bytes);
    header.set_mode(MODE_PROGRAM);
    header.set_mtime(u64::try_from(modified_epoch).context("a commit from before 1970")?);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    Ok(header)
}
