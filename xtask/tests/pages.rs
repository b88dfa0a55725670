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
/// An emulated daemon hangs in about one of sixteen starts, even at `--version`: docs/upstream/qemu-user-hang.md.
const STARTS: usize = 4;
/// Exit status of `timeout`: coreutils, "timeout invocation".
const TIMED_OUT: i32 = 124;

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
fn the_image_is_used_as_the_pages_say() {
    const NAME: &str = "the_image_is_used_as_the_pages_say";
    if let Some(why) = obstacle() {
        return skip(NAME, why);
    }
    let scratch = Scratch::new("pages");
    let image = Loaded::new(&scratch);
    let builder = format!("xtask-pages-{}", std::process::id());
    fs::write(scratch.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").expect("is written");
    let run = |script: &str| {
        let mut shell = Command::new("timeout");
        shell.args(["180", "sh", "-ec", script]).current_dir(scratch.path());
        shell.env("BUILDX_CONFIG", scratch.path().join("buildx")).output().expect("timeout starts")
    };
    let three_lines = pages::script("README.md", NAME);
    assert!(three_lines.lines().count() == 3 && three_lines.contains(PUBLISHED), "{three_lines}");
    // The image of this build in place of the published one, and names that nothing else has.
    let three_lines = three_lines.replace(PUBLISHED, &image.0).replace("--name riscv64", &format!("--name {builder}"));
    let three_lines = three_lines.replace("--tag demo", &format!("--tag {builder}"));
    let mut output = run(&three_lines);
    for _ in 1..STARTS {
        if output.status.code() == Some(TIMED_OUT) {
            run(&format!("docker buildx rm --force {builder}"));
            output = run(&three_lines);
        }
    }
    let help = pages::script("docs/TROUBLESHOOTING.md", NAME).replace("IMAGE", &image.0).replace("NAME", &builder);
    let help = run(&help.replace("CONTAINER", &format!("buildx_buildkit_{builder}0")));
    let built = docker(&["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", &builder]);
    run(&format!("docker buildx rm --force {builder}"));
    docker(&["rmi", "--force", &builder]);
    text(&output);
    assert_eq!(text(&built.expect("the result is in the engine")), "linux/riscv64");
    let help = text(&help);
    for line in ["/sbin/docker-init -> /usr/bin/tini", "tini version 0.19.0", "/usr/bin/buildkitd "] {
        assert!(help.contains(line), "{line} is not in: {help}");
    }
}

#[test]
fn the_page_makes_certificates() {
    if on_path("openssl").is_none() {
        return skip("the_page_makes_certificates", "no openssl on PATH");
    }
    let scratch = Scratch::new("certificates");
    let run = |script: &str| {
        text(&Command::new("sh").args(["-ec", script]).current_dir(scratch.path()).output().expect("starts"))
    };
    run(&pages::script("docs/IMAGE.md", "the_page_makes_certificates"));
    for name in ["server", "client"] {
        run(&format!("openssl verify -CAfile certs/ca.pem -purpose ssl{name} certs/{name}/cert.pem"));
        run(&format!("test -f certs/{name}/key.pem -a -f certs/{name}/ca.pem"));
    }
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
    let script = format!("sudo() {{ \"$@\"; }}; cd /release\n{script}ls -A /usr/local/bin; echo removed");
    let name = format!("xtask-pages-install-{}", std::process::id());
    let run = ["run", "--rm", "--name", &name, "--platform", "linux/riscv64", "-v", &volume, "debian:trixie-slim"];
    let attempt = || {
        let mut docker_run = Command::new("timeout");
        let output = docker_run.args(["90", "docker"]).args(run).args(["sh", "-exc", &script]).output();
        docker(&["rm", "--force", &name]);
        output.expect("timeout starts")
    };
    let mut output = attempt();
    for _ in 1..STARTS {
        if output.status.code() == Some(TIMED_OUT) {
            output = attempt();
        }
    }
    let printed = text(&output);
    let lines: Vec<&str> = printed.lines().collect();
    let [buildctl, buildkitd, "removed"] = lines[..] else { panic!("{printed}") };
    for (name, line) in [("buildctl", buildctl), ("buildkitd", buildkitd)] {
        assert!(line.starts_with(&format!("{name} github.com/moby/buildkit {VERSION} ")), "{line}");
    }
}
