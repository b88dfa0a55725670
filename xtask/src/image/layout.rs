//! Writing the OCI image layout in `dist/<version>/image/` from the archive that an engine saved.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs;
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Digest, file_digest, sha256};
use oci::documents::{Descriptor, INDEX, Index, Manifest, OCI_LAYOUT};
use oci::layer::archive::{self, Written};
use oci::layer::canonical::{Entry, Kind, Tree};
use oci::layout::{BLOBS, Image, paths_in};
use serde::Serialize;

use crate::dist::FileRecord;
use crate::dist::image_config::{self, BuiltConfig, Facts};
use crate::dist::names::COMMANDS;
use crate::image::base::Base;
use crate::image::inputs::Inputs;
use crate::os::files::{self, MODE_FILE};
use crate::os::terminal::{Progress, Unit, note};
use crate::upstream::Source;

/// What the layout records beside what the engine made.
pub struct Contents<'a> {
    /// What was built.
    pub source: &'a Source,
    /// What went into the image.
    pub inputs: &'a Inputs,
    /// The files of the build.
    pub files: &'a [FileRecord],
    /// The base in its registry, if it could be read there.
    pub base: Option<&'a Base>,
    /// Digest of the base, if it is known.
    pub base_digest: Option<&'a str>,
    /// The image's name in the index.
    pub tag: &'a str,
}

/// Makes the layout in an empty folder. Returns the manifest's digest and the size of all blobs.
/// Fails if the archive holds no image for riscv64.
pub fn write(
    archive: &Utf8Path,
    scratch: &Utf8Path,
    folder: &Utf8Path,
    contents: &Contents<'_>,
) -> Result<(Digest, u64)> {
    let image = Image::open(archive)?;
    let built: BuiltConfig = serde_json::from_slice(&image.config_json)
        .context("cannot read the configuration of the image that the engine saved")?;
    let architecture = &built.architecture;
    if architecture != "riscv64" {
        bail!(
            "the engine built for {architecture}, not riscv64; check that the base image {} has a riscv64 variant, or pass another with --base",
            contents.inputs.choices.base
        );
    }
    fs::create_dir_all(folder.join(BLOBS)).with_context(|| format!("cannot create {folder}/{BLOBS}"))?;
    let written = write_layers(&image, scratch, folder, contents)?;

    let diff_ids: Vec<Digest> = written.iter().map(|layer| layer.diff_id.clone()).collect();
    let base_layers = written.len() - contents.inputs.instructions.len();
    let facts = Facts {
        created: built.created(contents.source.source_date, base_layers),
        base_name: &contents.inputs.choices.base.by_tag(),
        base_digest: contents.base_digest,
        diff_ids: &diff_ids,
        instructions: &contents.inputs.instructions,
    };
    let (config, config_bytes) = put(folder, &image_config::config(&built, &facts))?;
    let descriptors = written.iter().map(|layer| Descriptor::layer(&layer.digest, layer.size_bytes)).collect();
    let labels = image_config::labels(&built, &facts);
    let manifest = Manifest::new(Descriptor::config(&config, config_bytes), descriptors, labels);
    let (digest, manifest_bytes) = put(folder, &manifest)?;
    let index = serde_json::to_vec(&Index::new(&digest, manifest_bytes, contents.tag))?;
    for (name, content) in [(INDEX, &index[..]), ("oci-layout", OCI_LAYOUT.as_bytes())] {
        fs::write(folder.join(name), content).with_context(|| format!("cannot write {folder}/{name}"))?;
    }
    set_modes_and_times(folder, contents.source.source_date_epoch)?;
    let size_bytes = manifest_bytes + manifest.blobs().map(|blob| blob.size).sum::<u64>();
    Ok((digest, size_bytes))
}

/// Writes the base's layers, and ours in canonical form.
fn write_layers(image: &Image, scratch: &Utf8Path, folder: &Utf8Path, contents: &Contents<'_>) -> Result<Vec<Written>> {
    let (all, ours) = (image.layer_count(), contents.inputs.instructions.len());
    let of_base = all.checked_sub(ours).filter(|count| *count > 0);
    let of_base = of_base.with_context(|| {
        format!("the engine made {all} layers; expected {ours} for the Dockerfile, on top of those of the base")
    })?;
    let latest_epoch = u64::try_from(contents.source.source_date_epoch).context("the commit is dated before 1970")?;
    let mut progress = Progress::new("layout", Unit::Count("layers"));
    progress.set_total(all as u64);
    let mut tree = Tree::default();
    for index in 0..of_base {
        image.unpack(index, &layer_in(scratch, index))?;
    }
    let mut kept = match contents.base {
        Some(base) => kept_layers(base, of_base, scratch, folder)?,
        None => Vec::new(),
    };
    // Compression takes most of the time, so layers are compressed in parallel.
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for index in 0..all {
            let layer = layer_in(scratch, index);
            let is_ours = index >= of_base;
            if is_ours {
                image.unpack(index, &layer)?;
            }
            let entries = tree.canonical(archive::read(&layer)?, latest_epoch);
            for entry in &entries {
                check_command(entry, contents.files)?;
            }
            let kept = kept.get_mut(index).and_then(Option::take);
            writers.push(scope.spawn(move || match kept {
                Some(kept) => Ok(kept),
                None => write_layer(&layer, is_ours.then_some(&entries), folder, index),
            }));
        }
        let join = |writer: ScopedJoinHandle<'_, Result<Written>>| {
            let written = writer.join().expect("writing a layer does not panic");
            progress.advance(1);
            written
        };
        writers.into_iter().map(join).collect()
    })
}

/// Fails if an entry is one of the commands, but not the recorded one: an engine may have taken it from its cache.
fn check_command(entry: &Entry, files: &[FileRecord]) -> Result<()> {
    let name = entry.path.strip_prefix("usr/bin/").filter(|name| COMMANDS.contains(name));
    let (Some(name), Kind::File { sha256: found, .. }) = (name, &entry.kind) else { return Ok(()) };
    let recorded = files.iter().find(|file| file.name == name).context("the record has no such command")?;
    ensure!(
        *found == recorded.sha256,
        "the engine put another {name} into the image (SHA-256 {found}) than the build has ({}); its cache may be \
         damaged: `docker builder prune` empties it",
        recorded.sha256
    );
    Ok(())
}

/// Writes the layers of the base as its registry serves them, so that nobody who has that base has to pull them again.
/// `None` for one that cannot be had so.
fn kept_layers(base: &Base, of_base: usize, scratch: &Utf8Path, folder: &Utf8Path) -> Result<Vec<Option<Written>>> {
    ensure!(base.layer_count() == of_base, "the engine built on {of_base} layers; {} has another number", base.pinned);
    let mut kept = Vec::new();
    for index in 0..of_base {
        let (_, sha256) = file_digest(&layer_in(scratch, index))?;
        let (diff_id, expected) = (Digest::from(sha256), base.diff_id(index));
        ensure!(diff_id == *expected, "the engine built on {diff_id}, and {} has {expected} there", base.pinned);
        let blob = folder.join(format!("blob-{index}"));
        kept.push(match base.fetch_layer(index, &blob) {
            Ok((digest, size_bytes)) => {
                name_blob(folder, &blob, &digest)?;
                Some(Written { diff_id, digest, size_bytes })
            }
            Err(error) => {
                note(format_args!(
                    "layer {index} of the base is compressed again, not kept as it is served: {error:#}"
                ));
                None
            }
        });
    }
    Ok(kept)
}

/// Writes one layer as a blob: the given entries of it, or all of it unchanged.
fn write_layer(layer: &Utf8Path, entries: Option<&Vec<Entry>>, folder: &Utf8Path, index: usize) -> Result<Written> {
    let blob = folder.join(format!("blob-{index}"));
    let written = match entries {
        Some(entries) => archive::rewrite(layer, entries, &blob)?,
        None => archive::compress(layer, &blob)?,
    };
    name_blob(folder, &blob, &written.digest)?;
    Ok(written)
}

/// Moves a complete blob to the place that its digest names.
fn name_blob(folder: &Utf8Path, blob: &Utf8Path, digest: &Digest) -> Result<()> {
    let place = folder.join(digest.blob());
    fs::rename(blob, &place).with_context(|| format!("cannot rename {blob} to {place}"))
}

/// Where a layer is unpacked to.
fn layer_in(scratch: &Utf8Path, index: usize) -> Utf8PathBuf {
    scratch.join(format!("layer-{index}.tar"))
}

/// Writes a blob of JSON; returns its digest and size.
fn put(folder: &Utf8Path, document: &impl Serialize) -> Result<(Digest, u64)> {
    let content = serde_json::to_vec(document)?;
    let digest = Digest::from(sha256(&content));
    let path = folder.join(digest.blob());
    fs::write(&path, &content).with_context(|| format!("cannot write {path}"))?;
    Ok((digest, content.len() as u64))
}

fn set_modes_and_times(folder: &Utf8Path, epoch_seconds: i64) -> Result<()> {
    for folder in [folder.to_owned(), folder.join(BLOBS)] {
        for path in paths_in(&folder)? {
            if path.is_file() {
                files::set_mode_and_time(&path, MODE_FILE, files::instant(epoch_seconds))?;
            }
        }
    }
    Ok(())
}
