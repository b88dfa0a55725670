//! Images in files: an OCI image layout in a directory or a tar archive, or an archive from `docker save`
//! of an older engine. Every blob is compared with its digest before its content is used.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files and reads the environment"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;

use crate::blobs::Store;
use crate::digest::{Digest, HashingReader, HashingWriter, copy, sha256_of};
use crate::documents::{Compression, Config, Descriptor, INDEX, Index, Manifest, Platform, SavedImage};
use crate::file_tree::{FileTree, Node};
use crate::layer::members::{self, Kind};
use crate::limits::{IMAGE_BYTES, LAYERS};

mod comparison;
mod manifests;

/// The folder of the blobs in a layout.
pub const BLOBS: &str = "blobs/sha256";

/// One image.
#[derive(Debug)]
pub struct Image {
    /// Digest of the manifest, or of the configuration if there is no manifest (`docker save`).
    pub digest: Digest,
    /// The format that it was read from.
    pub form: &'static str,
    pub config: Config,
    /// The bytes of the configuration.
    pub config_json: Vec<u8>,
    store: Store,
    layers: Vec<Layer>,
    /// [`IMAGE_BYTES`], or less in a test.
    limit_bytes: u64,
}

/// One layer: the blob that it is in, and the digest of the tar archive therein.
#[derive(Debug)]
struct Layer {
    blob: String,
    compression: Compression,
    diff_id: Digest,
}

impl Image {
    /// Opens the image in a folder or an archive. If it holds several, the one for linux/riscv64 is taken.
    ///
    /// Fails if it is not an image, or if a blob is missing or does not match its digest.
    pub fn open(path: &Utf8Path) -> Result<Self> {
        Self::read(path).with_context(|| format!("{path} is not an image that can be read"))
    }

    fn read(path: &Utf8Path) -> Result<Self> {
        let store = Store::open(path)?;
        if store.find("index.json").is_some() {
            return Self::of_layout(store);
        }
        ensure!(
            store.find("manifest.json").is_some(),
            "it has neither index.json (OCI image layout) nor manifest.json (docker save)"
        );
        Self::of_saved(store)
    }

    fn of_layout(store: Store) -> Result<Self> {
        let index: Index = store.document("index.json", None)?;
        let mut found = manifests::of_index(&store, &index)?;
        ensure!(!found.is_empty(), "it holds no image");
        found.dedup_by(|one, other| one.digest == other.digest);
        let chosen = match found.as_slice() {
            [only] => only,
            several => {
                let fits = |found: &&Descriptor| found.platform == Some(Platform::riscv64());
                let mut fitting = several.iter().filter(fits);
                match (fitting.next(), fitting.next()) {
                    (Some(one), None) => one,
                    (None, _) => bail!("none of its {} images is for linux/riscv64", several.len()),
                    _ => bail!("it holds several images for linux/riscv64; leave one in it"),
                }
            }
        };
        let manifest: Manifest = store.document(&chosen.digest.blob(), Some(chosen))?;
        let (config, config_json) = config_of(&store, &manifest.config.digest.blob(), Some(&manifest.config))?;
        let stored_bytes = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        must_be_within(manifest.layers.len(), stored_bytes)?;
        ensure!(
            manifest.layers.len() == config.rootfs.diff_ids.len(),
            "manifest and configuration have different numbers of layers"
        );
        let mut layers = Vec::new();
        for (descriptor, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let blob = descriptor.digest.blob();
            let compression = Compression::of_media_type(&descriptor.media_type).map_err(|error| anyhow!(error))?;
            store.check(&blob, descriptor)?;
            layers.push(Layer { blob, compression, diff_id: diff_id.clone() });
        }
        Ok(Self {
            digest: chosen.digest.clone(),
            form: "OCI image layout",
            config,
            config_json,
            store,
            layers,
            limit_bytes: IMAGE_BYTES,
        })
    }

    fn of_saved(store: Store) -> Result<Self> {
        let images: Vec<SavedImage> = store.document("manifest.json", None)?;
        let [saved] = images.as_slice() else { bail!("it holds {} images; save a single one", images.len()) };
        let (config, config_json) = config_of(&store, &saved.config, None)?;
        let digest = Digest::from(sha256_of(&mut config_json.as_slice())?);
        must_be_within(saved.layers.len(), 0)?;
        ensure!(
            saved.layers.len() == config.rootfs.diff_ids.len(),
            "manifest.json and the configuration have different numbers of layers"
        );
        let mut layers = Vec::new();
        for (blob, diff_id) in saved.layers.iter().zip(&config.rootfs.diff_ids) {
            let (content, _) = store.reader(blob)?;
            let mut head = Vec::new();
            content.take(4).read_to_end(&mut head).with_context(|| format!("cannot read {blob}"))?;
            let compression = Compression::of_magic(&head).map_err(|error| anyhow!(error))?;
            layers.push(Layer { blob: blob.clone(), compression, diff_id: diff_id.clone() });
        }
        Ok(Self { digest, form: "docker save archive", config, config_json, store, layers, limit_bytes: IMAGE_BYTES })
    }

    /// Applies all layers, and compares each with its digest.
    ///
    /// Fails if a layer does not match its digest, is malformed or exceeds a limit.
    pub fn files(&self) -> Result<FileTree> {
        let mut tree = FileTree::default();
        // One more than the limit is read, to tell an image of that size from a larger one.
        let mut left_bytes = self.limit_bytes + 1;
        for (number, layer) in self.layers.iter().enumerate() {
            let name = || format!("layer {} of {}, {}", number + 1, self.layers.len(), layer.blob);
            let mut content = HashingReader::new(self.layer(layer)?.take(left_bytes));
            let applied = tree.apply(&mut content);
            let is_too_large = |size_bytes| size_bytes == left_bytes;
            let too_large =
                || format!("{}: the image has more than {} bytes, which is the limit", name(), self.limit_bytes);
            ensure!(!is_too_large(content.size_bytes()), too_large());
            applied.map_err(|error| anyhow!(error)).with_context(name)?;
            let (size_bytes, sha256) = content.finish().with_context(name)?;
            ensure!(!is_too_large(size_bytes), too_large());
            left_bytes -= size_bytes;
            ensure!(
                Digest::from(sha256) == layer.diff_id,
                "{}: its content does not match {}, the digest in the configuration",
                name(),
                layer.diff_id
            );
        }
        Ok(tree)
    }

    /// Streams the content of every file that `is_wanted`, once, in the order in which they are stored.
    /// `visit` gets all the paths that the file has in `tree`.
    pub fn contents(
        &self,
        tree: &FileTree,
        is_wanted: impl Fn(&str, &Node) -> bool,
        mut visit: impl FnMut(&[&str], &Node, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let mut wanted: BTreeMap<(usize, usize), (Vec<&str>, &Node)> = BTreeMap::new();
        for (path, node) in tree.entries().filter(|(path, node)| node.kind == Kind::File && is_wanted(path, node)) {
            wanted.entry(node.content).or_insert_with(|| (Vec::new(), node)).0.push(path);
        }
        for (number, layer) in self.layers.iter().enumerate() {
            if wanted.range((number, 0)..(number + 1, 0)).next().is_none() {
                continue;
            }
            let mut failure = None;
            let result = members::read(self.layer(layer)?, |member, content| {
                let Some((paths, node)) = wanted.get(&(number, member.ordinal)) else { return Ok(()) };
                visit(paths, node, content).map_err(|error| failure.insert(error).to_string())
            });
            match (failure, result) {
                (Some(error), _) => return Err(error),
                (None, result) => result.map_err(|error| anyhow!(error)).with_context(|| layer.blob.clone())?,
            }
        }
        Ok(())
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Writes a layer, as a tar archive that is not compressed, to `place`, and compares it with the
    /// digest that the configuration gives.
    ///
    /// Fails if it is another, or the disk is full.
    pub fn unpack(&self, index: usize, place: &Utf8Path) -> Result<()> {
        let layer = &self.layers[index];
        let mut out = HashingWriter::new(File::create(place).with_context(|| format!("cannot create {place}"))?);
        let mut content = self.layer(layer)?.take(self.limit_bytes + 1);
        let size_bytes = copy(&mut content, &mut out).with_context(|| format!("cannot write {place}"))?;
        ensure!(
            size_bytes <= self.limit_bytes,
            "layer {index} has more than {} bytes, which is the limit",
            self.limit_bytes
        );
        let found = Digest::from(out.finish().1);
        ensure!(
            found == layer.diff_id,
            "layer {index} has the digest {found}, but the configuration has {}",
            layer.diff_id
        );
        Ok(())
    }

    /// Every layer as it is stored, with a name for it: what goes into an archive for `docker load`.
    pub fn blobs(&self) -> impl Iterator<Item = Result<(String, u64, Box<dyn Read + '_>)>> {
        self.layers.iter().map(|layer| {
            let (content, size_bytes) = self.store.reader(&layer.blob)?;
            Ok((format!("{}.tar", layer.diff_id.sha256()), size_bytes, content))
        })
    }

    fn layer(&self, layer: &Layer) -> Result<Box<dyn Read + '_>> {
        let (content, _) = self.store.reader(&layer.blob)?;
        Ok(match layer.compression {
            Compression::None => content,
            Compression::Gzip => Box::new(BufReader::with_capacity(256 << 10, MultiGzDecoder::new(content))),
        })
    }
}

fn config_of(store: &Store, name: &str, described: Option<&Descriptor>) -> Result<(Config, Vec<u8>)> {
    let bytes = store.bytes(name, described)?;
    let config = serde_json::from_slice(&bytes).with_context(|| format!("{name} is not an image configuration"))?;
    Ok((config, bytes))
}

fn must_be_within(layers: usize, stored_bytes: u64) -> Result<()> {
    ensure!(layers <= LAYERS, "it has {layers} layers; the limit is {LAYERS}");
    ensure!(stored_bytes <= IMAGE_BYTES, "its layers have {stored_bytes} bytes; the limit is {IMAGE_BYTES}");
    Ok(())
}

/// Reads a layout back: its index names the manifest `digest`, and each blob is there with the size
/// and the digest that name it, and nothing else is.
///
/// Fails at the first blob that differs.
pub fn verify(folder: &Utf8Path, digest: &Digest) -> Result<Manifest> {
    let store = Store::open(folder)?;
    let index: Index = store.document(INDEX, None).with_context(|| format!("{folder} is not an image layout"))?;
    let [described] = index.manifests.as_slice() else {
        bail!("the index of {folder} must name {digest} and nothing else")
    };
    ensure!(described.digest == *digest, "the index of {folder} must name {digest} and nothing else");
    let manifest: Manifest = store.document(&digest.blob(), Some(described)).with_context(|| folder.to_string())?;
    let mut known = BTreeSet::new();
    for blob in manifest.blobs().chain([described]) {
        let name = blob.digest.blob();
        store.check(&name, blob).with_context(|| folder.to_string())?;
        known.insert(folder.join(name));
    }
    match paths_in(&folder.join(BLOBS))?.into_iter().find(|path| !known.contains(path)) {
        Some(path) => bail!("{path} belongs to no image of this layout"),
        None => Ok(manifest),
    }
}

/// The paths in a folder.
pub fn paths_in(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let entries: std::io::Result<Vec<_>> = folder.read_dir_utf8().and_then(Iterator::collect);
    let entries = entries.with_context(|| format!("cannot list {folder}"))?;
    Ok(entries.iter().map(|entry| entry.path().to_owned()).collect())
}

#[cfg(test)]
mod tests;
