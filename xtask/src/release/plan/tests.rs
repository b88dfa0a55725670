//! Whole plans as text.

use expect_test::expect;

use super::*;
use crate::dist::{image_tags, names, samples};
use crate::github::{Asset, AssetState};
use crate::upstream::Source;

mod damaged;
mod foreign;
mod packages;
mod printed;
mod rules;

/// The settings of a new repository.
impl Default for Settings {
    fn default() -> Self {
        Self { full_name: "o/n".to_owned(), default_branch: "main".to_owned(), has_issues: true }
    }
}

fn sha256(byte: u8) -> Sha256 {
    Sha256::from_bytes(&[byte; 32])
}

fn digest(byte: u8) -> Digest {
    sha256(byte).into()
}

/// The desired state for a build of `ref`.
fn desired(r#ref: &str) -> Desired {
    let mut record = samples::proved_record();
    record.source = Source { r#ref: r#ref.parse().expect(r#ref), ..record.source };
    let file = |(name, byte): (String, u8)| File {
        path: format!("dist/{name}").into(),
        name,
        size_bytes: 1000 * u64::from(byte),
        sha256: sha256(byte),
    };
    let blob = |byte| Blob { digest: digest(byte), path: format!("dist/image/{byte}").into(), size_bytes: 10 };
    Desired {
        name: ReleaseName::of(&record.source).expect("a name"),
        repository: "o/n".parse().expect("a repository"),
        notes: "What it is.\n".to_owned(),
        files: names::published(&record.source.version).into_iter().zip(1..).map(file).collect(),
        image: Image {
            repository: "localhost/o/i".parse().expect("a repository"),
            url: Some("https://github.com/O/n/pkgs/container/i".to_owned()),
            manifest: blob(0xe2),
            blobs: vec![blob(0xb1), blob(0xb2)],
            tags: image_tags(&record.source),
            attachments: vec![Attachment {
                artifact_type: "application/spdx+json".to_owned(),
                path: "dist/sbom".into(),
                size_bytes: 40,
                sha256: sha256(0x5b),
            }],
        },
        record,
        is_unproved: false,
        adopts_latest: false,
    }
}

/// A release that is as desired.
fn release(desired: &Desired, draft: bool) -> Release {
    let asset = |(file, id): (&File, u64)| Asset {
        id,
        name: file.name.clone(),
        state: AssetState::Uploaded,
        size: file.size_bytes,
        digest: Some(format!("sha256:{}", file.sha256)),
        browser_download_url: String::new(),
    };
    Release {
        id: 1,
        tag_name: desired.name.to_string(),
        target_commitish: "main".to_owned(),
        name: Some(desired.name.title()),
        // Text saved on the web page has other line ends.
        body: Some("What it is.\r\n".to_owned()),
        draft,
        prerelease: desired.name.is_prerelease(),
        immutable: false,
        html_url: "https://github.com/o/n/releases/1".to_owned(),
        upload_url: String::new(),
        assets: desired.files.iter().zip(1..).map(asset).collect(),
    }
}

/// A registry that is as desired.
fn registry(desired: &Desired) -> Registry {
    Registry {
        tags: desired.image.tags.iter().map(|tag| (tag.clone(), digest(0xe2))).collect(),
        has_manifest: true,
        attached: vec!["application/spdx+json".to_owned()],
        ..Registry::default()
    }
}

/// The plan line by line; a digest that repeats one byte is shortened to that byte.
fn text(desired: &Desired, observed: &Observed) -> String {
    let lines = match plan(desired, observed) {
        Err(refused) => refused.to_string(),
        Ok(plan) => {
            let same = plan.same.iter().map(|what| format!("same {what}\n"));
            let notes = plan.notes.iter().map(|what| format!("note {what}\n"));
            same.chain(notes).chain(plan.steps.iter().map(|step| format!("{step}\n"))).collect()
        }
    };
    (0..=u8::MAX).fold(lines, |lines, byte| lines.replace(&sha256(byte).to_string(), &format!("{byte:02x}")))
}

#[test]
fn a_new_release_is_created_bottom_up_and_published_last() {
    let desired = desired("v0.32.2");
    let issue = Some(Issue { number: 4, is_open: true, is_commented: false });
    let observed = Observed { issue, ..Observed::default() };
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
        oras blob push --plain-http localhost/o/i@sha256:5b dist/sbom && printf %s '{}' | oras blob push --size 2 --plain-http localhost/o/i@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a - && printf %s '{"annotations":{},"artifactType":"application/spdx+json","config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2},"layers":[{"annotations":{"org.opencontainers.image.title":"sbom"},"digest":"sha256:5b","mediaType":"application/spdx+json","size":40}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2,"subject":{"digest":"sha256:e2","mediaType":"application/vnd.oci.image.manifest.v1+json","size":10}}' | oras manifest push --media-type application/vnd.oci.image.manifest.v1+json --plain-http localhost/o/i@sha256:b60f4032b908ff00d38ed1f30002c2b87696247f598ad6732ecff5d51d7c359e -
        oras tag --plain-http localhost/o/i@sha256:e2 v0.32.2-riscv64
        gh release edit buildkit-v0.32.2-riscv64 --draft=false --latest=true
        gh issue comment 4 --body '<!-- xtask:published v0.32.2 -->
        Published: https://github.com/o/n/releases/tag/buildkit-v0.32.2-riscv64'
        gh issue close 4 --reason completed
    "#]].assert_eq(&text(&desired, &observed));
}

#[test]
fn an_incomplete_draft_is_completed() {
    let desired = desired("v0.32.2");
    let mut draft = Release { name: None, ..release(&desired, true) };
    draft.assets.truncate(6);
    draft.assets[0].state = AssetState::Starter;
    draft.assets[1].digest = Some(format!("sha256:{}", sha256(9)));
    // Assets from before June 2025 have none.
    draft.assets[2].digest = None;
    draft.assets.push(Asset { name: "core".to_owned(), ..draft.assets[3].clone() });
    let younger = Release { id: 2, html_url: "https://github.com/o/n/releases/2".to_owned(), ..draft.clone() };
    let blobs = vec![digest(0xb1)];
    let observed = Observed {
        releases: vec![younger, draft],
        registry: Registry { blobs, ..Registry::default() },
        issue: Some(Issue { number: 4, is_open: true, is_commented: true }),
        ..Observed::default()
    };
    expect![[r#"
        same asset buildkit-v0.32.2.linux-riscv64.tar.gz, 3000 bytes, sha256:03
        same asset buildkit-v0.32.2.linux-riscv64.spdx.json, 4000 bytes, sha256:04
        same asset VERSION.txt, 5000 bytes, sha256:05
        same asset buildkit-v0.32.2.linux-riscv64.image.spdx.json, 6000 bytes, sha256:06
        same blob sha256:b1
        note there is another draft of buildkit-v0.32.2-riscv64, which is ignored: https://github.com/o/n/releases/2
        gh release edit buildkit-v0.32.2-riscv64 --title 'BuildKit v0.32.2 for RISC-V64' --notes-file target/release-notes/buildkit-v0.32.2-riscv64.md --prerelease=false
        gh release delete-asset buildkit-v0.32.2-riscv64 buildkitd --yes  # its upload was interrupted, state starter
        gh release upload buildkit-v0.32.2-riscv64 dist/buildkitd
        gh release delete-asset buildkit-v0.32.2-riscv64 buildctl --yes  # 2000 bytes, sha256:09 instead of 2000 bytes, sha256:02
        gh release upload buildkit-v0.32.2-riscv64 dist/buildctl
        gh release upload buildkit-v0.32.2-riscv64 dist/metadata.json
        gh release upload buildkit-v0.32.2-riscv64 dist/SHA256SUMS
        gh release delete-asset buildkit-v0.32.2-riscv64 core --yes  # not a file of this release
        oras blob push --plain-http localhost/o/i@sha256:b2 dist/image/178
        oras manifest push --media-type application/vnd.oci.image.manifest.v1+json --plain-http localhost/o/i@sha256:e2 dist/image/226
        oras blob push --plain-http localhost/o/i@sha256:5b dist/sbom && printf %s '{}' | oras blob push --size 2 --plain-http localhost/o/i@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a - && printf %s '{"annotations":{},"artifactType":"application/spdx+json","config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2},"layers":[{"annotations":{"org.opencontainers.image.title":"sbom"},"digest":"sha256:5b","mediaType":"application/spdx+json","size":40}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2,"subject":{"digest":"sha256:e2","mediaType":"application/vnd.oci.image.manifest.v1+json","size":10}}' | oras manifest push --media-type application/vnd.oci.image.manifest.v1+json --plain-http localhost/o/i@sha256:b60f4032b908ff00d38ed1f30002c2b87696247f598ad6732ecff5d51d7c359e -
        oras tag --plain-http localhost/o/i@sha256:e2 v0.32.2-riscv64
        gh release edit buildkit-v0.32.2-riscv64 --draft=false --latest=true
        gh issue close 4 --reason completed
    "#]].assert_eq(&text(&desired, &observed));
}

#[test]
fn a_release_that_is_published_as_desired_is_not_changed() {
    let desired = desired("v0.32.2");
    let mut published = release(&desired, false);
    published.assets.push(Asset { name: "thanks.txt".to_owned(), ..published.assets[0].clone() });
    let observed = Observed {
        releases: vec![Release { id: 0, ..release(&desired, true) }, published],
        registry: registry(&desired),
        issue: Some(Issue { number: 4, is_open: false, is_commented: false }),
        ..Observed::default()
    };
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
        same issue 4, closed
        note there is another draft of buildkit-v0.32.2-riscv64, which is ignored: https://github.com/o/n/releases/1
        note buildkit-v0.32.2-riscv64 also has thanks.txt, which is ignored
    "#]]
    .assert_eq(&text(&desired, &observed));
}

#[test]
fn a_published_release_that_differs_is_refused_with_both_digests_and_all_reasons() {
    let desired = desired("v0.32.2");
    let mut published = release(&desired, false);
    published.assets[0].digest = Some(format!("sha256:{}", sha256(9)));
    published.assets[6].size = 1;
    published.assets.pop();
    let mut registry = registry(&desired);
    registry.tags[0].1 = digest(0xe3);
    let observed = Observed { releases: vec![published], registry, ..Observed::default() };
    expect![[r#"
        nothing is published:
          - buildkit-v0.32.2-riscv64 is published with a different buildkitd: 1000 bytes, sha256:09 instead of 1000 bytes, sha256:01; a published release is never changed
          - buildkit-v0.32.2-riscv64 is published with a different metadata.json: 1 bytes, sha256:07 instead of 7000 bytes, sha256:07; a published release is never changed
          - buildkit-v0.32.2-riscv64 is published without SHA256SUMS, so somebody removed it; add it by hand (gh release upload buildkit-v0.32.2-riscv64 dist/SHA256SUMS)
          - the tag localhost/o/i:v0.32.2-riscv64 already refers to sha256:e3, not to sha256:e2; a version tag never moves"#]].assert_eq(&text(&desired, &observed));
}
