//! `cargo xtask smoke` by its front door. What needs the image runs on the one in `dist/` of this
//! checkout, and on copies of it with one thing made wrong on purpose.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes, opens sockets and reads the environment"
)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// A folder that is gone at the end of its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-smoke-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder can be written to");
        Self(path)
    }

    /// A checkout in which nothing was fetched yet.
    fn checkout(name: &str) -> Self {
        let scratch = Self::new(name);
        fs::create_dir_all(scratch.0.join("xtask")).expect("is made");
        fs::write(scratch.0.join(".gitmodules"), "").expect("is written");
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the checkout").to_owned()
}

fn smoke(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("smoke").args(arguments).current_dir(checkout());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Says so where a test cannot run; the harness has no word for it.
fn skipped(reason: &str) {
    support::skip("smoke", reason);
}

/// The layout of the image in `dist/`.
fn image() -> Option<PathBuf> {
    let dist = fs::read_dir(checkout().join("dist")).ok()?;
    dist.flatten().map(|entry| entry.path().join("image")).find(|layout| layout.join("index.json").is_file())
}

fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|it| it.join(program).is_file()))
}

/// The image, where this machine has one and these programs; else the test is counted as skipped.
fn image_and(programs: &[&str]) -> Option<PathBuf> {
    if let Some(missing) = programs.iter().find(|program| !is_on_path(program)) {
        skipped(&format!("{missing} is not installed"));
        return None;
    }
    let image = image();
    if image.is_none() {
        skipped("dist/ has no image; `cargo xtask image` makes it");
    }
    image
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest");
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("is there")).expect("is JSON")
}

fn put(layout: &Path, media_type: &str, bytes: &[u8]) -> Value {
    fs::write(layout.join("blobs/sha256").join(hex(bytes)), bytes).expect("is written");
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", hex(bytes)), "size": bytes.len() })
}

/// A copy of the image with one more layer, which has one file.
fn with_file(image: &Path, into: &Path, path: &str, content: &str) {
    fs::create_dir_all(into.join("blobs/sha256")).expect("is made");
    for entry in fs::read_dir(image.join("blobs/sha256")).expect("lists").flatten() {
        let copy = into.join("blobs/sha256").join(entry.file_name());
        fs::hard_link(entry.path(), &copy).or_else(|_| fs::copy(entry.path(), &copy).map(|_| ())).expect("is copied");
    }
    let mut manifest = read(&image.join("index.json"))["manifests"][0].clone();
    if manifest["mediaType"].as_str().is_some_and(|it| it.contains("index")) {
        manifest = read(&blob(image, &manifest))["manifests"][0].clone();
    }
    let mut manifest = read(&blob(image, &manifest));
    let mut config = read(&blob(image, &manifest["config"]));

    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let mut layer = tar::Builder::new(Vec::new());
    layer.append_data(&mut header, path, content.as_bytes()).expect("is added");
    let layer = layer.into_inner().expect("is written");
    let diff_ids = config["rootfs"]["diff_ids"].as_array_mut().expect("has layers");
    diff_ids.push(json!(format!("sha256:{}", hex(&layer))));
    manifest["config"] = put(into, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let layers = manifest["layers"].as_array_mut().expect("has layers");
    layers.push(put(into, "application/vnd.oci.image.layer.v1.tar", &layer));
    let manifest = put(into, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    fs::write(into.join("index.json"), json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string())
        .expect("is written");
    fs::write(into.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("is written");
}

/// The checks of a run with `--json`, each as `name: verdict: evidence`.
fn checks(output: &Output) -> Vec<String> {
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("standard output is JSON: {}", stderr(output)));
    let proofs = report["proofs"].as_array().expect("has proofs");
    let text = |check: &Value, field: &str| check[field].as_str().expect("is text").to_owned();
    let checks = proofs.iter().flat_map(|proof| proof["checks"].as_array().expect("has checks"));
    checks.map(|check| ["name", "verdict", "evidence"].map(|field| text(check, field)).join(": ")).collect()
}

fn assert_check(output: &Output, beginning: &str, containing: &str) {
    let checks = checks(output);
    let found = checks.iter().any(|check| check.starts_with(beginning) && check.contains(containing));
    assert!(found, "no {beginning} {containing:?} in {checks:#?}\n{}", stderr(output));
}

#[test]
fn a_machine_without_tools_is_told_which_before_anything_is_done() {
    let scratch = Scratch::checkout("lacking");
    let run = |level: &str| {
        let mut command = smoke(&["--level", level, "nothing-here"]);
        command.current_dir(&scratch.0).env("PATH", &scratch.0).env("DOCKER_HOST", "unix:///nowhere.sock");
        let output = command.output().expect("runs");
        assert_eq!(output.status.code(), Some(1));
        stderr(&output)
    };
    let said = run("machine");
    for mends in ["apt-get install qemu-system-riscv", "apt-get install qemu-system-misc", "apt-get install xz-utils"] {
        assert!(said.contains(mends), "{said}");
    }
    let said = run("builder");
    assert!(said.contains("docker is not installed") && said.contains("apt-get install docker.io"), "{said}");
    assert!(!scratch.0.join("target").exists(), "something was written");
}

#[test]
fn what_is_no_image_is_refused_in_one_sentence() {
    let scratch = Scratch::checkout("no-image");
    if !is_on_path("qemu-riscv64-static") && !is_on_path("qemu-riscv64") {
        return skipped("qemu-user is not installed");
    }
    let output = smoke(&["--level", "exec", "."]).current_dir(&scratch.0).output().expect("runs");
    let said = stderr(&output);
    assert!(output.status.code() == Some(1) && said.contains(". is not an image that can be read"), "{said}");
}

/// An archive whose release is signed by nobody, on loopback.
#[test]
fn a_kernel_from_an_archive_that_debian_did_not_sign_is_refused() {
    let Some(image) = image_and(&["qemu-system-riscv64", "xz", "gpgv"]) else { return };
    if !Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").is_file() {
        return skipped("debian-archive-keyring is not installed");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = format!("http://{}", listener.local_addr().expect("has an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream);
        }
    });
    let scratch = Scratch::checkout("unsigned");
    let mut command = smoke(&["--level", "machine", "--debian-archive", &address, image.to_str().expect("UTF-8")]);
    let output = command.current_dir(&scratch.0).output().expect("runs");
    let said = stderr(&output);
    assert!(output.status.code() == Some(1) && said.contains("is not signed by Debian"), "{said}");
    assert!(!scratch.0.join("target/smoke/debian").exists(), "something was kept");
}

fn answer(mut stream: impl Read + Write) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let body = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSHA256:\n-----BEGIN PGP SIGNATURE-----\n\n\
                iQ==\n-----END PGP SIGNATURE-----\n";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

#[test]
fn a_missing_runc_is_named_by_exec() {
    let Some(image) = image_and(&["qemu-riscv64-static"]) else { return };
    let scratch = Scratch::new("no-runc");
    with_file(&image, &scratch.0, "usr/sbin/.wh.runc", "");
    let output = smoke(&["--level", "exec", "--json", scratch.0.to_str().expect("UTF-8")]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    support::schema::must_match("a_missing_runc_is_named_by_exec", "smoke", &output.stdout);
    assert_check(&output, "runc-runs: fail: ", "runc is not in the image");
    assert_check(&output, "buildkitd-runs: pass: ", "v");
    assert_check(&output, "tini-runs: pass: ", "tini version");
}

#[test]
fn a_builder_is_made_of_the_image_and_nothing_is_left() {
    let Some(image) = image_and(&["docker"]) else { return };
    let answers = |arguments: &[&str]| {
        Command::new("docker").args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !answers(&["version"]) || !answers(&["buildx", "version"]) {
        return skipped("no Docker Engine with buildx answers");
    }
    let path = image.to_str().expect("UTF-8");
    let output = smoke(&["--level", "builder", "--json", path]).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_check(&output, "builder-builds: pass: ", "read back");

    let scratch = Scratch::new("exits-3");
    with_file(&image, &scratch.0, "usr/bin/buildkitd", "#!/bin/sh\necho broken on purpose\nexit 3\n");
    let path = scratch.0.to_str().expect("UTF-8");
    let output = smoke(&["--level", "builder", "--json", path]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_check(&output, "builder-bootstraps: fail: ", "broken on purpose");
    assert_check(&output, "builder-leaves-nothing: pass: ", "");
    for list in [
        ["ps", "--all", "--format={{.Names}}"],
        ["volume", "ls", "--format={{.Name}}"],
        ["images", "--all", "--format={{.Repository}}"],
    ] {
        let output = Command::new("docker").args(list).output().expect("answers");
        let left = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!left.contains("xtask-smoke"), "left behind: {left}");
    }
}

/// One test, because the machine takes both processors: one after the other.
#[test]
fn what_is_wrong_in_the_machine_is_named() {
    let Some(image) = image_and(&["qemu-system-riscv64", "xz"]) else { return };
    let run = |path: &Path, limit: &str| {
        let path = path.to_str().expect("UTF-8");
        smoke(&["--level", "machine", "--json", "--machine-limit", limit, path]).output().expect("runs")
    };
    let scratch = Scratch::new("machine-exits-3");
    with_file(&image, &scratch.0, "usr/bin/buildkitd", "#!/bin/sh\necho broken on purpose\nexit 3\n");
    let output = run(&scratch.0, "300");
    if stderr(&output).contains("Debian's archive at") {
        return skipped("Debian's archive cannot be reached, and no kernel was fetched before");
    }
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_check(&output, "machine-boots: pass: ", "Linux 6.");
    assert_check(&output, "daemon-answers: fail: ", "it ended with exit status 3");
    assert_check(&output, "build-riscv64: not-run: ", "");
    assert!(stderr(&output).contains("broken on purpose"), "the console is not shown: {}", stderr(&output));

    let scratch = Scratch::new("machine-no-runc");
    with_file(&image, &scratch.0, "usr/sbin/.wh.runc", "");
    let output = run(&scratch.0, "300");
    assert_check(&output, "daemon-answers: fail: ", "exit status");
    assert!(stderr(&output).contains("runc"), "{}", stderr(&output));

    let scratch = Scratch::new("machine-silent");
    with_file(&image, &scratch.0, "usr/bin/buildkitd", "#!/bin/sh\nexec sleep 600\n");
    let output = run(&scratch.0, "20");
    assert_check(&output, "daemon-answers: fail: ", "there is no /run/buildkit/buildkitd.sock");

    let scratch = Scratch::new("machine-hangs");
    with_file(&image, &scratch.0, "usr/bin/buildctl", "#!/bin/sh\nexec sleep 600\n");
    let output = run(&scratch.0, "40");
    assert_check(&output, "daemon-answers: fail: ", "the machine hung: it was ended after 40 s");
    assert_check(&output, "machine-powers-off: not-run: ", "");
}
