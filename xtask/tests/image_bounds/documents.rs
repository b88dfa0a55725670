//! Indexes, manifests and configurations.

use std::fs;
use std::path::Path;

use fakes::sample_image::{ENTRYPOINT, Item, config, good, layer};
use serde_json::{Value, json};
use tar::EntryType;

use crate::support::image::{INDEX_TYPE, MANIFEST_TYPE, blob, hex, layout_of_layers};
use crate::written::{Layer, image, image_of_layers};
use crate::{assert_bounded, assert_refused};

/// Asserts that an image with this value in its configuration, and this layer, is judged within the bounds.
fn assert_configured(name: &str, key: &str, value: Value, fill: fn(&mut Layer)) {
    assert_bounded(name, "", |folder| {
        let mut config = config(&ENTRYPOINT, &[]);
        config["config"][key] = value;
        image_of_layers(folder, config, vec![fill]);
    });
}

#[test]
fn many_platforms_and_words() {
    let judged = |name: &str, fill: &dyn Fn(&Path)| assert_bounded(name, "", fill);
    judged("an index of 10,000 platforms", &|folder| {
        image(folder, |_| {});
        let index: Value =
            serde_json::from_slice(&fs::read(folder.join("index.json")).expect("is there")).expect("JSON");
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
        let inner = fs::read(folder.join("blobs/sha256").join(digest)).expect("is there");
        let mut inner: Value = serde_json::from_slice(&inner).expect("JSON");
        let mut other = inner["manifests"][1].clone();
        let manifests = inner["manifests"].as_array_mut().expect("a list");
        for number in 0..9_990 {
            other["platform"] = json!({ "os": "linux", "architecture": format!("a{number}") });
            other["digest"] = json!(format!("sha256:{number:064x}"));
            manifests.push(other.clone());
        }
        fs::write(folder.join("index.json"), inner.to_string()).expect("is written");
    });
    let configured = |name: &str, change: &dyn Fn(&mut Value)| {
        judged(name, &|folder| {
            let mut config = config(&ENTRYPOINT, &[]);
            change(&mut config);
            image_of_layers(
                folder,
                config,
                vec![|layer: &mut Layer| {
                    layer.member(
                        EntryType::Regular,
                        "etc/passwd",
                        "",
                        "u:x:1:1::/:/bin/sh\n".repeat(5_000_000).as_bytes(),
                    );
                }],
            );
        });
    };
    configured("a million variables", &|config| config["config"]["Env"] = json!(vec!["a"; 1_000_000]));
    configured("a user by name and 95 MB of users", &|config| config["config"]["User"] = json!("u"));
    configured("a deep list that is not read", &|config| {
        config["extra"] = (0..100).fold(json!([]), |inner, _| json!([inner]));
    });
}

#[test]
fn documents() {
    let annotations = |count: u32| -> Value { (0..count).map(|number| (format!("{number:x}"), json!(""))).collect() };
    assert_bounded("indexes with annotations", "limit", |folder| {
        image(folder, |_| {});
        let mut inner: Vec<Value> = Vec::new();
        for number in 0..60 {
            let mut manifest = blob(folder, MANIFEST_TYPE, format!("{{\"number\":{number}}}").as_bytes());
            manifest["annotations"] = annotations(300_000);
            let index = json!({ "manifests": [manifest] }).to_string();
            inner.push(blob(folder, INDEX_TYPE, index.as_bytes()));
        }
        fs::write(folder.join("index.json"), json!({ "manifests": inner }).to_string()).expect("is written");
    });
    let configured = |name: &str, key: &str, value: Value| {
        assert_configured(name, key, value, |layer| {
            for number in 0..38 {
                let target = format!("{}l{}", "./".repeat(40), number + 1);
                layer.member(EntryType::Symlink, &format!("l{number}"), &target, &[]);
            }
        });
    };
    configured("a long PATH", "Env", json!([format!("PATH={}", ":".repeat(4_000_000))]));
    configured("a PATH of links", "Env", json!([format!("PATH={}", "l0:".repeat(1_300_000))]));
    configured("a long command", "Cmd", json!(vec![""; 1_300_000]));
    configured("a deep configuration", "Extra", json!(vec![json!([]); 1_300_000]));
    assert_bounded("an unknown list in the configuration", "", |folder| {
        let mut config = config(&ENTRYPOINT, &[]);
        config["extra"] = json!(vec![json!([]); 1_300_000]);
        image_of_layers(folder, config, vec![|_: &mut Layer| {}]);
    });
}

#[test]
fn many_layers() {
    let layers = |count: usize| {
        move |folder: &Path| image_of_layers(folder, config(&ENTRYPOINT, &[]), vec![|_: &mut Layer| {}; count])
    };
    assert_bounded("many layers", "", layers(500));
    assert_bounded("too many layers", "513 layers", layers(512));
    let listed = |count: usize| {
        move |folder: &Path| {
            let config = blob(
                folder,
                "application/vnd.oci.image.config.v1+json",
                config(&ENTRYPOINT, &[]).to_string().as_bytes(),
            );
            let layer = json!({ "digest": config["digest"], "size": 1 });
            layout_of_layers(folder, &config, &vec![layer; count]);
        }
    };
    assert_bounded("40,000 layers", "40000 layers", listed(40_000));
    assert_bounded("100,000 layers", "bytes; the limit", listed(100_000));
}

/// Each name of a blob costs its digest, its content and, if tini has a copy, that once more.
#[test]
fn one_layer_again_and_again() {
    let repeated = |folder: &Path, size_bytes: usize, count: usize| {
        let tini = good().into_iter().find(|item| matches!(item, Item::File("usr/bin/tini", ..)));
        let Some(Item::File(_, mode, mut tini)) = tini else { panic!("has a tini") };
        // Differs from tini in its last byte alone, so that they are compared.
        *tini.last_mut().expect("has bytes") ^= 1;
        let other = Item::File("usr/sbin/docker-init", mode, tini);
        let padding = Item::File("usr/lib/x", 0o644, vec![0; size_bytes]);
        let whiteout = Item::File("usr/sbin/.wh.docker-init", 0o644, Vec::new());
        let first = layer(&good());
        let rest = layer(&[whiteout, padding, other]);
        let diff_ids: Vec<String> =
            std::iter::once(&first).chain(vec![&rest; count]).map(|tar| format!("sha256:{}", hex(tar))).collect();
        let config = config(&ENTRYPOINT, &diff_ids).to_string();
        let config = blob(folder, "application/vnd.oci.image.config.v1+json", config.as_bytes());
        let tar = "application/vnd.oci.image.layer.v1.tar";
        let layers = [vec![blob(folder, tar, &first)], vec![blob(folder, tar, &rest); count]].concat();
        layout_of_layers(folder, &config, &layers);
    };
    assert_bounded("a layer of 16 MB 500 times", "", |folder| repeated(folder, 16 << 20, 500));
    assert_bounded("a layer of 20 MB 500 times", "the limit is", |folder| repeated(folder, 20 << 20, 500));
}

#[test]
fn deep_and_wide_json() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [200, 100_000, 2_000_000] {
        assert_refused(&format!("a list {depth} deep as the index"), "is not an image that can be read", |folder| {
            fs::write(folder.join("index.json"), deep(depth)).expect("is written");
        });
        assert_refused(&format!("a list {depth} deep in the index"), "is not an image that can be read", |folder| {
            let index = format!(r#"{{"extra":{},"manifests":[]}}"#, deep(depth));
            fs::write(folder.join("index.json"), index).expect("is written");
        });
    }
    let with = |name: &str, config: String| {
        assert_refused(name, "is not an image configuration", |folder| {
            let config = blob(folder, "application/vnd.oci.image.config.v1+json", config.as_bytes());
            layout_of_layers(folder, &config, &[]);
        });
    };
    with("a configuration 100,000 deep", format!(r#"{{"rootfs":{{"diff_ids":[]}},"extra":{}}}"#, deep(100_000)));
    let good_config = |change: &dyn Fn(&mut Value)| {
        let mut config = config(&ENTRYPOINT, &[]);
        change(&mut config);
        config
    };
    let judged = |name: &str, change: &dyn Fn(&mut Value)| {
        assert_bounded(name, "", |folder| image_of_layers(folder, good_config(change), vec![|_: &mut Layer| {}]));
    };
    judged("300,000 unknown keys in the configuration", &|config| {
        let keys = config.as_object_mut().expect("an object");
        keys.extend((0..300_000).map(|number| (format!("{number:x}"), json!(0))));
    });
    judged("300,000 labels", &|config| {
        config["config"]["Labels"] = (0..300_000).map(|number| (format!("{number:x}"), json!(""))).collect();
    });
    judged("a label of 4 MB", &|config| config["config"]["Labels"] = json!({ "a": "b".repeat(4_000_000) }));
    let annotated = |name: &str, annotations: Value| {
        assert_bounded(name, "", |folder| {
            let tar = layer(&good());
            let config = config(&ENTRYPOINT, &[format!("sha256:{}", hex(&tar))]).to_string();
            let config = blob(folder, "application/vnd.oci.image.config.v1+json", config.as_bytes());
            let layer = blob(folder, "application/vnd.oci.image.layer.v1.tar", &tar);
            let manifest = json!({ "config": config, "layers": [layer], "annotations": annotations }).to_string();
            let manifest = blob(folder, MANIFEST_TYPE, manifest.as_bytes());
            fs::write(folder.join("index.json"), json!({ "manifests": [manifest] }).to_string()).expect("is written");
        });
    };
    annotated("an annotation of 4 MB", json!({ "a": "b".repeat(4_000_000) }));
    annotated("300,000 annotations", (0..300_000).map(|number| (format!("{number:x}"), json!(""))).collect());
}

/// Words of the configuration become paths, and evidence of checks.
#[test]
fn long_words() {
    let configured = |name: &str, key: &str, value: Value| {
        assert_configured(name, key, value, |layer| {
            for number in 0..38 {
                let (name, target) = (format!("l{number}"), format!("l{}", number + 1));
                layer.member(EntryType::Symlink, &name, &target, &[]);
            }
            layer.member(EntryType::Directory, "l38", "", &[]);
        });
    };
    let tini = |words: &[&str]| json!([&["/usr/bin/tini"], words].concat());
    configured(
        "a long path to tini",
        "Entrypoint",
        json!([format!("/{}usr/bin/tini", "./".repeat(1_900_000)), "--", "/usr/bin/entrypoint"]),
    );
    configured("a long name of a script", "Entrypoint", tini(&["--", &"s".repeat(4_000_000)]));
    configured("a long path behind links", "Entrypoint", tini(&["--", &format!("/l0/{}", "d/".repeat(1_900_000))]));
    configured(
        "a long path that goes up and down",
        "Entrypoint",
        tini(&["--", &format!("/{}l0/x", "usr/../".repeat(550_000))]),
    );
    configured(
        "a long value of an option of tini",
        "Entrypoint",
        tini(&["-p", &"S".repeat(4_000_000), "--", "/usr/bin/entrypoint"]),
    );
    configured("a long directory of PATH", "Env", json!([format!("PATH=/usr/bin:/l0/{}", "d/".repeat(1_900_000))]));
    configured(
        "a long TINI_VERBOSITY",
        "Env",
        json!(["PATH=/usr/bin:/usr/sbin", format!("TINI_VERBOSITY={}", "1".repeat(4_000_000))]),
    );
    configured("a long User", "User", json!("u".repeat(4_000_000)));
    assert_bounded("a long architecture", "", |folder| {
        let mut config = config(&ENTRYPOINT, &[]);
        config["architecture"] = json!("a".repeat(4_000_000));
        image_of_layers(folder, config, vec![|_: &mut Layer| {}]);
    });
}
