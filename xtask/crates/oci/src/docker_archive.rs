//! An image written in the form of `docker save`, which every engine loads: Engine 20.10 and podman
//! know no OCI layout.
#![allow(clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::{BufWriter, Read, Write};

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::json;
use tar::{Builder, Header};

use crate::digest::sha256_of;
use crate::layout::Image;

/// Writes `image` into `archive`, to be loaded under these names. Layers stay compressed: engines
/// decompress them while loading.
///
/// Fails if the image cannot be read or the archive not be written.
pub fn write(image: &Image, names: &[String], archive: &Utf8Path) -> Result<()> {
    let write = || -> Result<()> {
        let mut tar = Builder::new(BufWriter::with_capacity(256 << 10, File::create(archive)?));
        let config = format!("{}.json", sha256_of(&mut image.config_json.as_slice())?);
        append(&mut tar, &config, image.config_json.len() as u64, image.config_json.as_slice())?;
        let mut layers: Vec<String> = Vec::new();
        for blob in image.blobs() {
            let (name, size_bytes, content) = blob?;
            if !layers.contains(&name) {
                append(&mut tar, &name, size_bytes, content)?;
            }
            layers.push(name);
        }
        let manifest = json!([{ "Config": config, "RepoTags": names, "Layers": layers }]).to_string();
        append(&mut tar, "manifest.json", manifest.len() as u64, manifest.as_bytes())?;
        tar.into_inner()?.flush()?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {archive} for the engine to load"))
}

fn append(tar: &mut Builder<impl Write>, name: &str, size_bytes: u64, content: impl Read) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_size(size_bytes);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, name, content)?;
    Ok(())
}
