//! `cargo xtask image` by its front door: against an engine that is absent, down, too old or without
//! emulation (a `docker` on PATH that says so), and, where a real engine and a real build are here,
//! end to end.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes, reads the environment and asks the clock"
)]

#[path = "image/engines.rs"]
mod engines;
#[path = "image/made.rs"]
mod made;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fakes::script::{Script, response};

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

/// As one of root's is after a run with sudo.
#[test]
fn a_state_directory_that_takes_no_files_is_not_used() {
    let checkout = Checkout::new("state");
    checkout.stub("docker", &docker("27.3.1", "linux/amd64, linux/riscv64", "echo began >&2; exit 1"));
    let runs = "docker-for-riscv64/runs";
    checkout.write("state/docker-for-riscv64/x", "");
    symlink("/proc/self", checkout.0.join("state").join(runs)).expect("is linked");
    let mut run = xtask(&checkout.0, &["--base", "127.0.0.1:1/debian:trixie-slim"]);
    run.env("PATH", checkout.0.join("bin")).env("DOCKER_HOST", "tcp://127.0.0.1:1").env_remove("XTASK_EMULATORS");
    let output = run.env("XDG_STATE_HOME", checkout.0.join("state")).output().expect("xtask runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("cannot open the lock") && stderr.contains("began"), "{stderr}");
    assert!(checkout.0.join("target").join(runs).is_dir(), "{stderr}");
}
