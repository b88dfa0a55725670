//! Packages for distributions: published if they are recorded, and only as they are recorded.

use super::*;
use crate::dist::{Check, FileRecord, Proof, Subject};

/// A build with a Debian package that was proved, which its record has and its directory.
fn packaged() -> Desired {
    let mut desired = desired("v0.32.2");
    let name = "buildkit_0.32.2-1_riscv64.deb".to_owned();
    let record = FileRecord { name: name.clone(), size_bytes: 18, sha256: sha256(0xdb) };
    desired.record.packages.push(record.clone());
    let required = crate::dist::proofs::required(&desired.record).last().expect("that of packages");
    desired.record.proofs.push(Proof {
        name: required.name.to_owned(),
        subject: Subject::Packages { packages: desired.record.packages.clone() },
        checks: required.checks.iter().map(|name| Check::pass(name, "the sample")).collect(),
        ..desired.record.proofs[0].clone()
    });
    desired.files.push(File {
        path: format!("dist/{name}").into(),
        name,
        size_bytes: record.size_bytes,
        sha256: record.sha256,
    });
    desired
}

#[test]
fn recorded_packages_are_uploaded_before_the_record_that_names_them() {
    let text = text(&packaged(), &Observed::default());
    let uploads: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("gh release upload buildkit-v0.32.2-riscv64 dist/")).collect();
    let last = &uploads[uploads.len() - 4..];
    assert_eq!(
        last,
        [
            "buildkit-v0.32.2.linux-riscv64.image.spdx.json",
            "buildkit_0.32.2-1_riscv64.deb",
            "metadata.json",
            "SHA256SUMS"
        ]
    );
}

#[test]
fn packages_that_were_not_proved_are_refused() {
    let mut unproved = packaged();
    unproved.record.proofs.pop();
    let mut others = packaged();
    others.record.packages[0].sha256 = sha256(0xdc);
    others.files.last_mut().expect("the package").sha256 = sha256(0xdc);
    let texts = [unproved, others].map(|desired| text(&desired, &Observed::default()));
    expect![[r"
        nothing is published:
          - `smoke packages` was not run: run `cargo xtask smoke --level packages`, or use --unproved
        nothing is published:
          - `smoke packages` is of other packages: run `cargo xtask smoke --level packages`, or use --unproved
    "]]
    .assert_eq(&(texts.join("\n") + "\n"));
}

#[test]
fn a_package_that_is_gone_changed_or_not_recorded_is_refused() {
    let mut gone = packaged();
    gone.files.pop();
    let mut changed = packaged();
    changed.files.last_mut().expect("the package").sha256 = sha256(0xdc);
    let mut unknown = packaged();
    unknown.record.packages.clear();
    let texts = [gone, changed, unknown].map(|desired| text(&desired, &Observed::default()));
    expect![[r"
        nothing is published:
          - buildkit_0.32.2-1_riscv64.deb is missing from the build directory; run `cargo xtask package`
        nothing is published:
          - dist/buildkit_0.32.2-1_riscv64.deb has changed since it was built: 18 bytes, sha256:dc do not match the record; build again
        nothing is published:
          - dist/buildkit_0.32.2-1_riscv64.deb is not part of a release; remove it from the build directory
    "]]
    .assert_eq(&(texts.join("\n") + "\n"));
}
