//! Documents that name each other, or say of a blob what it is not.

use std::fs;
use std::path::Path;

use fakes::sample_image::{ENTRYPOINT, config, good, layer};
use serde_json::{Value, json};

use crate::assert_refused;
use crate::support::image::{INDEX_TYPE, MANIFEST_TYPE, blob, gzip, hex, layout_of_layers};
use crate::written::LAYER_TYPE;

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const TAR_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// The good image as descriptors of its configuration and of its layer, whose media type is `layer_type` and whose blob
/// is `packed`.
fn parts(folder: &Path, layer_type: &str, packed: &[u8]) -> (Value, Value) {
    let config = config(&ENTRYPOINT, &[format!("sha256:{}", hex(&layer(&good())))]).to_string();
    (blob(folder, CONFIG_TYPE, config.as_bytes()), blob(folder, layer_type, packed))
}

/// An index of this manifest alone.
fn index(folder: &Path, manifest: &Value) {
    fs::write(folder.join("index.json"), json!({ "manifests": [manifest] }).to_string()).expect("is written");
}

/// Asserts that the good image, with its configuration and its layer described in another way, is refused.
fn refused(name: &str, why: &str, change: impl FnOnce(&Path, &mut Value, &mut Value)) {
    assert_refused(name, why, |folder| {
        let (mut config, mut layer) = parts(folder, LAYER_TYPE, &gzip(&layer(&good())));
        change(folder, &mut config, &mut layer);
        layout_of_layers(folder, &config, &[layer]);
    });
}

#[test]
fn documents_that_name_each_other() {
    refused("the configuration as a layer", "layer 1 of 1", |_, config, layer| {
        *layer = config.clone();
        layer["mediaType"] = json!(TAR_TYPE);
    });
    refused("the layer as the configuration", "is not an image configuration", |_, config, layer| {
        *config = layer.clone();
    });
    refused("a manifest as the configuration", "is not an image configuration", |folder, config, layer| {
        let manifest = json!({ "config": config, "layers": [layer] }).to_string();
        *config = blob(folder, CONFIG_TYPE, manifest.as_bytes());
    });
    let called = |name: &str, why: &str, media_type: &'static str, of: &'static str| {
        assert_refused(name, why, |folder| {
            let (config, layer) = parts(folder, LAYER_TYPE, &gzip(&layer(&good())));
            let manifest =
                blob(folder, MANIFEST_TYPE, json!({ "config": config, "layers": [layer] }).to_string().as_bytes());
            let list = blob(folder, INDEX_TYPE, json!({ "manifests": [manifest] }).to_string().as_bytes());
            let mut named = if of == "index" { list } else { manifest };
            named["mediaType"] = json!(media_type);
            index(folder, &named);
        });
    };
    called("an index called a manifest", "is malformed", MANIFEST_TYPE, "index");
    called("a manifest called an index", "is malformed", INDEX_TYPE, "manifest");
    called("an index called a layer", "is malformed", LAYER_TYPE, "index");
}

#[test]
fn media_types_that_are_not_so() {
    let tar = || layer(&good());
    for (name, media_type, packed, why) in [
        ("a tar archive called gzip", LAYER_TYPE, tar(), "layer 1 of 1"),
        ("gzip called a tar archive", TAR_TYPE, gzip(&tar()), "layer 1 of 1"),
        ("gzip in gzip", LAYER_TYPE, gzip(&gzip(&tar())), "layer 1 of 1"),
        ("gzip called zstd", "application/vnd.oci.image.layer.v1.tar+zstd", gzip(&tar()), "zstd"),
        ("a layer without a type", "", gzip(&tar()), "not supported"),
        (
            "a layer that is called encrypted",
            "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
            gzip(&tar()),
            "not supported",
        ),
    ] {
        assert_refused(name, why, |folder| {
            let (config, layer) = parts(folder, media_type, &packed);
            layout_of_layers(folder, &config, &[layer]);
        });
    }
    refused("a media type of two megabytes", "not supported", |_, _, layer| {
        layer["mediaType"] = json!("t".repeat(2 << 20));
    });
}

#[test]
fn sizes_and_digests_that_are_not_so() {
    for (name, size, why) in [
        ("a layer that is announced larger", json!(1_000_000), "were announced"),
        ("a layer that is announced smaller", json!(1), "were announced"),
        ("a layer of 2^64 - 1 bytes", json!(u64::MAX), "the limit is"),
        ("a layer of -1 bytes", json!(-1), "is malformed"),
        ("a layer of 1e30 bytes", json!(1e30), "is malformed"),
        ("a layer of one byte and a half", json!(1.5), "is malformed"),
        ("a layer whose size is a text", json!("1"), "is malformed"),
    ] {
        refused(name, why, |_, _, layer| layer["size"] = size);
    }
    for (name, digest) in [
        ("a digest of another algorithm", format!("sha512:{}", "a".repeat(128))),
        ("a digest that is a path", "sha256:../../../../../../../../etc/passwd".to_owned()),
        ("a digest in upper case", format!("sha256:{}", "A".repeat(64))),
        ("a digest of two megabytes", format!("sha256:{}", "a".repeat(2 << 20))),
    ] {
        refused(name, "is malformed", |_, _, layer| layer["digest"] = json!(digest));
    }
    refused("the digest of nothing here", "is missing", |_, _, layer| {
        layer["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    });
    for (name, count) in [("no digest for a layer", 0), ("two digests for a layer", 2), ("50,000 digests", 50_000)] {
        refused(name, "different numbers of layers", |folder, found, _| {
            let diff_ids = vec![format!("sha256:{}", "0".repeat(64)); count];
            *found = blob(folder, CONFIG_TYPE, config(&ENTRYPOINT, &diff_ids).to_string().as_bytes());
        });
    }
}

#[test]
fn documents_with_a_key_twice() {
    assert_refused("two lists of layers", "duplicate field", |folder| {
        let (config, layer) = parts(folder, LAYER_TYPE, &gzip(&layer(&good())));
        let manifest = format!(r#"{{"config":{config},"layers":[{layer}],"layers":[]}}"#);
        index(folder, &blob(folder, MANIFEST_TYPE, manifest.as_bytes()));
    });
    assert_refused("two sizes of a layer", "duplicate field", |folder| {
        let (config, layer) = parts(folder, LAYER_TYPE, &gzip(&layer(&good())));
        let layer = layer.to_string().replacen('{', r#"{"size":1,"#, 1);
        let manifest = format!(r#"{{"config":{config},"layers":[{layer}]}}"#);
        index(folder, &blob(folder, MANIFEST_TYPE, manifest.as_bytes()));
    });
}
