//! What a release says of itself, in GitHub's Markdown. It follows from the record of the build alone,
//! so that a second run says the same.

use std::fmt::Write as _;

use crate::dist::names::{BUILDCTL, SHA256SUMS, tarball};
use crate::dist::proofs::{self, count};
use crate::dist::recipe::PACKAGE;
use crate::dist::{ImageRecord, Metadata, ReleaseName, Verdict};
use crate::github::repository::Repository;
use crate::registry::repository::ImageRepository;

/// What the notes are written from.
pub struct Facts<'a> {
    /// The record of the build.
    pub record: &'a Metadata,
    /// Its image.
    pub image: &'a ImageRecord,
    /// The git tag of the release.
    pub name: &'a ReleaseName,
    /// Where it is published.
    pub repository: &'a Repository,
    /// Where the image is published.
    pub images: &'a ImageRepository,
    /// Whether the workflow signed where all this comes from.
    pub has_provenance: bool,
}

/// The notes.
pub fn notes(facts: &Facts<'_>) -> String {
    let sections = [opening(facts), install(facts), verify(facts), digests(facts), proved(facts), tini(facts)];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn opening(facts: &Facts<'_>) -> String {
    let Facts { record, name, .. } = facts;
    let commit = &record.source.commit;
    let upstream = match name.upstream() {
        Some(tag) => format!("[BuildKit {tag}](https://{PACKAGE}/releases/tag/{tag})"),
        None => format!("[BuildKit's master](https://{PACKAGE}/commits/{commit}) of {}", record.source.source_date),
    };
    let missing = proofs::missing(record);
    let mut text = format!(
        "{upstream} for linux/riscv64: `buildkitd`, `buildctl`, and a container image of them that `docker buildx` \
         takes as it is. What is new, upstream says behind that link. Built with Go {} from commit \
         [`{}`](https://{PACKAGE}/commit/{commit}), to which nothing was changed.\n",
        record.go,
        &commit.to_string()[..12],
    );
    if !missing.is_empty() {
        text += "\n> [!WARNING]\n> This release was published without all of its proofs:\n";
        missing.iter().for_each(|(name, why)| text += &format!("> - `{name}` {}\n", one_line(why)));
    }
    text
}

fn install(facts: &Facts<'_>) -> String {
    let Facts { record, image, images, .. } = facts;
    let (tag, digest, archive) = (&image.tags[0], &image.digest, tarball(&record.source.version));
    let create = "docker buildx create --name riscv64 --driver docker-container --use";
    let (from, platforms) = (download(facts), document(facts, "MULTI-PLATFORM.md"));
    format!(
        "\
## Install

As a builder of buildx, from the image by its tag:

```bash
{create} --driver-opt image={images}:{tag}
docker buildx inspect --bootstrap
```

By its digest, which never comes to mean another image:

```bash
{create} --driver-opt image={images}@{digest}
```

Builds for further platforms need [their emulators]({platforms}) on the host.

Both programs, into `/usr/local/bin` (`buildkitd` needs `runc` beside it):

```bash
curl -fLO {from}/{archive}
sudo tar -xzf {archive} -C /usr/local
```

One program alone:

```bash
curl -fLO {from}/{BUILDCTL}
chmod +x {BUILDCTL}
```
"
    )
}

fn verify(facts: &Facts<'_>) -> String {
    let Facts { image, repository, images, .. } = facts;
    let (from, digest) = (download(facts), &image.digest);
    let mut text = format!(
        "\
## Verify

```bash
curl -fLO {from}/{SHA256SUMS}
sha256sum --ignore-missing -c {SHA256SUMS}
"
    );
    if facts.has_provenance {
        text += &format!("gh attestation verify {BUILDCTL} --repo {repository}\n");
        text += &format!("gh attestation verify oci://{images}@{digest} --repo {repository}\n");
    }
    let attached = if facts.has_provenance { "SBOM and provenance" } else { "the SBOM" };
    text += &format!("oras discover {images}@{digest}   # {attached}, attached to the image\n```\n");
    // What master is changes; its commit does not.
    let commit = &facts.record.source.commit;
    let lasting = facts.name.upstream().map_or_else(|| commit.to_string(), ToString::to_string);
    text += &format!("\n`cargo xtask build --ref {lasting}` makes the same bytes on any machine.\n");
    text
}

fn digests(facts: &Facts<'_>) -> String {
    let mut text = "## Digests\n\n| | bytes | SHA-256 |\n|---|---:|---|\n".to_owned();
    for file in &facts.record.files {
        text += &format!("| {} | {} | `{}` |\n", file.name, file.size_bytes, file.sha256);
    }
    let image = facts.image;
    let tags: Vec<String> = image.tags.iter().map(ToString::to_string).collect();
    text += &format!("| the image, {} | {} | `{}` |\n", tags.join(", "), image.size_bytes, image.digest.sha256());
    text
}

fn proved(facts: &Facts<'_>) -> String {
    let (mut table, mut not_run) = (String::new(), String::new());
    for proof in proofs::valid(facts.record) {
        let tools: Vec<String> = proof.tools.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let (passed, others) = (count(proof, Verdict::Pass), count(proof, Verdict::NotRun));
        let (name, began, seconds) = (&proof.name, &proof.began, proof.seconds);
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{name}` | {began} | {seconds} s | {} | {passed} | {others} |", tools.join(", "));
        for check in proof.checks.iter().filter(|check| check.verdict == Verdict::NotRun) {
            let _ = writeln!(not_run, "- `{name}`, {}: {}", check.name, one_line(&check.evidence));
        }
    }
    if table.is_empty() {
        return String::new();
    }
    let page = document(facts, "SMOKE.md");
    let mut text = format!(
        "\
## What was proved

Of this very image, before it was published; each check and its evidence is in `metadata.json`, and
[what each level proves]({page}) in the documentation.

| | when | took | with | passed | not run |
|---|---|---:|---|---:|---:|
{table}"
    );
    if !not_run.is_empty() {
        text += &format!("\nNot run:\n{not_run}");
    }
    text
}

fn tini(facts: &Facts<'_>) -> String {
    let page = document(facts, "BUILDKIT-TINI-PATH-SOLUTION.md");
    format!(
        "\
## The init path

The image's init is `/usr/bin/tini`, and `/sbin/docker-init` leads to it. Where an engine says
`exec /sbin/docker-init: no such file or directory`, the cause is its host's own init: [what to do]({page}).
"
    )
}

fn download(facts: &Facts<'_>) -> String {
    format!("https://github.com/{}/releases/download/{}", facts.repository, facts.name)
}

/// A document as it was when the release was made.
fn document(facts: &Facts<'_>, name: &str) -> String {
    format!("https://github.com/{}/blob/{}/docs/{name}", facts.repository, facts.name)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::samples;
    use crate::upstream::source::Source;

    fn of(record: &Metadata, has_provenance: bool) -> String {
        let repository: Repository = "gounthar/docker-for-riscv64".parse().expect("a repository");
        let images = ImageRepository::of("ghcr.io", repository.owner()).expect("a name");
        let name = ReleaseName::of(&record.source).expect("a name");
        let image = record.image.as_ref().expect("an image");
        notes(&Facts { record, image, name: &name, repository: &repository, images: &images, has_provenance })
    }

    #[test]
    fn the_whole_text() {
        let expected = include_str!("notes/v0.32.2.md");
        let found = of(&samples::proved_record(), true);
        assert_eq!(found, expected, "\n{found}");
    }

    #[test]
    fn what_is_not_proved_stands_at_the_top_and_what_is_not_signed_nowhere() {
        let mut record = samples::proved_record();
        record.proofs.truncate(1);
        let said = of(&record, false);
        assert!(
            said.contains(
                "> [!WARNING]\n> This release was published without all of its proofs:\n> - `smoke exec` was not run\n"
            ),
            "{said}"
        );
        assert!(!said.contains("gh attestation") && said.contains("# the SBOM, attached"), "{said}");
        record.proofs.clear();
        assert!(!of(&record, false).contains("## What was proved"));
    }

    #[test]
    fn master_is_linked_by_its_commit() {
        let mut record = samples::proved_record();
        record.source = Source { r#ref: "master".parse().expect("a ref"), ..record.source };
        let said = of(&record, true);
        let link = format!("[BuildKit's master](https://github.com/moby/buildkit/commits/{})", samples::commit());
        assert!(said.starts_with(&link) && said.contains("/download/buildkit-v20260804-dev/SHA256SUMS"), "{said}");
    }
}
