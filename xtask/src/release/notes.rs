//! The release notes, in GitHub's Markdown. They depend only on the record of the build, so that a
//! second run writes the same text.

use std::fmt::Write as _;

use camino::Utf8Path;

use crate::dist::names::{BUILDCTL, SHA256SUMS, tarball};
use crate::dist::proofs::{self, count};
use crate::dist::{FileRecord, ImageRecord, Metadata, Proof, ReleaseName, Subject, Verdict};
use crate::github::Repository;
use crate::registry::ImageRepository;
use crate::upstream::{CommitId, PACKAGE};

/// The input of the notes.
pub struct Facts<'a> {
    pub record: &'a Metadata,
    pub image: &'a ImageRecord,
    pub name: &'a ReleaseName,
    /// Where the release is published.
    pub repository: &'a Repository,
    /// Where the image is published.
    pub images: &'a ImageRepository,
    /// Whether the workflow signed the provenance.
    pub has_provenance: bool,
}

pub fn notes(facts: &Facts<'_>) -> String {
    let sections = [opening(facts), install(facts), verify(facts), digests(facts), test_results(facts), tini(facts)];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn opening(facts: &Facts<'_>) -> String {
    let Facts { record, name, .. } = facts;
    let commit = &record.source.commit;
    let upstream = match name.upstream() {
        Some(tag) => format!("[BuildKit {tag}](https://{PACKAGE}/releases/tag/{tag})"),
        None => format!("[BuildKit master](https://{PACKAGE}/commits/{commit}) of {}", record.source.source_date),
    };
    let missing = proofs::missing(record);
    let packages = if record.packages.is_empty() { "" } else { ", packages for Debian and RPM" };
    let mut text = format!(
        "{upstream} for linux/riscv64: `buildkitd`, `buildctl`{packages}, and a container image that works with `docker buildx`. \
         For what is new, follow that link to upstream. Built with Go {} from the unmodified commit \
         [`{}`](https://{PACKAGE}/commit/{commit}){}.\n",
        record.go.version,
        short(commit),
        record.workflow_commit.as_ref().map_or_else(String::new, |commit| workflow(facts, commit)),
    );
    if !missing.is_empty() {
        text += "\n> [!WARNING]\n> This release was published without all of its test results:\n";
        missing.iter().for_each(|(name, why)| text += &format!("> - `{name}` {}\n", one_line(why)));
    }
    text
}

/// What built it. The tag of the release may be at a later commit.
fn workflow(facts: &Facts<'_>, commit: &CommitId) -> String {
    let repository = facts.repository;
    format!(", by [{repository}](https://github.com/{repository}/tree/{commit}) at `{}`", short(commit))
}

fn short(commit: &CommitId) -> String {
    commit.to_string()[..12].to_owned()
}

fn install(facts: &Facts<'_>) -> String {
    let Facts { record, image, images, .. } = facts;
    let (tag, digest, archive) = (&image.tags[0], &image.digest, tarball(&record.source.version));
    let create = "docker buildx create --name riscv64 --driver docker-container --use";
    let (from, platforms) = (download(facts), document(facts, "MULTI-PLATFORM.md"));
    let emulators = match image.emulators {
        Some(_) => format!("It builds for other platforms too: it has the [emulators]({platforms})."),
        None => {
            format!("This image has no emulators: a `RUN` for another platform needs [one on the host]({platforms}).")
        }
    };
    format!(
        "\
## Install

As a buildx builder, by the tag of the image:

```bash
{create} --driver-opt image={images}:{tag}
docker buildx inspect --bootstrap
```

By its digest, which always refers to the same image:

```bash
{create} --driver-opt image={images}@{digest}
```

{emulators}

Both programs, into `/usr/local/bin` (`buildkitd` needs `runc` beside it):

```bash
curl -fLO {from}/{archive}
sudo tar -xzf {archive} -C /usr/local
```

Only one of the programs:

```bash
curl -fLO {from}/{BUILDCTL}
chmod +x {BUILDCTL}
```
{}",
        packages(facts)
    )
}

/// How to install each package of the release, with the units and what it depends on.
fn packages(facts: &Facts<'_>) -> String {
    let (from, guide, mut text) = (download(facts), document(facts, "INSTALL.md"), String::new());
    for (extension, system) in [("deb", "Debian 13 or later"), ("rpm", "Fedora")] {
        let is_it = |file: &&FileRecord| Utf8Path::new(&file.name).extension() == Some(extension);
        let Some(FileRecord { name, .. }) = facts.record.packages.iter().find(is_it) else { continue };
        let command = match extension {
            "deb" => format!("curl -fLO {from}/{name} && sudo apt-get install ./{name}"),
            _ => format!("sudo dnf install {from}/{name}"),
        };
        text += &format!("\nThe package, on {system}, with [units of systemd]({guide}):\n\n```bash\n{command}\n```\n");
    }
    text
}

fn verify(facts: &Facts<'_>) -> String {
    let Facts { image, repository, images, .. } = facts;
    let (from, digest) = (download(facts), &image.digest);
    let (name, folder) = (facts.name, repository.name());
    let elsewhere = if images.is_github() { String::new() } else { format!(" --registry {}", images.registry()) };
    let at =
        facts.record.workflow_commit.as_ref().map_or_else(String::new, |commit| format!(" at `{}`", short(commit)));
    let made = if facts.record.packages.is_empty() { "both programs" } else { "both programs, the packages" };
    let mut text = format!(
        "\
## Verify

Every file, the image and what is attached to it, without an account; it takes [rustup](https://rustup.rs), git and a C compiler:

```bash
git clone https://github.com/{repository} && cd {folder}
cargo xtask verify {name} --repo {repository}{elsewhere}
```

With `--rebuild` it also makes {made} and the image again from upstream's source, and compares every byte. \
That takes a checkout{at}, some minutes, qemu-user, and docker or podman.

With other people's tools:

```bash
curl -fLO {from}/{SHA256SUMS}
sha256sum --ignore-missing -c {SHA256SUMS}
"
    );
    if facts.has_provenance {
        text += &format!("gh attestation verify {BUILDCTL} --repo {repository}\n");
        text += &format!("gh attestation verify oci://{images}@{digest} --repo {repository}\n");
    }
    let attached = if facts.has_provenance { "its SBOM and provenance are" } else { "its SBOM is" };
    text += &format!("oras discover {images}@{digest}   # {attached} attached to the image\n```\n");
    // Master moves; its commit does not.
    let commit = &facts.record.source.commit;
    let fixed_ref = facts.name.upstream().map_or_else(|| commit.to_string(), ToString::to_string);
    text += &format!("\n`cargo xtask build --ref {fixed_ref}` builds the same bytes on any machine.\n");
    text
}

fn digests(facts: &Facts<'_>) -> String {
    let mut text = "## Digests\n\n| | bytes | SHA-256 |\n|---|---:|---|\n".to_owned();
    for file in facts.record.all_files() {
        text += &format!("| {} | {} | `{}` |\n", file.name, file.size_bytes, file.sha256);
    }
    let image = facts.image;
    text += &format!("| the image, {} | {} | `{}` |\n", image.tags_text(), image.size_bytes, image.digest.sha256());
    text
}

fn test_results(facts: &Facts<'_>) -> String {
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
    let is_of_packages = |proof: &Proof| matches!(proof.subject, Subject::Packages { .. });
    let tested = if proofs::valid(facts.record).any(is_of_packages) {
        "this image and, by `smoke packages`, on these packages"
    } else {
        "this image"
    };
    let mut text = format!(
        "\
## Test results

Measured on {tested}, before anything was published. `metadata.json` has each check and its evidence; the documentation explains [what each level tests]({page}).

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

The image's init is `/usr/bin/tini`, and `/sbin/docker-init` is a link to it. If an engine reports `exec /sbin/docker-init: no such file or directory`, the cause is the init program of its host: [what to do]({page}).
"
    )
}

fn download(facts: &Facts<'_>) -> String {
    format!("https://github.com/{}/releases/download/{}", facts.repository, facts.name)
}

/// The link to a document as it was when the release was made.
fn document(facts: &Facts<'_>, name: &str) -> String {
    format!("https://github.com/{}/blob/{}/docs/{name}", facts.repository, facts.name)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::{Check, samples};
    use crate::upstream::{Source, SourceRef};

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
        let found = of(&with_packages(samples::proved_record()), true);
        assert_eq!(found, expected, "\n{found}");
    }

    #[test]
    fn missing_test_results_are_listed_first_and_missing_signatures_are_not_mentioned() {
        let mut record = samples::proved_record();
        record.proofs.truncate(1);
        let text = of(&record, false);
        assert!(
            text.contains(
                "> [!WARNING]\n> This release was published without all of its test results:\n> - `smoke exec` was not run\n"
            ),
            "{text}"
        );
        assert!(!text.contains("gh attestation") && text.contains("# its SBOM is attached"), "{text}");
        record.proofs.clear();
        assert!(!of(&record, false).contains("## Test results"));
    }

    fn with_packages(mut record: Metadata) -> Metadata {
        let names = ["buildkit-0.32.2-1.riscv64.rpm", "buildkit_0.32.2-1_riscv64.deb"];
        record.packages = names.map(|name| FileRecord { name: name.to_owned(), ..record.files[0].clone() }).to_vec();
        let subject = Subject::Packages { packages: record.packages.clone() };
        let checks = proofs::REQUIRED[4].checks.iter().map(|name| Check::pass(name, "the sample")).collect();
        record.proofs.push(Proof { name: "smoke packages".to_owned(), subject, checks, ..record.proofs[1].clone() });
        record
    }

    #[test]
    fn each_package_is_installed_in_one_line() {
        let text = of(&with_packages(samples::proved_record()), true);
        let from = "https://github.com/gounthar/docker-for-riscv64/releases/download/buildkit-v0.32.2-riscv64";
        let deb = "buildkit_0.32.2-1_riscv64.deb";
        for line in [
            &format!("```bash\ncurl -fLO {from}/{deb} && sudo apt-get install ./{deb}\n```"),
            &format!("```bash\nsudo dnf install {from}/buildkit-0.32.2-1.riscv64.rpm\n```"),
            "Measured on this image and, by `smoke packages`, on these packages, before",
            "makes both programs, the packages and the image again",
            "`buildctl`, packages for Debian and RPM, and a container image",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let without = of(&samples::proved_record(), true);
        assert!(!without.contains("ackage"), "{without}");
        // Packages that were not tested have no part in the table.
        let mut untested = with_packages(samples::proved_record());
        untested.proofs.pop();
        assert!(of(&untested, true).contains("Measured on this image, before"));
    }

    #[test]
    fn the_command_that_verifies_names_what_is_not_the_default() {
        let record = samples::proved_record();
        let repository: Repository = "o/n".parse().expect("a repository");
        let images = ImageRepository::of("registry.example:5000", "o").expect("a name");
        let (name, image) =
            (ReleaseName::of(&record.source).expect("a name"), record.image.as_ref().expect("an image"));
        let facts = Facts {
            record: &record,
            image,
            name: &name,
            repository: &repository,
            images: &images,
            has_provenance: false,
        };
        let text = notes(&facts);
        let line = "cargo xtask verify buildkit-v0.32.2-riscv64 --repo o/n --registry registry.example:5000\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("git clone https://github.com/o/n && cd n\n"), "{text}");
    }

    #[test]
    fn an_image_with_emulators_needs_none_on_the_host() {
        let mut record = samples::proved_record();
        assert!(of(&record, true).contains("This image has no emulators"));
        let image = record.image.as_mut().expect("an image");
        image.emulators = Some("tonistiigi/binfmt:buildkit-v10.2.3-66".parse().expect("a name"));
        assert!(of(&record, true).contains("It builds for other platforms too: it has the [emulators](https://"));
    }

    #[test]
    fn the_commit_of_the_workflow_is_named() {
        let workflow_commit = Some("5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e".parse().expect("a commit"));
        let text = of(&Metadata { workflow_commit, ..samples::proved_record() }, true);
        let link = "[gounthar/docker-for-riscv64](https://github.com/gounthar/docker-for-riscv64/tree/5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e)";
        assert!(text.contains(&format!("/commit/{}), by {link} at `5ca1ab1e5ca1`.\n", samples::commit())), "{text}");
    }

    #[test]
    fn master_is_linked_by_its_commit() {
        let mut record = samples::proved_record();
        record.source = Source { r#ref: SourceRef::Master, ..record.source };
        let text = of(&record, true);
        let link = format!("[BuildKit master](https://github.com/moby/buildkit/commits/{})", samples::commit());
        assert!(text.starts_with(&link) && text.contains("/download/buildkit-v20260804-dev/SHA256SUMS"), "{text}");
    }
}
