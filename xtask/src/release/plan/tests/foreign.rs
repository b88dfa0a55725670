//! Releases and images that were published in another way, before this project.

use super::*;

/// A release of the workflow that gounthar/docker-for-riscv64 had before: these assets, and two packages.
fn foreign(name: &str, id: u64) -> Release {
    let names = [
        "buildctl",
        "buildkitd",
        "IMAGE_INSPECT.json",
        "IMAGE_TAG.txt",
        "REGISTRY.txt",
        "TEST_RESULTS.txt",
        "VERSION.txt",
        "buildkit_0.32.2-riscv64-1_riscv64.deb",
        "buildkit-0.32.2-1.riscv64.rpm",
    ];
    let mut release = Release { id, tag_name: name.to_owned(), ..release(&desired("v0.32.2"), false) };
    let sample = release.assets[0].clone();
    release.assets = names.map(|name| Asset { name: name.to_owned(), digest: None, ..sample.clone() }).into();
    release
}

#[test]
fn a_version_that_was_published_in_another_way_is_left_alone() {
    let mut desired = desired("v0.32.2");
    desired.record.proofs.clear();
    desired.files.pop();
    let registry = Registry { tags: vec![(desired.image.tags[0].clone(), digest(0xaa))], ..Registry::default() };
    let mut observed =
        Observed { releases: vec![foreign("buildkit-v0.32.2-riscv64", 1)], registry, ..Observed::default() };
    expect![[r#"
        nothing is published:
          - buildkit-v0.32.2-riscv64 was published in another way, without metadata.json and SHA256SUMS, and is left alone, as is its image. Do nothing: later versions are published beside it. Or, if nobody needs its files any more, remove it (gh release delete buildkit-v0.32.2-riscv64 --cleanup-tag) and its image localhost/o/i:v0.32.2-riscv64, and run this again. See docs/ADOPTING.md"#]].assert_eq(&text(&desired, &observed));
    observed.releases[0].immutable = true;
    let refused = text(&desired, &observed);
    assert!(refused.contains("published beside it. See docs/ADOPTING.md") && !refused.contains("delete"), "{refused}");
}

#[test]
fn while_latest_is_not_adopted_the_releases_without_a_record_are_listed() {
    let desired = desired("master");
    let names = ["buildkit-v0.31.2-riscv64", "buildkit-v20251209-dev", "v29.7.2-riscv64", "buildx-v0.36.1-riscv64"];
    let mut releases: Vec<Release> = names.iter().zip(2..).map(|(name, id)| foreign(name, id)).collect();
    releases.push(Release { draft: true, ..foreign("buildkit-v0.30.0-riscv64", 9) });
    releases.push(release(&desired, false));
    let mut registry = registry(&desired);
    let notes = |registry: &Registry| {
        let observed = Observed { releases: releases.clone(), registry: registry.clone(), ..Observed::default() };
        let notes = plan(&desired, &observed).expect("a plan").notes.into_iter();
        notes.filter(|note| note.contains("record")).collect::<Vec<_>>()
    };
    assert_eq!(notes(&registry), [""; 0]);
    registry.tags[1].1 = digest(0xaa);
    registry.latest = Some(Latest { revision: None, relation: None });
    let expected = "2 releases of BuildKit here without a record of this project, left alone: buildkit-v0.31.2-riscv64, \
                    buildkit-v20251209-dev";
    assert_eq!(notes(&registry), [expected]);
}
