//! Single rules: what is kept, what moves, what is newest, and what is refused.

use super::*;
use crate::dist::{Check, Subject, Verdict};

fn empty(name: &str, id: u64) -> Release {
    Release { id, tag_name: name.to_owned(), assets: Vec::new(), ..release(&desired("v0.32.2"), false) }
}

#[test]
fn the_record_of_an_earlier_run_is_kept_if_only_its_test_results_are_older() {
    let desired = desired("v0.32.2");
    let mut published = release(&desired, false);
    published.assets[6].size = 1;
    published.assets[7].digest = Some(format!("sha256:{}", sha256(9)));
    let record = |change: fn(&mut Metadata)| {
        let mut record = desired.record.clone();
        change(&mut record);
        let (releases, registry) = (vec![published.clone()], registry(&desired));
        plan(&desired, &Observed { releases, registry, published_record: Some(record), ..Observed::default() })
    };
    let plan = record(|record| record.proofs[0].seconds += 1).expect("it is kept");
    let earlier = "published with the test results of an earlier run, of the same files and image; it is kept";
    assert_eq!(plan.notes, [format!("metadata.json is {earlier}"), format!("SHA256SUMS is {earlier}")]);
    assert_eq!(plan.steps, []);
    record(|record| record.files[0].size_bytes += 1).expect_err("other files");
    record(|record| record.image = None).expect_err("another image");
    record(|record| record.go.version = "1.26.4".parse().expect("a version")).expect_err("another Go");
}

#[test]
fn master_is_not_released_again_if_only_debian_packages_have_changed() {
    let desired = desired("master");
    let mut record = desired.record.clone();
    let image = record.image.as_mut().expect("an image");
    image.digest = digest(0xaa);
    let plan_with = |desired: &Desired, record: &Metadata| {
        plan(desired, &Observed { published_record: Some(record.clone()), ..Observed::default() })
    };
    let plan = plan_with(&desired, &record).expect("is not refused");
    assert!(plan.is_unchanged && plan.steps.is_empty());
    assert!(
        plan.notes[0].contains("buildkit-v20260804-dev is already published from the same commit"),
        "{:?}",
        plan.notes
    );
    let adopting = Desired { adopts_latest: true, ..desired.clone() };
    let plan = plan_with(&adopting, &record).expect("is not refused");
    assert_eq!(plan.notes[1], "--adopt-latest moves nothing: use it with the next build of master that is published");
    // This does not apply to other programs, nor to an upstream release.
    let mut other = record.clone();
    other.files[0].sha256 = sha256(0xbb);
    assert!(!plan_with(&desired, &other).expect("a plan").is_unchanged);
    let tagged = super::desired("v0.32.2");
    let mut record = tagged.record.clone();
    record.image.as_mut().expect("an image").digest = digest(0xaa);
    assert!(!plan_with(&tagged, &record).expect("a plan").is_unchanged);
}

#[test]
fn latest_follows_master_and_only_forward() {
    let desired = desired("master");
    let moved = |latest: Option<Latest>| {
        let mut registry = registry(&desired);
        registry.tags[1].1 = digest(0xaa);
        registry.latest = latest;
        let releases = vec![release(&desired, false)];
        let text = text(&desired, &Observed { releases, registry, ..Observed::default() });
        text.lines().last().expect("a line").to_owned()
    };
    let latest = |relation| moved(Some(Latest { revision: Some(samples::commit()), relation: Some(relation) }));
    let forward = "oras tag --plain-http localhost/o/i@sha256:e2 latest  # it was sha256:aa";
    assert_eq!(latest(CompareStatus::Ahead), forward);
    let commit = samples::commit();
    assert_eq!(
        latest(CompareStatus::Behind),
        format!("note latest stays at sha256:aa: it was built from {commit}, which is newer than this build")
    );
    assert_eq!(
        latest(CompareStatus::Diverged),
        format!(
            "note latest stays at sha256:aa: it was built from {commit}, which is on another branch of upstream's history"
        )
    );
    assert_eq!(
        latest(CompareStatus::Identical),
        format!("note latest stays at sha256:aa: it was built from the same commit, {commit}")
    );
    let unknown = Latest { revision: Some(commit.clone()), relation: None };
    let note = format!(
        "note latest stays at sha256:aa: it was built from {commit}, and how this build relates to that is unknown; --adopt-latest moves it"
    );
    assert_eq!(moved(Some(unknown)), note);
    let note = "note latest stays at sha256:aa: that image does not name the commit it was built from; --adopt-latest moves it";
    assert_eq!(moved(Some(Latest { revision: None, relation: None })), note);
    let observed =
        Observed { releases: vec![release(&desired, false)], registry: registry(&desired), ..Observed::default() };
    assert!(text(&desired, &observed).ends_with("same tag master-20260804\nsame tag latest\n"));
}

#[test]
fn latest_is_adopted_once_and_only_from_an_image_without_a_commit() {
    let adopting = |r#ref| Desired { adopts_latest: true, ..desired(r#ref) };
    let lines = |latest: Option<Latest>| {
        let desired = adopting("master");
        let mut registry = registry(&desired);
        if latest.is_some() {
            registry.tags[1].1 = digest(0xaa);
        }
        registry.latest = latest;
        let observed = Observed { releases: vec![release(&desired, false)], registry, ..Observed::default() };
        text(&desired, &observed)
            .lines()
            .filter(|line| line.contains("latest"))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    let commit = Some(samples::commit());
    let adopted: String = lines(Some(Latest { revision: None, relation: None }));
    expect![[r#"
        note latest moves from sha256:aa to sha256:e2, although that image does not name the commit it was built from
        oras tag --plain-http localhost/o/i@sha256:e2 latest  # it was sha256:aa
    "#]]
    .assert_eq(&adopted);
    let unknown: String = lines(Some(Latest { revision: commit.clone(), relation: None }));
    expect![[r#"
        note latest moves from sha256:aa to sha256:e2, although it was built from 991535e0973488b6a429096d21fa13f81f2d89d8, and how this build relates to that is unknown
        oras tag --plain-http localhost/o/i@sha256:e2 latest  # it was sha256:aa
    "#]]
    .assert_eq(&unknown);
    // A second time there is nothing to move, and an image of this project is never passed over.
    assert_eq!(lines(None), "same tag latest\n");
    let newer: String = lines(Some(Latest { revision: commit, relation: Some(CompareStatus::Behind) }));
    expect![[r#"
        note latest stays at sha256:aa: it was built from 991535e0973488b6a429096d21fa13f81f2d89d8, which is newer than this build
    "#]]
    .assert_eq(&newer);
    let notes = plan(&adopting("v0.32.2"), &Observed::default()).expect("a plan").notes;
    assert_eq!(notes, ["--adopt-latest moves nothing: latest follows master, and this is buildkit-v0.32.2-riscv64"]);
}

#[test]
fn master_is_a_prerelease_that_latest_follows() {
    let desired = desired("master");
    let text = text(&desired, &Observed::default());
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(
        last,
        [
            "oras tag --plain-http localhost/o/i@sha256:e2 latest",
            "gh release edit buildkit-v20260804-dev --draft=false --latest=false",
            "oras tag --plain-http localhost/o/i@sha256:e2 master-20260804",
        ]
    );
    assert!(text.lines().next().is_some_and(|line| line.ends_with(" --prerelease")), "{text}");
}

#[test]
fn only_the_newest_stable_release_is_marked_as_latest() {
    let desired = desired("v0.32.2");
    let marked = |releases: Vec<Release>| {
        let plan = plan(&desired, &Observed { releases, ..Observed::default() }).expect("a plan");
        plan.steps.last().map(ToString::to_string).expect("a step").ends_with("--latest=true")
    };
    let last = |names: &[&str]| marked(names.iter().zip(2..).map(|(name, id)| empty(name, id)).collect());
    assert!(last(&["buildkit-v0.9.0-riscv64", "buildkit-v0.33.0-rc1-riscv64", "buildkit-v20261001-dev", "v9.9.9"]));
    assert!(!last(&["buildkit-v0.33.0-riscv64", "buildkit-v0.31.0-riscv64"]));
    let newer = || empty("buildkit-v0.33.0-riscv64", 2);
    assert!(marked(vec![Release { draft: true, ..newer() }]), "a draft is not public");
    assert!(marked(vec![Release { prerelease: true, ..newer() }]), "a prerelease is not the newest");
}

#[test]
fn an_image_that_names_another_repository_is_noted() {
    let mut desired = desired("v0.32.2");
    desired.image.url = Some("https://github.com/o/n2/pkgs/container/i".to_owned());
    let notes = plan(&desired, &Observed::default()).expect("a plan").notes;
    expect!["the image's labels name https://github.com/o/n2/pkgs/container/i as its page, which is not below https://github.com/o/n; `cargo xtask image --repo o/n` builds it with that name"]
        .assert_eq(&notes.join("\n"));
}

#[test]
fn missing_test_results_are_refused_or_noted() {
    let mut desired = desired("v0.32.2");
    desired.record.proofs.remove(3);
    desired.record.proofs[2].subject = Subject::Image { image_digest: digest(9) };
    desired.record.proofs[1].checks[0].verdict = Verdict::NotRun;
    desired.record.proofs[0].checks.push(Check::fail("runc", "it is missing"));
    let reasons = [
        "`verify-tini` failed at runc: it is missing",
        "`smoke exec` is not proved: of its 13 required checks, buildkitd-runs did not run: the sample",
        "`smoke builder` is of another image",
        "`smoke machine` was not run",
    ];
    let tasks = ["verify-tini", "smoke --level exec", "smoke --level builder", "smoke --level machine"];
    let lines: Vec<String> = reasons
        .iter()
        .zip(tasks)
        .map(|(why, task)| format!("\n  - {why}: run `cargo xtask {task}`, or use --unproved"))
        .collect();
    assert_eq!(text(&desired, &Observed::default()), format!("nothing is published:{}", lines.concat()));
    desired.is_unproved = true;
    let plan = plan(&desired, &Observed::default()).expect("a plan");
    assert_eq!(plan.notes, reasons.map(|why| format!("{why}; the notes say so")));
}

#[test]
fn missing_unexpected_and_changed_files_are_named() {
    let mut desired = desired("v0.32.2");
    desired.files[1].sha256 = sha256(9);
    desired.files[0].name = "buildkitd.old".to_owned();
    desired.files[0].path = "dist/buildkitd.old".into();
    expect![[r#"
        nothing is published:
          - buildkitd is missing from the build directory; run `cargo xtask build`
          - dist/buildctl has changed since it was built: 2000 bytes, sha256:09 do not match the record; build again
          - dist/buildkitd.old is not part of a release; remove it from the build directory"#]]
    .assert_eq(&text(&desired, &Observed::default()));
}

#[test]
fn the_advice_for_a_missing_asset_can_be_followed() {
    let desired = desired("v0.32.2");
    let mut published = release(&desired, false);
    published.assets.pop();
    let text = |immutable| {
        let releases = vec![Release { immutable, ..published.clone() }];
        text(&desired, &Observed { releases, registry: registry(&desired), ..Observed::default() })
    };
    assert!(text(false).ends_with("add it by hand (gh release upload buildkit-v0.32.2-riscv64 dist/SHA256SUMS)"));
    expect![[r#"
        nothing is published:
          - buildkit-v0.32.2-riscv64 is published without SHA256SUMS and is immutable, so nobody can add it; say in its notes, which can still be edited, that the file is missing (gh release edit buildkit-v0.32.2-riscv64 --notes-file FILE)"#]]
    .assert_eq(&text(true));
}

#[test]
fn a_repository_without_issues_is_published_to_with_a_note() {
    let mut desired = desired("v0.32.2");
    let settings = Settings { has_issues: false, ..Settings::default() };
    let found = plan(&desired, &Observed { settings: settings.clone(), ..Observed::default() }).expect("a plan");
    let note = "o/n has no issues, so none is closed; Settings > General > Features > Issues switches them on";
    assert_eq!((found.notes, found.steps.len()), (vec![note.to_owned()], 15));
    desired.name = super::desired("master").name;
    let master = plan(&desired, &Observed { settings, ..Observed::default() }).expect("a plan");
    assert_eq!(master.notes, [""; 0], "no issue tracks master");
}

#[test]
fn a_draft_that_was_to_be_tagged_at_a_commit_is_to_be_tagged_at_the_default_branch() {
    let desired = desired("v0.32.2");
    let draft = Release { target_commitish: samples::commit().to_string(), ..release(&desired, true) };
    let text = text(&desired, &Observed { releases: vec![draft], registry: registry(&desired), ..Observed::default() });
    let steps: Vec<&str> = text.lines().filter(|line| line.starts_with("gh ")).collect();
    assert_eq!(
        steps,
        [
            "gh release edit buildkit-v0.32.2-riscv64 --title 'BuildKit v0.32.2 for RISC-V64' --notes-file target/release-notes/buildkit-v0.32.2-riscv64.md --prerelease=false --target main",
            "gh release edit buildkit-v0.32.2-riscv64 --draft=false --latest=true",
        ]
    );
}
