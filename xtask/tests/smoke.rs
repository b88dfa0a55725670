//! `cargo xtask smoke` run as a command. Tests that need an image use the one in `dist/` of this checkout, and
//! copies of it with one deliberate defect.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fakes::script::{Script, response};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::support::Scratch;

/// A checkout without downloads.
fn new_checkout(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    support::empty_checkout(scratch.path());
    scratch
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

/// Reports a test that cannot run, as the harness has no way to.
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

/// The image, if this machine has one and these programs; otherwise the test is counted as skipped.
fn image_and(programs: &[&str]) -> Option<PathBuf> {
    if let Some(missing) = programs.iter().find(|program| !is_on_path(program)) {
        skipped(&format!("{missing} is not installed"));
        return None;
    }
    let image = image();
    if image.is_none() {
        skipped("dist/ has no image; run `cargo xtask image`");
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

/// Copies the image and adds a layer with one file.
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
fn missing_tools_are_named_with_their_packages_before_anything_is_written() {
    let scratch = new_checkout("missing-tools");
    let run = |level: &str| {
        let mut command = smoke(&["--level", level, "nothing-here"]);
        command.current_dir(scratch.path()).env("PATH", scratch.path()).env("DOCKER_HOST", "unix:///nowhere.sock");
        let output = command.output().expect("runs");
        assert_eq!(output.status.code(), Some(1));
        stderr(&output)
    };
    let stderr_text = run("machine");
    for command in ["apt-get install qemu-system-riscv", "apt-get install qemu-system-misc", "apt-get install xz-utils"]
    {
        assert!(stderr_text.contains(command), "{stderr_text}");
    }
    let stderr_text = run("builder");
    assert!(
        stderr_text.contains("docker is not installed") && stderr_text.contains("apt-get install docker.io"),
        "{stderr_text}"
    );
    assert!(!scratch.path().join("target").exists(), "something was written");
}

#[test]
fn the_time_limit_of_the_machine_comes_from_the_environment_unless_that_is_empty() {
    let scratch = new_checkout("machine-limit");
    let run = |limit: &str| {
        let mut command = smoke(&["--level", "machine", "nothing-here"]);
        command.current_dir(scratch.path()).env("PATH", scratch.path()).env("XTASK_MACHINE_LIMIT", limit);
        let output = command.output().expect("runs");
        (output.status.code(), stderr(&output))
    };
    for refused in ["9", "ten", "86401", "18446744073709551615"] {
        let (status, message) = run(refused);
        assert!(status == Some(2) && message.contains("between 10 and 86400 seconds"), "{refused}: {message}");
    }
    // A workflow sets the variable to the empty string if the repository has none.
    for accepted in ["", "1200"] {
        let (status, message) = run(accepted);
        assert!(status == Some(1) && message.contains("qemu-system-riscv64 is not installed"), "{accepted}: {message}");
    }
    let help = smoke(&["--help"]).env_remove("XTASK_MACHINE_LIMIT").output().expect("runs");
    assert!(String::from_utf8_lossy(&help.stdout).contains("[env: XTASK_MACHINE_LIMIT]"));
}

#[test]
fn a_path_that_is_not_an_image_is_refused_in_one_sentence() {
    let scratch = new_checkout("no-image");
    if !is_on_path("qemu-riscv64-static") && !is_on_path("qemu-riscv64") {
        return skipped("qemu-user is not installed");
    }
    let output = smoke(&["--level", "exec", "."]).current_dir(scratch.path()).output().expect("runs");
    let stderr_text = stderr(&output);
    assert!(
        output.status.code() == Some(1) && stderr_text.contains(". is not an image that can be read"),
        "{stderr_text}"
    );
}

/// A release file of an archive that nobody signed.
const UNSIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSHA256:\n-----BEGIN PGP SIGNATURE-----\n\n\
                        iQ==\n-----END PGP SIGNATURE-----\n";

#[test]
fn a_kernel_from_an_archive_without_debians_signature_is_refused() {
    let Some(image) = image_and(&["qemu-system-riscv64", "xz", "gpgv"]) else { return };
    if !Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").is_file() {
        return skipped("debian-archive-keyring is not installed");
    }
    let archive = Script::start(|_| response(200, &[], UNSIGNED));
    let scratch = new_checkout("unsigned");
    let mut command =
        smoke(&["--level", "machine", "--debian-archive", &archive.url(), image.to_str().expect("UTF-8")]);
    let output = command.current_dir(scratch.path()).output().expect("runs");
    let stderr_text = stderr(&output);
    assert!(output.status.code() == Some(1) && stderr_text.contains("is not signed by Debian"), "{stderr_text}");
    assert!(!scratch.path().join("target/smoke/debian").exists(), "something was kept");
}

#[test]
fn a_missing_runc_fails_the_check_of_its_name() {
    let Some(image) = image_and(&["qemu-riscv64-static"]) else { return };
    let scratch = Scratch::new("no-runc");
    with_file(&image, scratch.path(), "usr/sbin/.wh.runc", "");
    let output = smoke(&["--level", "exec", "--json", scratch.path().to_str().expect("UTF-8")]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    support::schema::must_match("a_missing_runc_is_named_by_exec", "smoke", &output.stdout);
    assert_check(&output, "runc-runs: fail: ", "runc is not in the image");
    assert_check(&output, "buildkitd-runs: pass: ", "v");
    assert_check(&output, "tini-runs: pass: ", "tini version");
}

#[test]
fn buildx_creates_a_builder_from_the_image_and_nothing_is_left_behind() {
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
    assert_check(
        &output,
        "builder-attests: pass: ",
        "linux/amd64,linux/riscv64, each with https://slsa.dev/provenance/",
    );
    assert_check(&output, "builder-caches: pass: ", "came from it");

    // What users set for other ends: a helper that is not installed, another builder, the old builder, another
    // platform, and a proxy that does not answer.
    let settings = Scratch::new("settings");
    fs::write(settings.path().join("config.json"), r#"{"credsStore":"absent"}"#).expect("is written");
    let mut command = smoke(&["--level", "builder", "--json", path]);
    command.env("DOCKER_CONFIG", settings.path()).env("BUILDX_BUILDER", "absent").env("DOCKER_BUILDKIT", "0");
    command.env("DOCKER_DEFAULT_PLATFORM", "linux/arm64");
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env(name, "http://127.0.0.1:9");
    }
    let output = command.output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let scratch = Scratch::new("exits-3");
    with_file(&image, scratch.path(), "usr/bin/buildkitd", "#!/bin/sh\necho broken on purpose\nexit 3\n");
    let path = scratch.path().to_str().expect("UTF-8");
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

/// One test that boots the machines one after the other, as each uses both processors.
#[test]
fn what_is_wrong_in_the_machine_is_named() {
    let Some(image) = image_and(&["qemu-system-riscv64", "xz"]) else { return };
    let run = |path: &Path, limit: &str| {
        let path = path.to_str().expect("UTF-8");
        smoke(&["--level", "machine", "--json", "--machine-limit", limit, path]).output().expect("runs")
    };
    let scratch = Scratch::new("machine-exits-3");
    with_file(&image, scratch.path(), "usr/bin/buildkitd", "#!/bin/sh\necho broken on purpose\nexit 3\n");
    let output = run(scratch.path(), "300");
    if stderr(&output).contains("Debian's archive at") {
        return skipped("Debian's archive cannot be reached, and no kernel was fetched before");
    }
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_check(&output, "machine-boots: pass: ", "Linux 6.");
    assert_check(&output, "daemon-answers: fail: ", "it ended with exit status 3");
    assert_check(&output, "build-riscv64: not-run: ", "");
    assert!(stderr(&output).contains("broken on purpose"), "the console is not shown: {}", stderr(&output));

    let scratch = Scratch::new("machine-no-runc");
    with_file(&image, scratch.path(), "usr/sbin/.wh.runc", "");
    let output = run(scratch.path(), "300");
    assert_check(&output, "daemon-answers: fail: ", "exit status");
    assert!(stderr(&output).contains("runc"), "{}", stderr(&output));

    let scratch = Scratch::new("machine-silent");
    with_file(&image, scratch.path(), "usr/bin/buildkitd", "#!/bin/sh\nexec sleep 600\n");
    let output = run(scratch.path(), "20");
    assert_check(&output, "daemon-answers: fail: ", "there is no /run/buildkit/buildkitd.sock");

    let scratch = Scratch::new("machine-hangs");
    with_file(&image, scratch.path(), "usr/bin/buildctl", "#!/bin/sh\nexec sleep 600\n");
    let output = run(scratch.path(), "40");
    assert_check(
        &output,
        "daemon-answers: fail: ",
        "not reached in 40 s; if the machine is slow, raise --machine-limit",
    );
    assert_check(&output, "machine-powers-off: not-run: ", "");
}
