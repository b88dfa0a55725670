//! Layers as files: a tar archive read into entries, and written from them in the canonical form.
#![allow(clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use flate2::{Compression, GzBuilder};
use tar::EntryType;

use crate::digest::{Digest, HashingWriter, copy};
use crate::layer::canonical::{Entry, Kind};

/// Prefix of the PAX records that are extended attributes of a file.
const ATTRIBUTE: &str = "SCHILY.xattr.";
const LEVEL: u32 = 6;

/// Everything in a layer.
///
/// # Errors
/// Where it is no tar archive, or has a name in it that is not UTF-8.
pub fn read(layer: &Utf8Path) -> Result<Vec<Entry>> {
    let file = File::open(layer).with_context(|| format!("cannot open {layer}"))?;
    let mut tar = tar::Archive::new(BufReader::new(file));
    let mut entries = Vec::new();
    for entry in tar.entries_with_seek().with_context(|| format!("{layer} is no tar archive"))? {
        let mut entry = entry.with_context(|| format!("{layer} is no whole tar archive"))?;
        let path = text(&entry.path_bytes())?.trim_start_matches("./").trim_matches('/').to_owned();
        let link = |entry: &tar::Entry<'_, _>| -> Result<String> {
            text(&entry.link_name_bytes().with_context(|| format!("{path} is a link to nothing"))?)
        };
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                Kind::File { size_bytes: entry.size(), offset_bytes: entry.raw_file_position() }
            }
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Symlink(link(&entry)?),
            EntryType::Link => Kind::HardLink(link(&entry)?.trim_start_matches("./").trim_matches('/').to_owned()),
            EntryType::XGlobalHeader => continue,
            _ => Kind::Special,
        };
        let mut attributes = Vec::new();
        for record in entry.pax_extensions()?.into_iter().flatten() {
            let record = record?;
            if let Some(name) = record.key()?.strip_prefix(ATTRIBUTE) {
                attributes.push((name.to_owned(), record.value_bytes().to_owned()));
            }
        }
        attributes.sort();
        let header = entry.header();
        let (mode, owner) = (header.mode()? & 0o7777, (header.uid()?, header.gid()?));
        entries.push(Entry { modified_epoch: header.mtime()?, path, kind, mode, owner, attributes });
    }
    Ok(entries)
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_owned())
        .with_context(|| format!("a layer has a name that is not UTF-8: {}", String::from_utf8_lossy(bytes)))
}

/// A layer that was written.
pub struct Written {
    /// SHA-256 of the tar archive.
    pub diff_id: Digest,
    /// SHA-256 of the blob, the archive compressed.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size_bytes: u64,
}

/// Compresses a layer as it is.
///
/// # Errors
/// Where it cannot be read or written.
pub fn compress(layer: &Utf8Path, blob: &Utf8Path) -> Result<Written> {
    let mut file = File::open(layer).with_context(|| format!("cannot open {layer}"))?;
    write_blob(blob, |mut out| {
        copy(&mut file, &mut out)?;
        Ok(())
    })
}

/// Writes entries, whose content is in `layer`, as a layer of their own.
///
/// # Errors
/// As [`compress`].
pub fn rewrite(layer: &Utf8Path, entries: &[Entry], blob: &Utf8Path) -> Result<Written> {
    let mut file = File::open(layer).with_context(|| format!("cannot open {layer}"))?;
    write_blob(blob, |out| {
        let mut tar = tar::Builder::new(out);
        for entry in entries {
            append(&mut tar, entry, &mut file).with_context(|| format!("cannot put {} into a layer", entry.path))?;
        }
        tar.finish()?;
        Ok(())
    })
}

fn append(tar: &mut tar::Builder<impl Write>, entry: &Entry, file: &mut File) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.0);
    header.set_gid(entry.owner.1);
    header.set_mtime(entry.modified_epoch);
    header.set_size(0);
    let keys: Vec<String> = entry.attributes.iter().map(|(name, _)| format!("{ATTRIBUTE}{name}")).collect();
    if !keys.is_empty() {
        let values = entry.attributes.iter().map(|(_, value)| &value[..]);
        tar.append_pax_extensions(keys.iter().map(String::as_str).zip(values))?;
    }
    match &entry.kind {
        Kind::File { size_bytes, offset_bytes } => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(*size_bytes);
            file.seek(SeekFrom::Start(*offset_bytes))?;
            tar.append_data(&mut header, &entry.path, BufReader::with_capacity(256 << 10, file.take(*size_bytes)))?;
        }
        Kind::Folder => {
            header.set_entry_type(EntryType::Directory);
            tar.append_data(&mut header, format!("{}/", entry.path), std::io::empty())?;
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, &entry.path, target)?;
        }
        Kind::HardLink(target) => {
            header.set_entry_type(EntryType::Link);
            tar.append_link(&mut header, &entry.path, target)?;
        }
        Kind::Special => bail!("it is a device or a pipe, which no package makes"),
    }
    Ok(())
}

/// Takes the digest on both sides of gzip, whose header has no time and no system in it.
fn write_blob(blob: &Utf8Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Written> {
    let write = || -> Result<Written> {
        let file = HashingWriter::new(BufWriter::new(File::create(blob)?));
        let gzip = GzBuilder::new().mtime(0).operating_system(255).write(file, Compression::new(LEVEL));
        let mut out = HashingWriter::new(gzip);
        fill(&mut out)?;
        let (gzip, diff_id) = out.finish();
        let (mut file, digest) = gzip.finish()?.finish();
        file.flush()?;
        let size_bytes = file.get_ref().metadata()?.len();
        Ok(Written { diff_id: diff_id.into(), digest: digest.into(), size_bytes })
    };
    write().with_context(|| format!("cannot write {blob}"))
}
