//! The packages of a fake dist: a Debian package and an RPM of the right name, version and architecture, with nothing in
//! them. They are written by hand, because only `packager` compiles the libraries that write real ones; it reads these as
//! it reads all others, with the same libraries.
#![allow(clippy::disallowed_methods, reason = "writes files")]

use std::fs;

use anyhow::{Context, Error, Result};
use camino::Utf8Path;
use oci::digest::sha256;
use packages::version::{ARCHITECTURE, Format, NAME, PackageVersion};

use crate::dist::{FileRecord, names};
use crate::upstream::Source;

const SUMMARY: &str = "fake package, made for a rehearsal";
/// What begins a header, and its version. Source: RPM's documentation, "RPM V4 Package format".
const HEADER_MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
/// The types of a header's entries.
const INT32: u32 = 4;
const STRING: u32 = 6;
const I18N_STRING: u32 = 9;
/// The tag of the header's digest in the signature, `RPMSIGTAG_SHA256`.
const SHA256_OF_HEADER: u32 = 273;

/// Writes both packages into `folder`, and returns their records.
pub fn write(folder: &Utf8Path, source: &Source) -> Result<Vec<FileRecord>> {
    let version = names::package_version(source).map_err(Error::msg)?;
    let built_epoch = u32::try_from(source.source_date_epoch).context("the date of the source")?;
    let mut records = Vec::new();
    for format in Format::ALL {
        let (name, content) = match format {
            Format::Deb => (version.file_name(format), deb(&version, built_epoch)?),
            Format::Rpm => (version.file_name(format), rpm(&version, built_epoch)?),
        };
        let path = folder.join(&name);
        fs::write(&path, &content).with_context(|| format!("cannot write {path}"))?;
        records.push(FileRecord { name, size_bytes: content.len() as u64, sha256: sha256(&content) });
    }
    records.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(records)
}

/// Source: deb(5).
fn deb(version: &PackageVersion, built_epoch: u32) -> Result<Vec<u8>> {
    let control = format!(
        "Package: {NAME}\nVersion: {}\nArchitecture: {ARCHITECTURE}\nMaintainer: A rehearsal <nobody@example.org>\n\
         Description: {SUMMARY}\n",
        version.with_revision()
    );
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", super::gzip(&super::archive(&[("control", &control)], i64::from(built_epoch))?)?),
        ("data.tar.gz", super::gzip(&super::archive(&[], 0)?)?),
    ];
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let header = format!("{name:<16}{built_epoch:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 100_644, content.len());
        archive.extend(header.bytes().chain(content));
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    Ok(archive)
}

/// Source: RPM's documentation, "RPM V4 Package format".
fn rpm(version: &PackageVersion, built_epoch: u32) -> Result<Vec<u8>> {
    let (version, revision) = (version.to_string(), version.revision());
    let text = |text: &str| [text.as_bytes(), &[0]].concat();
    // The tags, from `RPMTAG_NAME` on: version, release, summary, description, time of the build, size, licence, arch.
    let header = header(&[
        (1000, STRING, text(NAME)),
        (1001, STRING, text(&version)),
        (1002, STRING, text(revision)),
        (1004, I18N_STRING, text(SUMMARY)),
        (1005, I18N_STRING, text(SUMMARY)),
        (1006, INT32, built_epoch.to_be_bytes().to_vec()),
        (1009, INT32, vec![0; 4]),
        (1014, STRING, text("Apache-2.0")),
        (1022, STRING, text(ARCHITECTURE)),
    ])?;
    let mut package = vec![0xed, 0xab, 0xee, 0xdb, 3, 0];
    package.resize(76, 0);
    // The operating system is Linux, and the signature a header.
    package.extend([0, 1, 0, 5]);
    package.resize(96, 0);
    package.extend(self::header(&[(SHA256_OF_HEADER, STRING, text(&sha256(&header).to_string()))])?);
    package.resize(package.len().next_multiple_of(8), 0);
    package.extend(header);
    Ok(package)
}

/// A header with these entries: tag, type and value.
fn header(entries: &[(u32, u32, Vec<u8>)]) -> Result<Vec<u8>> {
    let (mut index, mut store) = (Vec::new(), Vec::new());
    for (tag, kind, value) in entries {
        if *kind == INT32 {
            store.resize(store.len().next_multiple_of(4), 0);
        }
        let offset = u32::try_from(store.len())?;
        index.extend([*tag, *kind, offset, 1].into_iter().flat_map(u32::to_be_bytes));
        store.extend(value);
    }
    let sizes = [u32::try_from(entries.len())?, u32::try_from(store.len())?];
    Ok([&HEADER_MAGIC, &sizes.map(u32::to_be_bytes).concat()[..], &index, &store].concat())
}
