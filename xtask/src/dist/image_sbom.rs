//! The SBOM of the image as a file beside its layout: written, and compared with the record.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;

use anyhow::{Context, Result};
use camino::Utf8Path;
use oci::digest::file_digest;
use oci::layout::Image;
use serde_json::Value;

use crate::dist::names;
use crate::dist::record::{FileRecord, ImageRecord};
use crate::dist::sbom;
use crate::os::files;
use crate::upstream::Source;

/// Writes it into the directory of a build, from the image's own files and from the SBOM of the binaries.
///
/// Fails if one of them cannot be read, or if the image has no database of packages.
pub fn write(folder: &Utf8Path, source: &Source, record: &ImageRecord) -> Result<FileRecord> {
    let path = folder.join(names::sbom(&source.version));
    let text = fs::read(&path).with_context(|| format!("cannot read {path}; run `cargo xtask build` again"))?;
    let binaries: Value = serde_json::from_slice(&text).with_context(|| format!("{path} is not JSON"))?;
    let layout = folder.join(&record.layout);
    let contents = sbom::contents::Contents::read(&Image::open(&layout)?)
        .with_context(|| format!("cannot list what is in the image {layout}"))?;
    let document = sbom::image::document(source, record, &contents, &binaries).with_context(|| path.to_string())?;

    let name = names::image_sbom(&source.version);
    let path = folder.join(&name);
    files::replace(&path, format!("{document:#}\n").as_bytes(), files::instant(source.source_date_epoch))?;
    let (size_bytes, sha256) = file_digest(&path)?;
    Ok(FileRecord { name, size_bytes, sha256 })
}

/// Whether the file is there as it was recorded.
pub fn is_intact(folder: &Utf8Path, record: &ImageRecord) -> bool {
    let Some(file) = &record.sbom else { return false };
    file_digest(&folder.join(&file.name)).is_ok_and(|found| found == (file.size_bytes, file.sha256.clone()))
}
