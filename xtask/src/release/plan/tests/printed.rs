//! What a dry run prints, from the first line of the plan to the last.

use super::*;

/// The plan and the summary after it; the command that attaches the SBOM is shortened to its first words.
fn printed(desired: &Desired, observed: &Observed) -> String {
    let shorten = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        if line.starts_with("oras blob push") && line.contains("&&") {
            format!("{} …\n", words[..5].join(" "))
        } else {
            format!("{line}\n")
        }
    };
    let lines: String = text(desired, observed).lines().map(shorten).collect();
    match plan(desired, observed) {
        Ok(plan) => format!("{lines}{}\n", plan.summary(&desired.name)),
        Err(_) => lines,
    }
}

#[test]
fn a_new_release() {
    expect![[r#"
        gh release create buildkit-v0.32.2-riscv64 --draft --title 'BuildKit v0.32.2 for RISC-V64' --notes-file target/release-notes/buildkit-v0.32.2-riscv64.md
        gh release upload buildkit-v0.32.2-riscv64 dist/buildkitd
        gh release upload buildkit-v0.32.2-riscv64 dist/buildctl
        gh release upload buildkit-v0.32.2-riscv64 dist/buildkit-v0.32.2.linux-riscv64.tar.gz
        gh release upload buildkit-v0.32.2-riscv64 dist/buildkit-v0.32.2.linux-riscv64.spdx.json
        gh release upload buildkit-v0.32.2-riscv64 dist/VERSION.txt
        gh release upload buildkit-v0.32.2-riscv64 dist/buildkit-v0.32.2.linux-riscv64.image.spdx.json
        gh release upload buildkit-v0.32.2-riscv64 dist/metadata.json
        gh release upload buildkit-v0.32.2-riscv64 dist/SHA256SUMS
        oras blob push --plain-http localhost/o/i@sha256:b1 dist/image/177
        oras blob push --plain-http localhost/o/i@sha256:b2 dist/image/178
        oras manifest push --media-type application/vnd.oci.image.manifest.v1+json --plain-http localhost/o/i@sha256:e2 dist/image/226
        oras blob push --plain-http localhost/o/i@sha256:5b …
        oras tag --plain-http localhost/o/i@sha256:e2 v0.32.2-riscv64
        gh release edit buildkit-v0.32.2-riscv64 --draft=false --latest=true
        15 steps to publish buildkit-v0.32.2-riscv64; nothing was changed, --execute runs them
    "#]].assert_eq(&printed(&desired("v0.32.2"), &Observed::default()));
}

#[test]
fn a_draft_with_a_missing_asset() {
    let desired = desired("v0.32.2");
    let mut draft = release(&desired, true);
    draft.assets.truncate(6);
    let observed = Observed { releases: vec![draft], registry: registry(&desired), ..Observed::default() };
    expect![[r#"
        same draft buildkit-v0.32.2-riscv64, its title and notes
        same asset buildkitd, 1000 bytes, sha256:01
        same asset buildctl, 2000 bytes, sha256:02
        same asset buildkit-v0.32.2.linux-riscv64.tar.gz, 3000 bytes, sha256:03
        same asset buildkit-v0.32.2.linux-riscv64.spdx.json, 4000 bytes, sha256:04
        same asset VERSION.txt, 5000 bytes, sha256:05
        same asset buildkit-v0.32.2.linux-riscv64.image.spdx.json, 6000 bytes, sha256:06
        same image localhost/o/i@sha256:e2
        same application/spdx+json attached to the image
        same tag v0.32.2-riscv64
        gh release upload buildkit-v0.32.2-riscv64 dist/metadata.json
        gh release upload buildkit-v0.32.2-riscv64 dist/SHA256SUMS
        gh release edit buildkit-v0.32.2-riscv64 --draft=false --latest=true
        3 steps to publish buildkit-v0.32.2-riscv64; nothing was changed, --execute runs them
    "#]]
    .assert_eq(&printed(&desired, &observed));
}

#[test]
fn a_complete_draft_is_only_published() {
    let desired = desired("v0.32.2");
    let observed =
        Observed { releases: vec![release(&desired, true)], registry: registry(&desired), ..Observed::default() };
    expect![[r#"
        same draft buildkit-v0.32.2-riscv64, its title and notes
        same asset buildkitd, 1000 bytes, sha256:01
        same asset buildctl, 2000 bytes, sha256:02
        same asset buildkit-v0.32.2.linux-riscv64.tar.gz, 3000 bytes, sha256:03
        same asset buildkit-v0.32.2.linux-riscv64.spdx.json, 4000 bytes, sha256:04
        same asset VERSION.txt, 5000 bytes, sha256:05
        same asset buildkit-v0.32.2.linux-riscv64.image.spdx.json, 6000 bytes, sha256:06
        same asset metadata.json, 7000 bytes, sha256:07
        same asset SHA256SUMS, 8000 bytes, sha256:08
        same image localhost/o/i@sha256:e2
        same application/spdx+json attached to the image
        same tag v0.32.2-riscv64
        gh release edit buildkit-v0.32.2-riscv64 --draft=false --latest=true
        1 step to publish buildkit-v0.32.2-riscv64; nothing was changed, --execute runs it
    "#]]
    .assert_eq(&printed(&desired, &observed));
}

#[test]
fn a_release_that_is_already_published() {
    let desired = desired("v0.32.2");
    let observed =
        Observed { releases: vec![release(&desired, false)], registry: registry(&desired), ..Observed::default() };
    expect![[r#"
        same release buildkit-v0.32.2-riscv64, published: https://github.com/o/n/releases/1
        same asset buildkitd, 1000 bytes, sha256:01
        same asset buildctl, 2000 bytes, sha256:02
        same asset buildkit-v0.32.2.linux-riscv64.tar.gz, 3000 bytes, sha256:03
        same asset buildkit-v0.32.2.linux-riscv64.spdx.json, 4000 bytes, sha256:04
        same asset VERSION.txt, 5000 bytes, sha256:05
        same asset buildkit-v0.32.2.linux-riscv64.image.spdx.json, 6000 bytes, sha256:06
        same asset metadata.json, 7000 bytes, sha256:07
        same asset SHA256SUMS, 8000 bytes, sha256:08
        same image localhost/o/i@sha256:e2
        same application/spdx+json attached to the image
        same tag v0.32.2-riscv64
        nothing to do for buildkit-v0.32.2-riscv64
    "#]]
    .assert_eq(&printed(&desired, &observed));
}

#[test]
fn master_that_is_already_published_from_the_same_commit() {
    let desired = desired("master");
    let mut record = desired.record.clone();
    record.image.as_mut().expect("an image").digest = digest(0xaa);
    let observed = Observed { published_record: Some(record), ..Observed::default() };
    expect![[r#"
        note upstream's master has not moved: buildkit-v20260804-dev is already published from the same commit, with the same programs in the image sha256:aa, and is kept; the image of this build, sha256:e2, differs only in its Debian packages
        nothing to do for buildkit-v20260804-dev
    "#]].assert_eq(&printed(&desired, &observed));
}

#[test]
fn a_build_without_test_results_and_with_an_unexpected_file() {
    let mut desired = desired("v0.32.2");
    desired.record.proofs.clear();
    desired.files.push(File { name: "core".to_owned(), path: "dist/core".into(), ..desired.files[0].clone() });
    expect![[r#"
        nothing is published:
          - `verify-tini` was not run: run `cargo xtask verify-tini`, or use --unproved
          - `smoke exec` was not run: run `cargo xtask smoke --level exec`, or use --unproved
          - `smoke builder` was not run: run `cargo xtask smoke --level builder`, or use --unproved
          - `smoke machine` was not run: run `cargo xtask smoke --level machine`, or use --unproved
          - dist/core is not part of a release; remove it from the build directory
    "#]]
    .assert_eq(&printed(&desired, &Observed::default()));
}
