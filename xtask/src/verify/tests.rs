//! A release is published to the fakes and verified; then each part of it is tampered with, and found.

use std::collections::BTreeMap;

use expect_test::expect;
use fakes::github::FakeGitHub;
use fakes::registry::{FakeRegistry, Referrers};
use fakes::server::locked;
use oci::digest::{Digest, sha256};
use serde_json::{Value, json};

use super::*;
use crate::dist::names::{BUILDCTL, METADATA, SHA256SUMS};
use crate::dist::samples;
use crate::os::host::Riscv64;
use crate::release::tests::Scenario;

mod adversary;
mod reads;
mod real_registry;

const IMAGE: &str = "o/buildkit-riscv64";
const RELEASE: &str = "buildkit-v0.32.2-riscv64";

/// A published release.
struct World {
    scenario: Scenario,
    downloads: Utf8PathBuf,
}

impl World {
    fn new() -> Self {
        Self::of(Scenario::new(|_| ()))
    }

    fn of(scenario: Scenario) -> Self {
        scenario.publish().expect("is published");
        let downloads = scenario.folder.join("downloads");
        fs::create_dir_all(&downloads).expect("is made");
        Self { scenario, downloads }
    }

    fn verifier(&self) -> Verifier {
        let remotes = &self.scenario.remotes;
        Verifier {
            anyone: remotes.github.anonymous(),
            github: remotes.github.anonymous(),
            repository: remotes.repository.clone(),
            registry: Registry::new(self.scenario.desired.image.repository.clone(), None),
            repositories: Ok(None),
        }
    }

    /// Verifies it, by its files or by digests alone.
    fn verify(&self, downloads: bool) -> Findings {
        let (mut findings, folder) = (Findings::default(), downloads.then_some(self.downloads.as_path()));
        self.verifier().verify(&mut findings, &RELEASE.parse().expect("a name"), None, folder);
        findings
    }

    /// The names of the checks that differ, of both ways to verify.
    fn differing(&self) -> [Vec<String>; 2] {
        [true, false].map(|downloads| self.verify(downloads).failures().map(|check| check.name.clone()).collect())
    }

    fn tamper(&self, tamper: impl FnOnce(&mut FakeGitHub, &mut FakeRegistry, &Digest)) {
        let digest = &self.scenario.desired.image.manifest.digest;
        tamper(&mut locked(&self.scenario.github), &mut locked(&self.scenario.registry), digest);
    }
}

fn lines(findings: &Findings) -> String {
    let line = |check: &crate::dist::Check| format!("{:?} {}: {}\n", check.verdict, check.name, check.evidence);
    findings.checks.iter().map(line).collect()
}

#[test]
fn what_is_published_is_right() {
    let world = World::new();
    let findings = world.verify(true);
    let name = |name: &str| findings.checks.iter().find(|check| check.name == name).expect(name).clone();
    assert_eq!(Outcome::of([&findings]), Outcome::Right, "{}", lines(&findings));
    let verdicts: BTreeMap<&str, Verdict> =
        findings.checks.iter().map(|check| (check.name.as_str(), check.verdict)).collect();
    let not_run: Vec<&str> =
        verdicts.iter().filter(|(_, verdict)| **verdict == Verdict::NotRun).map(|(name, _)| *name).collect();
    // The bundle of the fake is none that gh or cosign could verify.
    let expected = if Riscv64::here() == Riscv64::Nowhere {
        vec!["binaries-version", "provenance", "repositories"]
    } else {
        vec!["provenance", "repositories"]
    };
    assert_eq!(not_run, expected, "{}", lines(&findings));
    expect!["buildkitd and buildctl are static riscv64 programs, built by Go 1.26.3"]
        .assert_eq(&name("binaries-gate").evidence);
    expect!["buildkit-v0.32.2.linux-riscv64.image.spdx.json is attached"].assert_eq(&name("image-sbom").evidence);
    assert_eq!(Outcome::of([&world.verify(false)]), Outcome::Right);
    assert_eq!(world.verifier().named(&What::Latest).expect("is there").to_string(), RELEASE);
}

#[test]
fn each_part_that_is_tampered_with_is_found() {
    type Tamper = fn(&mut FakeGitHub, &mut FakeRegistry, &Digest);
    let cases: [(Tamper, &[&str], &[&str]); 12] = [
        (
            |github, _, _| github.put_asset(RELEASE, BUILDCTL, b"another".to_vec()),
            &["sha256sums", "metadata"],
            &["sha256sums", "metadata"],
        ),
        // What GitHub stores of itself is not read by digests alone.
        (|github, _, _| github.corrupt_asset(RELEASE, BUILDCTL, b"another".to_vec()), &["github-digests"], &[]),
        (|github, _, _| github.put_asset(RELEASE, SHA256SUMS, Vec::new()), &["sha256sums"], &["sha256sums"]),
        (|github, _, _| github.put_asset(RELEASE, METADATA, b"{}".to_vec()), &["record"], &["record"]),
        (|github, _, _| github.take_asset(RELEASE, BUILDCTL), &["files"], &["files"]),
        (|github, _, _| github.add_asset(RELEASE, "buildctl.exe", Vec::new()), &["files"], &["files"]),
        (|github, _, _| github.rewrite_page(RELEASE, |page| page.replace('0', "1")), &["page"], &["page"]),
        (|_, registry, _| registry.docker_push(IMAGE, "another", &["v0.32.2-riscv64"]), &["image-tag"], &["image-tag"]),
        (|_, registry, digest| registry.take_manifest(IMAGE, &digest.to_string()), &["image-tag"], &["image-tag"]),
        (
            |_, registry, digest| {
                let blob = first_blob(registry, digest);
                registry.spoil_blob(IMAGE, &blob, None);
            },
            &["image-blobs"],
            &["image-blobs"],
        ),
        (
            |_, registry, digest| {
                let blob = first_blob(registry, digest);
                registry.spoil_blob(IMAGE, &blob, Some(b"another".to_vec()));
            },
            &["image-blobs"],
            &[],
        ),
        (
            |_, registry, digest| {
                let lists: Vec<_> = registry.tags().into_iter().filter(|(tag, _)| tag.contains("sha256-")).collect();
                lists.iter().for_each(|(_, list)| registry.take_manifest(IMAGE, list));
                assert!(!lists.is_empty(), "{digest}");
            },
            &["image-sbom", "image-provenance"],
            &["image-sbom", "image-provenance"],
        ),
    ];
    for (number, (tamper, downloaded, listed)) in cases.into_iter().enumerate() {
        let world = World::new();
        world.tamper(tamper);
        let expected = [downloaded, listed].map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(world.differing(), expected, "case {number}");
    }
}

/// The digest of a layer of the published image.
fn first_blob(registry: &FakeRegistry, digest: &Digest) -> String {
    let snapshot = registry.snapshot();
    let blobs = snapshot[IMAGE]["blobs"].as_array().expect("a list");
    let manifest = registry.manifest(IMAGE, &digest.to_string()).expect("is there");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").to_owned();
    assert!(blobs.contains(&json!(layer)));
    layer
}

#[test]
fn attachments_are_found_however_the_registry_lists_them() {
    for referrers in [Referrers::Absent, Referrers::Redirected, Referrers::Empty, Referrers::Listed] {
        let world = World::of(Scenario::new(|registry| registry.referrers = referrers));
        assert_eq!(world.differing(), [Vec::<String>::new(), Vec::new()], "{referrers:?}");
    }
}

#[test]
fn a_release_or_an_image_that_nobody_can_see_differs() {
    let world = World::new();
    let name: ReleaseName = "buildkit-v0.33.0-riscv64".parse().expect("a name");
    let mut findings = Findings::default();
    world.verifier().verify(&mut findings, &name, None, None);
    expect!["nobody can see a release buildkit-v0.33.0-riscv64 of o/n"].assert_eq(&findings.checks[0].evidence);
    assert_eq!(Outcome::of([&findings]), Outcome::Differs);
    let world = World::new();
    locked(&world.scenario.registry).make_private();
    assert_eq!(world.differing(), [["image-tag".to_owned()], ["image-tag".to_owned()]].map(Vec::from));
}

#[test]
fn what_is_meant_is_a_tag_a_version_or_the_newest() {
    let parsed = |text: &str| text.parse::<What>();
    assert_eq!(parsed("latest"), Ok(What::Latest));
    assert_eq!(parsed("v0.32.2"), parsed(RELEASE));
    parsed("buildkit-v20260804-dev").expect("a tag");
    for text in ["", "0.32.2", "master", "../x", "v0.32.2 "] {
        parsed(text).expect_err(text);
    }
}

/// One issue for all that has changed, which is closed when it is right again.
#[test]
fn everything_is_verified_and_one_issue_says_what_has_changed() {
    let world = World::new();
    let verifier = Verifier { github: world.scenario.remotes.github.same(), ..world.verifier() };
    let run = || {
        let found = all::verify(&verifier).expect("is listed");
        let steps = all::report_changes(&verifier, &found.releases, true, true).expect("is told");
        let names = steps.iter().map(|step| serde_json::to_value(step).expect("is JSON")["step"].clone());
        (Outcome::of(found.releases.iter().map(|(_, findings)| findings)), names.collect::<Vec<_>>(), found.foreign)
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(run(), (Outcome::Right, Vec::new(), none.clone()));
    let original = fs::read(world.scenario.folder.join("dist").join(BUILDCTL)).expect("is read");
    world.tamper(|github, _, _| github.put_asset(RELEASE, BUILDCTL, b"another".to_vec()));
    world.tamper(|github, _, _| github.switch_issues(false));
    assert_eq!(run(), (Outcome::Differs, Vec::new(), none.clone()), "there is nowhere to say it");
    world.tamper(|github, _, _| github.switch_issues(true));
    assert_eq!(run(), (Outcome::Differs, vec![json!("report-change")], none.clone()));
    assert_eq!(run(), (Outcome::Differs, Vec::new(), none.clone()));
    world.tamper(|github, _, _| github.put_asset(RELEASE, BUILDCTL, original.clone()));
    assert_eq!(run(), (Outcome::Right, vec![json!("comment"), json!("close-issue")], none.clone()));
    assert_eq!(run(), (Outcome::Right, Vec::new(), none.clone()));
    // Who removes both files that make a release ours leaves its page.
    world.tamper(|github, _, _| [METADATA, SHA256SUMS].iter().for_each(|name| github.take_asset(RELEASE, name)));
    assert_eq!(run(), (Outcome::Differs, vec![json!("reopen-issue"), json!("comment")], none.clone()));
    world.tamper(|github, _, _| github.rewrite_page(RELEASE, |_| "Built by hand.".to_owned()));
    assert_eq!(run().2, [RELEASE]);
}

/// Whatever takes the place of a record or of a manifest, the verdict is a verdict.
#[test]
fn any_record_and_any_manifest_are_judged_within_bounds() {
    let world = World::new();
    let folder = world.scenario.folder.join("dist");
    let record = fs::read(folder.join(METADATA)).expect("is read");
    let digest = world.scenario.desired.image.manifest.digest.to_string();
    let manifest =
        fs::read(folder.join("image").join(world.scenario.desired.image.manifest.digest.blob())).expect("is read");
    let original = String::from_utf8(record.clone()).expect("is text");
    arbtest::arbtest(|source| {
        let other = crate::os::mutated_input::bytes(source, &manifest)?;
        let other_digest = format!("sha256:{}", sha256(&other));
        // A record that names the other manifest, which is then read.
        let text = original.replace(&digest, &other_digest);
        let record = crate::os::mutated_input::bytes(source, text.as_bytes())?;
        let record = if source.arbitrary()? { record } else { text.into_bytes() };
        world.tamper(|github, registry, _| {
            github.put_asset(RELEASE, METADATA, record);
            registry.put_manifest(IMAGE, oci::documents::MANIFEST_TYPE, other);
            registry.put_tag(IMAGE, "v0.32.2-riscv64", &other_digest);
        });
        let findings = world.verify(false);
        assert!(findings.checks.len() < 20 && !findings.checks.is_empty());
        assert!(findings.checks.iter().all(|check| check.evidence.chars().count() <= 601));
        assert!(findings.undetermined.is_empty(), "{:?}\n{}", findings.undetermined, lines(&findings));
        Ok(())
    })
    .budget_ms(4000);
    assert_eq!(world.downloads.read_dir_utf8().expect("lists").count(), 0);
}
