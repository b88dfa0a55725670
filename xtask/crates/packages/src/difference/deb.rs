//! The parts of a Debian package: deb(5).
#![allow(clippy::disallowed_types, reason = "reads packages")]

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use flate2::read::GzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::Stream;
use oci::digest::HashingWriter;

use crate::difference::{MOST_BYTES, MOST_TEXT_BYTES, Part, Parts, add};

/// What xz may take to unpack; its highest level takes 65 MiB (xz(1)).
const MOST_XZ_MEMORY_BYTES: u64 = 256 << 20;

/// Every member of the outer archive, and every member of the archives in it.
pub fn parts(file: &Utf8Path) -> Result<Parts> {
    let mut parts = Parts::new();
    let input = File::open(file).with_context(|| format!("cannot open {file}"))?;
    let mut outer = ar::Archive::new(input.take(MOST_BYTES));
    // What is unpacked from all members together.
    let mut left_bytes = MOST_BYTES;
    while let Some(entry) = outer.next_entry() {
        let mut entry = entry.with_context(|| format!("{file} is no archive of ar"))?;
        let header = entry.header();
        let name = String::from_utf8_lossy(header.identifier()).into_owned();
        let attributes =
            format!("mode {:o}, {}:{}, time {}", header.mode(), header.uid(), header.gid(), header.mtime());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).with_context(|| format!("{file} ends early"))?;
        let unpacked: Option<Box<dyn Read>> = match name.as_str() {
            "control.tar.xz" | "data.tar.xz" => {
                let stream = Stream::new_stream_decoder(MOST_XZ_MEMORY_BYTES, 0).context("xz cannot be begun")?;
                Some(Box::new(XzDecoder::new_stream(&*content, stream)))
            }
            "control.tar.gz" | "data.tar.gz" => Some(Box::new(GzDecoder::new(&*content))),
            _ => None,
        };
        if let Some(unpacked) = unpacked {
            members(&mut parts, &name, unpacked, &mut left_bytes).with_context(|| format!("{name} of {file}"))?;
        }
        add(&mut parts, &name, Part::new(attributes, &content))?;
    }
    Ok(parts)
}

/// Every member of a tar archive, as it stands there: a long name is a member of its own, so that nothing but the
/// content of one has to be read at once.
fn members(parts: &mut Parts, archive: &str, unpacked: impl Read, left_bytes: &mut u64) -> Result<()> {
    let mut unpacked = tar::Archive::new(unpacked.take(*left_bytes));
    for entry in unpacked.entries()?.raw(true) {
        let mut entry = entry.context("cannot be unpacked")?;
        let header = entry.header();
        let (mode, owner) = (header.mode()?, (header.uid()?, header.gid()?));
        let link = header.link_name_bytes().map(|link| format!(" -> {}", String::from_utf8_lossy(&link)));
        let attributes = format!(
            "{:?}{}, mode {mode:o}, {}:{}, time {}",
            header.entry_type(),
            link.unwrap_or_default(),
            owner.0,
            owner.1,
            header.mtime()?
        );
        let name = format!("{archive}: {}", String::from_utf8_lossy(&entry.path_bytes()));
        let mut start = Vec::new();
        entry.by_ref().take(MOST_TEXT_BYTES as u64).read_to_end(&mut start)?;
        let mut hash = HashingWriter::new(io::sink());
        let size_bytes = io::copy(&mut start.as_slice().chain(&mut entry), &mut hash)?;
        ensure!(size_bytes == entry.size(), "it ends early, or is larger than {MOST_BYTES} bytes");
        *left_bytes = left_bytes.saturating_sub(size_bytes);
        let text = (size_bytes == start.len() as u64).then(|| String::from_utf8(start).ok()).flatten();
        add(parts, &name, Part { attributes, size_bytes, sha256: hash.finish().1, text })?;
    }
    Ok(())
}
