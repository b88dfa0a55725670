//! The OCI image layout in `dist/<version>/image/`: written from an engine's archive, and read back
//! with every blob compared with its digest.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Digest, sha256};
use oci::documents::{Descriptor, INDEX, Index, Manifest, OCI_LAYOUT};
use oci::layer::archive::{self, Written};
use oci::layer::canonical::{Entry, Tree};
use oci::layout::Image;
use serde::Serialize;

use crate::dist::image_config::{self, BuiltConfig, Facts};
use crate::image::inputs::Inputs;
use crate::os::files::{self, MODE_FILE};
use crate::os::terminal::{Progress, Unit};
use crate::upstream::source::Source;

const BLOBS: &str = "blobs/sha256";

/// What the layout is to say beside what the engine made.
pub struct Wanted<'a> {
    /// What was built.
    pub source: &'a Source,
    /// What went into it.
    pub inputs: &'a Inputs,
    /// Digest of the base, where the engine told it.
    pub base_digest: Option<&'a str>,
    /// The image's name in the index.
    pub tag: &'a str,
}

/// Makes the layout in an empty folder. Returns the manifest's digest and the size of all blobs.
///
/// # Errors
/// Where the archive is not of an image for riscv64, or the disk is full.
pub fn write(archive: &Utf8Path, scratch: &Utf8Path, folder: &Utf8Path, wanted: &Wanted<'_>) -> Result<(Digest, u64)> {
    let image = Image::open(archive)?;
    let built: BuiltConfig = serde_json::from_slice(&image.config_json).context("the engine's configuration")?;
    let architecture = &built.architecture;
    if architecture != "riscv64" {
        bail!("the engine built for {architecture} and not for riscv64; does {} name only that?", wanted.inputs.base);
    }
    fs::create_dir_all(folder.join(BLOBS)).with_context(|| format!("cannot make {folder}/{BLOBS}"))?;
    let written = write_layers(&image, scratch, folder, wanted)?;

    let diff_ids: Vec<Digest> = written.iter().map(|layer| layer.diff_id.clone()).collect();
    let facts = Facts {
        created: &wanted.source.source_date,
        base_name: wanted.inputs.base.as_str(),
        base_digest: wanted.base_digest,
        diff_ids: &diff_ids,
        instructions: &wanted.inputs.instructions,
    };
    let (config, config_bytes) = put(folder, &image_config::config(&built, &facts))?;
    let descriptors = written.iter().map(|layer| Descriptor::layer(&layer.digest, layer.size_bytes)).collect();
    let labels = image_config::labels(&built, wanted.base_digest);
    let manifest = Manifest::new(Descriptor::config(&config, config_bytes), descriptors, labels);
    let (digest, manifest_bytes) = put(folder, &manifest)?;
    let index = serde_json::to_vec(&Index::new(&digest, manifest_bytes, wanted.tag))?;
    for (name, content) in [(INDEX, &index[..]), ("oci-layout", OCI_LAYOUT.as_bytes())] {
        fs::write(folder.join(name), content).with_context(|| format!("cannot write {folder}/{name}"))?;
    }
    settle(folder, wanted.source.source_date_epoch)?;
    let size_bytes = manifest_bytes + manifest.blobs().map(|blob| blob.size).sum::<u64>();
    Ok((digest, size_bytes))
}

/// The base's layers as they are, ours in canonical form.
fn write_layers(image: &Image, scratch: &Utf8Path, folder: &Utf8Path, wanted: &Wanted<'_>) -> Result<Vec<Written>> {
    let (all, ours) = (image.layer_count(), wanted.inputs.instructions.len());
    let of_base = all.checked_sub(ours).filter(|count| *count > 0);
    let of_base =
        of_base.with_context(|| format!("the engine made {all} layers: fewer than {ours} on those of a base"))?;
    let latest_epoch = u64::try_from(wanted.source.source_date_epoch).context("a commit from before 1970")?;
    let mut progress = Progress::new("layout", Unit::Count("layers"));
    progress.set_total(all as u64);
    let mut tree = Tree::default();
    // Compression is all the work, and layers are compressed beside each other.
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for index in 0..all {
            let layer = scratch.join(format!("layer-{index}.tar"));
            image.unpack(index, &layer)?;
            let entries = tree.canonical(archive::read(&layer)?, latest_epoch);
            let is_ours = index >= of_base;
            writers.push(scope.spawn(move || write_layer(&layer, is_ours.then_some(&entries), folder, index)));
        }
        let join = |writer: ScopedJoinHandle<'_, Result<Written>>| {
            let written = writer.join().expect("writing a layer does not panic");
            progress.advance(1);
            written
        };
        writers.into_iter().map(join).collect()
    })
}

/// Writes one layer as a blob: the entries, or all of it as it is.
fn write_layer(layer: &Utf8Path, entries: Option<&Vec<Entry>>, folder: &Utf8Path, index: usize) -> Result<Written> {
    let blob = folder.join(format!("blob-{index}"));
    let written = match entries {
        Some(entries) => archive::rewrite(layer, entries, &blob)?,
        None => archive::compress(layer, &blob)?,
    };
    let place = folder.join(written.digest.blob());
    fs::rename(&blob, &place).with_context(|| format!("cannot put {place} in its place"))?;
    Ok(written)
}

/// Writes a blob of JSON; returns its digest and size.
fn put(folder: &Utf8Path, document: &impl Serialize) -> Result<(Digest, u64)> {
    let content = serde_json::to_vec(document)?;
    let digest = Digest::from(sha256(&content));
    let path = folder.join(digest.blob());
    fs::write(&path, &content).with_context(|| format!("cannot write {path}"))?;
    Ok((digest, content.len() as u64))
}

fn settle(folder: &Utf8Path, epoch_seconds: i64) -> Result<()> {
    for folder in [folder.to_owned(), folder.join(BLOBS)] {
        for path in paths_in(&folder)? {
            if path.is_file() {
                files::set_mode_and_time(&path, MODE_FILE, files::instant(epoch_seconds))?;
            }
        }
    }
    Ok(())
}

fn paths_in(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let entries: std::io::Result<Vec<_>> = folder.read_dir_utf8().and_then(Iterator::collect);
    let entries = entries.with_context(|| format!("cannot list {folder}"))?;
    Ok(entries.iter().map(|entry| entry.path().to_owned()).collect())
}
