//! The configuration of the image as it is published: the same whichever engine built it.
//! Source: the OCI image specification 1.1, "Image Configuration".

use std::collections::BTreeMap;

use oci::digest::Digest;
use oci::image_name::ImageName;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::dist::record::ImageRecord;
use crate::os::clock::Timestamp;
use crate::upstream::Source;

/// The labels of the Dockerfile, which are also annotations of the manifest. Others are the base's or the engine's,
/// and say what was true of another image.
const LABELS: [&str; 6] = [
    "org.opencontainers.image.title",
    "org.opencontainers.image.description",
    VERSION,
    "org.opencontainers.image.revision",
    "org.opencontainers.image.source",
    URL,
];
/// The label that names the page of the image, below that of the repository that builds it.
pub const URL: &str = "org.opencontainers.image.url";
const VERSION: &str = "org.opencontainers.image.version";
const CREATED: &str = "org.opencontainers.image.created";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// What the Dockerfile sets in an engine's configuration; the rest is set by the engine.
const KEPT: [&str; 8] = ["Cmd", "Entrypoint", "Env", "ExposedPorts", "StopSignal", "User", "Volumes", "WorkingDir"];

/// The parts that we need of a configuration that an engine wrote.
#[derive(Debug, Deserialize)]
pub struct BuiltConfig {
    /// The architecture that it was built for.
    pub architecture: String,
    config: Map<String, Value>,
    #[serde(default)]
    history: Vec<Created>,
}

/// An entry of the history: those of the base first.
#[derive(Debug, Deserialize)]
struct Created {
    created: Option<String>,
    #[serde(default)]
    empty_layer: bool,
}

impl BuiltConfig {
    /// When the image was made, as far as that is the same for every build: not before its source, nor before its
    /// base, which has so many layers.
    pub fn created(&self, source_date: Timestamp, base_layers: usize) -> Timestamp {
        let of_layers = self.history.iter().filter(|entry| !entry.empty_layer).take(base_layers);
        // Engines write fractions of a second, which a date of ours has none of.
        let seconds = |text: &str| format!("{}Z", text.get(..19)?).parse().ok();
        let dates = of_layers.filter_map(|entry| seconds(entry.created.as_deref()?.strip_suffix('Z')?));
        dates.fold(source_date, Timestamp::max)
    }
}

/// What a configuration contains besides that of the engine.
#[derive(Debug)]
pub struct Facts<'a> {
    /// See [`BuiltConfig::created`].
    pub created: Timestamp,
    pub base_name: &'a ImageName,
    /// The digest that this name refers to, if the engine reported it.
    pub base_digest: Option<&'a str>,
    /// Digests of all layers as tar archives.
    pub diff_ids: &'a [Digest],
    /// Instructions of the Dockerfile that created the upper layers.
    pub instructions: &'a [String],
}

/// The standard labels: those of the Dockerfile, the date, and the base with its registry.
/// Source: the OCI image specification 1.1, "Pre-Defined Annotation Keys".
pub fn labels(built: &BuiltConfig, facts: &Facts<'_>) -> BTreeMap<String, String> {
    let given = built.config.get("Labels").and_then(Value::as_object).into_iter().flatten();
    let given = given.filter(|(name, _)| LABELS.contains(&name.as_str()));
    let given = given.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let ours = [(CREATED, facts.created.to_string()), (BASE_NAME, facts.base_name.qualified())];
    let digest = facts.base_digest.map(|digest| (BASE_DIGEST, digest.to_owned()));
    given.chain(ours.into_iter().chain(digest).map(|(name, value)| (name.to_owned(), value))).collect()
}

/// What the labels of a published image have to say: what it was built from, and on which base.
pub fn true_labels(source: &Source, image: &ImageRecord) -> BTreeMap<&'static str, String> {
    let base = image.base_name.parse::<ImageName>().map_or_else(|_| image.base_name.clone(), |name| name.qualified());
    let labels = [
        (VERSION, source.version.to_string()),
        (oci::documents::REVISION, source.commit.to_string()),
        (BASE_NAME, base),
    ];
    let digest = image.base_digest.clone().map(|digest| (BASE_DIGEST, digest));
    labels.into_iter().chain(digest).collect()
}

/// The published configuration: the settings of the Dockerfile, the date of the source instead of the
/// time of the build, and a history that is the same for every engine.
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
    config.insert("Labels".to_owned(), json!(labels(built, facts)));
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
    use super::*;
    use crate::os::mutated_input;
    use oci::digest::Sha256;

    #[test]
    fn an_image_is_not_older_than_its_source_nor_than_its_base() {
        let source: Timestamp = "2026-08-04T12:27:40Z".parse().expect("a date");
        let created = |base: &str| {
            let history = json!([
                { "created": base }, { "created": "2030-01-01T00:00:00Z", "empty_layer": true },
                { "created": "2031-01-01T00:00:00Z" },
            ]);
            let built = json!({ "architecture": "riscv64", "config": {}, "history": history });
            let built: BuiltConfig = serde_json::from_value(built).expect("is a configuration");
            built.created(source, 1).to_string()
        };
        assert_eq!(created("2026-11-10T00:00:00.5Z"), "2026-11-10T00:00:00Z");
        for older in ["2025-11-10T00:00:00Z", "1970-01-01T00:00:00Z", "ä", ""] {
            assert_eq!(created(older), source.to_string(), "{older}");
        }
    }

    #[test]
    fn a_mutated_configuration_is_refused_or_no_older_than_its_source() {
        let date: Timestamp = "2026-08-04T12:27:40Z".parse().expect("a date");
        let sample = json!({
            "architecture": "riscv64", "config": { "Labels": { "org.opencontainers.image.title": "t", "other": "o" } },
            "history": [{ "created": "2026-11-10T00:00:00.5Z" }, { "created": null, "empty_layer": true }],
        });
        let base: ImageName = "debian".parse().expect("a name");
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, &sample.to_string())?;
            if let Ok(built) = serde_json::from_str::<BuiltConfig>(&text) {
                let created = built.created(date, 1);
                assert!(created >= date, "{created}");
                let facts = Facts { created, base_name: &base, base_digest: None, diff_ids: &[], instructions: &[] };
                let is_ours = |name: &String| LABELS.contains(&&**name) || [CREATED, BASE_NAME].contains(&&**name);
                assert!(labels(&built, &facts).keys().all(is_ours), "{text}");
            }
            Ok(())
        });
    }

    #[test]
    fn every_engine_gives_the_same_configuration() {
        let docker = json!({
            "architecture": "riscv64", "os": "linux", "created": "2026-11-22T20:38:14Z", "container": "abc",
            "config": {
                "Hostname": "", "User": "", "Cmd": ["buildkitd"], "OnBuild": null, "ArgsEscaped": true,
                "Labels": {
                    "io.buildah.version": "1", "org.opencontainers.image.title": "t",
                    "org.opencontainers.image.licenses": "of the base",
                },
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
            created: "2026-08-04T12:27:40Z".parse().expect("a date"),
            base_name: &"debian:sid".parse().expect("a name"),
            base_digest: Some("sha256:00"),
            diff_ids: &diff_ids,
            instructions: &["RUN x".to_owned()],
        };
        let [docker, podman] = [docker, podman].map(|value| {
            let built: BuiltConfig = serde_json::from_value(value).expect("is a configuration");
            config(&built, &facts)
        });
        assert_eq!(docker, podman);
        let labels = json!({
            "org.opencontainers.image.title": "t",
            "org.opencontainers.image.created": "2026-08-04T12:27:40Z",
            "org.opencontainers.image.base.name": "docker.io/library/debian:sid",
            "org.opencontainers.image.base.digest": "sha256:00",
        });
        assert_eq!(docker["config"]["Labels"], labels);
        assert_eq!(docker["history"][0]["created_by"], "FROM debian:sid");
        assert_eq!(docker["history"][1]["created_by"], "RUN x");
    }
}
