//! Properties of what reads images from files. The files are damaged at random, and what is accepted is
//! the image that its digests name.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "writes the images that it reads")]

use std::fs::{self, File};
use std::io::Read;

use camino::Utf8PathBuf;
use fakes::sample_image::{ENTRYPOINT, Item, config, layer};
use serde_json::json;

use super::{check, rich_layer};
use crate::digest::{Digest, sha256};
use crate::docker_archive;
use crate::documents::{Descriptor, Index, Manifest};
use crate::layer::{archive, canonical};
use crate::layout::Image;
use crate::mutated_input;

/// A directory for the files of one test, removed at the end.
struct Scratch(Utf8PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-properties-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("is made");
        Self(Utf8PathBuf::try_from(path).expect("UTF-8"))
    }

    fn write(&self, name: &str, content: &[u8]) -> Utf8PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("is written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn saved_image(layer: &[u8]) -> Vec<u8> {
    let config = config(&ENTRYPOINT, &[Digest::from(sha256(layer)).to_string()]).to_string();
    let list = r#"[{"Config":"c.json","Layers":["layer.tar"]}]"#;
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in [("c.json", config.as_bytes()), ("layer.tar", layer), ("manifest.json", list.as_bytes())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).expect("is appended");
    }
    tar.into_inner().expect("memory")
}

#[test]
fn a_damaged_archive_is_refused_or_gives_the_layer_of_its_digest() {
    let scratch = Scratch::new("archive");
    let valid = saved_image(&layer(&[Item::File("a", 0o644, b"text".to_vec())]));
    check(|u| {
        let archive = scratch.write("image.tar", &mutated_input::bytes(u, &valid)?);
        let Ok(image) = Image::open(&archive) else { return Ok(()) };
        if image.files().is_ok() {
            // What is written for an engine is the same image.
            let again = scratch.0.join("again.tar");
            docker_archive::write(&image, &["a:b".to_owned()], &again).expect("is written");
            assert_eq!(Image::open(&again).expect("an image").digest, image.digest);
        }
        Ok(())
    });
}

#[test]
fn a_damaged_layout_is_refused_or_whole() {
    let scratch = Scratch::new("layout");
    fs::create_dir_all(scratch.0.join("blobs/sha256")).expect("is made");
    let blob = |content: &[u8]| {
        let digest = Digest::from(sha256(content));
        scratch.write(&digest.blob(), content);
        (digest, content.len() as u64)
    };
    let tar = layer(&[Item::File("a", 0o644, b"text".to_vec())]);
    let (layer_digest, layer_bytes) = blob(&tar);
    let (config_digest, config_bytes) = blob(config(&ENTRYPOINT, &[layer_digest.to_string()]).to_string().as_bytes());
    let layers = vec![Descriptor::new("application/vnd.oci.image.layer.v1.tar", &layer_digest, layer_bytes)];
    let manifest = Manifest::new(Descriptor::config(&config_digest, config_bytes), layers, [].into());
    let (digest, size_bytes) = blob(json!(manifest).to_string().as_bytes());
    let index = json!(Index::new(&digest, size_bytes, "v1")).to_string();
    check(|u| {
        scratch.write("index.json", &mutated_input::bytes(u, index.as_bytes())?);
        if let Ok(image) = Image::open(&scratch.0) {
            assert_eq!(image.digest, digest);
            image.files().expect("its blobs are whole");
        }
        Ok(())
    });
}

#[test]
fn a_canonical_layer_reads_back_as_it_was_written() {
    let scratch = Scratch::new("canonical");
    let valid = rich_layer();
    check(|u| {
        let layer = scratch.write("layer.tar", &mutated_input::bytes(u, &valid)?);
        let Ok(entries) = archive::read(&layer) else { return Ok(()) };
        let entries = canonical::Tree::default().canonical(entries, 1000);
        let blob = scratch.0.join("blob");
        if archive::rewrite(&layer, &entries, &blob).is_err() {
            return Ok(());
        }
        let mut tar = Vec::new();
        let file = File::open(&blob).expect("was written");
        flate2::read::GzDecoder::new(file).read_to_end(&mut tar).expect("is gzip");
        let again = archive::read(&scratch.write("again.tar", &tar)).expect("what is written can be read");
        let form = |entries: &[canonical::Entry]| {
            let place = |kind: &canonical::Kind| match kind {
                canonical::Kind::File { size_bytes, sha256, .. } => {
                    canonical::Kind::File { size_bytes: *size_bytes, offset_bytes: 0, sha256: sha256.clone() }
                }
                other => other.clone(),
            };
            let form = |entry: &canonical::Entry| canonical::Entry { kind: place(&entry.kind), ..entry.clone() };
            entries.iter().map(form).collect::<Vec<_>>()
        };
        assert_eq!(form(&again), form(&entries));
        Ok(())
    });
}
