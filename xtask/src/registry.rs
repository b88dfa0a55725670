//! A client of container registries, in this process: no engine, no other tool. It speaks the OCI
//! distribution specification 1.1 through the one HTTP client; everything that it does may be done
//! again.

use std::cell::RefCell;

use anyhow::{Error, Result, bail};
use error::ErrorDetail;
use http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use oci::digest::{Digest, sha256};
use oci::documents::Descriptor;
use oci::reference::{ImageTag, Reference};

use crate::http::{Authorization, Http, Request, Response, Url};
use crate::os::terminal::Progress;

pub use error::RegistryError;
pub use repository::ImageRepository;
pub use step::RegistryStep;

mod auth;
mod error;
mod referrers;
mod repository;
mod step;
mod token;
mod upload;

/// Every kind of manifest that there is, so that a registry never has to convert one.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Digest of what was stored or is answered, since before there was a specification.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// One repository in a registry, as one identity sees it.
pub struct Registry {
    http: Http,
    repository: ImageRepository,
    /// Basic credentials: for the registry, or for the token service that it names.
    credentials: Option<Authorization>,
    /// What the registry last wanted to see.
    authorization: RefCell<Option<Authorization>>,
}

/// A manifest or an index, as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is, its digest and its size.
    pub descriptor: Descriptor,
    /// The document.
    pub bytes: Vec<u8>,
}

/// How a blob came to be in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    AlreadyThere,
    /// It was sent.
    Sent,
}

/// What became of a manifest that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whether the registry itself lists it with the image that it refers to.
    pub is_listed: bool,
}

impl Registry {
    /// The repository as anyone sees it, or as the user whose [`Authorization::basic`] this is.
    pub fn new(repository: ImageRepository, credentials: Option<Authorization>) -> Self {
        Self { http: Http::default(), repository, credentials, authorization: RefCell::default() }
    }

    /// The same as anyone sees it.
    pub fn anonymous(&self) -> Self {
        Self::new(self.repository.clone(), None)
    }

    /// Its name.
    pub fn repository(&self) -> &ImageRepository {
        &self.repository
    }

    /// The manifest or index that `reference` names; none where there is none. A registry may also
    /// say so of a repository that one may not see.
    ///
    /// # Errors
    /// A [`RegistryError`] where the registry refuses; where what it answers is not what its digest says;
    /// where it cannot be reached.
    pub fn manifest(&self, reference: &Reference) -> Result<Option<Found>> {
        let url = self.repository.url(&format!("manifests/{reference}"));
        let response = self.send(&Request::new(Method::GET, url).header(ACCEPT, MANIFEST_TYPES), None)?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.refused(false, format!("read {reference}"), &response)),
        }
        let media_type = response.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        // "The client SHOULD ignore parameters on the Content-Type header."
        let descriptor = described(media_type.split(';').next().unwrap_or_default().trim(), &response.body);
        if let Reference::Digest(asked) = reference
            && *asked != descriptor.digest
        {
            bail!("{}@{asked} is answered with {}, which is another manifest", self.repository, descriptor.digest);
        }
        self.must_name(&response, &descriptor.digest)?;
        Ok(Some(Found { descriptor, bytes: response.body }))
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let response = self.send(&Request::new(Method::HEAD, self.repository.url(&format!("blobs/{digest}"))), None)?;
        match response.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(false, format!("look for the blob {digest}"), &response)),
        }
    }

    /// Stores a manifest under its digest. Its blobs are there.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub fn push_manifest(&self, media_type: &str, bytes: &[u8]) -> Result<Stored> {
        self.put(&Reference::Digest(sha256(bytes).into()), media_type, bytes)
    }

    /// Stores a manifest under a tag, which from then on means this one.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub fn tag(&self, tag: &ImageTag, media_type: &str, bytes: &[u8]) -> Result<()> {
        self.put(&Reference::from(tag), media_type, bytes).map(|_| ())
    }

    fn put(&self, reference: &Reference, media_type: &str, bytes: &[u8]) -> Result<Stored> {
        let url = self.repository.url(&format!("manifests/{reference}"));
        let response = self.send(&Request::new(Method::PUT, url).bytes(media_type, bytes), None)?;
        if response.status != StatusCode::CREATED {
            return Err(self.refused(true, format!("push the manifest {reference}"), &response));
        }
        self.must_name(&response, &sha256(bytes).into())?;
        Ok(Stored { is_listed: response.header("oci-subject").is_some() })
    }

    /// Where an answer names a digest, it is this one. Another algorithm than ours may name it too.
    fn must_name(&self, response: &Response, digest: &Digest) -> Result<()> {
        let named = response.header(CONTENT_DIGEST).and_then(|text| text.parse::<Digest>().ok());
        match named {
            Some(named) if named != *digest => {
                bail!("{} calls {named} what is {digest}: it was changed on its way, or there", self.repository)
            }
            _ => Ok(()),
        }
    }

    /// Sends a request, and where the registry wants to know who we are, or a token has expired, says
    /// so and sends it once more. Another site, which an upload may be led to, is told nothing.
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
        let Some(fresh) = self.answer(&response)? else { return Ok(response) };
        *self.authorization.borrow_mut() = Some(fresh.clone());
        if let Some(progress) = progress.as_deref_mut() {
            progress.go_back_to(before);
        }
        self.http.send_with_progress(&request.clone().authorization(Some(&fresh)), progress)
    }

    fn refused(&self, is_write: bool, trying: String, response: &Response) -> Error {
        let challenge = response.header(WWW_AUTHENTICATE.as_str()).unwrap_or_default();
        Error::new(RegistryError {
            trying,
            repository: self.repository.clone(),
            is_write,
            is_anonymous: self.credentials.is_none(),
            lacks_scope: challenge.contains("insufficient_scope"),
            status: response.status,
            complaints: ErrorDetail::all(&response.body),
        })
    }
}

/// The descriptor of a document.
pub fn described(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, &sha256(bytes).into(), bytes.len() as u64)
}

#[cfg(test)]
mod tests;
