//! The desired state, read from the directory of a build. Checks every file against its digest, and
//! every blob of the image against the manifest.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the clock")]

use std::fs;
use std::time::SystemTime;

use anyhow::{Context, Error, Result, ensure};
use camino::Utf8Path;
use oci::digest::{file_digest, sha256};
use oci::documents::Descriptor;

use crate::dist::image_config::URL;
use crate::dist::names::{METADATA, OVERLAY, SHA256SUMS, image_sbom};
use crate::dist::{Dist, FileRecord, ImageRecord, ReleaseName, sha256sums};
use crate::github::{Repository, notes_file};
use crate::os::files;
use crate::os::terminal::print_status;
use crate::published::{SIGSTORE, SPDX};
use crate::registry::ImageRepository;
use crate::release::notes::{Facts, notes};
use crate::release::plan::{Attachment, Blob, Desired, File, Image};

pub fn read(dist: &Dist, repository: &Repository, registry: &str, provenance: Option<&Utf8Path>) -> Result<Desired> {
    let (folder, record) = (&dist.folder, &dist.record);
    let name = ReleaseName::of(&record.source).map_err(Error::msg)?;
    let images = ImageRepository::of(registry, repository.owner()).map_err(Error::msg)?;
    let image = record.image.as_ref().with_context(|| format!("{folder} has no image; run `cargo xtask image`"))?;

    print_status("check", format_args!("{folder}: all files, and all blobs of the image"));
    let files = list(dist, image)?;
    let (manifest, blobs, url) = blobs(folder, image)?;
    // The SBOM of the binaries stays with the binaries.
    let sbom = folder.join(image_sbom(&record.source.version));
    let mut attachments = Vec::new();
    // A missing one is reported by the plan, together with everything else that is missing.
    if sbom.is_file() {
        attachments.push(attachment(SPDX, &sbom)?);
    }
    if let Some(path) = provenance {
        ensure!(path.is_file(), "there is no provenance bundle at {path}");
        attachments.push(attachment(SIGSTORE, path)?);
    }
    let facts = Facts { record, image, name: &name, repository, images: &images, has_provenance: provenance.is_some() };
    let notes = notes(&facts);
    let tags = image.tags.clone();
    ensure!(!tags.is_empty(), "the image in {folder} has no tag; run `cargo xtask image` again");
    Ok(Desired {
        name,
        repository: repository.clone(),
        notes,
        record: record.clone(),
        files,
        image: Image { repository: images, url, manifest, blobs, tags, attachments },
        is_unproved: false,
        adopts_latest: false,
    })
}

fn attachment(artifact_type: &str, path: &Utf8Path) -> Result<Attachment> {
    let (size_bytes, sha256) = file_digest(path)?;
    Ok(Attachment { artifact_type: artifact_type.to_owned(), path: path.to_owned(), size_bytes, sha256 })
}

/// Everything in the directory except the image and the overlay of Gentoo, expected or not.
fn list(dist: &Dist, image: &ImageRecord) -> Result<Vec<File>> {
    let folder = &dist.folder;
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().with_context(|| format!("cannot list {folder}"))? {
        let entry = entry.with_context(|| format!("cannot list {folder}"))?;
        let (name, path) = (entry.file_name().to_owned(), entry.path().to_owned());
        if name == image.layout || name == OVERLAY {
            continue;
        }
        // A directory is never part of a release, so its contents do not matter.
        let (size_bytes, sha256) = if path.is_file() { file_digest(&path)? } else { (0, sha256(&[])) };
        found.push(File { name, path, size_bytes, sha256 });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    check_sums(dist, &found)?;
    Ok(found)
}

/// `SHA256SUMS` is written after the record; a task that was killed in between leaves an outdated one.
fn check_sums(dist: &Dist, found: &[File]) -> Result<()> {
    let record =
        |file: &File| FileRecord { name: file.name.clone(), size_bytes: file.size_bytes, sha256: file.sha256.clone() };
    let metadata = found.iter().find(|file| file.name == METADATA).map(record);
    let expected = sha256sums(dist.record.all_files().chain(&metadata));
    let path = dist.folder.join(SHA256SUMS);
    // If it is missing, the plan reports that together with other missing files.
    if let Ok(sums) = fs::read_to_string(&path) {
        ensure!(sums == expected, "{path} does not match the files beside it; `cargo xtask smoke` rewrites it");
    }
    Ok(())
}

/// The manifest, the blobs that it lists, and the page that it names as its own.
fn blobs(folder: &Utf8Path, image: &ImageRecord) -> Result<(Blob, Vec<Blob>, Option<String>)> {
    let place = folder.join(&image.layout);
    let manifest = oci::layout::verify(&place, &image.digest)?;
    let path = place.join(image.digest.blob());
    let size_bytes = path.metadata().with_context(|| format!("cannot read {path}"))?.len();
    let blob = |blob: &Descriptor| Blob {
        digest: blob.digest.clone(),
        path: place.join(blob.digest.blob()),
        size_bytes: blob.size,
    };
    let url = manifest.annotations.get(URL).cloned();
    Ok((Blob { digest: image.digest.clone(), path, size_bytes }, manifest.blobs().map(blob).collect(), url))
}

/// Writes the notes to the file that the steps refer to.
pub fn write_notes(root: &Utf8Path, desired: &Desired) -> Result<()> {
    let path = root.join(notes_file(&desired.name));
    let folder = path.parent().expect("the notes have a parent directory");
    fs::create_dir_all(folder).with_context(|| format!("cannot create {folder}"))?;
    files::replace(&path, desired.notes.as_bytes(), SystemTime::now())
}
