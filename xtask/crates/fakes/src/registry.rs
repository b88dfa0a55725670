//! A fake OCI registry that behaves like ghcr.io: a state machine without sockets. Besides responding, it
//! records every request that should not be sent to a registry.
//!
//! Sources: OCI distribution specification 1.1; Docker, "Registry authentication"; GitHub Docs, "Working
//! with the Container registry" (a package is private when first published, until someone makes it
//! public). Each part names the section that it follows.

use std::collections::{BTreeMap, BTreeSet};

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use lag::Lag;
use manifests::Manifest;
use responses::{empty, header, host, response};
use route::Route;
use serde_json::{Value, json};
use tokens::Tokens;
use uploads::Upload;

use crate::message::{Content, Request, Response, Service};
use crate::names;

pub use responses::error;
pub use tokens::{Account, TOKEN_PREFIX};

mod access;
mod history;
mod lag;
mod manifests;
mod responses;
mod route;
mod tampering;
mod tokens;
mod uploads;

/// The header with the digest of what was stored or read.
const DIGEST: &str = "Docker-Content-Digest";

/// How the registry responds to a request for referrers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referrers {
    /// 404: it does not support them.
    Absent,
    /// A redirect to another host.
    Redirected,
    /// A list that is always empty, although no push of a referrer was acknowledged.
    Empty,
    /// A list that is always empty, although each push of a referrer is acknowledged, against the specification: "Pushing
    /// Manifests with Subject".
    Acknowledged,
    /// A list, as specified.
    Listed,
}

/// A registry.
#[derive(Clone, Debug)]
pub struct FakeRegistry {
    pub referrers: Referrers,
    /// Whether a push to a package that does not exist is refused. Source: `access.rs`.
    pub denies_creation: bool,
    /// How many more requests without credentials are served, if they are limited.
    pub anonymous_requests: Option<u32>,
    lag: Lag,
    stale: Stale,
    tokens: Tokens,
    /// Secrets of other services, which must never arrive here.
    foreign_secrets: Vec<String>,
    repositories: BTreeMap<String, Repository>,
    uploads: BTreeMap<String, Upload>,
    sessions: u64,
    violations: Vec<String>,
}

/// Whether a read of tags returns their state before the last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stale {
    No,
    /// After the next write.
    Wanted,
    /// The next read does.
    Next,
}

/// One repository, which GitHub calls a package.
#[derive(Clone, Debug, Default)]
struct Repository {
    is_public: bool,
    blobs: BTreeMap<String, Content>,
    manifests: BTreeMap<String, Manifest>,
    tags: BTreeMap<String, String>,
    tags_before: BTreeMap<String, String>,
}

impl FakeRegistry {
    /// An empty registry with one account. `foreign_secrets` must never arrive here.
    pub fn new(account: Account, foreign_secrets: Vec<String>) -> Self {
        Self {
            referrers: Referrers::Redirected,
            denies_creation: false,
            anonymous_requests: None,
            lag: Lag::default(),
            stale: Stale::No,
            tokens: Tokens::new(account),
            foreign_secrets,
            repositories: BTreeMap::new(),
            uploads: BTreeMap::new(),
            sessions: 0,
            violations: Vec::new(),
        }
    }

    /// Makes every package public, as someone does once on a new package's settings page.
    pub fn make_public(&mut self) {
        self.repositories.values_mut().for_each(|repository| repository.is_public = true);
    }

    /// Creates an empty public package, as an earlier publication and someone who made it public leave it.
    pub fn create_public(&mut self, name: &str) {
        self.repositories.entry(name.to_owned()).or_default().is_public = true;
    }

    /// How many upload sessions are open.
    pub fn sessions(&self) -> usize {
        self.uploads.len()
    }

    /// Adds a tag of an image that somebody pushed.
    pub fn add_tag(&mut self, name: &str, tag: &str) {
        let digest = format!("sha256:{}", crate::digest::sha256(tag.as_bytes()));
        self.repositories.entry(name.to_owned()).or_default().tags.insert(tag.to_owned(), digest);
    }

    /// Makes so many reads of a manifest after each push show the state before it.
    pub fn lag(&mut self, reads: u32) {
        self.lag = Lag::of_reads(reads);
    }

    /// Makes the next read of tags after the next write of a tag return the state before that write.
    pub fn stale_once(&mut self) {
        self.stale = Stale::Wanted;
    }

    /// Expires every token.
    pub fn expire_tokens(&mut self) {
        self.tokens.expire();
    }

    /// Sets how many requests a token is valid for from now on.
    pub fn token_lifetime(&mut self, requests: u32) {
        self.tokens.lifetime_requests = requests;
    }

    /// The content of the registry, without the sessions and tokens, which may differ between two runs
    /// that end in the same state.
    pub fn snapshot(&self) -> Value {
        let repositories = self.repositories.iter().map(|(name, repository)| {
            let manifests: BTreeMap<&String, &String> =
                repository.manifests.iter().map(|(digest, manifest)| (digest, &manifest.media_type)).collect();
            let blobs: BTreeSet<&String> = repository.blobs.keys().collect();
            let state = json!({
                "public": repository.is_public, "tags": repository.tags, "manifests": manifests, "blobs": blobs,
            });
            (name.clone(), state)
        });
        Value::Object(repositories.collect())
    }

    /// The tags of all repositories, as `name:tag`, each with its digest.
    pub fn tags(&self) -> Vec<(String, String)> {
        let of = |(name, repository): (&String, &Repository)| -> Vec<_> {
            repository.tags.iter().map(|(tag, digest)| (format!("{name}:{tag}"), digest.clone())).collect()
        };
        self.repositories.iter().flat_map(of).collect()
    }

    /// What clients sent that they should not have.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    fn record_violation(&mut self, request: &Request, what: &str) {
        self.violations.push(format!("{} {}: {what}", request.method(), request.uri().path()));
    }

    /// Checks that no secret is sent where it does not belong. Redirect targets, such as the host of
    /// blobs, get none: "clients … MUST NOT forward Authorization headers" (the specification, "API").
    fn check_for_secrets(&mut self, request: &Request, route: Option<Route<'_>>) {
        let has_foreign = |value: &http::HeaderValue| {
            let text = value.to_str().unwrap_or_default();
            self.foreign_secrets.iter().any(|secret| text.contains(secret))
        };
        if request.headers().values().any(has_foreign) {
            self.record_violation(request, "a secret of another service was sent here");
        }
        let Some(authorization) = header(request, AUTHORIZATION) else { return };
        match route {
            Some(Route::Token) if !authorization.starts_with("Basic ") => {
                self.record_violation(request, "a token was used to get a token");
            }
            Some(Route::Token) => {}
            Some(Route::Storage(_)) | None => {
                self.record_violation(request, "Authorization was sent along with a redirect");
            }
            Some(_) if authorization.starts_with("Bearer ") => {}
            Some(_) => {
                self.record_violation(request, "a password was sent to the registry instead of its token endpoint");
            }
        }
    }

    fn serve(&mut self, request: &Request, route: Route<'_>) -> Response {
        let is = |methods: &[Method]| methods.contains(request.method());
        match route {
            Route::Base if is(&[Method::GET, Method::HEAD]) => empty(StatusCode::OK, &[]),
            Route::Blob(name, digest) if is(&[Method::GET, Method::HEAD]) => self.pull_blob(request, name, digest),
            Route::Uploads(name) if is(&[Method::POST]) => self.begin_upload(request, name),
            Route::Upload(name, id) if is(&[Method::GET, Method::PATCH, Method::PUT, Method::DELETE]) => {
                self.continue_upload(request, name, id)
            }
            Route::Manifest(name, reference) if is(&[Method::GET, Method::HEAD]) => {
                self.pull_manifest(request, name, reference)
            }
            Route::Manifest(name, reference) if is(&[Method::PUT]) => self.push_manifest(request, name, reference),
            Route::Tags(name) if is(&[Method::GET]) => self.list_tags(request, name),
            Route::Referrers(name, digest) if is(&[Method::GET]) => self.list_referrers(request, name, digest),
            // Above all deletion, which ghcr.io does not support through this API and no task uses.
            _ => {
                self.record_violation(request, "a registry is not sent such a request");
                error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "the operation is unsupported")
            }
        }
    }

    /// A blob: HEAD is answered here, GET redirects to another host, as on ghcr.io.
    fn pull_blob(&self, request: &Request, name: &str, digest: &str) -> Response {
        let blob = self.repositories.get(name).and_then(|repository| repository.blobs.get(digest));
        match blob {
            None => error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry"),
            Some(blob) if request.method() == Method::HEAD => response(
                StatusCode::OK,
                &[("Content-Type", "application/octet-stream"), (DIGEST, digest)],
                blob.clone(),
            ),
            Some(_) => {
                let location = format!("{}/storage/{digest}", responses::storage_origin(request));
                empty(StatusCode::TEMPORARY_REDIRECT, &[("Location", &location)])
            }
        }
    }

    /// The other host, which stores the blobs.
    fn storage(&self, digest: &str) -> Response {
        match self.repositories.values().find_map(|repository| repository.blobs.get(digest)) {
            Some(blob) => response(StatusCode::OK, &[("Content-Type", "application/octet-stream")], blob.clone()),
            None => empty(StatusCode::NOT_FOUND, &[]),
        }
    }
}

impl Service for FakeRegistry {
    fn handle(&mut self, request: &Request) -> Response {
        let path = request.uri().path().to_owned();
        let route = Route::of(&path).filter(|route| is_served_at(host(request), *route));
        self.check_for_secrets(request, route);
        if let Some(refused) = route.and_then(|route| self.limited(request, route)) {
            return refused;
        }
        match route {
            None => {
                self.record_violation(request, "a registry has no such path");
                empty(StatusCode::NOT_FOUND, &[])
            }
            Some(Route::Token) => {
                let repositories = &self.repositories;
                self.tokens.issue(request, |name| repositories.get(name).is_some_and(|found| found.is_public))
            }
            Some(Route::Storage(digest)) => self.storage(digest),
            Some(route) => {
                let refused = self.check_access(request, route).or_else(|| self.denied_creation(request, route));
                refused.unwrap_or_else(|| self.serve(request, route))
            }
        }
    }
}

/// Whether the host that a request was sent to has this endpoint. On loopback one host has all.
fn is_served_at(host: &str, route: Route<'_>) -> bool {
    match host {
        names::REGISTRY => !matches!(route, Route::Storage(_)),
        names::BLOBS => matches!(route, Route::Storage(_)),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
