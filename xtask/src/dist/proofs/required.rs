//! Which proofs there are, and which checks each has to pass. A task has the names of its checks from here, or a test
//! that compares its own.

/// A proof that a release needs, and the checks that it has to pass.
#[derive(Clone, Copy, Debug)]
pub struct Required {
    /// The task and its level.
    pub name: &'static str,
    /// Names of the checks. Any other check may be left out, but must not fail.
    pub checks: &'static [&'static str],
}

/// All proofs. Each level of `smoke` proves something else: that the programs start, that buildx
/// can use the image, that a build for two platforms works in it, and that the packages can be installed and used.
pub const REQUIRED: [Required; 5] = [
    Required { name: "verify-tini", checks: &VERIFY_TINI },
    Required { name: "smoke exec", checks: &SMOKE_EXEC },
    Required { name: "smoke builder", checks: &SMOKE_BUILDER },
    Required { name: "smoke machine", checks: &SMOKE_MACHINE },
    Required { name: PACKAGES, checks: &SMOKE_PACKAGES },
];

/// Of the packages. All others are of the image.
pub const PACKAGES: &str = "smoke packages";

/// All but `host-init` and `host-init-in-image`, which are about the host of the engine and not about the image.
pub const VERIFY_TINI: [&str; 25] = [
    "platform",
    "tini-present",
    "tini-architecture",
    "tini-loads",
    "docker-init-link",
    "entrypoint",
    "entrypoint-script",
    "command",
    "environment",
    "user",
    "runc",
    "version",
    "form-no-argument",
    "form-flags-only",
    "form-command",
    "exit-status",
    "sigterm",
    "orphans-reaped",
    "version-with-init",
    "form-no-argument-with-init",
    "form-flags-only-with-init",
    "form-command-with-init",
    "exit-status-with-init",
    "sigterm-with-init",
    "orphans-reaped-with-init",
];
const SMOKE_EXEC: [&str; 13] = [
    "buildkitd-runs",
    "buildctl-runs",
    "tini-runs",
    "runc-runs",
    "fuse-overlayfs-runs",
    "git-runs",
    "ssh-runs",
    "pigz-runs",
    "xz-runs",
    "buildkit-cni-bridge-runs",
    "buildkit-cni-firewall-runs",
    "buildkit-cni-host-local-runs",
    "buildkit-cni-loopback-runs",
];
pub const SMOKE_BUILDER: [&str; 7] = [
    "builder-bootstraps",
    "builder-version",
    "builder-platforms",
    "builder-builds",
    "builder-attests",
    "builder-caches",
    "builder-leaves-nothing",
];
/// Of an image with emulators; one without them builds for one platform.
pub const MULTI_PLATFORM: &str = "build-multi-platform";
pub const SMOKE_MACHINE: [&str; 6] =
    ["machine-boots", "daemon-answers", "build-riscv64", MULTI_PLATFORM, "daemon-stops", "machine-powers-off"];

/// The checks of a format begin with its name.
pub const SMOKE_PACKAGES: [&str; 13] = [
    "deb-upgrades",
    "deb-removes",
    "deb-purges",
    "deb-installs",
    "deb-units",
    "rpm-installs",
    "deb-boots",
    "deb-listens",
    "deb-answers",
    "deb-builds",
    "deb-restarts",
    "deb-stops",
    "deb-powers-off",
];
