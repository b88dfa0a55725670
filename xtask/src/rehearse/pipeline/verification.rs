//! What is published is verified, tampered with, found to differ, and put right.
#![allow(clippy::disallowed_methods, reason = "reads files")]

use std::fs;

use anyhow::{Context, Result};
use oci::documents::MANIFEST_TYPE;

use crate::dist::names::BUILDCTL;
use crate::dist::{Dist, FileRecord, ImageRecord};
use crate::rehearse::fixtures::Build;
use crate::rehearse::pipeline::Pipeline;
use crate::rehearse::scenario::{MASTER, REPLACED};

/// The version whose asset is replaced, and the one whose tag moves to the image of the first.
const REPLACED_IN: &str = "v0.32.2";
const MOVED: &str = "v0.33.0";
/// The version whose Debian package is replaced, and the one whose Debian package has another digest in APT's index.
const REPACKED: &str = "v0.32.3";
const INDEXED: &str = "v0.31.0";
const OTHER_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Pipeline<'_> {
    /// Verifies one release, with all that it consists of. Nothing may differ.
    pub(super) fn verify(&mut self, version: &str) -> Result<()> {
        let arguments = self.verify_arguments(&[version]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run_until_success(&arguments, &self.config.secrets.tracking)
    }

    /// Verifies everything. Nothing may differ.
    pub(super) fn verify_all(&mut self) -> Result<()> {
        let arguments = self.verify_arguments(&["--all", "--execute"]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run_until_success(&arguments, &self.config.secrets.tracking)
    }

    /// Verifies everything. All that was tampered with has to be found, and nothing else.
    pub(super) fn verify_tampered(&mut self) -> Result<()> {
        let mut expected = [REPLACED_IN, REPACKED]
            .map(|version| format!("buildkit-{version}-riscv64 is not what its record says: sha256sums, metadata"))
            .to_vec();
        expected.push(format!("buildkit-{INDEXED}-riscv64 is not what its record says: repositories"));
        if self.config.registry.is_none() {
            let (master, _) = self.image_of(MASTER)?;
            expected.push(format!("buildkit-{MOVED}-riscv64 is not what its record says: image-tag"));
            expected.push(format!("{} is not what its record says: image-tag", master.release()?));
        }
        let count = expected.len();
        let arguments = self.verify_arguments(&["--all", "--execute"]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let is_found = move |success: bool, stderr: &str| {
            let lines = stderr.lines().filter(|line| line.contains("is not what its record says")).count();
            let is_complete = !stderr.contains("to be verified again later");
            !success && is_complete && lines == count && expected.iter().all(|line| stderr.contains(line))
        };
        self.retry_until(&arguments, &self.config.secrets.tracking, is_found).map(|_| ())
    }

    /// Replaces two assets, of which one is a package, and a digest in an index, moves a tag and removes an image; a
    /// registry that is real stays as it is.
    pub(super) fn tamper(&self) -> Result<()> {
        let (replaced, other) = self.image_of(REPLACED_IN)?;
        self.put_asset(&replaced, BUILDCTL, REPLACED.to_vec())?;
        let (repacked, package) = self.debian_package(REPACKED)?;
        self.put_asset(&repacked, &package.name, REPLACED.to_vec())?;
        self.replace_in_index(&self.debian_package(INDEXED)?.1.sha256.to_string(), OTHER_DIGEST);
        let (_, moved) = self.image_of(MOVED)?;
        let (_, gone) = self.image_of(MASTER)?;
        let name = self.image()?.path().to_owned();
        self.registry.with(|registry| {
            registry.put_tag(&name, &moved.tags[0].to_string(), &other.digest.to_string());
            registry.take_manifest(&name, &gone.digest.to_string());
        });
        Ok(())
    }

    /// Puts everything back as it was published.
    pub(super) fn put_right(&self) -> Result<()> {
        let (replaced, _) = self.image_of(REPLACED_IN)?;
        self.put_asset(&replaced, BUILDCTL, read(&replaced, BUILDCTL)?)?;
        let (repacked, package) = self.debian_package(REPACKED)?;
        self.put_asset(&repacked, &package.name, read(&repacked, &package.name)?)?;
        self.replace_in_index(OTHER_DIGEST, &self.debian_package(INDEXED)?.1.sha256.to_string());
        let (_, moved) = self.image_of(MOVED)?;
        let (master, gone) = self.image_of(MASTER)?;
        let manifest = read(&master, &format!("{}/{}", gone.layout, gone.digest.blob()))?;
        let name = self.image()?.path().to_owned();
        self.registry.with(|registry| {
            registry.put_tag(&name, &moved.tags[0].to_string(), &moved.digest.to_string());
            registry.put_manifest(&name, MANIFEST_TYPE, manifest);
        });
        Ok(())
    }

    fn put_asset(&self, build: &Build, name: &str, content: Vec<u8>) -> Result<()> {
        let release = build.release()?.to_string();
        self.github.with(|github| github.put_asset(&release, name, content));
        Ok(())
    }

    /// The build of a version, and the record of its Debian package.
    fn debian_package(&self, version: &str) -> Result<(Build, FileRecord)> {
        let build = self.config.fixtures.build(version, None).with_context(|| format!("{version} was not built"))?;
        let packages = Dist::open(&build.folder, Some(&build.folder))?.record.packages;
        let package = packages.into_iter().find(|file| file.name.ends_with(".deb"));
        Ok((build.clone(), package.with_context(|| format!("{version} has no Debian package"))?))
    }

    /// The first build of a ref, and the record of its image.
    fn image_of(&self, r#ref: &str) -> Result<(Build, ImageRecord)> {
        let build = self.config.fixtures.build(r#ref, None).with_context(|| format!("{ref} was not built"))?;
        let dist = Dist::open(&build.folder, Some(&build.folder))?;
        let image = dist.record.image.with_context(|| format!("{ref} has no image"))?;
        Ok((build.clone(), image))
    }

    pub(super) fn verify_arguments(&self, what: &[&str]) -> Vec<String> {
        let words = ["verify"].iter().chain(what).map(ToString::to_string);
        words.chain(self.registry_option()).chain(self.pages_option("--packages")).collect()
    }
}

fn read(build: &Build, name: &str) -> Result<Vec<u8>> {
    let path = build.folder.join(name);
    fs::read(&path).with_context(|| format!("cannot read {path}"))
}
