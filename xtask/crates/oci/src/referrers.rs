//! Documents attached to an image in a registry, which name it as their subject (an SBOM, a
//! provenance), and the index that lists them if the registry does not.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::documents::{Descriptor, INDEX_TYPE, MANIFEST_TYPE};
use crate::reference::ImageTag;

/// The configuration of what has none, and what is in its blob.
/// Source: the OCI image specification 1.1, "Guidance for an Empty Descriptor".
pub const EMPTY: &[u8] = b"{}";
/// Its media type.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// By this name standard tools write the file when they pull it.
const TITLE: &str = "org.opencontainers.image.title";

/// One file that is attached to an image.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// What it is: `application/spdx+json`.
    pub artifact_type: String,
    pub file_name: String,
    pub digest: Digest,
    pub size_bytes: u64,
    pub annotations: BTreeMap<String, String>,
}

impl Attachment {
    /// Its blob.
    pub fn layer(&self) -> Descriptor {
        let annotations = BTreeMap::from([(TITLE.to_owned(), self.file_name.clone())]);
        Descriptor { annotations, ..Descriptor::new(&self.artifact_type, &self.digest, self.size_bytes) }
    }

    /// Its manifest: the same bytes whenever it is made, so that what is attached already is known
    /// by its digest. Source: the OCI image specification 1.1, "Guidelines for Artifact Usage".
    pub fn manifest(&self, subject: &Descriptor, empty: &Digest) -> Vec<u8> {
        // The subject is named by type, digest and size alone.
        let subject = Descriptor::new(&subject.media_type, &subject.digest, subject.size);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": self.artifact_type,
            "config": Descriptor::new(EMPTY_TYPE, empty, EMPTY.len() as u64),
            "layers": [self.layer()],
            "subject": subject,
            "annotations": self.annotations,
        });
        manifest.to_string().into_bytes()
    }

    /// How a list of referrers names that manifest.
    pub fn described(&self, manifest: &Descriptor) -> Descriptor {
        let (artifact_type, annotations) = (Some(self.artifact_type.clone()), self.annotations.clone());
        Descriptor { artifact_type, annotations, ..manifest.clone() }
    }
}

/// The tag under which the index of a subject's referrers is stored if the registry makes none.
/// Source: the OCI distribution specification 1.1, "Referrers Tag Schema".
pub fn fallback_tag(subject: &Digest) -> ImageTag {
    format!("sha256-{}", subject.sha256()).parse().expect("a digest is made of what a tag may have")
}

/// The referrers of these types in a list, which need not be filtered already; `None` if it is not a list.
/// Entries with a digest of another algorithm are not ours and are skipped.
pub fn of_types(index: &[u8], artifact_types: &[&str]) -> Option<Vec<Descriptor>> {
    let index: Value = serde_json::from_slice(index).ok()?;
    let known = index.get("manifests")?.as_array()?.iter().filter_map(|entry| Descriptor::deserialize(entry).ok());
    let is_wanted =
        |referrer: &Descriptor| referrer.artifact_type.as_deref().is_some_and(|it| artifact_types.contains(&it));
    Some(known.filter(is_wanted).collect())
}

/// The index with one more referrer, or `None` if it is listed already. What others wrote into it is
/// kept as it is, known here or not.
///
/// Fails if `index` is given and is not an index: it is someone else's, and is not overwritten.
pub fn with_referrer(index: Option<&[u8]>, referrer: &Descriptor) -> Result<Option<Vec<u8>>, String> {
    let none = "what is stored there is not an image index";
    let mut index: Value = match index {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|_| none)?,
        None => json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [] }),
    };
    let is_index = index.get("mediaType").is_none_or(|found| found == INDEX_TYPE);
    let listed = index.get_mut("manifests").and_then(Value::as_array_mut).filter(|_| is_index).ok_or(none)?;
    let digest = json!(referrer.digest);
    if listed.iter().any(|entry| entry["digest"] == digest) {
        return Ok(None);
    }
    listed.push(json!(referrer));
    Ok(Some(index.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    fn digest(byte: u8) -> Digest {
        Sha256::from_bytes(&[byte; 32]).into()
    }

    fn manifest(byte: u8, size_bytes: u64) -> Descriptor {
        Descriptor::new(MANIFEST_TYPE, &digest(byte), size_bytes)
    }

    fn sbom() -> Attachment {
        Attachment {
            artifact_type: "application/spdx+json".to_owned(),
            file_name: "sbom.spdx.json".to_owned(),
            digest: digest(1),
            size_bytes: 12,
            annotations: BTreeMap::from([("org.opencontainers.image.created".to_owned(), "2026".to_owned())]),
        }
    }

    #[test]
    fn the_manifest_is_an_artifact_with_a_subject() {
        let subject = Descriptor { annotations: [("a".to_owned(), "b".to_owned())].into(), ..manifest(2, 34) };
        let manifest: Value = serde_json::from_slice(&sbom().manifest(&subject, &digest(3))).expect("is JSON");
        let expected = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/spdx+json",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(3), "size": 2 },
            "layers": [{
                "mediaType": "application/spdx+json", "digest": digest(1), "size": 12,
                "annotations": { "org.opencontainers.image.title": "sbom.spdx.json" },
            }],
            "subject": { "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(2), "size": 34 },
            "annotations": { "org.opencontainers.image.created": "2026" },
        });
        assert_eq!(manifest, expected);
    }

    #[test]
    fn a_referrer_is_listed_once_and_others_stay() {
        let referrer = sbom().described(&manifest(4, 56));
        let first = with_referrer(None, &referrer).expect("an index").expect("is new");
        assert_eq!(with_referrer(Some(&first), &referrer), Ok(None));
        let theirs = json!({ "manifests": [{ "digest": digest(9), "data": "eA==" }], "annotations": { "by": "x" } });
        let both = with_referrer(Some(theirs.to_string().as_bytes()), &referrer).expect("an index").expect("is new");
        let both: Value = serde_json::from_slice(&both).expect("is JSON");
        assert_eq!((&both["manifests"][0], &both["annotations"]), (&theirs["manifests"][0], &theirs["annotations"]));
        assert_eq!(both["manifests"][1]["artifactType"], "application/spdx+json");
        assert_eq!(both["manifests"][1]["annotations"]["org.opencontainers.image.created"], "2026");
        let with_sha512 = json!({ "manifests": [{ "digest": "sha512:00", "size": 1 }, referrer] }).to_string();
        assert_eq!(of_types(with_sha512.as_bytes(), &["application/spdx+json"]), Some(vec![referrer.clone()]));
        assert_eq!(of_types(&first, &["application/x"]), Some(Vec::new()));
        assert_eq!(of_types(b"404 page not found", &["application/x"]), None);
        for bad in ["", "[]", "{}", r#"{"mediaType":"x","manifests":[]}"#] {
            with_referrer(Some(bad.as_bytes()), &referrer).expect_err(bad);
        }
    }

    #[test]
    fn the_tag_is_that_of_the_specification() {
        assert_eq!(fallback_tag(&digest(0xaa)).to_string(), format!("sha256-{}", "aa".repeat(32)));
    }
}
