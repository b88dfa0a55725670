//! What is made of an engine's output: the layout, its SBOM and its labels, with a docker that saves what a test wrote.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Checkout, docker, root, support};

/// The SBOM of the image.
const IMAGE_SBOM: &str = "buildkit-v0.32.2.linux-riscv64.image.spdx.json";

/// What makes a layer one of Debian.
const DEBIAN: [(&str, &str); 3] = [
    ("usr/lib/os-release", "ID=debian\nVERSION_CODENAME=trixie\n"),
    ("var/lib/dpkg/status", "Package: git\nStatus: install ok installed\nArchitecture: riscv64\nVersion: 1:2.47+b1\n"),
    ("usr/share/doc/git/copyright", "Format: https://x/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n"),
];

/// A layer as one engine or another writes it: paths, and what is in the files; a folder ends in a slash.
fn layer(entries: &[(&str, &str)], modified_epoch: u64) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        header.set_mtime(modified_epoch);
        tar.append_data(&mut header, path, content.as_bytes()).expect("is appended");
    }
    tar.into_inner().expect("is whole")
}

/// A docker with buildx whose build is `build`, and whose image is what the file `saved` has.
fn docker_that_saves(build: &str, saved: &Path) -> String {
    let save = format!("image) case $2 in save) /bin/cp {} \"$4\" ;; *) exit 1 ;; esac", saved.display());
    docker("28.0.0", "linux/riscv64", build).replace("image) exit 1", &save)
}

/// What `docker save` gives of an image with these layers.
fn archive(place: &Path, layers: &[Vec<u8>], architecture: &str) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let diff_id =
        |layer: &Vec<u8>| format!("sha256:{}", hex(ring::digest::digest(&ring::digest::SHA256, layer).as_ref()));
    let diff_ids: Vec<String> = layers.iter().map(diff_id).collect();
    let names: Vec<String> = (0..layers.len()).map(|index| format!("{index}/layer.tar")).collect();
    let labels = serde_json::json!({ "org.opencontainers.image.title": "t", "of.the.engine": place });
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "created": "2026-11-22T20:38:14Z",
        "config": { "Cmd": ["buildkitd"], "Labels": labels },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": ["x"], "Layers": names }]);
    let documents = [("config.json", config.to_string()), ("manifest.json", manifest.to_string())];
    let documents = documents.iter().map(|(name, text)| (*name, text.as_bytes()));
    let mut tar = tar::Builder::new(fs::File::create(place).expect("is made"));
    for (name, content) in names.iter().map(String::as_str).zip(layers.iter().map(|layer| &layer[..])).chain(documents)
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).expect("is appended");
    }
}

#[test]
fn what_engines_and_clocks_add_is_not_in_the_layout() {
    let checkout = Checkout::new("layout");
    let saved = checkout.0.join("saved.tar");
    checkout.stub("docker", &docker_that_saves(":", &saved));
    let base = layer(&[&DEBIAN[..], &[("etc/", ""), ("etc/old", "x"), ("usr/", ""), ("usr/same", "s")]].concat(), 1);
    let rest = |time| [(); 4].map(|()| layer(&[("usr/", ""), ("usr/b", "b")], time));
    let make = |packages: Vec<u8>, time: u64| {
        archive(&saved, &[vec![base.clone(), packages], rest(time).into()].concat(), "riscv64");
        let output = checkout.image(&["--engine", "docker", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        support::schema::must_match("what_engines_and_clocks_add_is_not_in_the_layout", "image", &output.stdout);
        let report: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        fs::remove_dir_all(checkout.0.join("dist/v0.32.2/image")).expect("is there");
        report["image"]["digest"].as_str().expect("has a digest").to_owned()
    };
    // As from overlay2 with its unchanged files, and as from containerd.
    let one = [("etc/", ""), ("etc/.wh.old", ""), ("etc/hosts", ""), ("usr/a", "a"), ("usr/c", "c"), ("usr/same", "s")];
    let one = layer(&one, 1_800_000_000);
    let other = layer(&[("usr/c", "c"), ("usr/a", "a"), ("etc/.wh.old", ""), ("etc/.wh.never", "")], 1_900_000_000);
    let first = make(one, 1_800_000_000);
    assert_eq!(make(other, 1_900_000_000), first);
    assert_ne!(make(layer(&[("usr/a", "changed")], 1_800_000_000), 1_800_000_000), first);

    // Of the right size, but from an earlier build.
    let stale = layer(&[("usr/bin/buildkitd", "buildkitx")], 1);
    archive(&saved, &[vec![base.clone(); 5], vec![stale]].concat(), "riscv64");
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(message.contains("the engine put another buildkitd into the image"), "{message}");

    archive(&saved, &[vec![base.clone()], vec![base; 5]].concat(), "amd64");
    assert!(checkout.refusal(&["--engine", "docker"]).contains("the engine built for amd64, not riscv64"));
}

#[test]
fn the_sbom_of_the_image_is_written_and_recorded_and_made_again_if_it_is_lost() {
    let checkout = Checkout::new("sbom");
    let saved = checkout.0.join("saved.tar");
    checkout.stub("docker", &docker_that_saves(":", &saved));
    archive(&saved, &[(); 6].map(|()| layer(&DEBIAN, 1)), "riscv64");
    let make = || {
        let output = checkout.image(&["--engine", "docker", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        support::schema::must_match("the_sbom_of_the_image", "image", &output.stdout);
        let report: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        report["image"]["sbom"].clone()
    };
    let path = checkout.0.join("dist/v0.32.2").join(IMAGE_SBOM);
    let recorded = make();
    assert_eq!(recorded["name"], IMAGE_SBOM);
    let text = fs::read_to_string(&path).expect("is there");
    let document: Value = serde_json::from_str(&text).expect("is JSON");
    let git = document["packages"].as_array().expect("a list").iter().find(|package| package["name"] == "git");
    let git = git.expect("git is in the image");
    assert_eq!(git["licenseDeclared"], "GPL-2.0-or-later");
    let purl = &git["externalRefs"][0]["referenceLocator"];
    assert_eq!(purl, "pkg:deb/debian/git@1:2.47%2Bb1?arch=riscv64&distro=trixie");
    let sums = fs::read_to_string(path.with_file_name("SHA256SUMS")).expect("is there");
    let line = format!("{}  {IMAGE_SBOM}", recorded["sha256"].as_str().expect("a digest"));
    assert!(sums.lines().any(|found| found == line), "{sums}");

    fs::remove_file(&path).expect("is there");
    assert_eq!((make(), fs::read_to_string(&path).expect("is there")), (recorded, text));

    archive(&saved, &[(); 6].map(|()| layer(&[("usr/", "")], 1)), "riscv64");
    fs::remove_dir_all(path.with_file_name("image")).expect("is there");
    let output = checkout.image(&["--engine", "docker"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("no os-release file"), "{message}");
}

/// Packages of a dated snapshot are the same at every build, those of the day are not.
#[test]
fn packages_of_a_snapshot_are_taken_from_the_cache_of_buildx() {
    let checkout = Checkout::new("cache");
    let (saved, log) = (checkout.0.join("saved.tar"), checkout.0.join("log"));
    let with_buildx = docker_that_saves(&format!("echo \"$*\" >{}", log.display()), &saved);
    let classic = with_buildx.replace("version) echo 'github.com", "version) exit 1; echo 'github.com");
    let classic = format!("case $1 in build) echo \"$*\" >{}; exit ;; esac; {classic}", log.display());
    archive(&saved, &[(); 6].map(|()| layer(&DEBIAN, 1)), "riscv64");
    let uses_cache = |stub: &str, arguments: &[&str]| {
        checkout.stub("docker", stub);
        let _ = fs::remove_dir_all(checkout.0.join("dist/v0.32.2/image"));
        let output = checkout.image(&[&["--engine", "docker"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        !fs::read_to_string(&log).expect("docker was called").contains("--no-cache")
    };
    let dated = ["--snapshot", "2026-08-04"];
    assert!(uses_cache(&with_buildx, &dated));
    assert!(!uses_cache(&with_buildx, &["--snapshot", "2026-08-04", "--no-cache"]));
    assert!(!uses_cache(&with_buildx, &["--snapshot", "none"]));
    assert!(!uses_cache(&classic, &dated), "its cache is images");
}

#[test]
fn the_emulators_are_those_that_are_named_or_none() {
    let checkout = Checkout::new("emulators");
    let (saved, log) = (checkout.0.join("saved.tar"), checkout.0.join("log"));
    // The Dockerfile is in the folder of this run.
    let build = format!("echo \"$*\" >{0}; while [ $1 != --file ]; do shift; done; /bin/cat $2 >>{0}", log.display());
    checkout.stub("docker", &docker_that_saves(&build, &saved));
    let make = |arguments: &[&str], layers: usize| {
        archive(&saved, &vec![layer(&DEBIAN, 1); layers], "riscv64");
        let output = checkout.image(&[&["--engine", "docker", "--json"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        (fs::read_to_string(&log).expect("docker was called"), report["image"]["emulators"].clone())
    };
    // They are a layer of their own.
    let (called, recorded) = make(&["--emulators", "some/binfmt:v1"], 7);
    assert!(called.contains("--build-arg=EMULATORS=some/binfmt:v1 ") && called.contains("COPY --from=emulators"));
    assert_eq!(recorded, "some/binfmt:v1");
    let (called, recorded) = make(&["--emulators", "none"], 6);
    assert!(called.contains("--build-arg=EMULATORS= ") && !called.contains("--from=emulators"), "{called}");
    assert_eq!(recorded, Value::Null);
}

#[test]
fn the_labels_name_the_repository_that_builds() {
    let checkout = Checkout::new("labels");
    let (saved, log) = (checkout.0.join("saved.tar"), checkout.0.join("log"));
    let build = format!("echo \"$*\" >{}", log.display());
    checkout.stub("docker", &docker_that_saves(&build, &saved));
    archive(&saved, &[(); 6].map(|()| layer(&DEBIAN, 1)), "riscv64");
    let make = |arguments: &[&str], is_new: bool| {
        let output = checkout.image(&[&["--engine", "docker", "--json"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        assert_eq!(report["unchanged"], !is_new, "{arguments:?}");
        fs::read_to_string(&log).expect("docker was called")
    };
    assert!(make(&[], true).contains("--build-arg=REPOSITORY=gounthar/docker-for-riscv64 "));
    make(&[], false);
    assert!(make(&["--repo", "some/other"], true).contains("--build-arg=REPOSITORY=some/other "));
    checkout.stub("git", "echo git@github.com:me/fork.git");
    assert!(make(&[], true).contains("--build-arg=REPOSITORY=me/fork "));

    let dockerfile = fs::read_to_string(root().join("Dockerfile.buildkit-riscv64")).expect("is there");
    let (_, labels) = dockerfile.split_once("\nLABEL ").expect("has labels");
    assert!(
        labels.contains("url=\"https://github.com/${REPOSITORY}/pkgs/") && !labels.contains("gounthar"),
        "{labels}"
    );
    // The source belongs to the revision, and GPL packages are not under the license of BuildKit.
    assert!(labels.contains("source=\"https://github.com/moby/buildkit\"") && !labels.contains("licenses"), "{labels}");
}
