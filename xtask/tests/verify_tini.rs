//! `cargo xtask verify-tini` run as a command, on image layouts and archives that the tests create, and, if an
//! engine answers, on containers of one of them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fakes::sample_image::{ENTRYPOINT, Item, X86_64, config, elf, good, layer};
use serde_json::{Value, json};

use crate::support::image::{failed, hex, layout, verify};

/// A directory of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-verify-tini-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder can be written to");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The error output if the task cannot start.
fn refusal(path: &str) -> String {
    let output = verify(&["--engine", "none", path]);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_good_image_passes_as_layout_archive_and_docker_save() {
    let scratch = Scratch::new("good");
    let folder = scratch.path("layout");
    let upper = [Item::File("usr/share/doc/.wh.tini", 0o644, Vec::new())];
    layout(&folder, &[&good(), &upper], &ENTRYPOINT);
    assert_eq!(failed(&[&folder]), (vec![], Some(0)));

    let archive = scratch.path("oci.tar");
    let mut tar = tar::Builder::new(fs::File::create(&archive).expect("is made"));
    tar.append_dir_all(".", &folder).and_then(|()| tar.finish()).expect("is written");
    assert_eq!(failed(&[&archive]), (vec![], Some(0)));

    let saved = scratch.path("saved.tar");
    let (lower, upper) = (layer(&good()), layer(&upper));
    let diff_ids = [&lower, &upper].map(|tar| format!("sha256:{}", hex(tar)));
    let config = config(&ENTRYPOINT, &diff_ids).to_string();
    let list = json!([{ "Config": format!("{}.json", hex(config.as_bytes())), "RepoTags": null,
        "Layers": ["a/layer.tar", "b/layer.tar"] }])
    .to_string();
    let mut tar = tar::Builder::new(fs::File::create(&saved).expect("is made"));
    for (name, content) in [
        (format!("{}.json", hex(config.as_bytes())).as_str(), config.as_bytes()),
        ("a/layer.tar", &lower),
        ("b/layer.tar", &upper),
        ("manifest.json", list.as_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).expect("is written");
    }
    tar.finish().expect("is written");
    assert_eq!(failed(&[&saved]), (vec![], Some(0)));
}

#[test]
fn each_defect_is_caught_by_name() {
    let scratch = Scratch::new("defects");
    let without = |path: &'static str| Item::File(path, 0o644, Vec::new());
    for (number, (upper, entrypoint, names)) in [
        (without("usr/sbin/.wh.docker-init"), &ENTRYPOINT[..], &["docker-init-link"][..]),
        (Item::Symlink("sbin/docker-init", "/opt/tini"), &ENTRYPOINT, &["docker-init-link"]),
        (Item::File("usr/bin/tini", 0o755, elf(X86_64, None, &[])), &ENTRYPOINT, &["tini-architecture"]),
        (without("lib/.wh.ld-linux-riscv64-lp64d.so.1"), &ENTRYPOINT, &["tini-loads", "entrypoint-script", "runc"]),
        (without("usr/sbin/.wh.runc"), &ENTRYPOINT, &["runc"]),
        (Item::Folder("usr/"), &ENTRYPOINT[..2], &["entrypoint"]),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = scratch.path(&number.to_string());
        layout(&folder, &[&good(), &[upper]], entrypoint);
        let (found, status) = failed(&[&folder]);
        assert_eq!((found, status), (names.iter().map(|name| (*name).to_owned()).collect(), Some(1)));
    }
}

#[test]
fn the_init_of_another_host_is_checked_from_its_file() {
    let scratch = Scratch::new("host");
    let (folder, init) = (scratch.path("layout"), scratch.path("docker-init"));
    layout(&folder, &[&good()], &ENTRYPOINT);
    fs::write(&init, elf(X86_64, Some("/lib64/ld-linux-x86-64.so.2"), &["libc.so.6"])).expect("is written");
    assert_eq!(failed(&[&folder, "--host-init", &init]), (vec!["host-init-in-image".to_owned()], Some(1)));
    fs::write(&init, elf(X86_64, None, &[])).expect("is written");
    assert_eq!(failed(&[&folder, "--host-init", &init]), (vec![], Some(0)));
}

#[test]
fn a_damaged_or_hostile_image_is_refused_in_one_message() {
    let scratch = Scratch::new("refused");
    let folder = scratch.path("layout");
    layout(&folder, &[&good()], &ENTRYPOINT);
    let blobs = Path::new(&folder).join("blobs/sha256");
    let largest = fs::read_dir(&blobs)
        .expect("lists")
        .flatten()
        .max_by_key(|entry| entry.metadata().map_or(0, |file| file.len()));
    let largest = largest.expect("a blob").path();
    let whole = fs::read(&largest).expect("is read");
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(&largest, damaged).expect("is written");
    assert!(refusal(&folder).contains("is damaged: its digest is"));
    fs::write(&largest, &whole[1..]).expect("is written");
    assert!(refusal(&folder).contains("were announced"));
    fs::remove_file(&largest).expect("is removed");
    assert!(refusal(&folder).contains("is missing"));

    let hostile = scratch.path("hostile");
    layout(&hostile, &[&good(), &[Item::File("../../etc/shadow", 0o644, Vec::new())]], &ENTRYPOINT);
    assert!(refusal(&hostile).contains("leads out of its directory by `..`"));

    let plain = scratch.path("plain");
    fs::create_dir(&plain).expect("is made");
    assert!(refusal(&plain).contains("neither index.json (OCI image layout) nor manifest.json (docker save)"));
    let zstd = scratch.path("image.tar.zst");
    fs::write(&zstd, [0x28, 0xb5, 0x2f, 0xfd, 0]).expect("is written");
    assert!(refusal(&zstd).contains("unpack it first"));
    assert!(refusal("no-such-image:1").contains("no-such-image:1 is not a file or directory here"));
}

#[test]
fn the_proof_of_an_image_in_dist_is_added_to_its_record() {
    let scratch = Scratch::new("dist");
    let dist = scratch.path("v0.32.2");
    let digest = layout(&format!("{dist}/image"), &[&good()], &ENTRYPOINT);
    let record = |digest: &str| {
        json!({
            "schema": 1, "ref": "v0.32.2", "commit": "991535e0973488b6a429096d21fa13f81f2d89d8", "version": "v0.32.2",
            "package": "github.com/moby/buildkit", "source_date": "2026-08-04T12:27:40Z",
            "source_date_epoch": 1_785_846_460,
            "go": { "version": "1.26.3", "origin": "PATH", "sha256": "0".repeat(64) },
            "recipe": { "environment": [], "arguments": [], "archive": { "form": "ustar+gzip", "level": 4 } },
            "files": [],
            "image": { "layout": "image", "digest": digest, "size_bytes": 1, "tags": [], "base_name": "debian:trixie-slim",
                "base_digest": null, "engine": "a test", "inputs": "0".repeat(64) },
            "proofs": [{ "name": "smoke exec", "image_digest": digest, "began": "2026-01-01T00:00:00Z", "seconds": 1,
                "tools": [], "checks": [] }],
        })
    };
    let metadata = Path::new(&dist).join("metadata.json");
    fs::write(&metadata, record(&digest).to_string()).expect("is written");
    for _ in 0..2 {
        assert_eq!(failed(&["--dist", &dist]), (vec![], Some(0)));
    }
    let kept: Value = serde_json::from_slice(&fs::read(&metadata).expect("is read")).expect("JSON");
    let names: Vec<&Value> = kept["proofs"].as_array().expect("proofs").iter().map(|proof| &proof["name"]).collect();
    assert_eq!(names, ["smoke exec", "verify-tini"]);
    assert_eq!(kept["proofs"][1]["image_digest"], digest.as_str());
    assert!(kept["proofs"][1]["checks"].as_array().expect("checks").len() > 20);

    // An earlier run with an engine passed a check that this one cannot run.
    let mut stronger = kept.clone();
    let checks = stronger["proofs"][1]["checks"].as_array_mut().expect("checks");
    let sigterm = checks.iter_mut().find(|check| check["name"] == "sigterm").expect("is there");
    assert_eq!(sigterm["verdict"], "not-run");
    sigterm["verdict"] = json!("pass");
    fs::write(&metadata, stronger.to_string()).expect("is written");
    let output = verify(&["--engine", "none", "--dist", &dist]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("metadata.json keeps the result of `verify-tini`"), "{stderr}");
    let kept: Value = serde_json::from_slice(&fs::read(&metadata).expect("is read")).expect("JSON");
    assert_eq!(kept["proofs"], stronger["proofs"]);

    fs::write(&metadata, record(&format!("sha256:{}", "0".repeat(64))).to_string()).expect("is written");
    let output = verify(&["--engine", "none", "--dist", &dist]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("run `cargo xtask image` again"));
}

/// An image without the dynamic loader cannot run. Without a real image, this shows that the checks of containers
/// fail by name and leave nothing in the engine.
#[test]
fn containers_of_an_image_that_cannot_run_fail_and_leave_nothing_behind() {
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(arguments).output();
        output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    if docker(&["version"]).is_none() {
        support::skip("verify-tini", "no docker answers here");
        return;
    }
    let scratch = Scratch::new("engine");
    let folder = scratch.path("layout");
    let without_loader = [Item::File("lib/.wh.ld-linux-riscv64-lp64d.so.1", 0o644, Vec::new())];
    layout(&folder, &[&good(), &without_loader], &ENTRYPOINT);
    let output = verify(&["--json", "--engine", "docker", &folder]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = report["proof"]["checks"].as_array().expect("checks").clone();
    let verdict = |name: &str| checks.iter().find(|check| check["name"] == name).map(|check| check["verdict"].clone());
    assert_eq!((verdict("tini-loads"), verdict("version")), (Some(json!("fail")), Some(json!("fail"))));
    let left = docker(&["ps", "--all", "--quiet", "--filter", "label=io.github.gounthar.xtask"]);
    let images = docker(&["images", "--quiet", "localhost/xtask-verify-tini"]);
    assert_eq!((left.as_deref(), images.as_deref()), (Some(""), Some("")));
}

/// The image decides how its files are called; a terminal must not obey it.
#[test]
fn names_in_the_image_reach_the_terminal_without_control_characters() {
    let scratch = Scratch::new("control");
    let folder = scratch.path("layout");
    let link = Item::Symlink("sbin/docker-init", "/opt/\u{1b}[2Jtini\u{7}");
    layout(&folder, &[&good(), &[link]], &ENTRYPOINT);
    let output = verify(&["--engine", "none", &folder]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("[2Jtini") && !stderr.contains(['\u{1b}', '\u{7}']), "{stderr:?}");
}
