//! A client of container registries, in this process: no engine, no other tool. It implements the OCI
//! distribution specification 1.1 on top of the one HTTP client. Every operation can be repeated.

use std::cell::RefCell;
use std::io::Read;

use anyhow::{Error, Result, bail, ensure};
use error::ErrorDetail;
use http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use oci::digest::{Digest, sha256};
use oci::documents::Descriptor;
use oci::reference::{ImageTag, Reference};
use serde::Deserialize;

use crate::http::{Authorization, Http, Request, Response, UnexpectedStatus, Url};
use crate::os::terminal::Progress;

pub use error::RegistryError;
pub use referrers::Listed;
pub use repository::ImageRepository;
pub use step::RegistryStep;

mod auth;
mod error;
mod referrers;
mod repository;
mod step;
mod token;
mod upload;

/// Every media type of a manifest, so that a registry never converts one.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// What registries and clients must support at least. Source: the OCI distribution specification 1.1,
/// "Pushing Manifests": "a minimum maximum size of 4 megabytes".
const LARGEST_MANIFEST_BYTES: usize = 4 << 20;
/// Digest of the content that was stored or is sent; older than the specification.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// One repository in a registry, with the access of one user.
pub struct Registry {
    http: Http,
    repository: ImageRepository,
    /// Basic credentials, for the registry or for the token service that it names.
    credentials: Option<Authorization>,
    /// What the registry accepted or asked for last.
    authorization: RefCell<Option<Authorization>>,
    /// The referrers that this client has added to the indexes under fallback tags, each with its subject.
    indexed: RefCell<Vec<(Digest, Descriptor)>>,
}

/// A manifest or an index, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
}

/// A list of tags.
#[derive(Deserialize)]
struct Tags {
    /// Some registries write `null` if there are none.
    tags: Option<Vec<String>>,
}

/// What [`Registry::push_blob`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    AlreadyThere,
    Sent,
}

/// The result of pushing a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whether the registry itself lists it as a referrer of its subject.
    pub is_listed: bool,
}

impl Registry {
    /// A client without credentials, or with those of [`Authorization::basic`].
    pub fn new(repository: ImageRepository, credentials: Option<Authorization>) -> Self {
        let (authorization, indexed) = (RefCell::default(), RefCell::default());
        Self { http: Http::default(), repository, credentials, authorization, indexed }
    }

    /// A client of the same repository without credentials.
    pub fn anonymous(&self) -> Self {
        Self::new(self.repository.clone(), None)
    }

    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub fn repository(&self) -> &ImageRepository {
        &self.repository
    }

    /// The manifest or index that `reference` names, or `None`. A registry may also answer that there is
    /// none if the user has no access to the repository.
    ///
    /// # Errors
    /// A [`RegistryError`] if the registry refuses; another error if the content does not match its
    /// digest, or if the registry cannot be reached.
    pub fn manifest(&self, reference: &Reference) -> Result<Option<Found>> {
        let url = self.repository.url(&format!("manifests/{reference}"));
        let response = self.send(&Request::new(Method::GET, url).header(ACCEPT, MANIFEST_TYPES), None)?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.refused(false, format!("read {reference}"), &response)),
        }
        self.check_size(&response)?;
        let media_type = response.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        // "The client SHOULD ignore parameters on the Content-Type header."
        let descriptor = described(media_type.split(';').next().unwrap_or_default().trim(), &response.body);
        if let Reference::Digest(asked) = reference
            && *asked != descriptor.digest
        {
            bail!("{}@{asked} was answered with {}, which is another manifest", self.repository, descriptor.digest);
        }
        self.check_digest(&response, &descriptor.digest)?;
        Ok(Some(Found { descriptor, bytes: response.body }))
    }

    /// The first thousand tags; none if there is no such repository.
    /// Source: the OCI distribution specification 1.1, "Listing Tags".
    pub fn tags(&self) -> Result<Vec<String>> {
        let url = self.repository.url("tags/list").with("n", "1000");
        let response = self.send(&Request::new(Method::GET, url), None)?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Vec::new()),
            _ => return Err(self.refused(false, "list the tags".to_owned(), &response)),
        }
        self.check_size(&response)?;
        Ok(response.json::<Tags>()?.tags.unwrap_or_default())
    }

    pub fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let response = self.send(&Request::new(Method::HEAD, self.repository.url(&format!("blobs/{digest}"))), None)?;
        match response.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(false, format!("check for the blob {digest}"), &response)),
        }
    }

    /// A blob as a stream, which the caller compares with its digest. What the registry asked for at an earlier
    /// request is sent again; if that has expired, it is asked for once more.
    ///
    /// # Errors
    /// If the registry does not send it.
    pub fn open_blob(&self, digest: &Digest) -> Result<impl Read + use<>> {
        let request = Request::new(Method::GET, self.repository.url(&format!("blobs/{digest}")));
        let open = || self.http.open_request(&request.clone().authorization(self.authorization.borrow().as_ref()));
        let is_expired = |error: &Error| {
            let answer = error.downcast_ref::<UnexpectedStatus>();
            answer.is_some_and(|answer| answer.status == StatusCode::UNAUTHORIZED && answer.url == *request.url())
        };
        match open() {
            Err(error) if is_expired(&error) && self.has_blob(digest)? => open(),
            opened => opened,
        }
    }

    /// A small blob, compared with its digest.
    ///
    /// # Errors
    /// If the registry does not send it, or sends something else.
    pub fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        ensure!(
            descriptor.size <= LARGEST_MANIFEST_BYTES as u64,
            "{} has {} bytes",
            descriptor.digest,
            descriptor.size
        );
        let mut bytes = Vec::new();
        self.open_blob(&descriptor.digest)?.take(descriptor.size + 1).read_to_end(&mut bytes)?;
        ensure!(
            Digest::from(sha256(&bytes)) == descriptor.digest,
            "{} arrived with another content",
            descriptor.digest
        );
        Ok(bytes)
    }

    /// Stores a manifest under its digest. Its blobs must be there already.
    pub fn push_manifest(&self, media_type: &str, bytes: &[u8]) -> Result<Stored> {
        self.put(&Reference::Digest(sha256(bytes).into()), media_type, bytes)
    }

    /// Stores a manifest under a tag, which refers to it from then on.
    pub fn tag(&self, tag: &ImageTag, media_type: &str, bytes: &[u8]) -> Result<()> {
        self.put(&Reference::from(tag), media_type, bytes).map(|_| ())
    }

    fn put(&self, reference: &Reference, media_type: &str, bytes: &[u8]) -> Result<Stored> {
        let url = self.repository.url(&format!("manifests/{reference}"));
        let response = self.send(&Request::new(Method::PUT, url).bytes(media_type, bytes), None)?;
        if response.status != StatusCode::CREATED {
            return Err(self.refused(true, format!("push the manifest {reference}"), &response));
        }
        self.check_digest(&response, &sha256(bytes).into())?;
        Ok(Stored { is_listed: response.header("oci-subject").is_some() })
    }

    /// Checks the size of a manifest or an index before it is parsed.
    fn check_size(&self, response: &Response) -> Result<()> {
        let size = response.body.len();
        ensure!(
            size <= LARGEST_MANIFEST_BYTES,
            "{} sent a manifest of {size} bytes; {LARGEST_MANIFEST_BYTES} is the limit",
            self.repository
        );
        Ok(())
    }

    /// Checks the digest in a response, if there is one. An algorithm that we do not know is ignored.
    fn check_digest(&self, response: &Response, digest: &Digest) -> Result<()> {
        let named = response.header(CONTENT_DIGEST).and_then(|text| text.parse::<Digest>().ok());
        match named {
            Some(named) if named != *digest => {
                bail!(
                    "{} has {named} instead of {digest}: the content was changed in transit or in the registry",
                    self.repository
                )
            }
            _ => Ok(()),
        }
    }

    /// Sends a request. If the registry asks for credentials, or a token has expired, the request is sent
    /// once more with new ones. Another origin, to which an upload may be redirected, gets none.
    fn send(&self, request: &Request, mut progress: Option<&mut Progress>) -> Result<Response> {
        let is_ours = |url: &Url| url.origin() == self.repository.endpoint().origin();
        if !is_ours(request.url()) {
            return self.http.send_with_progress(request, progress);
        }
        let before = progress.as_deref().map_or(0, Progress::done);
        let known = self.authorization.borrow().clone();
        let response =
            self.http.send_with_progress(&request.clone().authorization(known.as_ref()), progress.as_deref_mut())?;
        if response.status != StatusCode::UNAUTHORIZED || !is_ours(&response.url) {
            return Ok(response);
        }
        let Some(fresh) = self.authenticate(&response)? else { return Ok(response) };
        *self.authorization.borrow_mut() = Some(fresh.clone());
        if let Some(progress) = progress.as_deref_mut() {
            progress.go_back_to(before);
        }
        self.http.send_with_progress(&request.clone().authorization(Some(&fresh)), progress)
    }

    fn refused(&self, is_write: bool, action: String, response: &Response) -> Error {
        let challenge = response.header(WWW_AUTHENTICATE.as_str()).unwrap_or_default();
        Error::new(RegistryError {
            action,
            repository: self.repository.clone(),
            is_write,
            is_anonymous: self.credentials.is_none(),
            has_insufficient_scope: challenge.contains("insufficient_scope"),
            status: response.status,
            details: ErrorDetail::parse(&response.body),
        })
    }
}

/// The descriptor of a document.
pub fn described(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, &sha256(bytes).into(), bytes.len() as u64)
}

#[cfg(test)]
pub mod tests;
