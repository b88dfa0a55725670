//! The documents of an OCI image (image-spec 1.1, "Image Layout", "Image Manifest", "Image Index",
//! "Image Configuration"), their Docker counterparts, and what `docker save` wrote before it knew
//! them. Only the fields that are used here are read, and they are checked as they are parsed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;

/// Content of the file `oci-layout`.
pub const OCI_LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// The index of a layout, its entry.
pub const INDEX: &str = "index.json";

/// Media type of an index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an image manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The annotation that names the commit which an image was built from.
pub const REVISION: &str = "org.opencontainers.image.revision";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const ATTESTATION: &str = "vnd.docker.reference.type";

/// A descriptor: a blob as a manifest or an index names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// For a referrer of an image, in a list of them: what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// For an image in an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// For an image in an index, its name among others.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A blob of this media type.
    pub fn new(media_type: &str, digest: &Digest, size: u64) -> Self {
        let (digest, annotations) = (digest.clone(), BTreeMap::new());
        Self { media_type: media_type.to_owned(), digest, size, artifact_type: None, platform: None, annotations }
    }

    /// A layer, a gzipped tar archive.
    pub fn layer(digest: &Digest, size_bytes: u64) -> Self {
        Self::new(LAYER_TYPE, digest, size_bytes)
    }

    /// The configuration.
    pub fn config(digest: &Digest, size_bytes: u64) -> Self {
        Self::new(CONFIG_TYPE, digest, size_bytes)
    }

    /// Whether it points to a list of manifests.
    pub fn is_index(&self) -> bool {
        [INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json"].contains(&self.media_type.as_str())
    }

    /// Whether it is what buildx attaches to an image (provenance, SBOM), and not an image.
    pub fn is_attestation(&self) -> bool {
        self.annotations.contains_key(ATTESTATION)
            || self.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
    }
}

/// Some tools write `null` if there are no annotations.
fn null_as_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Processor and operating system in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `riscv64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
}

impl Platform {
    /// linux/riscv64.
    pub fn riscv64() -> Self {
        Self { architecture: "riscv64".to_owned(), os: "linux".to_owned() }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)
    }
}

/// An index of manifests: `index.json`, or a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    #[serde(default)]
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    /// The manifests, or further indexes.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// The index of one image for linux/riscv64, named by a tag.
    pub fn new(manifest: &Digest, size_bytes: u64, tag: &str) -> Self {
        let descriptor = Descriptor {
            platform: Some(Platform::riscv64()),
            annotations: BTreeMap::from([(REF_NAME.to_owned(), tag.to_owned())]),
            ..Descriptor::new(MANIFEST_TYPE, manifest, size_bytes)
        };
        Self { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests: vec![descriptor] }
    }
}

/// The manifest of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    #[serde(default)]
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// A manifest of these blobs.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Self {
        Self { schema_version: 2, media_type: MANIFEST_TYPE.to_owned(), config, layers, annotations }
    }

    /// Every blob that the manifest names.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.layers.iter().chain([&self.config])
    }
}

/// What `docker save` puts at the root of its archive, as `manifest.json`.
/// Source: moby, `image/spec/v1.2.md`, "Combined Image JSON + Filesystem Changeset Format".
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SavedImage {
    /// Member that is the configuration: its SHA-256 and `.json`.
    pub config: String,
    /// Members that are the layers, lowest first.
    pub layers: Vec<String>,
}

/// The configuration of an image.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// What it runs on.
    #[serde(flatten)]
    pub platform: Platform,
    /// What a container of it runs.
    #[serde(default)]
    pub config: Execution,
    pub rootfs: RootFs,
}

/// The defaults of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
}

impl Execution {
    /// The words before the command.
    pub fn entrypoint(&self) -> &[String] {
        self.entrypoint.as_deref().unwrap_or_default()
    }

    /// The command that a container runs if none is given.
    pub fn cmd(&self) -> &[String] {
        self.cmd.as_deref().unwrap_or_default()
    }

    /// The user, and after a colon the group, by name or number; empty for root.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }

    /// Its environment, each entry in the form `NAME=value`.
    pub fn environment(&self) -> &[String] {
        self.env.as_deref().unwrap_or_default()
    }

    /// A variable of the environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let value = |entry: &'_ String| entry.split_once('=').is_some_and(|(key, _)| key == name);
        self.env.iter().flatten().rfind(|entry| value(entry)).map(|entry| &entry[name.len() + 1..])
    }
}

/// The digests of the layers, uncompressed.
#[derive(Clone, Debug, Deserialize)]
pub struct RootFs {
    /// Lowest first.
    pub diff_ids: Vec<Digest>,
}

/// How a layer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As a tar archive.
    None,
    /// As gzip of one.
    Gzip,
}

impl Compression {
    /// From the media type of a layer.
    ///
    /// Fails for a type that is not supported, such as zstd; the message names it.
    pub fn of_media_type(media_type: &str) -> Result<Self, String> {
        let is_docker = media_type.starts_with("application/vnd.docker.image.rootfs.");
        match media_type.rsplit_once(".tar") {
            Some((_, "")) => Ok(Self::None),
            Some((_, "+gzip")) => Ok(Self::Gzip),
            Some((_, ".gzip")) if is_docker => Ok(Self::Gzip),
            Some((_, "+zstd")) => Err(ZSTD.to_owned()),
            _ => Err(format!("a layer is of type {media_type:?}, which is not supported")),
        }
    }

    /// From the first bytes of a layer.
    ///
    /// Fails if they are those of zstd.
    pub fn of_magic(head: &[u8]) -> Result<Self, String> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(ZSTD.to_owned()),
            _ => Ok(Self::None),
        }
    }
}

const ZSTD: &str = "a layer is compressed with zstd, which engines before 23 cannot pull; \
    build with gzip (buildx: --output type=oci,compression=gzip)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_is_refused_aloud_and_gzip_taken_under_both_names() {
        let of = Compression::of_media_type;
        assert_eq!(of("application/vnd.oci.image.layer.v1.tar"), Ok(Compression::None));
        assert_eq!(of("application/vnd.oci.image.layer.v1.tar+gzip"), Ok(Compression::Gzip));
        assert_eq!(of("application/vnd.docker.image.rootfs.diff.tar.gzip"), Ok(Compression::Gzip));
        assert!(of("application/vnd.oci.image.layer.v1.tar+zstd").expect_err("zstd").contains("zstd"));
        assert!(of("application/octet-stream").is_err());
        assert!(Compression::of_magic(&[0x28, 0xb5, 0x2f, 0xfd]).is_err());
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let text = r#"{"Env":["A=1","AB=2","A=3=4","B"],"Entrypoint":null}"#;
        let execution: Execution = serde_json::from_str(text).expect("parses");
        assert_eq!((execution.variable("A"), execution.variable("B")), (Some("3=4"), None));
        assert!(execution.entrypoint().is_empty() && execution.cmd().is_empty());
    }
}
