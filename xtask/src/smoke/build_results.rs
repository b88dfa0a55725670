//! The results of builds, read back from OCI archives: every blob is compared with its digest, and the file that the
//! build wrote is read from the layers. A build in the machine writes its archive there, so that every number and size
//! in it is bounded.
#![allow(clippy::disallowed_methods, reason = "reads files")]

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Error, Result, ensure};
use camino::Utf8Path;
use flate2::read::MultiGzDecoder;
use oci::blobs::Store;
use oci::documents::{Compression, Config, Descriptor, Index, Manifest};
use oci::layer::members;
use serde::Deserialize;

/// The file that each Dockerfile of `smoke` writes.
const WRITTEN: &str = "hello";
/// The annotation of an attestation that names the image. Source: moby/buildkit, `docs/attestations/attestation-storage.md`.
const ATTESTED: &str = "vnd.docker.reference.digest";
const LARGEST_LAYER_BYTES: u64 = 256 << 20;
/// The builds are for two platforms at most, each with one attestation, in two layers each.
const MOST_MANIFESTS: usize = 8;
const MOST_LAYERS: usize = 8;
/// The type of a statement is a URL, and becomes evidence of a check.
const LONGEST_TYPE_BYTES: usize = 256;

/// One platform of a build's result.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    /// `linux/riscv64`.
    pub platform: String,
    /// What the file holds, without the end of the last line.
    pub written: String,
    /// The types of what is attested about it, such as `https://slsa.dev/provenance/v0.2`.
    pub attested: Vec<String>,
}

/// What an attestation says of itself. Source: in-toto, "Statement".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

/// The platforms of a result, sorted by name. Fails if the result is incomplete.
pub fn read(archive: &Utf8Path) -> Result<Vec<Built>> {
    let read = || -> Result<Vec<Built>> {
        let store = Store::open(archive)?;
        let mut manifests = Vec::new();
        let index: Index = store.document("index.json", None)?;
        for descriptor in index.manifests.into_iter().take(MOST_MANIFESTS + 1) {
            if descriptor.is_index() {
                let inner: Index = store.document(&descriptor.digest.blob(), Some(&descriptor))?;
                manifests.extend(inner.manifests);
            } else {
                manifests.push(descriptor);
            }
        }
        ensure!(manifests.len() <= MOST_MANIFESTS, "it has more than {MOST_MANIFESTS} manifests");
        let (attestations, images): (Vec<_>, Vec<_>) = manifests.into_iter().partition(Descriptor::is_attestation);
        let mut built = images.iter().map(|image| built(&store, image, &attestations)).collect::<Result<Vec<_>>>()?;
        built.sort_by(|one, other| one.platform.cmp(&other.platform));
        Ok(built)
    };
    read()
        .with_context(|| format!("the result of the build, {}, is not valid", archive.file_name().unwrap_or_default()))
}

fn built(store: &Store, described: &Descriptor, attestations: &[Descriptor]) -> Result<Built> {
    let manifest: Manifest = store.document(&described.digest.blob(), Some(described))?;
    let config: Config = store.document(&manifest.config.digest.blob(), Some(&manifest.config))?;
    let platform = config.platform.to_string();
    let mut written = None;
    ensure!(manifest.layers.len() <= MOST_LAYERS, "for {platform}, it has more than {MOST_LAYERS} layers");
    for layer in &manifest.layers {
        let blob = layer.digest.blob();
        store.check(&blob, layer)?;
        let (content, _) = store.reader(&blob)?;
        let content: Box<dyn Read> = match Compression::of_media_type(&layer.media_type).map_err(Error::msg)? {
            Compression::None => content,
            Compression::Gzip => Box::new(MultiGzDecoder::new(content)),
        };
        let read = members::read(content.take(LARGEST_LAYER_BYTES), |member, content| {
            if member.path == WRITTEN {
                let mut text = String::new();
                content.take(1 << 10).read_to_string(&mut text).map_err(|error| error.to_string())?;
                written = Some(text.trim_end().to_owned());
            }
            Ok(())
        });
        read.map_err(Error::msg).with_context(|| blob.clone())?;
    }
    ensure!(written.is_some(), "for {platform}, no layer has the file /{WRITTEN} that the build writes");
    let of_image =
        |attestation: &&Descriptor| attestation.annotations.get(ATTESTED) == Some(&described.digest.to_string());
    let attested: Result<Vec<_>> =
        attestations.iter().filter(of_image).map(|attestation| attested(store, attestation, described)).collect();
    Ok(Built { platform, written: written.unwrap_or_default(), attested: attested?.concat() })
}

/// The types of the statements in an attestation. Fails if one is about something else than `image`.
fn attested(store: &Store, attestation: &Descriptor, image: &Descriptor) -> Result<Vec<String>> {
    let manifest: Manifest = store.document(&attestation.digest.blob(), Some(attestation))?;
    ensure!(manifest.layers.len() <= MOST_LAYERS, "an attestation has more than {MOST_LAYERS} statements");
    let read = |layer: &Descriptor| {
        let Statement { predicate_type, subject } = store.document(&layer.digest.blob(), Some(layer))?;
        ensure!(
            predicate_type.len() <= LONGEST_TYPE_BYTES,
            "the type of a statement has {} bytes",
            predicate_type.len()
        );
        let is_image = |subject: &Subject| subject.digest.get("sha256") == Some(&image.digest.sha256().to_string());
        ensure!(subject.iter().any(is_image), "an attestation ({predicate_type}) is not about {}", image.digest);
        Ok(predicate_type)
    };
    manifest.layers.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;
    use fakes::sample_image::{ENTRYPOINT, Item, config, layer};
    use oci::digest::{Digest, sha256};
    use serde_json::{Value, json};

    use super::*;
    use crate::os::mutated_input;

    const PREDICATE: &str = "https://slsa.dev/provenance/v0.2";

    /// The documents of a result, from the inside out.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Document {
        Config,
        Manifest,
        Statement,
        Attestation,
        Inner,
        Index,
    }

    /// A result for one platform with an attestation, as an OCI layout. `change` makes the bytes of each document.
    fn layout(folder: &Utf8Path, mut change: impl FnMut(Document, &str) -> Vec<u8>) {
        std::fs::create_dir_all(folder.join("blobs/sha256")).expect("is made");
        let blob = |content: &[u8], media_type: &str| {
            let digest = Digest::from(sha256(content));
            std::fs::write(folder.join(digest.blob()), content).expect("is written");
            json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
        };
        let manifest_of = |config: &Value, layer: &Value| json!({ "config": config, "layers": [layer] }).to_string();
        let (image, list) = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json");

        let files = blob(
            &layer(&[Item::File(WRITTEN, 0o644, b"riscv64\n".to_vec())]),
            "application/vnd.oci.image.layer.v1.tar",
        );
        let diff_ids = [files["digest"].as_str().expect("text").to_owned()];
        let config = blob(&change(Document::Config, &config(&ENTRYPOINT, &diff_ids).to_string()), "application/json");
        let manifest = blob(&change(Document::Manifest, &manifest_of(&config, &files)), image);
        let digest = manifest["digest"].as_str().expect("text");
        let hex = digest.trim_start_matches("sha256:");
        let statement = json!({ "predicateType": PREDICATE, "subject": [{ "digest": { "sha256": hex } }] }).to_string();
        let statement = blob(&change(Document::Statement, &statement), "application/vnd.in-toto+json");
        let mut attestation = blob(&change(Document::Attestation, &manifest_of(&config, &statement)), image);
        attestation["annotations"] =
            json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest });
        let inner = json!({ "manifests": [manifest, attestation] }).to_string();
        let inner = blob(&change(Document::Inner, &inner), list);
        let index = change(Document::Index, &json!({ "manifests": [inner] }).to_string());
        std::fs::write(folder.join("index.json"), index).expect("is written");
    }

    fn scratch(name: &str) -> Utf8PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-results-{name}-{}", std::process::id()));
        Utf8PathBuf::try_from(folder).expect("UTF-8")
    }

    #[test]
    fn a_result_is_read_with_what_is_attested_about_it() {
        let folder = scratch("good");
        layout(&folder, |_, text| text.as_bytes().to_vec());
        let [built] = &read(&folder).expect("is valid")[..] else { panic!("not one platform") };
        assert_eq!((built.platform.as_str(), built.written.as_str()), ("linux/riscv64", "riscv64"));
        assert_eq!(built.attested, [PREDICATE]);
        layout(&folder, |document, text| {
            let text = if document == Document::Statement {
                text.replace("\"sha256\":\"", "\"sha256\":\"0")
            } else {
                text.to_owned()
            };
            text.into_bytes()
        });
        let error = format!("{:#}", read(&folder).expect_err("is about another image"));
        assert!(error.contains("is not about sha256:"), "{error}");
        std::fs::remove_dir_all(&folder).expect("is removed");
    }

    /// The guest writes them: whatever is in one of the documents, the result is bounded.
    #[test]
    fn a_mutated_document_gives_few_short_results_or_an_error() {
        use Document::{Attestation, Config, Index, Inner, Manifest, Statement};
        let folder = scratch("mutated");
        arbtest::arbtest(|source| {
            let changed = *source.choose(&[Config, Manifest, Statement, Attestation, Inner, Index])?;
            let mut bytes = Ok(Vec::new());
            layout(&folder, |document, text| {
                if document != changed {
                    return text.as_bytes().to_vec();
                }
                bytes = mutated_input::bytes(source, text.as_bytes());
                bytes.clone().unwrap_or_default()
            });
            bytes?;
            for built in read(&folder).unwrap_or_default() {
                assert!(built.written.len() <= 1 << 10, "{built:?}");
                assert!(built.attested.len() <= MOST_MANIFESTS * MOST_LAYERS, "{built:?}");
                assert!(built.attested.iter().all(|name| name.len() <= LONGEST_TYPE_BYTES), "{built:?}");
            }
            Ok(())
        });
        std::fs::remove_dir_all(&folder).expect("is removed");
    }

    #[test]
    fn no_more_manifests_are_read_than_builds_have() {
        let folder = scratch("many");
        layout(&folder, |document, text| {
            if document != Document::Inner {
                return text.as_bytes().to_vec();
            }
            let mut inner: Value = serde_json::from_str(text).expect("JSON");
            let manifest = inner["manifests"][0].clone();
            inner["manifests"] = vec![manifest; MOST_MANIFESTS + 1].into();
            inner.to_string().into_bytes()
        });
        let error = format!("{:#}", read(&folder).expect_err("is too much"));
        assert!(error.contains("it has more than 8 manifests"), "{error}");
        std::fs::remove_dir_all(&folder).expect("is removed");
    }
}
