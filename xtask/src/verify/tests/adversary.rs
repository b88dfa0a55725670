//! Somebody with the owner's rights who changes what is published together with all that names it. What a test shows to
//! pass is found by `--rebuild` alone, and SECURITY.md says so.

use oci::referrers::Attachment;

use super::*;
use crate::dist::names;
use crate::published::SPDX;

const NONE: [&str; 0] = [];

impl World {
    /// Puts `new` in the place of a file, and its digest into the record, the list of digests and the page.
    fn replace_with_all_that_names_it(&self, name: &str, new: Vec<u8>) {
        let folder = &self.scenario.folder.join("dist");
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect("is text");
        let digest = |name: &str| oci::digest::file_digest(&folder.join(name)).expect("is read").1.to_string();
        let (old, sha256_of_new) = (digest(name), sha256(&new).to_string());
        let mut record: Value = serde_json::from_str(&read(METADATA)).expect("is JSON");
        let files = record["files"].as_array_mut().expect("a list");
        let file = files.iter_mut().find(|file| file["name"] == name).expect("is there");
        file["size_bytes"] = json!(new.len());
        file["sha256"] = json!(sha256_of_new);
        let record = record.to_string().into_bytes();
        let sums = read(SHA256SUMS).replace(&old, &sha256_of_new);
        let sums = sums.replace(&digest(METADATA), &sha256(&record).to_string());
        let mut github = locked(&self.scenario.github);
        github.rewrite_page(RELEASE, |page| page.replace(&old, &sha256_of_new));
        github.put_asset(RELEASE, name, new);
        github.put_asset(RELEASE, METADATA, record);
        github.put_asset(RELEASE, SHA256SUMS, sums.into_bytes());
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.scenario.folder.join("dist").join(name)).expect("is read")
    }
}

fn of(downloaded: &[&str], listed: &[&str]) -> [Vec<String>; 2] {
    [downloaded, listed].map(|names| names.iter().map(ToString::to_string).collect())
}

#[test]
fn a_command_that_was_replaced_with_all_that_names_it_is_found_by_the_gate() {
    let world = World::new();
    world.replace_with_all_that_names_it(BUILDCTL, b"#!/bin/sh\n".to_vec());
    assert_eq!(world.differing(), of(&["archive", "binaries-gate"], &NONE));
}

#[test]
fn an_archive_that_was_replaced_with_all_that_names_it_is_found_by_its_members() {
    let archive = names::tarball(&samples::source().version);
    let packed = |members: &[(&str, &[u8])]| {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, content) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            tar.append_data(&mut header, path, *content).expect("is added");
        }
        tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("is packed")
    };
    let world = World::new();
    let [daemon, client] = names::COMMANDS.map(|name| world.read(name));
    let whole: [(&str, &[u8]); 2] = [("bin/buildkitd", &daemon), ("bin/buildctl", &client)];
    let why = |members: &[(&str, &[u8])]| {
        let world = World::new();
        world.replace_with_all_that_names_it(&archive, packed(members));
        assert_eq!(world.verify(false).failures().count(), 0);
        let findings = world.verify(true);
        findings.failures().map(|check| format!("{}: {}", check.name, check.evidence)).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(why(&whole), "");
    expect!["archive: bin/buildctl in it is not the buildctl beside it"]
        .assert_eq(&why(&[whole[0], (whole[1].0, b"evil")]));
    expect!["archive: it has no bin/buildctl"].assert_eq(&why(&whole[..1]));
    expect![[r#"archive: "bin/runc" in it is none of the commands"#]].assert_eq(&why(&[
        whole[0],
        whole[1],
        ("bin/runc", b"evil"),
    ]));
    expect![[r#"archive: "bin/buildctl" is in it twice"#]].assert_eq(&why(&[
        whole[0],
        whole[1],
        (whole[1].0, b"evil"),
    ]));
    let world = World::new();
    world.replace_with_all_that_names_it(&archive, b"no gzip".to_vec());
    assert_eq!(world.differing(), of(&["archive"], &NONE));
}

#[test]
fn an_asset_of_equal_size_is_found() {
    let world = World::new();
    let mut other = world.read(BUILDCTL);
    other[100] ^= 1;
    world.tamper(|github, _, _| github.put_asset(RELEASE, BUILDCTL, other));
    assert_eq!(world.differing(), of(&["sha256sums", "metadata"], &["sha256sums", "metadata"]));
}

/// Packages, SBOMs and whatever else nothing published can contradict.
#[test]
fn a_file_that_nothing_contradicts_is_left_to_the_source() {
    let world = World::new();
    let sbom = names::sbom(&samples::source().version);
    world.replace_with_all_that_names_it(&sbom, br#"{"spdxVersion":"SPDX-2.3"}"#.to_vec());
    assert_eq!(world.differing(), of(&NONE, &NONE));
}

#[test]
fn a_release_that_is_marked_as_what_it_is_not_is_found() {
    let world = World::new();
    world.tamper(|github, _, _| github.mark_prerelease(RELEASE, true));
    assert_eq!(world.differing(), of(&["page"], &["page"]));
}

/// A scanner takes whichever SBOM comes first.
#[test]
fn an_sbom_that_the_record_does_not_name_is_found_beside_the_one_that_it_names() {
    let world = World::new();
    let remotes = &world.scenario.remotes;
    let path = world.scenario.folder.join("other.spdx.json");
    fs::write(&path, r#"{"name":"v0.31.0"}"#).expect("is written");
    let (size_bytes, sha256) = oci::digest::file_digest(&path).expect("is read");
    let attachment = Attachment {
        artifact_type: SPDX.to_owned(),
        file_name: "other.spdx.json".to_owned(),
        digest: sha256.into(),
        size_bytes,
        annotations: BTreeMap::new(),
    };
    let digest = &world.scenario.desired.image.manifest.digest;
    let image = remotes.registry.manifest(&oci::reference::Reference::from(digest)).expect("answers");
    remotes.registry.attach(&image.expect("is there").descriptor, &attachment, &path).expect("is attached");
    assert_eq!(world.differing(), of(&["image-sbom"], &["image-sbom"]));
}

/// An index around the very manifest of the record, as buildx pushes one with an attestation.
#[test]
fn an_index_in_the_place_of_the_image_is_found() {
    let world = World::new();
    world.tamper(|_, registry, digest| {
        let platform = json!({ "architecture": "riscv64", "os": "linux" });
        let unknown = json!({ "architecture": "unknown", "os": "unknown" });
        let entry = |platform: &Value| json!({ "mediaType": oci::documents::MANIFEST_TYPE, "digest": digest, "size": 1, "platform": platform });
        let manifests = [entry(&platform), entry(&unknown)];
        let index = json!({ "schemaVersion": 2, "mediaType": oci::documents::INDEX_TYPE, "manifests": manifests });
        let bytes = index.to_string().into_bytes();
        let of_index = format!("sha256:{}", sha256(&bytes));
        registry.put_manifest(IMAGE, oci::documents::INDEX_TYPE, bytes);
        registry.put_tag(IMAGE, "v0.32.2-riscv64", &of_index);
    });
    assert_eq!(world.differing(), of(&["image-tag"], &["image-tag"]));
}
