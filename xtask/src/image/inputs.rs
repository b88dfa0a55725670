//! Everything that goes into an image except Debian's packages: read, identified by one digest, and
//! staged as the build context with the same modes and times on every machine.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Sha256, sha256};
use oci::image_name::ImageName;

use crate::dist::Dist;
use crate::dist::names::COMMANDS;
use crate::github::Repository;
use crate::image::dockerfile;
use crate::os::files::{self, MODE_PROGRAM};

const DOCKERFILE: &str = "Dockerfile.buildkit-riscv64";
/// Files of the checkout that the Dockerfile copies.
const SCRIPTS: [&str; 2] = ["image/entrypoint", "image/buildctl-daemonless.sh"];
/// Increased when the same files would make another layout: other layers, compression or manifest.
const FORM: &str = "3";

/// See the file's head.
#[derive(Debug)]
pub struct Inputs {
    /// Digest of them all.
    pub digest: Sha256,
    /// Name of the base image.
    pub base: ImageName,
    /// The image with the emulators, if they are wanted.
    pub emulators: Option<ImageName>,
    /// The repository that the labels name.
    pub repository: Repository,
    /// The Dockerfile's instructions that make layers.
    pub instructions: Vec<String>,
    dockerfile: String,
    scripts: [String; 2],
}

impl Inputs {
    /// Reads them from the checkout at `root` and from the record of the build.
    pub fn read(
        root: &Utf8Path,
        dist: &Dist,
        base: &ImageName,
        emulators: Option<ImageName>,
        repository: Repository,
    ) -> Result<Self> {
        let read = |name: &str| {
            let path = root.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let dockerfile = read(DOCKERFILE)?;
        let dockerfile = if emulators.is_some() { dockerfile } else { dockerfile::without_emulators(&dockerfile) };
        let [entrypoint, daemonless] = SCRIPTS.map(read);
        let scripts = [entrypoint?, daemonless?];
        let of_commands = dist.record.files.iter().filter(|file| COMMANDS.contains(&file.name.as_str()));
        let source = serde_json::to_string(&dist.record.source)?;
        let lines: Vec<String> = [
            FORM,
            base.as_str(),
            emulators.as_ref().map_or("none", ImageName::as_str),
            &source,
            &repository.to_string(),
        ]
        .into_iter()
        .map(str::to_owned)
        .chain([&dockerfile, &scripts[0], &scripts[1]].map(|text| sha256(text.as_bytes()).to_string()))
        .chain(of_commands.map(|file| file.sha256.to_string()))
        .collect();
        let digest = sha256(lines.join("\n").as_bytes());
        let instructions = dockerfile::layers(&dockerfile);
        Ok(Self { digest, base: base.clone(), emulators, repository, instructions, dockerfile, scripts })
    }

    /// Writes the context, with the same paths as in a checkout with its `dist/`. Returns the Dockerfile.
    pub fn stage(&self, context: &Utf8Path, dist: &Dist) -> Result<Utf8PathBuf> {
        let modified = files::instant(dist.record.source.source_date_epoch);
        let commands = Utf8Path::new("dist").join(dist.record.source.version.to_string());
        for folder in [Utf8Path::new("image"), &commands] {
            fs::create_dir_all(context.join(folder)).with_context(|| format!("cannot make {context}/{folder}"))?;
        }
        for (name, text) in SCRIPTS.iter().zip(&self.scripts) {
            let path = context.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
            files::set_mode_and_time(&path, MODE_PROGRAM, modified)?;
        }
        for name in COMMANDS {
            let path = context.join(&commands).join(name);
            fs::copy(dist.folder.join(name), &path).with_context(|| format!("cannot write {path}"))?;
            files::set_mode_and_time(&path, MODE_PROGRAM, modified)?;
        }
        let path = context.join(DOCKERFILE);
        fs::write(&path, &self.dockerfile).with_context(|| format!("cannot write {path}"))?;
        Ok(path)
    }
}
