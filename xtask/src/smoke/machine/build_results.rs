//! The results of the builds in the machine, read back on the host from the machine's disk: every blob
//! is compared with its digest, and the file that the build's `RUN` wrote is read from the layers.
//! The guest writes the disk, so that every number and size in it is bounded.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Error, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;
use oci::blobs::Store;
use oci::digest::copy;
use oci::documents::{Compression, Config, Descriptor, Index, Manifest};
use oci::layer::members;

/// The file that the `RUN` of `machine/Dockerfile` writes.
const WRITTEN: &str = "hello";
/// The names of the builds in `init.sh`; each leaves `NAME.tar` on the disk.
const BUILDS: [&str; 2] = ["riscv64", "both"];
const LARGEST_LAYER_BYTES: u64 = 256 << 20;
const LARGEST_RESULT_BYTES: u64 = 64 << 20;
/// The builds are for two platforms at most, in two layers each.
const MOST_MANIFESTS: usize = 8;
const MOST_LAYERS: usize = 8;

/// One platform of a build's result.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    /// `linux/riscv64`.
    pub platform: String,
    /// What the `RUN` wrote, without the end of the line.
    pub written: String,
}

/// Extracts the results from the machine's disk, a tar archive, into `folder`.
pub fn unpack(disk: &Utf8Path, folder: &Utf8Path) -> Result<()> {
    let unpack = || -> Result<()> {
        let mut left = BUILDS.map(|name| format!("{name}.tar")).to_vec();
        for member in tar::Archive::new(File::open(disk)?).entries()? {
            let member = member?;
            let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
            if let (Some(place), true) =
                (left.iter().position(|left| *left == name), member.header().entry_type().is_file())
            {
                left.remove(place);
                copy(&mut member.take(LARGEST_RESULT_BYTES), &mut File::create(folder.join(name))?)?;
            }
        }
        Ok(())
    };
    unpack().context("the machine's disk cannot be read")
}

/// The platforms of a result, sorted by name. Fails if the result is incomplete.
pub fn read(folder: &Utf8Path, name: &str) -> Result<Vec<Built>> {
    let archive: Utf8PathBuf = folder.join(format!("{name}.tar"));
    let read = || -> Result<Vec<Built>> {
        let store = Store::open(&archive)?;
        let mut manifests = Vec::new();
        let index: Index = store.document("index.json", None)?;
        for descriptor in index.manifests.into_iter().take(MOST_MANIFESTS + 1) {
            if descriptor.is_index() {
                let inner: Index = store.document(&descriptor.digest.blob(), Some(&descriptor))?;
                manifests.extend(inner.manifests);
            } else {
                manifests.push(descriptor);
            }
        }
        ensure!(manifests.len() <= MOST_MANIFESTS, "it has more than {MOST_MANIFESTS} manifests");
        manifests.retain(|descriptor| !descriptor.is_attestation());
        let mut built = manifests.iter().map(|manifest| built(&store, manifest)).collect::<Result<Vec<_>>>()?;
        built.sort_by(|one, other| one.platform.cmp(&other.platform));
        Ok(built)
    };
    ensure!(
        archive.is_file(),
        "the machine reported the build as done, but was ended before it wrote the result to its disk"
    );
    read().with_context(|| format!("the result of the build, {name}.tar, is not valid"))
}

fn built(store: &Store, described: &Descriptor) -> Result<Built> {
    let manifest: Manifest = store.document(&described.digest.blob(), Some(described))?;
    let config: Config = store.document(&manifest.config.digest.blob(), Some(&manifest.config))?;
    let platform = config.platform.to_string();
    let mut written = None;
    ensure!(manifest.layers.len() <= MOST_LAYERS, "for {platform}, it has more than {MOST_LAYERS} layers");
    for layer in &manifest.layers {
        let blob = layer.digest.blob();
        store.check(&blob, layer)?;
        let (content, _) = store.reader(&blob)?;
        let content: Box<dyn Read> = match Compression::of_media_type(&layer.media_type).map_err(Error::msg)? {
            Compression::None => content,
            Compression::Gzip => Box::new(MultiGzDecoder::new(content)),
        };
        let read = members::read(content.take(LARGEST_LAYER_BYTES), |member, content| {
            if member.path == WRITTEN {
                let mut text = String::new();
                content.take(1 << 10).read_to_string(&mut text).map_err(|error| error.to_string())?;
                written = Some(text.trim_end().to_owned());
            }
            Ok(())
        });
        read.map_err(Error::msg).with_context(|| blob.clone())?;
    }
    ensure!(written.is_some(), "for {platform}, no layer has the file /{WRITTEN} that RUN writes");
    Ok(Built { platform, written: written.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::os::files::Staging;
    use crate::os::mutated_input;

    fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *content).expect("memory can be written to");
        }
        tar.into_inner().expect("memory can be written to")
    }

    #[test]
    fn a_mutated_disk_leaves_only_the_two_results_and_they_are_read_or_refused() {
        let temporary = Utf8PathBuf::try_from(std::env::temp_dir()).expect("UTF-8");
        let scratch = Staging::new(&temporary.join(format!("xtask-results-{}", std::process::id()))).expect("is made");
        let (disk, folder) = (scratch.path().join("disk"), scratch.path().join("results"));
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        let result = tar_of(&[("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", index)]);
        let sample = tar_of(&[("riscv64.tar", &result), ("both.tar", &result), ("daemon.log", b"x"), ("other", b"x")]);
        arbtest::arbtest(|source| {
            let bytes = mutated_input::bytes(source, &sample)?;
            fs::create_dir(&folder).expect("is made");
            fs::write(&disk, &bytes).expect("is written");
            // Damage is an error; what was extracted before it stays.
            let _ = unpack(&disk, &folder);
            let mut total_bytes = 0;
            for entry in folder.read_dir_utf8().expect("lists").flatten() {
                assert!(["riscv64.tar", "both.tar"].contains(&entry.file_name()), "{}", entry.file_name());
                total_bytes += entry.metadata().expect("is there").len();
            }
            assert!(total_bytes <= 2 * LARGEST_RESULT_BYTES);
            for name in BUILDS {
                if let Ok(built) = read(&folder, name) {
                    assert!(built.is_empty(), "the sample has no manifest: {built:?}");
                }
            }
            fs::remove_dir_all(&folder).expect("is removed");
            Ok(())
        });
    }
}
