//! The configuration of the image as it is published: the same whichever engine built it.
//! Source: the OCI image specification 1.1, "Image Configuration".

use std::collections::BTreeMap;

use oci::digest::Digest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Prefix of the labels that are also annotations of the manifest.
const STANDARD_PREFIX: &str = "org.opencontainers.image.";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The label that names the page of the repository that builds the image.
pub const SOURCE: &str = "org.opencontainers.image.source";
/// What the Dockerfile sets in an engine's configuration; the rest is set by the engine.
const KEPT: [&str; 8] = ["Cmd", "Entrypoint", "Env", "ExposedPorts", "StopSignal", "User", "Volumes", "WorkingDir"];

/// The parts that we need of a configuration that an engine wrote.
#[derive(Debug, Deserialize)]
pub struct BuiltConfig {
    /// The architecture that it was built for.
    pub architecture: String,
    config: Map<String, Value>,
}

/// What a configuration contains besides that of the engine.
#[derive(Debug)]
pub struct Facts<'a> {
    /// RFC 3339: the date of all files in the image.
    pub created: &'a str,
    pub base_name: &'a str,
    /// Digest of the base image, if the engine reported it.
    pub base_digest: Option<&'a str>,
    /// Digests of all layers as tar archives.
    pub diff_ids: &'a [Digest],
    /// Instructions of the Dockerfile that created the upper layers.
    pub instructions: &'a [String],
}

/// The standard labels: those of the Dockerfile, and the digest of the base.
pub fn labels(built: &BuiltConfig, base_digest: Option<&str>) -> BTreeMap<String, String> {
    let given = built.config.get("Labels").and_then(Value::as_object).into_iter().flatten();
    given
        .filter(|(name, _)| name.starts_with(STANDARD_PREFIX))
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .chain(base_digest.map(|digest| (BASE_DIGEST.to_owned(), digest.to_owned())))
        .collect()
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
    use super::*;
    use oci::digest::Sha256;

    #[test]
    fn every_engine_gives_the_same_configuration() {
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
