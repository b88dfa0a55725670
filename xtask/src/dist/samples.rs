//! Values that unit tests of several files share.

use oci::digest::Sha256;

use crate::dist::check::Check;
use crate::dist::image_tags::image_tags;
use crate::dist::names;
use crate::dist::proofs::{self, Required};
use crate::dist::record::{FileRecord, ImageRecord, Metadata, Proof, Subject};
use crate::go::{BuildInfo, GoRecord, Module};
use crate::upstream::{CommitId, PACKAGE, Source, Version};

/// v0.32.2.
pub fn version() -> Version {
    "v0.32.2".parse().expect("a version")
}

/// The commit of v0.32.2.
pub fn commit() -> CommitId {
    "991535e0973488b6a429096d21fa13f81f2d89d8".parse().expect("a commit")
}

/// What v0.32.2 is built from.
pub fn source() -> Source {
    Source {
        r#ref: "v0.32.2".parse().expect("a ref"),
        commit: commit(),
        version: version(),
        package: PACKAGE.to_owned(),
        source_date: "2026-08-04T12:27:40Z".parse().expect("a date"),
        source_date_epoch: 1_785_846_460,
    }
}

/// The Go that it is compiled with.
pub fn go() -> GoRecord {
    GoRecord {
        version: "1.26.3".parse().expect("a version of Go"),
        origin: "https://go.dev/dl/go1.26.3.linux-amd64.tar.gz".to_owned(),
        sha256: Sha256::from_bytes(&[7; 32]),
    }
}

/// What Go would write into `command`.
pub fn build_info(command: &str) -> BuildInfo {
    let module = |path: &str, version: &str| Module { path: path.to_owned(), version: version.to_owned() };
    BuildInfo {
        go_version: "1.26.3".parse().expect("a version of Go"),
        path: format!("github.com/moby/buildkit/cmd/{command}"),
        main: module("github.com/moby/buildkit", "(devel)"),
        dependencies: vec![module("github.com/BurntSushi/toml", "v1.5.0"), module("golang.org/x/sys", "v0.40.0")],
        settings: [("CGO_ENABLED", "0"), ("GOARCH", "riscv64"), ("GOOS", "linux")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

/// The record of v0.32.2 with an image and all proofs of it, in one of which a check that is not required was not run.
pub fn proved_record() -> Metadata {
    let source = source();
    let mut record = Metadata::new(source.clone(), go());
    let sha256 = |byte| Sha256::from_bytes(&[byte; 32]);
    let files = names::files(&source.version).into_iter().take(5).zip(1..);
    record.files = files
        .map(|(name, byte)| FileRecord { name, size_bytes: 1000 * u64::from(byte), sha256: sha256(byte) })
        .collect();
    let image_digest = oci::digest::Digest::from(sha256(0xe2));
    record.image = Some(ImageRecord {
        layout: names::LAYOUT.to_owned(),
        digest: image_digest.clone(),
        size_bytes: 116_718_518,
        tags: image_tags(&source),
        base_name: "debian:trixie-slim".to_owned(),
        base_digest: None,
        engine: "podman 4.3.1".to_owned(),
        emulators: None,
        snapshot: None,
        sbom: Some(FileRecord { name: names::image_sbom(&source.version), size_bytes: 6000, sha256: sha256(6) }),
        inputs: sha256(0x04),
    });
    let proof = |required: Required| Proof {
        name: required.name.to_owned(),
        subject: Subject::Image { image_digest: image_digest.clone() },
        began: "2026-11-22T22:38:41Z".parse().expect("a date"),
        seconds: 36,
        tools: vec![("docker".to_owned(), "20.10.24+dfsg1".to_owned()), ("qemu".to_owned(), "7.2.22".to_owned())],
        checks: required.checks.iter().map(|name| Check::pass(name, "the sample")).collect(),
    };
    record.proofs = proofs::required(&record).map(proof).collect();
    record.proofs[0].checks.push(Check::not_run("host-init", "no engine\n  is here"));
    record
}
