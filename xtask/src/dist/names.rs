//! Names and modes of the files in `dist/<version>/`.

use packages::version::PackageVersion;

use crate::os::files::{MODE_FILE, MODE_PROGRAM};
use crate::upstream::{Source, SourceRef, Version};

/// The daemon.
pub const BUILDKITD: &str = "buildkitd";
/// The client.
pub const BUILDCTL: &str = "buildctl";
/// The two commands of a release, in the order in which they are named everywhere.
pub const COMMANDS: [&str; 2] = [BUILDKITD, BUILDCTL];
/// What each command prints for `--version`, a line each.
pub const VERSION_TXT: &str = "VERSION.txt";
/// The record of the build; see [`crate::dist::Metadata`].
pub const METADATA: &str = "metadata.json";
/// Digests of every other file, for `sha256sum -c`.
pub const SHA256SUMS: &str = "SHA256SUMS";

/// The directory of the image, an OCI image layout.
pub const LAYOUT: &str = "image";

/// The directory of the Gentoo overlay, which `package` writes and nothing publishes.
pub const OVERLAY: &str = "gentoo";

/// Upstream's own name for its archive, `buildkit-v0.32.2.linux-riscv64.tar.gz`.
/// Source: the `releaser` stage of upstream's Dockerfile.
pub fn tarball(version: &Version) -> String {
    format!("buildkit-{version}.linux-riscv64.tar.gz")
}

/// The SBOM of the binaries, with the file extension that SPDX names for its JSON form.
pub fn sbom(version: &Version) -> String {
    format!("buildkit-{version}.linux-riscv64.spdx.json")
}

/// The SBOM of the image.
pub fn image_sbom(version: &Version) -> String {
    format!("buildkit-{version}.linux-riscv64.image.spdx.json")
}

/// Every file of a build, in the order in which they are listed.
pub fn files(version: &Version) -> [String; 7] {
    [BUILDKITD, BUILDCTL, &tarball(version), &sbom(version), VERSION_TXT, METADATA, SHA256SUMS].map(str::to_owned)
}

/// Every file of a release: those of the build, and the SBOM of the image before the two that name it.
pub fn published(version: &Version) -> [String; 8] {
    let [daemon, client, tarball, sbom, versions, metadata, sums] = files(version);
    [daemon, client, tarball, sbom, versions, image_sbom(version), metadata, sums]
}

/// The version of the packages: master has one for each day, as its releases have.
pub fn package_version(source: &Source) -> Result<PackageVersion, String> {
    match source.r#ref {
        SourceRef::Master => PackageVersion::of_master(&source.source_date.day(), source.commit.as_str()),
        _ => PackageVersion::of_version(&source.version.to_string()),
    }
}

/// The mode of a file of a build.
pub fn mode(name: &str) -> u32 {
    if COMMANDS.contains(&name) { MODE_PROGRAM } else { MODE_FILE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::samples;

    fn version_of(r#ref: &str, stamped: &str) -> String {
        let r#ref = r#ref.parse().expect("a ref");
        let source = Source { r#ref, version: stamped.parse().expect("a version"), ..samples::source() };
        package_version(&source).expect("a version").to_string()
    }

    #[test]
    fn master_is_named_after_its_day_and_all_else_after_its_version() {
        assert_eq!(version_of("v0.32.2", "v0.32.2"), "0.32.2");
        assert_eq!(version_of("master", "v0.32.2"), "0~20260804.git991535e0973");
        assert_eq!(version_of("v0.30", "v0.30.1-2-gabcdef012"), "0.30.1+2.gabcdef012");
    }
}
