//! The OCI image layout as we write it: one image for linux/riscv64, the same bytes whichever engine
//! built it. Source: the OCI image specification 1.1 (image-layout, index, manifest, config).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::oci_image::Digest;

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
/// Prefix of the labels that are also annotations of the manifest.
const STANDARD_PREFIX: &str = "org.opencontainers.image.";
/// The annotation that names the commit which an image was built from.
pub const REVISION: &str = "org.opencontainers.image.revision";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What of an engine's configuration is the Dockerfile's doing; the rest is the engine's own.
const KEPT: [&str; 8] = ["Cmd", "Entrypoint", "Env", "ExposedPorts", "StopSignal", "User", "Volumes", "WorkingDir"];

/// A blob, as a manifest or an index names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its kind.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// For what refers to an image, in the list of its referrers: what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// For an image in an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// For an image in an index: its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A blob of this kind.
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
}

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, as Go names it.
    pub architecture: String,
    /// The system, as Go names it.
    pub os: String,
}

/// An image manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own kind.
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What the image says of itself to a registry.
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

/// The index of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Its own kind.
    pub media_type: String,
    /// The images.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// The index of one image for linux/riscv64, named by a tag.
    pub fn new(manifest: &Digest, size_bytes: u64, tag: &str) -> Self {
        let platform = Platform { architecture: "riscv64".to_owned(), os: "linux".to_owned() };
        let descriptor = Descriptor {
            platform: Some(platform),
            annotations: BTreeMap::from([(REF_NAME.to_owned(), tag.to_owned())]),
            ..Descriptor::new(MANIFEST_TYPE, manifest, size_bytes)
        };
        Self { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests: vec![descriptor] }
    }
}

/// A configuration as an engine wrote it, as far as we need it.
#[derive(Debug, Deserialize)]
pub struct BuiltConfig {
    /// The processor that it was built for.
    pub architecture: String,
    config: Map<String, Value>,
}

/// What a configuration is made of beside what the engine's says.
#[derive(Debug)]
pub struct Facts<'a> {
    /// RFC 3339: the date of all that is in the image.
    pub created: &'a str,
    /// Name of the base image.
    pub base_name: &'a str,
    /// Digest of the base image, where the engine told it.
    pub base_digest: Option<&'a str>,
    /// Digests of all layers as tar archives.
    pub diff_ids: &'a [Digest],
    /// The Dockerfile's instructions that made the upper ones.
    pub instructions: &'a [String],
}

/// The labels that are standard ones: those of the Dockerfile, and the base's digest.
pub fn labels(built: &BuiltConfig, base_digest: Option<&str>) -> BTreeMap<String, String> {
    let given = built.config.get("Labels").and_then(Value::as_object).into_iter().flatten();
    given
        .filter(|(name, _)| name.starts_with(STANDARD_PREFIX))
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .chain(base_digest.map(|digest| (BASE_DIGEST.to_owned(), digest.to_owned())))
        .collect()
}

/// The configuration that is published: what the Dockerfile says, the date of the source instead of
/// the time of the build, and a history that reads the same from every engine.
pub fn config(built: &BuiltConfig, facts: &Facts<'_>) -> Value {
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    let mut config: Map<String, Value> = KEPT
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), built.config.get(*key).filter(|value| is_set(value))?.clone())))
        .collect();
    config.insert("Labels".to_owned(), json!(labels(built, facts.base_digest)));
    let of_base = facts.diff_ids.len() - facts.instructions.len();
    let from_base = std::iter::repeat_n(format!("FROM {}", facts.base_name), of_base);
    let history: Vec<Value> = from_base
        .chain(facts.instructions.iter().cloned())
        .map(|created_by| json!({ "created": facts.created, "created_by": created_by }))
        .collect();
    json!({
        "architecture": "riscv64",
        "config": config,
        "created": facts.created,
        "history": history,
        "os": "linux",
        "rootfs": { "diff_ids": facts.diff_ids, "type": "layers" },
    })
}

#[cfg(test)]
mod tests {
    use super::super::digest::Sha256;
    use super::*;

    #[test]
    fn engines_that_say_the_same_in_their_own_ways_give_one_configuration() {
        let docker = json!({
            "architecture": "riscv64", "os": "linux", "created": "2026-11-22T20:38:14Z", "container": "abc",
            "config": {
                "Hostname": "", "User": "", "Cmd": ["buildkitd"], "OnBuild": null, "ArgsEscaped": true,
                "Labels": { "io.buildah.version": "1", "org.opencontainers.image.title": "t" },
            },
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let podman = json!({
            "architecture": "riscv64",
            "config": { "Cmd": ["buildkitd"], "Labels": { "org.opencontainers.image.title": "t" } },
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let diff_ids = [[1; 32], [2; 32]].map(|bytes| Digest::from(Sha256::from_bytes(&bytes)));
        let facts = Facts {
            created: "2026-08-04T12:27:40Z",
            base_name: "debian",
            base_digest: Some("sha256:00"),
            diff_ids: &diff_ids,
            instructions: &["RUN x".to_owned()],
        };
        let [docker, podman] = [docker, podman].map(|value| {
            let built: BuiltConfig = serde_json::from_value(value).expect("is a configuration");
            config(&built, &facts)
        });
        assert_eq!(docker, podman);
        assert_eq!(docker["config"]["Labels"][BASE_DIGEST], "sha256:00");
        assert_eq!(docker["history"][0]["created_by"], "FROM debian");
        assert_eq!(docker["history"][1]["created_by"], "RUN x");
    }
}
