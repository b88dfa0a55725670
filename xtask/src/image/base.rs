//! The base image, read from its registry before anything is built: the manifest for riscv64, by whose digest every
//! engine then builds, its date, and its layers as the registry serves them.
#![allow(clippy::disallowed_types, reason = "writes files")]

use std::fs::File;

use anyhow::{Context, Error, Result, bail, ensure};
use camino::Utf8Path;
use flate2::read::MultiGzDecoder;
use oci::digest::{Digest, HashingWriter, copy};
use oci::documents::{Compression, Descriptor, Index, Manifest, Platform};
use oci::image_name::ImageName;
use oci::reference::Reference;
use serde::Deserialize;

use crate::engine::Engine;
use crate::http::{Expected, receive};
use crate::os::clock::Timestamp;
use crate::registry::{Found, ImageRepository, Registry};

const DOCKER_HUB: &str = "docker.io";
/// The one layer of Debian's base has 30 MB.
const LARGEST_LAYER_BYTES: u64 = 1 << 30;

/// A base image in its registry.
pub struct Base {
    /// The same image by the digest of its manifest for riscv64, which always refers to the same image.
    pub pinned: ImageName,
    /// When it was made.
    pub created: Timestamp,
    layers: Vec<Layer>,
    registry: Registry,
}

/// One layer of the base.
struct Layer {
    served: Descriptor,
    diff_id: Digest,
}

/// What we need of a base's configuration.
#[derive(Deserialize)]
struct Config {
    created: String,
    rootfs: oci::documents::RootFs,
}

impl Base {
    /// Reads `name` from its registry, or from a mirror of Docker Hub that the engine uses.
    ///
    /// # Errors
    /// If none of them has it for riscv64, or what they have does not match its digest.
    pub fn find(engine: &Engine, name: &ImageName) -> Result<Self> {
        let (registry, path, reference) = parts(name)?;
        let mirrors = if registry == DOCKER_HUB { engine.mirrors_of_docker_hub() } else { Vec::new() };
        let mut reasons = Vec::new();
        for host in mirrors.iter().chain([&registry]) {
            match Self::read(&format!("{host}/{path}"), &reference) {
                Ok((digest, created, layers, found_in)) => {
                    let pinned = format!("{registry}/{path}@{digest}").parse().map_err(Error::msg)?;
                    return Ok(Self { pinned, created, layers, registry: found_in });
                }
                Err(error) => reasons.push(format!("{host}: {error:#}")),
            }
        }
        bail!("{name} cannot be read from its registry ({})", reasons.join("; "))
    }

    fn read(repository: &str, reference: &Reference) -> Result<(Digest, Timestamp, Vec<Layer>, Registry)> {
        let registry = Registry::new(repository.parse::<ImageRepository>().map_err(Error::msg)?, None);
        let read = |reference: &Reference| {
            registry.manifest(reference)?.with_context(|| format!("{repository} has no {reference}"))
        };
        let mut found = read(reference)?;
        if found.descriptor.is_index() {
            found = read(&Reference::Digest(for_riscv64(&found)?))?;
        }
        let Found { descriptor, bytes } = found;
        let manifest: Manifest = serde_json::from_slice(&bytes).context("its manifest cannot be read")?;
        let config = registry.small_blob(&manifest.config)?;
        let Config { created, rootfs } = serde_json::from_slice(&config).context("its configuration cannot be read")?;
        ensure!(manifest.layers.len() == rootfs.diff_ids.len(), "its manifest and its configuration disagree");
        let layers = manifest.layers.into_iter().zip(rootfs.diff_ids);
        let layers = layers.map(|(served, diff_id)| Layer { served, diff_id }).collect();
        Ok((descriptor.digest, to_the_second(&created)?, layers, registry))
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// The digest of a layer as a tar archive.
    pub fn diff_id(&self, index: usize) -> &Digest {
        &self.layers[index].diff_id
    }

    /// Downloads a layer as the registry serves it to `file`. Returns its digest and size.
    ///
    /// # Errors
    /// If it is compressed in a way that not every engine reads, or is not what its digests say.
    pub fn fetch_layer(&self, index: usize, file: &Utf8Path) -> Result<(Digest, u64)> {
        let Layer { served, diff_id } = &self.layers[index];
        ensure!(served.size <= LARGEST_LAYER_BYTES, "it has {} bytes", served.size);
        let compression = Compression::of_media_type(&served.media_type).map_err(Error::msg)?;
        ensure!(compression == Compression::Gzip, "it is not compressed");
        let body = self.registry.open_blob(&served.digest)?;
        let expected = Expected { size_bytes: served.size, sha256: served.digest.sha256() };
        receive(body, expected, file, "base").with_context(|| format!("cannot download {}", served.digest))?;
        let mut unpacked = HashingWriter::new(std::io::sink());
        let packed = File::open(file).with_context(|| format!("cannot open {file}"))?;
        copy(&mut MultiGzDecoder::new(packed), &mut unpacked).with_context(|| format!("cannot unpack {file}"))?;
        let (_, sha256) = unpacked.finish();
        ensure!(Digest::from(sha256) == *diff_id, "{} unpacks to another layer than {diff_id}", served.digest);
        Ok((served.digest.clone(), served.size))
    }
}

/// The digest of the manifest for riscv64 in an index.
fn for_riscv64(index: &Found) -> Result<Digest> {
    let index: Index = serde_json::from_slice(&index.bytes).context("its index cannot be read")?;
    let fits = |entry: &&Descriptor| entry.platform == Some(Platform::riscv64()) && !entry.is_attestation();
    let entry = index.manifests.iter().find(fits).context("its index has no manifest for linux/riscv64")?;
    Ok(entry.digest.clone())
}

/// Registry, path and reference of an image's name, as engines complete it.
/// Source: distribution/reference, "normalize.go".
fn parts(name: &ImageName) -> Result<(String, String, Reference)> {
    let text = name.as_str();
    let (text, digest) = text.split_once('@').map_or((text, None), |(text, digest)| (text, Some(digest)));
    let (text, tag) = match text.rsplit_once(':') {
        Some((text, tag)) if !tag.contains('/') => (text, Some(tag)),
        _ => (text, None),
    };
    let reference = match (digest, tag) {
        (Some(digest), _) => Reference::Digest(digest.parse().map_err(Error::msg)?),
        (None, tag) => Reference::Tag(tag.unwrap_or("latest").parse().map_err(Error::msg)?),
    };
    let is_registry = |word: &str| word.contains(['.', ':']) || word == "localhost";
    let (registry, path) = match text.split_once('/') {
        Some((registry, path)) if is_registry(registry) => (registry, path.to_owned()),
        Some(_) => (DOCKER_HUB, text.to_owned()),
        None => (DOCKER_HUB, format!("library/{text}")),
    };
    Ok((registry.to_owned(), path, reference))
}

/// A date of RFC 3339 in UTC, without its fraction of a second.
fn to_the_second(date: &str) -> Result<Timestamp> {
    let whole = date.split(['.', 'Z']).next().unwrap_or_default();
    format!("{whole}Z").parse().map_err(Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn names_are_completed_as_engines_do() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (name, registry, path, reference) in [
            ("debian", "docker.io", "library/debian", "latest"),
            ("debian:trixie-slim", "docker.io", "library/debian", "trixie-slim"),
            ("me/debian:x", "docker.io", "me/debian", "x"),
            ("localhost/a", "localhost", "a", "latest"),
            ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000", "a/b", "c"),
            (&format!("ghcr.io/a/b:c@{digest}"), "ghcr.io", "a/b", &digest),
        ] {
            let (found_registry, found_path, found) = parts(&name.parse().expect(name)).expect(name);
            assert_eq!((&*found_registry, &*found_path, &*found.to_string()), (registry, path, reference), "{name}");
        }
        parts(&"debian@sha256:00".parse().expect("a name")).map(|_| ()).expect_err("no digest");
    }

    #[test]
    fn dates_lose_their_fraction() {
        for date in ["2026-11-26T06:35:08.049617441Z", "2026-11-26T06:35:08Z"] {
            assert_eq!(to_the_second(date).expect(date).to_string(), "2026-11-26T06:35:08Z");
        }
        to_the_second("yesterday").expect_err("no date");
    }

    #[test]
    fn a_mutated_name_has_a_registry_and_a_reference_or_is_refused() {
        let sample = format!("ghcr.io/a/b:c@sha256:{}", "0".repeat(64));
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, &sample)?;
            if let Ok((registry, path, reference)) = text.parse().map_err(Error::msg).and_then(|name| parts(&name)) {
                assert!(!registry.contains('/') && path.len() <= text.len() + "library/".len(), "{text}");
                assert!(text.contains(&reference.to_string()) || reference.to_string() == "latest", "{text}");
            }
            Ok(())
        });
    }

    #[test]
    fn a_mutated_date_is_refused_or_of_twenty_characters() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, "2026-11-26T06:35:08.049617441Z")?;
            if let Ok(date) = to_the_second(&text) {
                let date = date.to_string();
                assert!(date.len() == 20 && text.starts_with(&date[..19]), "{text}: {date}");
            }
            Ok(())
        });
    }
}
