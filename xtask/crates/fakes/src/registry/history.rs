//! Images that `docker push` left before this project is adopted.

use serde_json::{Value, json};

use crate::digest::sha256;
use crate::message::Content;
use crate::registry::FakeRegistry;
use crate::registry::manifests::Manifest;

/// Source: Docker, "Image Manifest V 2, Schema 2", which `docker push` sends unless the engine stores images with
/// containerd. It has no annotations, so that the manifest names no commit.
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

impl FakeRegistry {
    /// Pushes an image of this content to a public package under these tags, which move if they exist.
    pub fn docker_push(&mut self, name: &str, content: &str, tags: &[&str]) {
        self.create_public(name);
        let repository = self.repositories.entry(name.to_owned()).or_default();
        let mut store = |media_type: &str, text: String| -> Value {
            let digest = format!("sha256:{}", sha256(text.as_bytes()));
            let descriptor = json!({ "mediaType": media_type, "size": text.len(), "digest": digest });
            repository.blobs.insert(digest, Content::Memory(text.into_bytes()));
            descriptor
        };
        let config = store(CONFIG, json!({ "architecture": "riscv64", "os": "linux", "comment": content }).to_string());
        let layers = [store(LAYER, content.to_owned())];
        let document = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let bytes = document.to_string().into_bytes();
        let digest = format!("sha256:{}", sha256(&bytes));
        repository.manifests.insert(digest.clone(), Manifest { media_type: MANIFEST.to_owned(), bytes, document });
        repository.tags.extend(tags.iter().map(|&tag| (tag.to_owned(), digest.clone())));
        repository.tags_before.clone_from(&repository.tags);
    }
}
