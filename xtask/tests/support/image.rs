//! Image layouts that tests write blob by blob, and what `verify-tini` says of them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use fakes::sample_image::{Item, config, layer};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

pub fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("memory can be written to")
}

/// Puts a blob into a layout; returns its descriptor.
pub fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let folder = layout.join("blobs/sha256");
    fs::create_dir_all(&folder).expect("is made");
    fs::write(folder.join(hex(bytes)), bytes).expect("is written");
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", hex(bytes)), "size": bytes.len() })
}

/// Writes an image layout with those layers. Returns the digest of its manifest.
pub fn layout(folder: &str, layers: &[&[Item]], entrypoint: &[&str]) -> String {
    let tars: Vec<Vec<u8>> = layers.iter().map(|items| layer(items)).collect();
    layout_of_tars(Path::new(folder), &tars, config(entrypoint, &[]))
}

/// The same from tar archives, with this configuration, whose digests of layers are filled in.
pub fn layout_of_tars(folder: &Path, tars: &[Vec<u8>], mut config: Value) -> String {
    config["rootfs"]["diff_ids"] = tars.iter().map(|tar| json!(format!("sha256:{}", hex(tar)))).collect();
    let config = blob(folder, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let layers: Vec<Value> =
        tars.iter().map(|tar| blob(folder, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip(tar))).collect();
    layout_of_layers(folder, &config, &layers)
}

/// The same from the descriptors of blobs that are there.
pub fn layout_of_layers(folder: &Path, config: &Value, layers: &[Value]) -> String {
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string();
    let mut manifest = blob(folder, MANIFEST_TYPE, manifest.as_bytes());
    manifest["platform"] = json!({ "os": "linux", "architecture": "riscv64" });
    let attestation = json!({
        "mediaType": MANIFEST_TYPE, "digest": format!("sha256:{}", "0".repeat(64)),
        "size": 1, "platform": { "os": "unknown", "architecture": "unknown" },
    });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest, attestation] }).to_string();
    let mut index = blob(folder, INDEX_TYPE, index.as_bytes());
    index["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    fs::write(folder.join("index.json"), json!({ "schemaVersion": 2, "manifests": [index] }).to_string())
        .expect("is written");
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("is written");
    manifest["digest"].as_str().expect("a digest").to_owned()
}

/// `cargo xtask verify-tini` in this checkout.
pub fn verify_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("verify-tini").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("GITHUB_ACTIONS");
    command
}

/// Runs it.
pub fn verify(arguments: &[&str]) -> Output {
    verify_command(arguments).output().expect("the command starts")
}

/// The checks of its `--json`.
pub fn checks_of(output: &Output) -> Vec<Value> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    report["proof"]["checks"].as_array().expect("checks").clone()
}

/// Names of the failed checks, from the JSON, and the exit status.
pub fn failed(arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let output = verify(&[&["--json", "--engine", "none"], arguments].concat());
    let is_failed = |check: &&Value| check["verdict"] == "fail";
    let checks = checks_of(&output);
    let names = checks.iter().filter(is_failed).filter_map(|check| check["name"].as_str()).map(str::to_owned).collect();
    (names, output.status.code())
}
