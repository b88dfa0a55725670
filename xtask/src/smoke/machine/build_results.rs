//! What a build in the machine left on its disk, read back on the host: every blob is compared with
//! its digest, and the file that the build's `RUN` wrote is taken out of the layers.
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
const LARGEST_LAYER_BYTES: u64 = 256 << 20;
const LARGEST_MEMBER_BYTES: u64 = 256 << 20;

/// One platform of what was built.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    /// `linux/riscv64`.
    pub platform: String,
    /// What the `RUN` wrote, without the end of the line.
    pub written: String,
}

/// Takes the members of the machine's disk, a tar archive, into `folder`.
///
/// # Errors
/// Where the machine wrote none.
pub fn unpack(disk: &Utf8Path, folder: &Utf8Path) -> Result<()> {
    let unpack = || -> Result<()> {
        for member in tar::Archive::new(File::open(disk)?).entries()? {
            let member = member?;
            let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
            if !name.contains('/') && member.header().entry_type().is_file() {
                copy(&mut member.take(LARGEST_MEMBER_BYTES), &mut File::create(folder.join(name))?)?;
            }
        }
        Ok(())
    };
    unpack().context("the machine's disk cannot be read")
}

/// The platforms of a result, sorted by name.
///
/// # Errors
/// Where it is not whole, or a platform's file is missing.
pub fn read(folder: &Utf8Path, name: &str) -> Result<Vec<Built>> {
    let archive: Utf8PathBuf = folder.join(format!("{name}.tar"));
    let read = || -> Result<Vec<Built>> {
        let store = Store::open(&archive)?;
        let mut manifests = Vec::new();
        let index: Index = store.document("index.json", None)?;
        for descriptor in index.manifests {
            if descriptor.is_index() {
                let inner: Index = store.document(&descriptor.digest.blob(), Some(&descriptor))?;
                manifests.extend(inner.manifests);
            } else {
                manifests.push(descriptor);
            }
        }
        manifests.retain(|descriptor| !descriptor.is_attestation());
        let mut built = manifests.iter().map(|manifest| built(&store, manifest)).collect::<Result<Vec<_>>>()?;
        built.sort_by(|one, other| one.platform.cmp(&other.platform));
        Ok(built)
    };
    ensure!(archive.is_file(), "it was built, as the machine says, which was ended before it wrote it to its disk");
    read().with_context(|| format!("the result of the build, {name}.tar, is not as it should be"))
}

fn built(store: &Store, described: &Descriptor) -> Result<Built> {
    let manifest: Manifest = store.document(&described.digest.blob(), Some(described))?;
    let config: Config = store.document(&manifest.config.digest.blob(), Some(&manifest.config))?;
    let platform = config.platform.to_string();
    let mut written = None;
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
