//! The directory `dist/<version>/`, which tasks pass on: finds it, checks it against its record, and
//! replaces the record atomically.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::file_digest;

use crate::dist::names::{METADATA, SHA256SUMS};
use crate::os::{files, terminal};

pub mod assemble;
pub mod binary;
mod built_image;
mod check;
pub mod check_table;
pub mod image_config;
pub mod image_sbom;
mod image_tags;
pub mod names;
pub mod proofs;
pub mod recipe;
mod record;
mod release_name;
pub mod sbom;

pub use check::{Check, Verdict};
pub use image_tags::image_tags;
pub use record::{FileRecord, ImageRecord, Metadata, Proof, Subject, sha256sums};
pub use release_name::ReleaseName;

/// The directory of a build.
#[derive(Debug)]
pub struct Dist {
    pub folder: Utf8PathBuf,
    /// Its `metadata.json`.
    pub record: Metadata,
}

impl Dist {
    /// Opens `named`, or the only directory in `dist/` of the checkout at `root`.
    pub fn open(root: &Utf8Path, named: Option<&Utf8Path>) -> Result<Self> {
        let folder = match named {
            Some(folder) => folder.to_owned(),
            None => only_one(&root.join("dist"))?,
        };
        let path = folder.join(METADATA);
        let text = fs::read(&path).with_context(|| format!("{folder} was not created by `cargo xtask build`"))?;
        let record =
            Metadata::parse(&text).with_context(|| format!("cannot use {path}; run `cargo xtask build` again"))?;
        Ok(Self { folder, record })
    }

    /// Compares every file of the build with its size and digest. Fails at the first that differs.
    pub fn verify(&self) -> Result<()> {
        for file in &self.record.files {
            let path = self.folder.join(&file.name);
            let (size_bytes, sha256) = file_digest(&path)?;
            if (size_bytes, &sha256) != (file.size_bytes, &file.sha256) {
                bail!(
                    "{path} is not what was built (SHA-256 {sha256}, recorded {}); run `cargo xtask build` again",
                    file.sha256
                );
            }
        }
        Ok(())
    }

    /// The same for the packages.
    pub fn verify_packages(&self) -> Result<()> {
        for file in &self.record.packages {
            let path = self.folder.join(&file.name);
            ensure!(
                file_digest(&path)? == (file.size_bytes, file.sha256.clone()),
                "{path} is not what was recorded; run `cargo xtask package` again"
            );
        }
        Ok(())
    }

    /// Adds a proof to the record in `folder`, unless that has a stronger one, which is then named in a note.
    pub fn add_proof(folder: &Utf8Path, proof: &Proof) -> Result<()> {
        let mut stronger = None;
        Self::update(folder, |record| stronger = proofs::add(record, proof.clone()))?;
        if let Some(stronger) = stronger {
            terminal::note(proofs::kept(&stronger, proof));
        }
        Ok(())
    }

    /// Changes the record in `folder` as it is on disk now, so that changes by other runs are kept.
    /// Locks the parent directory, as [`files::Staging`] does, so that no build replaces `folder` meanwhile.
    pub fn update(folder: &Utf8Path, change: impl FnOnce(&mut Metadata)) -> Result<()> {
        let folder = folder.canonicalize_utf8().with_context(|| format!("cannot find {folder}"))?;
        let parent = folder.parent().with_context(|| format!("{folder} is in no directory"))?;
        let _lock = files::lock_directory(parent)?;
        let mut dist = Self::open(parent, Some(&folder))?;
        change(&mut dist.record);
        dist.save()
    }

    /// Writes the first record into a folder that no other task knows yet.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn create(folder: &Utf8Path, record: Metadata) -> Result<()> {
        Self { folder: folder.to_owned(), record }.save()
    }

    /// Writes the record, and `SHA256SUMS` after it.
    fn save(&self) -> Result<()> {
        let modified = files::instant(self.record.source.source_date_epoch);
        let text = serde_json::to_string_pretty(&self.record).context("the record cannot be written as JSON")? + "\n";
        files::replace(&self.folder.join(METADATA), text.as_bytes(), modified)?;
        files::replace(&self.folder.join(SHA256SUMS), self.sums()?.as_bytes(), modified)
    }

    /// Whether `SHA256SUMS` matches the record.
    pub fn has_its_sums(&self) -> bool {
        let found = fs::read_to_string(self.folder.join(SHA256SUMS)).ok();
        found.is_some() && found == self.sums().ok()
    }

    /// The content of `SHA256SUMS`: the recorded files, and the record as it is on disk.
    fn sums(&self) -> Result<String> {
        let (size_bytes, sha256) = file_digest(&self.folder.join(METADATA))?;
        let of_metadata = FileRecord { name: METADATA.to_owned(), size_bytes, sha256 };
        Ok(sha256sums(self.record.all_files().chain([&of_metadata])))
    }
}

/// The only directory that contains a record.
fn only_one(dist: &Utf8Path) -> Result<Utf8PathBuf> {
    let entries = dist.read_dir_utf8().with_context(|| format!("there is no {dist}; run `cargo xtask build`"))?;
    let mut folders: Vec<_> =
        entries.flatten().map(|entry| entry.path().to_owned()).filter(|path| path.join(METADATA).is_file()).collect();
    folders.sort();
    match folders.as_slice() {
        [] => bail!("there is no build in {dist}; run `cargo xtask build`"),
        [folder] => Ok(folder.clone()),
        several => {
            let names: Vec<&str> = several.iter().filter_map(|folder| folder.file_name()).collect();
            bail!("{dist} has several builds ({}); name one with --dist {}", names.join(", "), several[0])
        }
    }
}

#[cfg(test)]
pub mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_add_their_proofs_at_once_lose_none() {
        let folder = std::env::temp_dir().join(format!("xtask-proofs-{}", std::process::id()));
        let folder = Utf8PathBuf::try_from(folder).expect("UTF-8");
        fs::create_dir_all(&folder).expect("is made");
        let record = samples::proved_record();
        let sample = record.proofs[0].clone();
        Dist::create(&folder, Metadata { proofs: Vec::new(), ..record }).expect("is written");
        std::thread::scope(|scope| {
            for task in 0..4 {
                let (folder, sample) = (&folder, &sample);
                scope.spawn(move || {
                    for number in 0..20 {
                        let name = format!("{task} {number}");
                        Dist::add_proof(folder, &Proof { name, ..sample.clone() }).expect("is added");
                    }
                });
            }
        });
        let dist = Dist::open(&folder, Some(&folder)).expect("is whole");
        assert!(dist.record.proofs.len() == 80 && dist.has_its_sums());
        fs::remove_dir_all(&folder).expect("is removed");
    }
}
