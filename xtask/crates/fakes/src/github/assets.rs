//! Release assets: upload, list, delete, download.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::github::response::{Outcome, Response};
use crate::github::{Call, State, shapes};
use crate::message::Content;

#[derive(Clone)]
pub struct Asset {
    pub id: u64,
    pub name: String,
    pub content_type: String,
    pub label: Option<String>,
    /// `None` if the upload failed and left it in the state `starter`.
    pub content: Option<Content>,
    /// `sha256:…`. Source: GitHub changelog of 2025-06-03, "Releases now expose digests for release
    /// assets".
    pub digest: Option<String>,
}

impl Asset {
    /// `uploaded`, or `starter` after a failed upload. Source: GitHub REST API, "Upload a release asset".
    pub fn state(&self) -> &'static str {
        if self.content.is_some() { "uploaded" } else { "starter" }
    }

    /// 0 in the state `starter`, which the documentation calls empty.
    pub fn size_bytes(&self) -> u64 {
        self.content.as_ref().map_or(0, Content::size_bytes)
    }

    /// The JSON of an asset, whose release page ends in `slug`.
    pub fn to_json(&self, call: &Call, slug: &str) -> Value {
        let (id, name, repository) = (self.id, &self.name, call.repository);
        json!({
            "id": id,
            "node_id": format!("RA_{id}"),
            "url": format!("{}/releases/assets/{id}", call.api()),
            "browser_download_url": format!("{}/{repository}/releases/download/{slug}/{name}", call.site.web),
            "name": name,
            "label": self.label,
            "state": self.state(),
            "content_type": self.content_type,
            "size": self.size_bytes(),
            "digest": self.digest,
            "download_count": 0,
            "created_at": shapes::time(id),
            "updated_at": shapes::time(id),
            "uploader": shapes::user(call),
        })
    }
}

/// "GitHub renames asset filenames that have special characters, non-alphanumeric characters, and
/// leading or trailing periods." Source: "Upload a release asset".
fn sanitized(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.+@".contains(letter);
    let dotted: String = name.chars().map(|letter| if plain(letter) { letter } else { '.' }).collect();
    dotted.trim_matches('.').to_owned()
}

impl State {
    pub fn list_assets(&mut self, call: &Call, id: &str) -> Outcome {
        let all = if call.is_upstream { &self.upstream } else { &self.releases };
        let release = all.iter().find(|release| release.id.to_string() == id && (call.can_push || !release.is_draft));
        let release = release.ok_or_else(Response::not_found)?;
        let slug = release.slug();
        let assets = release.assets.iter().map(|asset| asset.to_json(call, &slug)).collect();
        Ok(call.list_response(assets, &format!("releases/{id}/assets")))
    }

    /// "Upload a release asset": raw content with `Content-Type` and `Content-Length`. A name that
    /// exists, in whatever state, is refused, and so is any after an immutable release is published ("Immutable
    /// releases": "the assets and associated Git tag cannot be changed after publication"); a 502 "may leave an empty asset with a state of `starter`".
    pub fn upload(&mut self, call: &Call, id: &str) -> Outcome {
        let header = |name| call.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(content_type) = header("content-type") else {
            let refused = Response::message(StatusCode::BAD_REQUEST, "Bad Content-Type");
            return Err(refused.violating("an upload has no Content-Type".to_owned()));
        };
        if header("content-length").is_none_or(|length| length == "0") {
            let refused = Response::message(StatusCode::BAD_REQUEST, "Bad Content-Length");
            return Err(refused.violating("an upload has no Content-Length, or is empty".to_owned()));
        }
        let name = sanitized(call.parameter("name").unwrap_or_default());
        if name.is_empty() {
            let refused = Response::invalid("ReleaseAsset", "name", "missing_field");
            return Err(refused.violating("an upload has no name".to_owned()));
        }
        let release = self.releases.iter().position(|release| release.id.to_string() == id);
        let release = release.ok_or_else(Response::not_found)?;
        if self.releases[release].is_immutable {
            // The answer is quoted in concourse/github-release-resource#151.
            let message = "Cannot upload assets to an immutable release.";
            return Err(Response::message(StatusCode::UNPROCESSABLE_ENTITY, message));
        }
        if self.releases[release].assets.iter().any(|asset| asset.name == name) {
            return Err(Response::invalid("ReleaseAsset", "name", "already_exists"));
        }
        let fails = std::mem::take(&mut self.leaves_starter);
        let content = (!fails).then(|| call.body.clone());
        let label = call.parameter("label").map(str::to_owned);
        let digest = content.as_ref().map(|content| format!("sha256:{}", content.sha256()));
        let asset = Asset { id: self.tick(), name, content_type, label, content, digest };
        let document = asset.to_json(call, &self.releases[release].slug());
        self.releases[release].assets.push(asset);
        if fails {
            Err(Response::message(StatusCode::BAD_GATEWAY, "Server Error"))
        } else {
            Ok(Response::created(&document))
        }
    }

    /// "Delete a release asset". Refused for an immutable release.
    pub fn delete_asset(&mut self, id: &str) -> Outcome {
        for release in &mut self.releases {
            if let Some(position) = release.assets.iter().position(|asset| asset.id.to_string() == id) {
                if release.is_immutable {
                    // The error is quoted in uutils/coreutils#13839.
                    let message = "Cannot delete asset from an immutable release";
                    return Err(Response::custom("ReleaseAsset", message));
                }
                release.assets.remove(position);
                return Ok(Response::empty(StatusCode::NO_CONTENT));
            }
        }
        Err(Response::not_found())
    }

    /// `browser_download_url`: for published releases only, a redirect to another host. Source: GitHub
    /// REST API, "Get a release asset", on clients that should "handle both a 200 or 302 response".
    pub fn download(&mut self, call: &Call, tag: &str, name: &str) -> Outcome {
        let release = self.releases.iter().find(|release| release.tag == tag && !release.is_draft);
        let asset = release.and_then(|release| release.assets.iter().find(|asset| asset.name == name));
        let asset = asset.filter(|asset| asset.content.is_some()).ok_or_else(Response::not_found)?;
        let location = format!("{}/{}", call.site.objects, asset.id);
        Ok(Response::empty(StatusCode::FOUND).with("location", location))
    }

    /// The other host, which must never be sent a token.
    pub fn object(&self, id: &str, headers: &HeaderMap, host: &str) -> Response {
        if headers.contains_key("authorization") {
            let violation = format!("a token was sent to another host, {host}");
            return Response::message(StatusCode::BAD_REQUEST, "InvalidArgument").violating(violation);
        }
        let mut assets = self.releases.iter().flat_map(|release| &release.assets);
        let Some(asset) = assets.find(|asset| asset.id.to_string() == id) else { return Response::not_found() };
        let content = asset.content.clone().unwrap_or(Content::Memory(Vec::new()));
        let headers = vec![("content-type", "application/octet-stream".to_owned())];
        Response { status: StatusCode::OK, content, headers, violation: None }
    }
}
