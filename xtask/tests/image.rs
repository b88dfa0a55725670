//! `cargo xtask image` by its front door: against an engine that is absent, down, too old or without
//! emulation (a `docker` on PATH that says so), and, where a real engine and a real build are here,
//! end to end.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes, reads the environment and asks the clock"
)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fakes::script::{Script, response};
use serde_json::Value;

/// Names the build to use and allows the minutes that a real image takes: the path of a `dist/<version>`.
const DIST: &str = "XTASK_TEST_DIST";

/// A checkout with a record of a build, and a folder of its own on PATH.
struct Checkout(PathBuf);

impl Checkout {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("xtask-image-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let checkout = Self(folder);
        let root = root();
        for file in ["Dockerfile.buildkit-riscv64", "image/entrypoint", "image/buildctl-daemonless.sh"] {
            checkout.write(file, &fs::read_to_string(root.join(file)).expect(file));
        }
        checkout.write(".gitmodules", "");
        checkout.write("xtask/x", "");
        checkout.write("bin/x", "");
        for name in ["buildkitd", "buildctl"] {
            checkout.write(&format!("dist/v0.32.2/{name}"), name);
        }
        checkout.write("dist/v0.32.2/metadata.json", METADATA);
        checkout.write(&format!("dist/v0.32.2/{SBOM}"), r#"{"packages":[],"relationships":[]}"#);
        checkout
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("is in the checkout")).expect("can be made");
        fs::write(path, text).expect("can be written");
    }

    fn stub(&self, name: &str, body: &str) {
        self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{body}\n"));
        let path = self.0.join("bin").join(name);
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("can be made executable");
    }

    /// Runs the task with nothing on PATH but the stubs, and an engine whose kernel is not this one.
    fn image(&self, arguments: &[&str]) -> Output {
        // No registry is asked: nothing listens there.
        let base: &[_] =
            if arguments.contains(&"--base") { &[] } else { &["--base", "127.0.0.1:1/debian:trixie-slim"] };
        let mut run = xtask(&self.0, &[arguments, base].concat());
        run.env("PATH", self.0.join("bin")).env("DOCKER_HOST", "tcp://127.0.0.1:1").env_remove("XTASK_EMULATORS");
        run.output().expect("xtask runs")
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.image(arguments);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{output:?}");
        let folder = fs::read_dir(self.0.join("dist/v0.32.2")).expect("lists").flatten();
        let left: Vec<_> = folder.map(|entry| entry.file_name().into_string().expect("is text")).collect();
        assert!(left.iter().all(|name| !name.contains("partial") && name != "image"), "leaves {left:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the checkout")
}

fn xtask(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("image").args(arguments).current_dir(directory).env_remove("GITHUB_REPOSITORY");
    command
}

/// The SBOM of the binaries.
const SBOM: &str = "buildkit-v0.32.2.linux-riscv64.spdx.json";
/// That of the image.
const IMAGE_SBOM: &str = "buildkit-v0.32.2.linux-riscv64.image.spdx.json";

/// What makes a layer one of Debian.
const DEBIAN: [(&str, &str); 3] = [
    ("usr/lib/os-release", "ID=debian\nVERSION_CODENAME=trixie\n"),
    ("var/lib/dpkg/status", "Package: git\nStatus: install ok installed\nArchitecture: riscv64\nVersion: 1:2.47+b1\n"),
    ("usr/share/doc/git/copyright", "Format: https://x/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n"),
];

/// The record of a build whose files hold the words `buildkitd` and `buildctl`.
const METADATA: &str = r#"{
  "schema": 1, "ref": "v0.32.2", "commit": "991535e0973488b6a429096d21fa13f81f2d89d8", "version": "v0.32.2",
  "package": "github.com/moby/buildkit", "source_date": "2026-08-04T12:27:40Z", "source_date_epoch": 1785846460,
  "go": { "version": "1.26.3", "origin": "PATH", "sha256": "4d0078b4db6c16b4dbc5df15e31c4f30f2bd8ec086fe64937a83ad591ac8177c" },
  "recipe": { "environment": [], "arguments": [], "archive": { "form": "ustar+gzip", "level": 4 } },
  "files": [
    { "name": "buildkitd", "size_bytes": 9, "sha256": "bf8682d7314ad30ae6c467d0176d38152e6419cb23a769acae9bbe02ec6b303b" },
    { "name": "buildctl", "size_bytes": 8, "sha256": "4d0078b4db6c16b4dbc5df15e31c4f30f2bd8ec086fe64937a83ad591ac8177c" }
  ]
}"#;

/// A docker that answers as this version, with buildx, and emulates what is given.
fn docker(version: &str, platforms: &str, build: &str) -> String {
    format!(
        "case $1 in\n\
         version) echo '{version} amd64' ;;\n\
         buildx) case $2 in version) echo 'github.com/docker/buildx v0.13.1 x' ;; \
         inspect) echo 'Platforms: {platforms}' ;; build) {build} ;; esac ;;\n\
         context) echo default ;;\n\
         image) exit 1 ;;\n\
         esac"
    )
}

#[test]
fn an_engine_that_cannot_build_is_told_apart_and_each_has_its_remedy() {
    let checkout = Checkout::new("engines");
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(message.contains("docker is not installed") && message.contains("--engine podman"), "{message}");
    let message = checkout.refusal(&[]);
    assert!(message.contains("docker is not installed") && message.contains("podman is not installed"), "{message}");

    checkout.stub("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1");
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(message.contains("does not answer; start it (`sudo systemctl start docker`)"), "{message}");
    assert!(message.contains("Cannot connect to the Docker daemon"), "{message}");

    checkout.stub("docker", &docker("19.03.15", "linux/amd64", ":"));
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(message.contains("Docker Engine 19.03.15 is too old; 20.10 or newer is needed"), "{message}");

    checkout.stub("podman", "echo 'cannot find newuidmap' >&2; exit 125");
    let message = checkout.refusal(&["--engine", "podman"]);
    assert!(
        message.contains("podman does not answer; `podman info` says why") && message.contains("newuidmap"),
        "{message}"
    );
}

#[test]
fn emulation_that_is_missing_is_found_before_the_build() {
    let checkout = Checkout::new("emulation");
    checkout.stub("docker", &docker("28.0.0", "linux/amd64, linux/386", "echo reached >&2; exit 1"));
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(message.contains("cannot run riscv64 programs on amd64"), "{message}");
    assert!(message.contains("docker run --privileged --rm tonistiigi/binfmt --install riscv64"), "{message}");
    assert!(!message.contains("reached"), "{message}");
}

#[test]
fn a_build_that_fails_says_why_it_did() {
    let checkout = Checkout::new("builds");
    let failing = |line: &str| docker("28.0.0", "linux/amd64, linux/riscv64", &format!("echo '{line}' >&2; exit 1"));
    checkout.stub("docker", &failing("#6 write /usr/bin/git: no space left on device"));
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(message.contains("the disk of the engine is full; `docker system df`"), "{message}");

    checkout.stub("docker", &failing("#6 exec /bin/sh: exec format error"));
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(message.contains("--install riscv64"), "{message}");

    checkout.stub("docker", &failing("#6 E: Unable to locate package tini"));
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(
        message.contains("Unable to locate package tini") && message.contains("its whole output is in "),
        "{message}"
    );
}

/// A proxy is on another machine: it does not reach this one, and what is sent to it in plain HTTP is readable there.
#[test]
fn a_registry_on_this_machine_is_asked_without_the_proxy() {
    let registry = Script::start(|_| response(404, &[], ""));
    let checkout = Checkout::new("proxy");
    checkout.stub("docker", &docker("28.0.0", "linux/riscv64", "exit 1"));
    let base = format!("{}/debian:trixie-slim", registry.url().trim_start_matches("http://"));
    let mut run = xtask(&checkout.0, &["--engine", "docker", "--base", &base]);
    run.env("PATH", checkout.0.join("bin")).env_remove("XTASK_EMULATORS").env_remove("no_proxy").env_remove("NO_PROXY");
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        run.env(name, "http://127.0.0.1:1");
    }
    let output = run.output().expect("xtask runs");
    assert!(!registry.requests().is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_signal_removes_the_image_from_the_engine() {
    let checkout = Checkout::new("interrupted");
    let log = checkout.0.join("calls");
    let docker = docker("28.0.0", "linux/riscv64", "exec /bin/sleep 300");
    // It lists the image that the build would have made.
    let listing = format!(
        "echo \"$*\" >>'{0}'\ncase $1 in images) /bin/sed -n 's/^buildx build .* --tag \\([^ ]*\\).*/\\1/p' '{0}'; exit ;; esac",
        log.display()
    );
    checkout.stub("docker", &format!("{listing}\n{docker}"));
    let mut run = xtask(&checkout.0, &["--engine", "docker", "--base", "127.0.0.1:1/debian:trixie-slim"]);
    run.env("PATH", checkout.0.join("bin")).env("DOCKER_HOST", "tcp://127.0.0.1:1").env_remove("XTASK_EMULATORS");
    run.stderr(Stdio::null());
    let mut run = run.spawn().expect("xtask starts");
    let calls = || fs::read_to_string(&log).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !calls().contains("buildx build") {
        assert!(Instant::now() < deadline, "the build did not begin: {}", calls());
        std::thread::sleep(Duration::from_millis(20));
    }
    Command::new("kill").arg("-TERM").arg(run.id().to_string()).status().expect("kill runs");
    assert_eq!(run.wait().expect("is waited for").signal(), Some(15));
    let (_, after) = calls().split_once("buildx build").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("is there");
    assert!(after.contains("image rm --force localhost/xtask-image:"), "{after}");
}

#[test]
fn a_build_that_is_not_as_recorded_never_gets_into_an_image() {
    let checkout = Checkout::new("damaged");
    checkout.stub("docker", &docker("28.0.0", "linux/riscv64", "echo reached >&2; exit 1"));
    checkout.write("dist/v0.32.2/buildkitd", "another");
    let message = checkout.refusal(&["--engine", "docker"]);
    assert!(message.contains("is not what was built") && !message.contains("reached"), "{message}");
}

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
    let save = format!("case $2 in save) /bin/cp {} \"$4\" ;; *) exit 1 ;; esac", saved.display());
    checkout
        .stub("docker", &docker("28.0.0", "linux/riscv64", ":").replace("image) exit 1", &format!("image) {save}")));
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
    let save = format!("image) case $2 in save) /bin/cp {} \"$4\" ;; *) exit 1 ;; esac", saved.display());
    checkout.stub("docker", &docker("28.0.0", "linux/riscv64", ":").replace("image) exit 1", &save));
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
    let save = format!("image) case $2 in save) /bin/cp {} \"$4\" ;; *) exit 1 ;; esac", saved.display());
    let with_buildx = docker("28.0.0", "linux/riscv64", &format!("echo \"$*\" >{}", log.display()));
    let with_buildx = with_buildx.replace("image) exit 1", &save);
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
fn the_labels_name_the_repository_that_builds() {
    let checkout = Checkout::new("labels");
    let (saved, log) = (checkout.0.join("saved.tar"), checkout.0.join("log"));
    let save = format!("image) case $2 in save) /bin/cp {} \"$4\" ;; *) exit 1 ;; esac", saved.display());
    let build = format!("echo \"$*\" >{}", log.display());
    checkout.stub("docker", &docker("28.0.0", "linux/riscv64", &build).replace("image) exit 1", &save));
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

/// Takes minutes: twice the packages of Debian under emulation.
#[test]
fn a_real_engine_makes_the_same_image_twice_and_then_nothing() {
    let Some(dist) = real_dist() else { return };
    let folder = std::env::temp_dir().join(format!("xtask-image-real-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let dist_copy = folder.join("v");
    fs::create_dir_all(&dist_copy).expect("can be made");
    support::copy_files(&dist, &dist_copy);
    let make = |unchanged: bool| {
        let arguments = ["--json", "--no-cache", "--dist", dist_copy.to_str().expect("is text")];
        let output = xtask(root(), &arguments).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        assert_eq!(report["unchanged"], unchanged);
        report["image"]["digest"].as_str().expect("has a digest").to_owned()
    };
    let first = make(false);
    assert_eq!(make(true), first);
    let layout = dist_copy.join("image");
    let blob = fs::read_dir(layout.join("blobs/sha256")).expect("lists").flatten().next().expect("has a blob").path();
    fs::write(&blob, "damaged").expect("can be written");
    assert_eq!(make(false), first, "a layout that is damaged is made again, the same");
    let left: Vec<_> = fs::read_dir(&dist_copy).expect("lists").flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "leaves {left:?}");
    fs::remove_dir_all(&folder).expect("can be removed");
}

/// The image of another ref: its programs are others, and Debian's packages are those of the image before. Takes a
/// minute if the engine has had no image yet.
#[test]
fn the_image_of_another_ref_costs_its_own_files_alone() {
    let Some(dist) = real_dist() else { return };
    let buildx = |arguments: &[&str]| {
        let output = Command::new("docker").arg("buildx").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    if buildx(&["version"]).is_none() {
        return support::skip("image", "docker has no buildx here");
    }
    let folder = support::Scratch::new("another-ref");
    let image_of = |name: &str, tail: &[u8]| {
        let copy = folder.path().join(name);
        fs::create_dir(&copy).expect("can be made");
        support::copy_files(&dist, &copy);
        let program = [fs::read(copy.join("buildctl")).expect("is there"), tail.to_vec()].concat();
        fs::write(copy.join("buildctl"), &program).expect("can be written");
        let record = copy.join("metadata.json");
        let mut metadata: Value = serde_json::from_slice(&fs::read(&record).expect("is there")).expect("is JSON");
        let files = metadata["files"].as_array_mut().expect("a list");
        let recorded = files.iter_mut().find(|file| file["name"] == "buildctl").expect("is recorded");
        (recorded["sha256"], recorded["size_bytes"]) = (support::image::hex(&program).into(), program.len().into());
        fs::write(&record, metadata.to_string()).expect("can be written");
        let arguments = ["--json", "--engine", "docker", "--dist", copy.to_str().expect("is text")];
        let output = xtask(root(), &arguments).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        let digest = report["image"]["digest"].as_str().expect("has a digest").trim_start_matches("sha256:");
        let manifest = fs::read(copy.join("image/blobs/sha256").join(digest)).expect("is there");
        let manifest: Value = serde_json::from_slice(&manifest).expect("is JSON");
        manifest["layers"].as_array().expect("layers").clone()
    };
    // A step that is done, and not taken from the cache, makes a record of its own.
    let installations = || {
        let records = buildx(&["du", "--verbose"]).expect("buildx answers");
        records.lines().filter(|line| line.starts_with("Description:") && line.contains("apt-get")).count()
    };
    let one = image_of("one", &[]);
    let before = installations();
    let other = image_of("other", b"\n");
    assert_eq!((before > 0, installations()), (true, before), "apt ran again");
    let (last, same) = one.split_last().expect("has layers");
    assert_eq!(other[..same.len()], *same);
    assert_ne!(other.last(), Some(last));
}

/// The build to make an image of, or the reason why there is none, on standard error.
fn real_dist() -> Option<PathBuf> {
    let skip = |reason: &str| support::skip("image", reason);
    let Some(dist) = std::env::var_os(DIST).map(PathBuf::from) else {
        skip(&format!("{DIST} names no dist/<version> (it takes minutes, and an engine)"));
        return None;
    };
    let answers = |engine: &str| Command::new(engine).arg("info").output().is_ok_and(|told| told.status.success());
    if !["docker", "podman"].iter().any(|engine| answers(engine)) {
        skip("neither docker nor podman answers here");
        return None;
    }
    Some(dist)
}
