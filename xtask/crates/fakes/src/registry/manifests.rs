//! Manifests, tags and referrers. Source: OCI distribution specification 1.1, "Pulling manifests",
//! "Pushing Manifests", "Listing Tags" and "Listing Referrers".

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::digest::sha256;
use crate::message::{Content, Request, Response};
use crate::registry::responses::{empty, error, header, response, storage_origin};
use crate::registry::{DIGEST, FakeRegistry, Referrers, Repository, Stale};

/// Source: OCI distribution specification 1.1, "Pushing Manifests": at least 4 MiB.
const LARGEST_DOCUMENT_BYTES: u64 = 4 << 20;
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// A manifest, with the exact bytes that were pushed.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
    pub(super) document: Value,
}

impl FakeRegistry {
    /// `GET` and `HEAD` of a manifest, by digest or tag.
    pub(super) fn pull_manifest(&mut self, request: &Request, name: &str, reference: &str) -> Response {
        let unknown = |message: &str| error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message);
        let is_digest = reference.contains(':');
        let stale = if is_digest { None } else { self.take_stale(name) };
        let lagging = self.lag.read(name, reference);
        let Some(repository) = self.repositories.get(name) else {
            return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let tags = stale.as_ref().unwrap_or(&repository.tags);
        let digest = match &lagging {
            Some(before) => before.as_deref(),
            None if is_digest => Some(reference),
            None => tags.get(reference).map(String::as_str),
        };
        let found = digest.and_then(|digest| Some((digest, repository.manifests.get(digest)?)));
        let Some((digest, manifest)) = found else { return unknown("manifest unknown to registry") };
        // The reference implementation responds like this if a client does not accept the type
        // (distribution, registry/handlers/manifests.go).
        let accepted: Vec<&str> =
            request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let accepts = |kind: &str| {
            let types = accepted.iter().flat_map(|value| value.split(',')).map(|one| one.split(';').next());
            types.flatten().any(|one| [kind, "*/*"].contains(&one.trim()))
        };
        if !accepts(&manifest.media_type) {
            let message = format!("OCI manifest found, but accept header does not support {}", manifest.media_type);
            self.record_violation(request, &message);
            return unknown(&message);
        }
        let headers = [("Content-Type", manifest.media_type.as_str()), (DIGEST, digest)];
        response(StatusCode::OK, &headers, Content::Memory(manifest.bytes.clone()))
    }

    pub(super) fn push_manifest(&mut self, request: &Request, name: &str, reference: &str) -> Response {
        let manifest = match self.check_manifest(request, name, reference) {
            Ok(manifest) => manifest,
            Err((code, message)) => {
                self.record_violation(request, &format!("{code}: {message}"));
                return error(StatusCode::BAD_REQUEST, code, &message);
            }
        };
        let digest = format!("sha256:{}", sha256(&manifest.bytes));
        let subject = manifest.document["subject"]["digest"].as_str().map(str::to_owned);
        let repository = self.repositories.entry(name.to_owned()).or_default();
        let is_new = repository.manifests.insert(digest.clone(), manifest).is_none();
        self.lag.pushed(name, &digest, (!is_new).then(|| digest.clone()));
        if !reference.contains(':') {
            self.lag.pushed(name, reference, repository.tags.get(reference).cloned());
            repository.tags_before.clone_from(&repository.tags);
            if self.stale == Stale::Wanted {
                self.stale = Stale::Next;
            }
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        let location = format!("/v2/{name}/manifests/{digest}");
        let is_acknowledged = [Referrers::Acknowledged, Referrers::Listed].contains(&self.referrers);
        let mut headers = vec![("Location", location.as_str()), (DIGEST, digest.as_str())];
        if let Some(subject) = subject.as_deref().filter(|_| is_acknowledged) {
            headers.push(("OCI-Subject", subject));
        }
        empty(StatusCode::CREATED, &headers)
    }

    fn check_manifest(
        &self,
        request: &Request,
        name: &str,
        reference: &str,
    ) -> Result<Manifest, (&'static str, String)> {
        let invalid = |message: &str| ("MANIFEST_INVALID", message.to_owned());
        let Content::Memory(bytes) = request.body() else { return Err(invalid("it is too large")) };
        if bytes.len() as u64 > LARGEST_DOCUMENT_BYTES {
            return Err(invalid("it is too large"));
        }
        let document: Value = serde_json::from_slice(bytes).map_err(|_| invalid("it is not JSON"))?;
        let media_type = header(request, CONTENT_TYPE).unwrap_or_default();
        if document["mediaType"].as_str() != Some(media_type) {
            return Err(invalid("Content-Type is not the mediaType of the manifest"));
        }
        let found = format!("sha256:{}", sha256(bytes));
        if reference.contains(':') && reference != found {
            return Err(("DIGEST_INVALID", format!("its digest is {found}, not {reference}")));
        }
        let none = Repository::default();
        let repository = self.repositories.get(name).unwrap_or(&none);
        let descriptors = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        let config = Some(document["config"].clone()).filter(Value::is_object);
        for blob in descriptors("layers").into_iter().chain(config) {
            let stored = blob["digest"].as_str().and_then(|digest| repository.blobs.get(digest));
            if stored.map(Content::size_bytes) != blob["size"].as_u64() || stored.is_none() {
                return Err(("MANIFEST_BLOB_UNKNOWN", format!("there is no blob {} of this size", blob["digest"])));
            }
        }
        for inner in descriptors("manifests") {
            if !inner["digest"].as_str().is_some_and(|digest| repository.manifests.contains_key(digest)) {
                return Err(("MANIFEST_BLOB_UNKNOWN", format!("there is no manifest {}", inner["digest"])));
            }
        }
        Ok(Manifest { media_type: media_type.to_owned(), bytes: bytes.clone(), document })
    }

    /// `GET` of the list of tags, sorted, and paged by `n` and `last`.
    pub(super) fn list_tags(&mut self, request: &Request, name: &str) -> Response {
        let stale = self.take_stale(name);
        let Some(repository) = self.repositories.get(name) else {
            return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let last = crate::registry::route::parameter(request.uri(), "last").unwrap_or_default();
        let most = crate::registry::route::parameter(request.uri(), "n").and_then(|n| n.parse().ok()).unwrap_or(100);
        let tags = stale.as_ref().unwrap_or(&repository.tags);
        let after: Vec<&String> = tags.keys().filter(|tag| **tag > last).collect();
        let page: Vec<&String> = after.iter().copied().take(most).collect();
        let link = page.last().filter(|_| after.len() > page.len() && most > 0);
        let link = link.map(|tag| format!("</v2/{name}/tags/list?n={most}&last={tag}>; rel=\"next\""));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(link.as_deref().map(|link| ("Link", link)));
        response(StatusCode::OK, &headers, Content::json(&json!({ "name": name, "tags": page })))
    }

    /// `GET` of a manifest's referrers. ghcr.io does not support it; reports conflict on whether it responds with
    /// 404, with 303 to a page of github.com (artifacthub/hub issue 4785), or with 200 and an empty list. The last
    /// is also how the specification lets a registry respond that lists only what it acknowledged: "If a query
    /// results in no matching referrers, an empty manifest list MUST be returned."
    pub(super) fn list_referrers(&self, request: &Request, name: &str, digest: &str) -> Response {
        match self.referrers {
            Referrers::Absent => empty(StatusCode::NOT_FOUND, &[]),
            Referrers::Redirected => {
                let page = format!("{}/storage/referrers", storage_origin(request));
                empty(StatusCode::SEE_OTHER, &[("Location", &page)])
            }
            Referrers::Empty | Referrers::Acknowledged | Referrers::Listed => {
                let repository = self.repositories.get(name).filter(|_| self.referrers == Referrers::Listed);
                let manifests = repository.into_iter().flat_map(|repository| repository.manifests.values());
                let of_it = |manifest: &&Manifest| manifest.document["subject"]["digest"] == digest;
                let list: Vec<Value> = manifests.filter(of_it).map(descriptor).collect();
                let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list });
                response(StatusCode::OK, &[("Content-Type", INDEX_TYPE)], Content::json(&index))
            }
        }
    }

    /// The tags before the last write, if the next read is to be stale.
    fn take_stale(&mut self, name: &str) -> Option<std::collections::BTreeMap<String, String>> {
        if self.stale != Stale::Next {
            return None;
        }
        self.stale = Stale::No;
        self.repositories.get(name).map(|repository| repository.tags_before.clone())
    }
}

/// A manifest's entry in a list of referrers.
fn descriptor(manifest: &Manifest) -> Value {
    let document = &manifest.document;
    let kind = document["artifactType"].as_str().or(document["config"]["mediaType"].as_str());
    json!({
        "mediaType": manifest.media_type,
        "digest": format!("sha256:{}", sha256(&manifest.bytes)),
        "size": manifest.bytes.len(),
        "artifactType": kind,
        "annotations": document["annotations"],
    })
}
