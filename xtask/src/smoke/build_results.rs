//! The results of builds, read back from OCI archives: every blob is compared with its digest, and the file that the
//! build wrote is read from the layers. A build in the machine writes its archive there, so that every number and size
//! in it is bounded.
#![allow(clippy::disallowed_methods, reason = "reads files")]

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Error, Result, ensure};
use camino::Utf8Path;
use flate2::read::MultiGzDecoder;
use oci::blobs::Store;
use oci::documents::{Compression, Config, Descriptor, Index, Manifest};
use oci::layer::members;
use serde::Deserialize;

/// The file that each Dockerfile of `smoke` writes.
const WRITTEN: &str = "hello";
/// The annotation of an attestation that names the image. Source: moby/buildkit, `docs/attestations/attestation-storage.md`.
const ATTESTED: &str = "vnd.docker.reference.digest";
const LARGEST_LAYER_BYTES: u64 = 256 << 20;
/// The builds are for two platforms at most, each with one attestation, in two layers each.
const MOST_MANIFESTS: usize = 8;
const MOST_LAYERS: usize = 8;

/// One platform of a build's result.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    /// `linux/riscv64`.
    pub platform: String,
    /// What the file holds, without the end of the last line.
    pub written: String,
    /// The types of what is attested about it, such as `https://slsa.dev/provenance/v0.2`.
    pub attested: Vec<String>,
}

/// What an attestation says of itself. Source: in-toto, "Statement".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

/// The platforms of a result, sorted by name. Fails if the result is incomplete.
pub fn read(archive: &Utf8Path) -> Result<Vec<Built>> {
    let read = || -> Result<Vec<Built>> {
        let store = Store::open(archive)?;
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
        let (attestations, images): (Vec<_>, Vec<_>) = manifests.into_iter().partition(Descriptor::is_attestation);
        let mut built = images.iter().map(|image| built(&store, image, &attestations)).collect::<Result<Vec<_>>>()?;
        built.sort_by(|one, other| one.platform.cmp(&other.platform));
        Ok(built)
    };
    read()
        .with_context(|| format!("the result of the build, {}, is not valid", archive.file_name().unwrap_or_default()))
}

fn built(store: &Store, described: &Descriptor, attestations: &[Descriptor]) -> Result<Built> {
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
    ensure!(written.is_some(), "for {platform}, no layer has the file /{WRITTEN} that the build writes");
    let of_image =
        |attestation: &&Descriptor| attestation.annotations.get(ATTESTED) == Some(&described.digest.to_string());
    let attested: Result<Vec<_>> =
        attestations.iter().filter(of_image).map(|attestation| attested(store, attestation, described)).collect();
    Ok(Built { platform, written: written.unwrap_or_default(), attested: attested?.concat() })
}

/// The types of the statements in an attestation. Fails if one is about something else than `image`.
fn attested(store: &Store, attestation: &Descriptor, image: &Descriptor) -> Result<Vec<String>> {
    let manifest: Manifest = store.document(&attestation.digest.blob(), Some(attestation))?;
    ensure!(manifest.layers.len() <= MOST_LAYERS, "an attestation has more than {MOST_LAYERS} statements");
    let read = |layer: &Descriptor| {
        let Statement { predicate_type, subject } = store.document(&layer.digest.blob(), Some(layer))?;
        let is_image = |subject: &Subject| subject.digest.get("sha256") == Some(&image.digest.sha256().to_string());
        ensure!(subject.iter().any(is_image), "an attestation ({predicate_type}) is not about {}", image.digest);
        Ok(predicate_type)
    };
    manifest.layers.iter().map(read).collect()
}
