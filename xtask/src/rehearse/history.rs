//! What a repository has when it adopts this project: the releases, issues and images of gounthar/docker-for-riscv64,
//! as its earlier workflow `buildkit-weekly-build.yml` published them until August 2026. Source: the git tags, and
//! the workflows, of that repository.

use fakes::github::{FakeGitHub, TagRuleset};
use fakes::registry::FakeRegistry;

use crate::github::issue_title;

/// Versions of BuildKit, each released as `buildkit-VERSION-riscv64`, with an image `VERSION-riscv64`.
const VERSIONS: [&str; 14] = [
    "v0.26.2", "v0.26.3", "v0.27.0", "v0.27.1", "v0.28.0", "v0.28.1", "v0.29.0", "v0.30.0", "v0.31.0", "v0.31.1",
    "v0.31.2", "v0.32.0", "v0.32.1", "v0.32.2",
];
/// Builds of master, each released as `buildkit-vDAY-dev`, with an image `master-DAY`. The day is that of the build.
const DAYS: [&str; 5] = ["20251209", "20260712", "20260719", "20260726", "20260802"];
/// Some of its releases of other software.
const OTHERS: [&str; 8] = [
    "v1.0.0",
    "gpg-key",
    "v29.7.2-riscv64",
    "cli-v29.7.2-riscv64",
    "compose-v5.4.0-riscv64",
    "buildx-v0.36.1-riscv64",
    "tini-v0.19.0-riscv64",
    "v20260802-dev",
];
const ASSETS: [&str; 7] =
    ["buildctl", "buildkitd", "IMAGE_INSPECT.json", "IMAGE_TAG.txt", "REGISTRY.txt", "TEST_RESULTS.txt", "VERSION.txt"];
const LABELS: [&str; 2] = ["build-in-progress", "buildkit-release"];

/// The version whose issue is still open, although it is released.
const OPEN: &str = "v0.32.2";

/// Whether a version was released before.
pub fn has(tag: &str) -> bool {
    VERSIONS.contains(&tag)
}

/// Its tags of Docker are protected, which stops nothing of ours.
const PROTECTED: &[&str] = &["refs/tags/v*"];

/// Fills the fakes. `image` is the name of the package in the registry.
pub fn fill(github: &mut FakeGitHub, registry: &mut FakeRegistry, image: &str) {
    github.add_tag_ruleset(TagRuleset { include: PROTECTED, ..TagRuleset::default() });
    OTHERS.iter().for_each(|tag| github.publish_earlier(tag, tag, &["docker.riscv64.deb"]));
    for day in DAYS {
        let title = format!("BuildKit RISC-V64 Development Build {day}");
        github.publish_earlier(&format!("buildkit-v{day}-dev"), &title, &ASSETS);
        registry.docker_push(image, &format!("master of {day}"), &[&format!("master-{day}"), "latest"]);
    }
    for version in VERSIONS {
        let tag = version.parse().expect("the versions are constants");
        github.file_earlier_issue(&issue_title(&tag), &LABELS, version == OPEN);
        let packages =
            [format!("buildkit_{version}-riscv64-1_riscv64.deb"), format!("buildkit-{version}-1.riscv64.rpm")];
        let assets: Vec<&str> = ASSETS.into_iter().chain(packages.iter().map(String::as_str)).collect();
        let title = format!("BuildKit {version} for RISC-V64");
        github.publish_earlier(&format!("buildkit-{version}-riscv64"), &title, &assets);
        // Every build moved `latest`, whatever it was of.
        registry.docker_push(image, version, &[&format!("{version}-riscv64"), "latest"]);
    }
}
