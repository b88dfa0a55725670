//! What the pages promise to users, done as they say: the commands come from the pages themselves. They need a Docker
//! Engine that runs riscv64 programs and a build with its image; `XTASK_TEST_DIST` names another one than `dist/`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads files and the environment, and starts processes"
)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::support::{Scratch, on_path, pages, skip, text};

const VERSION: &str = "v0.32.2";
const PUBLISHED: &str = "ghcr.io/gounthar/buildkit-riscv64:v0.32.2-riscv64";
/// An emulated daemon hangs in about one of sixteen starts: docs/upstream/qemu-user-hang.md.
const STARTS: usize = 3;

fn dist() -> Option<PathBuf> {
    let named = std::env::var_os("XTASK_TEST_DIST").map(PathBuf::from);
    let dist = named.unwrap_or_else(|| pages::root().join("dist").join(VERSION));
    dist.join("image/index.json").is_file().then_some(dist)
}

fn docker(arguments: &[&str]) -> Option<Output> {
    Command::new("docker").args(arguments).output().ok().filter(|output| output.status.success())
}

/// Why a test of this file cannot run here.
fn obstacle() -> Option<&'static str> {
    let platforms = "docker buildx inspect --bootstrap default";
    let riscv64 = || docker(&platforms.split(' ').skip(1).collect::<Vec<_>>());
    if dist().is_none() {
        Some("there is no image of v0.32.2 in dist/ or XTASK_TEST_DIST")
    } else if docker(&["version"]).is_none() {
        Some("no Docker Engine answers here")
    } else if !riscv64().is_some_and(|output| String::from_utf8_lossy(&output.stdout).contains("linux/riscv64")) {
        Some("this engine does not run riscv64 programs, or has no buildx")
    } else if on_path("skopeo").is_none() {
        Some("no skopeo on PATH, which loads the image")
    } else {
        None
    }
}

/// An image in the engine under a name of this run, removed at its end.
struct Loaded(String);

impl Loaded {
    fn new(scratch: &Scratch) -> Self {
        let name = format!("xtask-pages/{}:{VERSION}", std::process::id());
        let layout = dist().expect("is there").join("image");
        let archive = scratch.path().join("image.tar");
        let (from, to) = (format!("oci:{}", layout.display()), format!("docker-archive:{}:{name}", archive.display()));
        text(&Command::new("skopeo").args(["copy", "--quiet", &from, &to]).output().expect("skopeo starts"));
        docker(&["load", "--quiet", "--input", archive.to_str().expect("UTF-8")]).expect("the image is loaded");
        fs::remove_file(archive).expect("is removed");
        Self(name)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        docker(&["rmi", "--force", &self.0]);
    }
}

#[test]
fn the_readme_makes_a_builder_in_three_lines() {
    if let Some(why) = obstacle() {
        return skip("the_readme_makes_a_builder_in_three_lines", why);
    }
    let scratch = Scratch::new("readme");
    let image = Loaded::new(&scratch);
    let builder = format!("xtask-pages-{}", std::process::id());
    let script = pages::script("README.md", "the_readme_makes_a_builder_in_three_lines");
    assert_eq!(script.lines().count(), 3, "{script}");
    assert!(script.contains(PUBLISHED), "{script}");
    // The image of this build in place of the published one, and a name that no other builder has.
    let script = script.replace(PUBLISHED, &image.0).replace("--name riscv64", &format!("--name {builder}"));
    let script = script.replace("--tag demo", &format!("--tag {builder}"));
    fs::write(scratch.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").expect("is written");
    let run = |command: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-ec", command]).current_dir(scratch.path()).env("BUILDX_CONFIG", scratch.path().join("buildx"));
        shell.output().expect("sh starts")
    };
    let mut output = None;
    for _ in 0..STARTS {
        output = Some(run(&format!("exec timeout 180 sh -ec '{script}'")));
        run(&format!("docker buildx rm --force {builder}"));
        if output.as_ref().is_some_and(|output| output.status.success()) {
            break;
        }
    }
    text(&output.expect("it was run"));
    let built = docker(&["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", &builder]);
    docker(&["rmi", "--force", &builder]);
    assert_eq!(text(&built.expect("the result is in the engine")), "linux/riscv64");
}

#[test]
fn the_archive_is_installed_configured_and_removed() {
    if let Some(why) = obstacle() {
        return skip("the_archive_is_installed_configured_and_removed", why);
    }
    let script = pages::script("docs/INSTALL.md", "the_archive_is_installed_configured_and_removed");
    let dist = dist().expect("is there").canonicalize().expect("is there");
    let volume = format!("{}:/release:ro", dist.display());
    // A plain Debian with nothing installed. `sudo` is not in it, and root needs none.
    let script = format!("sudo() {{ \"$@\"; }}; cd /release\n{script}");
    let run =
        ["run", "--rm", "--platform", "linux/riscv64", "-v", &volume, "debian:trixie-slim", "sh", "-exc", &script];
    let output = Command::new("docker").args(run).output().expect("docker starts");
    let printed = text(&output);
    assert!(printed.contains("buildctl github.com/moby/buildkit v0.32.2 "), "{printed}");
    assert!(printed.contains("buildkitd github.com/moby/buildkit v0.32.2 "), "{printed}");
    assert!(printed.ends_with("removed"), "{printed}");
}
