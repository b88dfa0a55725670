//! Properties of every parser here, over valid input that is damaged at random: none panics, what is
//! accepted is within the limits, and what has a text form reads back as itself. A failure prints its
//! seed; `.seed(…)` on the test runs it again.

use std::io::Read;
use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use fakes::sample_image::{ENTRYPOINT, Item, LOADER, RISCV, config, elf, good, layer};
use serde_json::json;

use crate::digest::{Digest, Sha256, sha256};
use crate::documents::{Config, Descriptor, Index, MANIFEST_TYPE, Manifest, SavedImage};
use crate::elf::Format;
use crate::file_tree::FileTree;
use crate::image_name::ImageName;
use crate::layer::members::{self, ATTRIBUTE, Kind};
use crate::limits::{ARCHIVE_MEMBERS, LIBRARIES, PATH_BYTES, SYMLINKS};
use crate::mutated_input;
use crate::reference::{ImageTag, LONGEST_TAG_BYTES};
use crate::referrers;

mod files;

const BUDGET: Duration = Duration::from_millis(200);

fn check(property: impl FnMut(&mut Unstructured<'_>) -> Result<()>) {
    arbtest(property).budget(BUDGET);
}

fn some_digest() -> Digest {
    sha256(b"content").into()
}

#[test]
fn digests_and_names_read_back_as_they_were() {
    check(|u| {
        let text = mutated_input::text(u, &some_digest().to_string())?;
        if let Ok(digest) = text.parse::<Digest>() {
            assert_eq!(digest.to_string(), text);
        }
        let text = mutated_input::text(u, &sha256(b"content").to_string())?;
        if let Ok(digest) = text.parse::<Sha256>() {
            assert_eq!((digest.to_string(), text.len()), (text, 64));
        }
        let text = mutated_input::text(u, "localhost:5000/debian:trixie-slim@sha256:00")?;
        if let Ok(name) = text.parse::<ImageName>() {
            assert!(name.to_string() == text && !text.starts_with('-') && text.len() <= 512);
        }
        Ok(())
    });
}

#[test]
fn a_tag_is_one_however_it_was_made() {
    check(|u| {
        let text = mutated_input::text(u, "v0.32.2-riscv64")?;
        if let Ok(tag) = text.parse::<ImageTag>() {
            assert_eq!(tag.to_string(), text);
        }
        let name: String = u.arbitrary()?;
        let tag = ImageTag::fitting(&name, "riscv64").to_string();
        assert!(tag.len() <= LONGEST_TAG_BYTES && tag.parse::<ImageTag>().is_ok(), "{tag:?}");
        Ok(())
    });
}

#[test]
fn documents_read_back_as_they_were() {
    let descriptor = Descriptor::layer(&some_digest(), 7);
    let config_descriptor = Descriptor::config(&some_digest(), 8);
    let manifest = Manifest::new(config_descriptor, vec![descriptor], [("a".to_owned(), "b".to_owned())].into());
    let manifest = json!(manifest).to_string();
    let index = json!(Index::new(&some_digest(), 9, "v1")).to_string();
    let config = config(&ENTRYPOINT, &[some_digest().to_string()]).to_string();
    let saved = r#"[{"Config":"c.json","Layers":["0/layer.tar","1/layer.tar"]}]"#;
    check(|u| {
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(&mutated_input::bytes(u, manifest.as_bytes())?) {
            assert_eq!(serde_json::from_str::<Manifest>(&json!(manifest).to_string()).expect("reads back"), manifest);
        }
        if let Ok(index) = serde_json::from_slice::<Index>(&mutated_input::bytes(u, index.as_bytes())?) {
            assert_eq!(serde_json::from_str::<Index>(&json!(index).to_string()).expect("reads back"), index);
        }
        if let Ok(config) = serde_json::from_slice::<Config>(&mutated_input::bytes(u, config.as_bytes())?) {
            let execution = config.config;
            let _ = (execution.variable("PATH"), execution.entrypoint(), execution.cmd());
        }
        let _ = serde_json::from_slice::<Vec<SavedImage>>(&mutated_input::bytes(u, saved.as_bytes())?);
        Ok(())
    });
}

#[test]
fn a_damaged_list_of_referrers_keeps_what_it_lists() {
    let referrer = Descriptor::new(MANIFEST_TYPE, &some_digest(), 5);
    let list = json!({ "manifests": [{ "digest": "sha512:00", "size": 1 }, { "x": [] }] }).to_string();
    check(|u| {
        let bytes = mutated_input::bytes(u, list.as_bytes())?;
        let _ = referrers::of_types(&bytes, &["application/spdx+json"]);
        if let Ok(Some(after)) = referrers::with_referrer(Some(&bytes), &referrer) {
            let count = |bytes: &[u8]| {
                let list: serde_json::Value = serde_json::from_slice(bytes).expect("is JSON");
                list["manifests"].as_array().expect("is a list").len()
            };
            assert_eq!(count(&after), count(&bytes) + 1);
            assert_eq!(referrers::with_referrer(Some(&after), &referrer), Ok(None));
        }
        Ok(())
    });
}

/// A layer with PAX records, a long name, and each kind of link.
fn rich_layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let attribute = format!("{ATTRIBUTE}user.a");
    tar.append_pax_extensions([("mtime", &b"12.5"[..]), (&attribute, b"\0value")]).expect("is appended");
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o4755);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_size(4);
    tar.append_data(&mut header, "a/program", &b"text"[..]).expect("is appended");
    let mut bytes = tar.into_inner().expect("memory");
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(layer(&good()));
    bytes
}

#[test]
fn damaged_layers_give_only_clean_paths() {
    let valid = rich_layer();
    check(|u| {
        let bytes = mutated_input::bytes(u, &valid)?;
        let mut count = 0;
        let each = |member: members::Member, content: &mut dyn Read| {
            count += 1;
            let is_clean =
                |path: &str| path.split('/').all(|part| !["..", "."].contains(&part) && !part.contains('\0'));
            assert!(member.path.len() <= PATH_BYTES && is_clean(&member.path), "{:?}", member.path);
            if let Kind::HardLink(target) = &member.kind {
                assert!(is_clean(target), "{target:?}");
            }
            let _ = std::io::copy(content, &mut std::io::sink());
            Ok(())
        };
        let _ = members::read(bytes.as_slice(), each);
        let _ = members::read_file(std::io::Cursor::new(&bytes), ARCHIVE_MEMBERS, |_, _| Ok(()));
        assert!(count <= bytes.len() / 512);
        Ok(())
    });
}

#[test]
fn damaged_layers_over_each_other_make_a_tree_without_orphans() {
    let valid = rich_layer();
    let removals = layer(&[Item::File("usr/.wh.bin", 0, vec![]), Item::File("etc/.wh..wh..opq", 0, vec![])]);
    check(|u| {
        let mut tree = FileTree::default();
        let _ = tree.apply(mutated_input::bytes(u, &valid)?.as_slice());
        let _ = tree.apply(mutated_input::bytes(u, &removals)?.as_slice());
        for (path, _) in tree.entries() {
            if let Some((parent, _)) = path.rsplit_once('/') {
                let (_, node) = tree.entries().find(|(name, _)| *name == parent).expect("the parent is there");
                assert_eq!(node.kind, Kind::Directory, "{parent:?} of {path:?}");
            }
        }
        Ok(())
    });
}

/// Names, each in its place or in another's way: what hides, what leads up or in a circle, and what is deep.
const NAMES: [&str; 14] = [
    "a",
    "a/b",
    "a/b/c",
    "a/.wh.b",
    ".wh.a",
    "a/.wh..wh..opq",
    ".wh..wh..opq",
    "a/.wh.",
    "l",
    "l/b",
    "l/.wh.b",
    "../x",
    "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z",
    ".",
];
const TARGETS: [&str; 8] = ["a", "/a/b", "..", "l", "../../..", "a/../l", "/", "nowhere"];

#[test]
fn hostile_layers_over_each_other_are_refused_or_a_tree_of_files() {
    let (mut accepted, mut refused) = (0, 0);
    check(|u| {
        let mut tree = FileTree::default();
        for _ in 0..u.int_in_range(1..=4)? {
            let mut items = Vec::new();
            for _ in 0..u.int_in_range(0..=8)? {
                let (name, target) = (*u.choose(&NAMES)?, *u.choose(&TARGETS)?);
                items.push(match u.int_in_range(0..=3)? {
                    0 => Item::File(name, 0o755, b"#!/a/b".to_vec()),
                    1 => Item::Folder(name),
                    2 => Item::Symlink(name, target),
                    _ => Item::HardLink(name, target),
                });
            }
            // What is refused is not read on, as in an image.
            if tree.apply(layer(&items).as_slice()).is_err() {
                refused += 1;
                return Ok(());
            }
        }
        accepted += 1;
        for (path, _) in tree.entries() {
            assert!(path.split('/').all(|name| !name.starts_with(".wh.") && name != ".."), "{path:?}");
            if let Some((parent, _)) = path.rsplit_once('/') {
                let above = tree.entries().find(|(name, _)| *name == parent);
                assert!(above.is_some_and(|(_, node)| node.kind == Kind::Directory), "{parent:?} of {path:?}");
            }
            if let Ok((real, _)) = tree.resolve(path) {
                let is_entry = |name: &str| tree.entries().any(|(entry, _)| entry == name.trim_start_matches('/'));
                assert!(real == "/" || is_entry(&real), "{path:?} resolves to {real:?}");
            }
        }
        Ok(())
    });
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
}

#[test]
fn any_path_resolves_to_a_name_or_a_dead_end() {
    let mut tree = FileTree::default();
    let links = [
        Item::File("a/b/c", 0o644, vec![]),
        Item::Symlink("a/up", "../.."),
        Item::Symlink("circle", "a/../circle"),
        Item::Symlink("far", "/a/b/../up/far/x"),
    ];
    tree.apply(layer(&links).as_slice()).expect("an honest layer");
    check(|u| {
        let mut path = String::new();
        for _ in 0..u.int_in_range(0..=SYMLINKS)? {
            path.push_str(u.choose(&["a", "b", "c", "up", "circle", "far", "..", ".", "/", "", "ä"])?);
            path.push_str(u.choose(&["/", ""])?);
        }
        match tree.resolve(&path) {
            Ok((place, node)) => assert_eq!(tree.resolve(&place), Ok((place.clone(), node)), "{path:?}"),
            Err(end) => assert!(!end.to_string().is_empty()),
        }
        let _ = tree.children(&path).count();
        Ok(())
    });
}

#[test]
fn damaged_programs_stay_within_the_limits() {
    let valid = elf(RISCV, Some(LOADER), &["libc.so.6", "libm.so.6"]);
    let mut tree = FileTree::default();
    tree.apply(layer(&good()).as_slice()).expect("an honest layer");
    check(|u| {
        match Format::of(&mutated_input::bytes(u, &valid)?) {
            Format::Elf(linkage) => {
                assert!(linkage.needed.len() <= LIBRARIES && linkage.search.len() <= LIBRARIES);
                let mut texts = linkage.needed.iter().chain(&linkage.search).chain(&linkage.interpreter);
                assert!(texts.all(|text| text.len() <= PATH_BYTES));
                match linkage.loads_in(&tree, "/usr/bin/x") {
                    Ok(paths) => assert!(paths.len() <= LIBRARIES + 1),
                    Err(missing) => assert!(!missing.to_string().is_empty()),
                }
            }
            Format::Damaged(why) => assert!(!why.is_empty()),
            Format::Data | Format::Text | Format::Script(_) => {}
        }
        let _ = Format::of(&mutated_input::bytes(u, b"#!/bin/sh -e\nexit\n")?);
        Ok(())
    });
}
