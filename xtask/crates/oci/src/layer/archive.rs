//! Layers in files: a tar archive read into entries, and written from entries in canonical form.
#![allow(clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, anyhow, bail};
use camino::Utf8Path;
use flate2::{Compression, GzBuilder};
use tar::EntryType;

use crate::digest::{Digest, HashingReader, HashingWriter, copy};
use crate::layer::canonical::{Entry, Kind};
use crate::layer::members::{self, ATTRIBUTE, Member};
use crate::limits::MEMBERS;

const LEVEL: u32 = 6;

/// Everything in a layer.
///
/// Fails if it is not a tar archive, or exceeds a limit.
pub fn read(layer: &Utf8Path) -> Result<Vec<Entry>> {
    let file = File::open(layer).with_context(|| format!("cannot open {layer}"))?;
    let mut entries = Vec::new();
    let each = |member: Member, content: &mut dyn Read| {
        let kind = match member.kind {
            members::Kind::File => {
                let (path, size_bytes) = (&member.path, member.size_bytes);
                let read = HashingReader::new(content).finish();
                let (read_bytes, sha256) = read.map_err(|error| format!("{path} cannot be read: {error}"))?;
                if read_bytes < size_bytes {
                    return Err(format!("{path} is cut short: {read_bytes} of {size_bytes} bytes"));
                }
                Kind::File { size_bytes, offset_bytes: member.offset_bytes, sha256 }
            }
            members::Kind::Directory => Kind::Folder,
            members::Kind::Symlink(target) => Kind::Symlink(target),
            members::Kind::HardLink(target) => Kind::HardLink(target),
            members::Kind::CharacterDevice(..) | members::Kind::BlockDevice(..) | members::Kind::Fifo => Kind::Special,
        };
        entries.push(Entry {
            path: member.path,
            kind,
            mode: member.mode,
            owner: (member.uid, member.gid),
            modified_epoch: member.modified_epoch,
            attributes: member.attributes,
        });
        Ok(())
    };
    members::read_file(BufReader::new(file), MEMBERS, each)
        .map_err(|error| anyhow!(error))
        .with_context(|| format!("cannot read the layer {layer}"))?;
    Ok(entries)
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
pub fn compress(layer: &Utf8Path, blob: &Utf8Path) -> Result<Written> {
    let mut file = File::open(layer).with_context(|| format!("cannot open {layer}"))?;
    write_blob(blob, |mut out| {
        copy(&mut file, &mut out)?;
        Ok(())
    })
}

/// Writes entries, whose content is in `layer`, as a layer of their own.
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
        Kind::File { size_bytes, offset_bytes, .. } => {
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
        Kind::Special => bail!("it is a device or a pipe, which our layers never contain"),
    }
    Ok(())
}

/// Takes the digest before and after gzip, whose header has neither time nor operating system.
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
