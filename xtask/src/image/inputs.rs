//! Everything that goes into an image except Debian's packages: read, identified by one digest, and
//! staged as the build context with the same modes and times on every machine.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;
use std::time::SystemTime;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Sha256, sha256};
use oci::image_name::ImageName;

use crate::dist::Dist;
use crate::dist::names::COMMANDS;
use crate::image::choices::Choices;
use crate::image::dockerfile;
use crate::os::files::{self, MODE_PROGRAM};

const DOCKERFILE: &str = "Dockerfile.buildkit-riscv64";
/// Files of the checkout that the Dockerfile copies.
const SCRIPTS: [&str; 2] = ["image/entrypoint", "image/buildctl-daemonless.sh"];
/// Increased when the same files would make another layout: other layers, compression or manifest.
const FORM: &str = "4";

/// See the file's head.
#[derive(Debug)]
pub struct Inputs {
    /// Digest of them all.
    pub digest: Sha256,
    /// What the user chose.
    pub choices: Choices,
    /// The Dockerfile's instructions that make layers.
    pub instructions: Vec<String>,
    dockerfile: String,
    scripts: [String; 2],
}

/// The modification time of a file in the context, by its content and after that of the source, to which it is set
/// back in the layer. BuildKit takes a file of the same path, size and time for one that it has already: two builds
/// with one time for all files would get each other's.
fn time_of(source_epoch: i64, content: &Sha256) -> SystemTime {
    let digits = &content.to_string()[..7];
    files::instant(source_epoch + 1 + i64::from_str_radix(digits, 16).expect("a digest begins with hex digits"))
}

impl Inputs {
    /// Reads them from the checkout at `root` and from the record of the build.
    pub fn read(root: &Utf8Path, dist: &Dist, choices: Choices) -> Result<Self> {
        let read = |name: &str| {
            let path = root.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let dockerfile = read(DOCKERFILE)?;
        let dockerfile =
            if choices.emulators.is_some() { dockerfile } else { dockerfile::without_emulators(&dockerfile) };
        let [entrypoint, daemonless] = SCRIPTS.map(read);
        let scripts = [entrypoint?, daemonless?];
        let of_commands = dist.record.files.iter().filter(|file| COMMANDS.contains(&file.name.as_str()));
        let source = serde_json::to_string(&dist.record.source)?;
        let emulators = choices.emulators.as_ref().map_or("none", ImageName::as_str);
        let snapshot = format!("{:?}", choices.snapshot);
        let repository = choices.repository.to_string();
        let lines: Vec<String> = [FORM, choices.base.as_str(), &snapshot, emulators, &source, &repository]
            .into_iter()
            .map(str::to_owned)
            .chain([&dockerfile, &scripts[0], &scripts[1]].map(|text| sha256(text.as_bytes()).to_string()))
            .chain(of_commands.map(|file| file.sha256.to_string()))
            .collect();
        let digest = sha256(lines.join("\n").as_bytes());
        let instructions = dockerfile::layers(&dockerfile);
        Ok(Self { digest, choices, instructions, dockerfile, scripts })
    }

    /// Writes the context, with the same paths as in a checkout with its `dist/`. Returns the Dockerfile, in which all
    /// steps carry `label`: it is not in the layout.
    pub fn stage(&self, context: &Utf8Path, dist: &Dist, label: &str) -> Result<Utf8PathBuf> {
        let epoch = dist.record.source.source_date_epoch;
        let commands = Utf8Path::new("dist").join(dist.record.source.version.to_string());
        for folder in [Utf8Path::new("image"), &commands] {
            fs::create_dir_all(context.join(folder)).with_context(|| format!("cannot make {context}/{folder}"))?;
        }
        for (name, text) in SCRIPTS.iter().zip(&self.scripts) {
            let path = context.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
            files::set_mode_and_time(&path, MODE_PROGRAM, time_of(epoch, &sha256(text.as_bytes())))?;
        }
        for file in dist.record.files.iter().filter(|file| COMMANDS.contains(&file.name.as_str())) {
            let path = context.join(&commands).join(&file.name);
            fs::copy(dist.folder.join(&file.name), &path).with_context(|| format!("cannot write {path}"))?;
            files::set_mode_and_time(&path, MODE_PROGRAM, time_of(epoch, &file.sha256))?;
        }
        let path = context.join(DOCKERFILE);
        fs::write(&path, dockerfile::labelled(&self.dockerfile, label))
            .with_context(|| format!("cannot write {path}"))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_size_have_times_of_their_own_after_that_of_the_source() {
        let of = |text: &[u8]| time_of(1_785_846_460, &sha256(text));
        assert_ne!(of(b"buildctl of one Go"), of(b"buildctl of two Go"));
        assert!(of(b"x") > files::instant(1_785_846_460) && of(b"x") == of(b"x"));
    }
}
