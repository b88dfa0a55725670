//! Changes to what is published that no task makes: by the owner, by a policy that removes old packages, or by a fault
//! of the registry's storage.

use serde_json::Value;

use crate::digest::sha256;
use crate::message::Content;
use crate::registry::manifests::Manifest;
use crate::registry::{FakeRegistry, Repository};

impl FakeRegistry {
    /// Moves a tag. Source: OCI distribution specification 1.1, "Pushing Manifests": a push by tag moves it.
    pub fn put_tag(&mut self, name: &str, tag: &str, digest: &str) {
        self.of(name).tags.insert(tag.to_owned(), digest.to_owned());
    }

    /// Removes a manifest, as the page of a package does ("Deleting and restoring a package", GitHub Docs). Tags that
    /// refer to it lead to nothing.
    pub fn take_manifest(&mut self, name: &str, digest: &str) {
        self.of(name).manifests.remove(digest);
    }

    /// Stores a manifest again.
    pub fn put_manifest(&mut self, name: &str, media_type: &str, bytes: Vec<u8>) {
        let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let digest = format!("sha256:{}", sha256(&bytes));
        self.of(name).manifests.insert(digest, Manifest { media_type: media_type.to_owned(), bytes, document });
    }

    /// Removes a blob, or sends other bytes under its digest.
    pub fn spoil_blob(&mut self, name: &str, digest: &str, content: Option<Vec<u8>>) {
        let blobs = &mut self.of(name).blobs;
        match content {
            Some(content) => blobs.insert(digest.to_owned(), Content::Memory(content)),
            None => blobs.remove(digest),
        };
    }

    /// Makes every package private, as its owner can at any time.
    pub fn make_private(&mut self) {
        self.repositories.values_mut().for_each(|repository| repository.is_public = false);
    }

    /// The document of a manifest.
    pub fn manifest(&self, name: &str, digest: &str) -> Option<&Value> {
        Some(&self.repositories.get(name)?.manifests.get(digest)?.document)
    }

    fn of(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }
}
