//! Images as files: an OCI image layout in a folder or in a tar archive, or what `docker save` of an
//! older engine wrote. Every blob is compared with its digest before anything in it is believed.
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

use crate::blobs::{MOST_MEMBERS, Store};
use crate::digest::{Digest, HashingWriter, Sha256, copy, sha256_of};
use crate::documents::{Compression, Config, Descriptor, INDEX, Index, Manifest, Platform, SavedImage};
use crate::file_tree::{FileTree, Node};
use crate::layer::members::{self, Kind};

/// The folder of the blobs in a layout.
pub const BLOBS: &str = "blobs/sha256";
const MOST_LAYERS: usize = 512;
const DEEPEST_INDEX: usize = 4;
/// All layers of an image, uncompressed; gzip packs a thousand to one.
const LARGEST_IMAGE_BYTES: u64 = 64 << 30;

/// One image.
#[derive(Debug)]
pub struct Image {
    /// Digest of the manifest; of the configuration where there is no manifest (`docker save`).
    pub digest: Digest,
    /// What kind of file it was read from.
    pub form: &'static str,
    /// Its configuration.
    pub config: Config,
    /// The configuration as it stands in its blob.
    pub config_json: Vec<u8>,
    store: Store,
    layers: Vec<Layer>,
}

/// One layer: the blob that it is in, and the digest of the tar archive therein.
#[derive(Debug)]
struct Layer {
    blob: String,
    compression: Compression,
    diff_id: Digest,
}

impl Image {
    /// Opens the image in a folder or an archive; where it holds several, the one for linux/riscv64.
    ///
    /// # Errors
    /// Where it is no image, where a blob is missing or is not what its digest says.
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
        let mut found = Vec::new();
        collect(&store, &index, 0, &mut found)?;
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
        ensure!(manifest.layers.len() <= MOST_LAYERS, "it has {} layers", manifest.layers.len());
        ensure!(manifest.layers.len() == config.rootfs.diff_ids.len(), "manifest and configuration differ in layers");
        let mut layers = Vec::new();
        for (descriptor, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let blob = descriptor.digest.blob();
            let compression = Compression::of_media_type(&descriptor.media_type).map_err(|error| anyhow!(error))?;
            store.check(&blob, descriptor)?;
            layers.push(Layer { blob, compression, diff_id: diff_id.clone() });
        }
        Ok(Self { digest: chosen.digest.clone(), form: "OCI image layout", config, config_json, store, layers })
    }

    fn of_saved(store: Store) -> Result<Self> {
        let images: Vec<SavedImage> = store.document("manifest.json", None)?;
        let [saved] = images.as_slice() else { bail!("it holds {} images; save a single one", images.len()) };
        let (config, config_json) = config_of(&store, &saved.config, None)?;
        let digest = Digest::from(sha256_of(&mut config_json.as_slice())?);
        ensure!(saved.layers.len() <= MOST_LAYERS, "it has {} layers", saved.layers.len());
        ensure!(saved.layers.len() == config.rootfs.diff_ids.len(), "list and configuration differ in layers");
        let mut layers = Vec::new();
        for (blob, diff_id) in saved.layers.iter().zip(&config.rootfs.diff_ids) {
            let (content, _) = store.reader(blob)?;
            let mut head = Vec::new();
            content.take(4).read_to_end(&mut head).with_context(|| format!("cannot read {blob}"))?;
            let compression = Compression::of_magic(&head).map_err(|error| anyhow!(error))?;
            layers.push(Layer { blob: blob.clone(), compression, diff_id: diff_id.clone() });
        }
        Ok(Self { digest, form: "docker save archive", config, config_json, store, layers })
    }

    /// Lays all layers over each other, and compares each with its digest on the way.
    ///
    /// # Errors
    /// Where a layer is not what its digest says, or is one that no honest builder makes.
    pub fn files(&self) -> Result<FileTree> {
        let mut tree = FileTree::default();
        let mut left_bytes = LARGEST_IMAGE_BYTES;
        for (number, layer) in self.layers.iter().enumerate() {
            let name = || format!("layer {} of {}, {}", number + 1, self.layers.len(), layer.blob);
            let mut content = Hashed::new(self.layer(layer)?.take(left_bytes));
            tree.apply(&mut content).map_err(|error| anyhow!(error)).with_context(name)?;
            let (size_bytes, sha256) = content.finish().with_context(name)?;
            left_bytes -= size_bytes;
            ensure!(left_bytes > 0, "{}: the image is larger than {LARGEST_IMAGE_BYTES} bytes; it is refused", name());
            ensure!(
                Digest::from(sha256) == layer.diff_id,
                "{}: its content is not the {} of the configuration",
                name(),
                layer.diff_id
            );
        }
        Ok(tree)
    }

    /// Streams the content of every file that `is_wanted`, once, in the order in which they are stored.
    /// `visit` gets all the paths that the file has in `tree`.
    ///
    /// # Errors
    /// Where a layer cannot be read, and those of `visit`.
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
    /// # Errors
    /// Where it is another, or the disk is full.
    pub fn unpack(&self, index: usize, place: &Utf8Path) -> Result<()> {
        let layer = &self.layers[index];
        let mut out = HashingWriter::new(File::create(place).with_context(|| format!("cannot make {place}"))?);
        copy(&mut self.layer(layer)?, &mut out).with_context(|| format!("cannot write {place}"))?;
        let found = Digest::from(out.finish().1);
        ensure!(found == layer.diff_id, "layer {index} has {found}, and the configuration says {}", layer.diff_id);
        Ok(())
    }

    /// Every layer as it is stored, with a name for it: what goes into an archive for `docker load`.
    ///
    /// # Errors
    /// Where a blob cannot be opened.
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
    let config = serde_json::from_slice(&bytes).with_context(|| format!("{name} is no image configuration"))?;
    Ok((config, bytes))
}

/// The manifests that an index leads to.
fn collect(store: &Store, index: &Index, depth: usize, found: &mut Vec<Descriptor>) -> Result<()> {
    ensure!(depth < DEEPEST_INDEX && found.len() < MOST_MEMBERS, "its lists of images have no end");
    for descriptor in index.manifests.iter().filter(|descriptor| !descriptor.is_attestation()) {
        if descriptor.is_index() {
            let inner: Index = store.document(&descriptor.digest.blob(), Some(descriptor))?;
            collect(store, &inner, depth + 1, found)?;
        } else {
            found.push(descriptor.clone());
        }
    }
    ensure!(depth > 0 || !found.is_empty(), "it holds no image");
    Ok(())
}

/// A reader that takes the SHA-256 of all that passes through.
struct Hashed<R> {
    inner: R,
    hasher: HashingWriter<std::io::Sink>,
    size_bytes: u64,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R) -> Self {
        Self { inner, hasher: HashingWriter::new(std::io::sink()), size_bytes: 0 }
    }

    /// Reads what is left; returns how much there was in all, and its digest.
    fn finish(mut self) -> std::io::Result<(u64, Sha256)> {
        copy(&mut self, &mut std::io::sink())?;
        Ok((self.size_bytes, self.hasher.finish().1))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        std::io::Write::write_all(&mut self.hasher, &buffer[..count])?;
        self.size_bytes += count as u64;
        Ok(count)
    }
}

/// Reads a layout back: its index names the manifest `digest`, and each blob is there with the size
/// and the digest that name it, and nothing else is.
///
/// # Errors
/// Names the first blob that differs.
pub fn verify(folder: &Utf8Path, digest: &Digest) -> Result<Manifest> {
    let store = Store::open(folder)?;
    let index: Index = store.document(INDEX, None).with_context(|| format!("{folder} is no image layout"))?;
    let [described] = index.manifests.as_slice() else { bail!("{folder} does not name {digest}, and that alone") };
    ensure!(described.digest == *digest, "{folder} does not name {digest}, and that alone");
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
///
/// # Errors
/// If it cannot be listed.
pub fn paths_in(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let entries: std::io::Result<Vec<_>> = folder.read_dir_utf8().and_then(Iterator::collect);
    let entries = entries.with_context(|| format!("cannot list {folder}"))?;
    Ok(entries.iter().map(|entry| entry.path().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::sample_image::{ENTRYPOINT, Item, config, layer};

    #[test]
    fn contents_are_those_of_the_files_that_are_left() {
        let file = |path, content: &str| Item::File(path, 0o644, content.into());
        let tars = [
            layer(&[file("a", "one"), Item::HardLink("again", "a"), file("b", "two")]),
            layer(&[file("b", "three"), file("c", "four")]),
        ];
        let diff_ids =
            tars.clone().map(|tar| Digest::from(sha256_of(&mut tar.as_slice()).expect("memory")).to_string());
        let config = config(&ENTRYPOINT, &diff_ids).to_string();
        let list = r#"[{"Config":"c.json","Layers":["0/layer.tar","1/layer.tar"]}]"#;
        let folder = std::env::temp_dir().join(format!("xtask-layout-{}", std::process::id()));
        let folder = Utf8PathBuf::try_from(folder).expect("UTF-8");
        for (name, content) in [
            ("0/layer.tar", tars[0].as_slice()),
            ("1/layer.tar", &tars[1]),
            ("c.json", config.as_bytes()),
            ("manifest.json", list.as_bytes()),
        ] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("is in the folder")).expect("is made");
            std::fs::write(path, content).expect("is written");
        }
        let image = Image::open(&folder).expect("an image");
        let tree = image.files().expect("honest layers");
        let mut seen = Vec::new();
        let visit = |paths: &[&str], _: &Node, content: &mut dyn Read| {
            seen.push(format!("{}={}", paths.join(","), std::io::read_to_string(content)?));
            Ok(())
        };
        image.contents(&tree, |path, _| path != "c", visit).expect("is read");
        assert_eq!(seen, ["a,again=one", "b=three"]);
        std::fs::remove_dir_all(&folder).expect("is removed");
    }
}
