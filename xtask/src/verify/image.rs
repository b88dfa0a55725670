//! The image of a release: where its tag leads, whether every blob is whole, what it says of itself, and what is
//! attached to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use anyhow::{Context, Result, bail, ensure};
use oci::digest::Digest;
use oci::documents::{Config, Descriptor, Manifest, Platform};
use oci::limits::{IMAGE_BYTES, LAYERS};
use oci::reference::Reference;
use serde::Deserialize;

use crate::dist::{ImageRecord, Metadata, image_config, image_tags};
use crate::github::Release;
use crate::os::terminal::size;
use crate::published::{self, SIGSTORE, SPDX};
use crate::registry::Registry;
use crate::verify::findings::Findings;

/// How many documents of one type are looked at. Anyone who may push to the package can attach more.
const MOST_REFERRERS: usize = 20;
/// In the page of a release that was published with its provenance.
const PROMISE: &str = "gh attestation verify";

const OF_MANIFEST: [&str; 3] = ["image-blobs", "image-platform", "image-labels"];
const ATTACHED: [&str; 2] = ["image-sbom", "image-provenance"];

/// The labels of a configuration.
#[derive(Deserialize)]
struct Labelled {
    #[serde(default)]
    config: Labels,
}

#[derive(Default, Deserialize)]
struct Labels {
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

/// What somebody else has to judge.
#[derive(Default)]
pub struct Attested {
    /// The manifest, as it is.
    pub manifest: Vec<u8>,
    /// The attached provenance.
    pub bundle: Option<Vec<u8>>,
}

/// Checks all of it, without credentials; blobs are streamed if `reads_blobs`.
pub fn check(
    findings: &mut Findings,
    registry: &Registry,
    record: &Metadata,
    release: &Release,
    reads_blobs: bool,
) -> Attested {
    let Some((manifest, bytes)) = findings.add("image-tag", manifest(registry, record)) else {
        findings.not_run(&OF_MANIFEST, "there is no image to check");
        findings.not_run(&ATTACHED, "there is no image that it could be attached to");
        return Attested::default();
    };
    let image = image_of(record);
    let config = registry.small_blob(&manifest.config).context("its configuration cannot be read");
    let is_whole = config.as_ref().is_ok_and(|bytes| bytes.len() as u64 == manifest.config.size);
    let known = is_whole.then_some(&manifest.config.digest);
    findings.add_evidence("image-blobs", blobs(registry, &manifest, known, reads_blobs));
    match config {
        Ok(config) => {
            findings.add_evidence("image-platform", platform(&config));
            findings.add_evidence("image-labels", labels(&config, &manifest, record, image));
        }
        Err(error) => {
            findings.add_evidence("image-platform", Err(error));
            findings.not_run(&OF_MANIFEST[2..], "the configuration could not be read");
        }
    }
    let referrers = match registry.referrers(&image.digest, &[SPDX, SIGSTORE]) {
        Ok(referrers) => referrers,
        Err(error) => {
            findings.add_evidence(ATTACHED[0], Err(error));
            findings.not_run(&ATTACHED[1..], "what is attached could not be listed");
            return Attested { manifest: bytes, bundle: None };
        }
    };
    findings.add_evidence(ATTACHED[0], sbom(registry, image, &referrers));
    let bundles = attached(registry, &referrers, SIGSTORE);
    let is_promised = release.body.as_ref().is_some_and(|body| body.contains(PROMISE));
    let bundle = match bundles {
        Ok(bundles) if bundles.is_empty() && !is_promised => {
            findings.not_run(&ATTACHED[1..], "published without one, which its page does not hide");
            None
        }
        bundles => findings.add(ATTACHED[1], bundles.and_then(|bundles| bundle(registry, &bundles))),
    };
    Attested { manifest: bytes, bundle }
}

fn image_of(record: &Metadata) -> &ImageRecord {
    record.image.as_ref().expect("a record without an image is refused before")
}

/// The manifest that the record names, by its digest and by its lasting tags.
fn manifest(registry: &Registry, record: &Metadata) -> Result<((Manifest, Vec<u8>), String)> {
    let (repository, image) = (registry.repository(), image_of(record));
    ensure!(image.tags == image_tags(&record.source), "the record names tags that no such image has");
    let read = |reference: &Reference| {
        let found = registry.manifest(reference)?;
        found.with_context(|| format!("nobody can pull {repository}, {reference}: there is no such image"))
    };
    let lasting: Vec<_> = image.tags.iter().filter(|tag| !tag.is_latest()).collect();
    for tag in &lasting {
        let found = read(&Reference::from(*tag))?.descriptor.digest;
        ensure!(found == image.digest, "the tag {repository}:{tag} refers to {found}, not to {}", image.digest);
    }
    let bytes = read(&Reference::from(&image.digest))?.bytes;
    let manifest = serde_json::from_slice(&bytes).context("its manifest is none of an image")?;
    let tags: Vec<String> = lasting.iter().map(ToString::to_string).collect();
    Ok(((manifest, bytes), format!("{repository}:{} is {}", tags.join(", "), image.digest)))
}

/// Every blob is there, and is what its digest says. `known` is one that was read already.
fn blobs(registry: &Registry, manifest: &Manifest, known: Option<&Digest>, reads: bool) -> Result<String> {
    ensure!(manifest.layers.len() <= LAYERS, "it has {} layers; {LAYERS} is the limit", manifest.layers.len());
    let total = manifest.blobs().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
    ensure!(total <= IMAGE_BYTES, "its blobs have {total} bytes; {IMAGE_BYTES} is the limit");
    let mut seen: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
    for blob in manifest.blobs().filter(|blob| seen.insert(blob.digest.to_string())) {
        if reads {
            whole(registry, blob)?;
        } else {
            ensure!(registry.has_blob(&blob.digest)?, "the blob {} is gone", blob.digest);
        }
    }
    let how = if reads { "each with the digest that names it" } else { "all there; `verify TAG` reads them" };
    Ok(format!("{} blobs, {}: {how}", manifest.blobs().count(), size(total)))
}

fn whole(registry: &Registry, blob: &Descriptor) -> Result<()> {
    let name = format!("the blob {}", blob.digest);
    let open = || Ok(Box::new(registry.open_blob(&blob.digest)?) as Box<dyn Read>);
    let found = published::download(&name, blob.size, open, || Ok(io::sink()))?;
    let digest = Digest::from(found.sha256);
    ensure!(digest == blob.digest, "{name} arrives as {digest}");
    ensure!(found.size_bytes == blob.size, "{name} has {} bytes, not {}", found.size_bytes, blob.size);
    Ok(())
}

fn platform(config: &[u8]) -> Result<String> {
    let config: Config = serde_json::from_slice(config).context("its configuration is none of an image")?;
    ensure!(config.platform == Platform::riscv64(), "it is for {}, not for {}", config.platform, Platform::riscv64());
    Ok(config.platform.to_string())
}

/// Its labels, which are also annotations of its manifest, say what the record says.
fn labels(config: &[u8], manifest: &Manifest, record: &Metadata, image: &ImageRecord) -> Result<String> {
    let labelled: Labelled = serde_json::from_slice(config).context("its labels cannot be read")?;
    let labels = labelled.config.labels.unwrap_or_default();
    let expected = image_config::true_labels(&record.source, image);
    for (name, value) in &expected {
        for (place, found) in [("label", &labels), ("annotation", &manifest.annotations)] {
            let found = found.get(*name).map_or("nothing", String::as_str);
            ensure!(found == value, "its {place} {name} says {found}, and the record {value}");
        }
    }
    Ok(format!("{} labels and annotations say what the record says", expected.len()))
}

/// What is attached to the image as that type: the first blob of each document.
fn attached(registry: &Registry, referrers: &[Descriptor], artifact_type: &str) -> Result<Vec<Descriptor>> {
    let is_of_type = |referrer: &&Descriptor| referrer.artifact_type.as_deref() == Some(artifact_type);
    let mut blobs = Vec::new();
    for referrer in referrers.iter().filter(is_of_type).take(MOST_REFERRERS) {
        let Some(found) = registry.manifest(&Reference::from(&referrer.digest))? else {
            bail!("{} is listed as attached, and is gone", referrer.digest)
        };
        let manifest: Manifest = serde_json::from_slice(&found.bytes).context("an attached document is none")?;
        blobs.extend(manifest.layers.into_iter().next());
    }
    Ok(blobs)
}

/// The SBOM that is attached is the one that is published, and there is no other that a scanner could take.
fn sbom(registry: &Registry, image: &ImageRecord, referrers: &[Descriptor]) -> Result<String> {
    let recorded = image.sbom.as_ref().context("the record names no SBOM of the image")?;
    let blobs = attached(registry, referrers, SPDX)?;
    ensure!(!blobs.is_empty(), "no SBOM ({SPDX}) is attached");
    let ours = blobs.iter().find(|blob| *blob.digest.sha256() == recorded.sha256);
    let ours = ours.with_context(|| format!("{} are attached, none of which is {}", blobs.len(), recorded.name))?;
    if let Some(other) = blobs.iter().find(|blob| *blob.digest.sha256() != recorded.sha256) {
        bail!("beside {} another SBOM is attached, {}, which the record does not name", recorded.name, other.digest);
    }
    whole(registry, ours)?;
    Ok(format!("{} is attached", recorded.name))
}

fn bundle(registry: &Registry, bundles: &[Descriptor]) -> Result<(Vec<u8>, String)> {
    let first = bundles.first().context("the page of the release promises a provenance, and none is attached")?;
    let bytes = registry.small_blob(first)?;
    serde_json::from_slice::<serde_json::Value>(&bytes).context("the attached provenance is no JSON")?;
    Ok((bytes, format!("a Sigstore bundle of {} is attached", size(first.size))))
}
