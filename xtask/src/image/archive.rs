//! The archive in which engines hand images over: read as `docker save` and `podman save` write it,
//! and written as `docker load` and `podman load` take it. Source: Docker's image specification 1.2,
//! "Combined Image JSON + Filesystem Changeset Format".

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::json;

use super::layout;
use crate::model::digest::Sha256;
use crate::model::image_tag::REPOSITORY;
use crate::model::metadata::ImageRecord;
use crate::model::oci::{BuiltConfig, blob_path};
use crate::sys::files::{self, HashingWriter};

const MANIFEST: &str = "manifest.json";
const LARGEST_JSON_BYTES: u64 = 4 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTANDARD: [u8; 2] = [0x28, 0xb5];

/// Of each file in an archive: where its content begins, and its size, in bytes.
type Members = BTreeMap<String, (u64, u64)>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    layers: Vec<String>,
}

/// An archive that an engine wrote, with one image in it.
pub struct Archive {
    path: Utf8PathBuf,
    members: Members,
    layers: Vec<String>,
    /// The image's configuration.
    pub config: BuiltConfig,
}

impl Archive {
    /// Opens it and reads what is in it.
    ///
    /// # Errors
    /// Where it is not such an archive, or has not exactly one image.
    pub fn open(path: &Utf8Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
        let mut tar = tar::Archive::new(BufReader::new(file));
        let mut members = Members::new();
        for entry in tar.entries_with_seek().with_context(|| format!("{path} is no tar archive"))? {
            let entry = entry.with_context(|| format!("{path} is no whole tar archive"))?;
            if entry.header().entry_type().is_file() {
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                members.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        let images: Vec<Image> = json_of(path, &members, MANIFEST)?;
        let [image] = &images[..] else { bail!("{path} has {} images in it, not one", images.len()) };
        let config = json_of(path, &members, &image.config)?;
        Ok(Self { path: path.to_owned(), layers: image.layers.clone(), members, config })
    }

    /// How many layers the image has.
    pub fn count(&self) -> usize {
        self.layers.len()
    }

    /// Writes a layer, as a tar archive that is not compressed, to `place`, and compares it with the
    /// digest that the configuration gives.
    ///
    /// # Errors
    /// Where it is not there, or is another, or in a compression that we do not read.
    pub fn unpack(&self, index: usize, place: &Utf8Path) -> Result<()> {
        let name = &self.layers[index];
        let mut raw = open_member(&self.path, &self.members, name)?;
        let mut magic = [0; 2];
        raw.read_exact(&mut magic).with_context(|| format!("layer {name} is empty"))?;
        let raw = magic.chain(raw);
        let mut content: Box<dyn Read + '_> = match magic {
            GZIP => Box::new(GzDecoder::new(raw)),
            ZSTANDARD => bail!("the engine compresses layers with zstandard; choose gzip in its settings"),
            _ => Box::new(raw),
        };
        let file = File::create(place).with_context(|| format!("cannot make {place}"))?;
        let mut out = HashingWriter::new(file);
        files::copy(&mut content, &mut out).with_context(|| format!("cannot write {place}"))?;
        let (_, digest) = out.finish();
        let wanted = self.config.rootfs.diff_ids.get(index).map(String::as_str);
        if wanted != Some(&format!("sha256:{digest}")) {
            bail!("the engine handed over layer {index} with SHA-256 {digest}, and its own record says {wanted:?}");
        }
        Ok(())
    }
}

fn open_member(path: &Utf8Path, members: &Members, name: &str) -> Result<impl Read + use<>> {
    let (offset, size_bytes) = *members.get(name).with_context(|| format!("{path} has no {name} in it"))?;
    let mut file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    file.seek(SeekFrom::Start(offset)).with_context(|| format!("cannot read {path}"))?;
    Ok(file.take(size_bytes))
}

fn json_of<T: serde::de::DeserializeOwned>(path: &Utf8Path, members: &Members, name: &str) -> Result<T> {
    let reader = open_member(path, members, name)?.take(LARGEST_JSON_BYTES);
    serde_json::from_reader(BufReader::new(reader))
        .with_context(|| format!("{name} in {path} is not as engines write it"))
}

/// Writes the image of a layout to `place` under all its names, which are returned.
///
/// # Errors
/// Where the layout is not whole, or the archive cannot be written.
pub fn write(layout: &Utf8Path, record: &ImageRecord, place: &Utf8Path) -> Result<Vec<String>> {
    let manifest = layout::verify(layout, &record.digest)?;
    let names: Vec<String> = record.tags.iter().map(|tag| format!("{REPOSITORY}:{tag}")).collect();
    let digests: Vec<Sha256> = manifest.blobs().map(layout::digest_of).collect::<Result<_>>()?;
    let (config, layers) = digests.split_last().context("a manifest has a configuration")?;
    let layers: Vec<String> = layers.iter().map(blob_path).collect();
    let list = serde_json::to_vec(&json!([{ "Config": blob_path(config), "RepoTags": names, "Layers": layers }]))?;
    let pack = || -> Result<()> {
        let mut tar = tar::Builder::new(BufWriter::new(File::create(place)?));
        for digest in &digests {
            let path = blob_path(digest);
            tar.append_path_with_name(layout.join(&path), &path)?;
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(list.len() as u64);
        header.set_mode(files::MODE_FILE);
        tar.append_data(&mut header, MANIFEST, &list[..])?;
        tar.into_inner()?.flush()?;
        Ok(())
    };
    pack().with_context(|| format!("cannot write {place}"))?;
    Ok(names)
}
