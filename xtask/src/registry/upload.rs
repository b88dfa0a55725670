//! Pushing blobs: nothing is sent if the registry has the blob. Otherwise it is one request in constant
//! memory; after a break it resumes from what has arrived, if the registry reports that and takes the rest, or starts
//! over.

use anyhow::{Error, Result, anyhow};
use camino::Utf8Path;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{Method, StatusCode};
use oci::documents::Descriptor;

use crate::http::{Request, Response, Retry, RetryReason, Url};
use crate::os::terminal::Progress;
use crate::registry::{Pushed, Registry};

const OCTETS: &str = "application/octet-stream";

/// The content of a blob.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    File(&'a Utf8Path),
    Bytes(&'a [u8]),
}

/// An upload session for one blob, and how much of it has arrived.
struct Session {
    location: Url,
    arrived_bytes: u64,
}

impl Registry {
    /// Ensures that a blob is in the repository.
    ///
    /// # Errors
    /// A [`RegistryError`](crate::registry::RegistryError) if the registry refuses; another error if the
    /// file cannot be read, or if the connection breaks at each attempt.
    pub fn push_blob(&self, blob: &Descriptor, path: &Utf8Path, progress: &mut Progress) -> Result<Pushed> {
        self.push(blob, Content::File(path), Some(progress))
    }

    pub(super) fn push(
        &self,
        blob: &Descriptor,
        content: Content<'_>,
        mut progress: Option<&mut Progress>,
    ) -> Result<Pushed> {
        let before = progress.as_deref().map_or(0, Progress::done);
        let pushed = if self.has_blob(&blob.digest)? {
            Pushed::AlreadyThere
        } else {
            let session = self.open(action(blob))?;
            self.upload(blob, content, session, progress.as_deref_mut())?;
            Pushed::Sent
        };
        if let Some(progress) = progress {
            progress.go_back_to(before + blob.size);
        }
        Ok(pushed)
    }

    /// Checks that the credentials permit a push: opens an upload session and cancels it. No package is created by that.
    ///
    /// # Errors
    /// A [`RegistryError`](crate::registry::RegistryError) if the registry refuses.
    pub fn check_push(&self) -> Result<()> {
        let session = self.open("push".to_owned())?;
        // Source: CNCF Distribution, "HTTP API V2", "Canceling an Upload". A registry that does not know the request
        // drops the session later: ghcr.io answers 405, and the upload session itself as here (radius-project/radius
        // pull request 12623).
        let _ = self.send(&Request::new(Method::DELETE, session.location).once(), None);
        Ok(())
    }

    /// Opens an upload session. Source: the OCI distribution specification 1.1, "POST then PUT".
    fn open(&self, action: String) -> Result<Session> {
        let url = self.repository.url("blobs/uploads/");
        // An unused session does no harm: the registry drops it.
        let response = self.send(&Request::new(Method::POST, url.clone()).repeatable(), None)?;
        if response.status != StatusCode::ACCEPTED {
            return Err(self.refused(true, action, &response));
        }
        let location = location(&response)?.ok_or_else(|| anyhow!("{url} answered without an upload location"))?;
        Ok(Session { location, arrived_bytes: 0 })
    }

    /// Sends a blob, and after a break the rest of it, as often as [`Retry`] allows. Once a registry has refused the
    /// rest, the whole blob is sent instead; one that refuses the whole blob is not asked again.
    fn upload(
        &self,
        blob: &Descriptor,
        content: Content<'_>,
        mut session: Session,
        mut progress: Option<&mut Progress>,
    ) -> Result<()> {
        let before = progress.as_deref().map_or(0, Progress::done);
        let mut retry = Retry::new(self.repository.endpoint(), true);
        let mut may_resume = true;
        loop {
            if let Some(progress) = progress.as_deref_mut() {
                progress.go_back_to(before + session.arrived_bytes);
            }
            let (reason, error) = match self.send(&finish(blob, content, &session), progress.as_deref_mut()) {
                Ok(response) if response.status == StatusCode::CREATED => {
                    return self.check_digest(&response, &blob.digest);
                }
                Ok(response) => {
                    let reason = response.retry_reason();
                    let is_part = session.arrived_bytes > 0;
                    may_resume &= !is_part || matches!(reason, Some(RetryReason::Later(_)));
                    (reason.or(is_part.then_some(RetryReason::Unsure)), self.refused(true, action(blob), &response))
                }
                // The address of an upload may itself be a secret: it is not printed.
                Err(error) => {
                    let why = format!("cannot {} to {}: {}", action(blob), self.repository, error.root_cause());
                    (Some(RetryReason::of_error(&error)), Error::msg(why))
                }
            };
            if !reason.map_or(Ok(false), |reason| retry.wait(reason))? {
                return Err(error);
            }
            // Perhaps only the response was lost.
            if self.has_blob(&blob.digest)? {
                return Ok(());
            }
            let resumed = if may_resume { self.resumed(&session, blob.size) } else { None };
            session = resumed.map_or_else(|| self.open(action(blob)), Ok)?;
        }
    }

    /// The session with what has arrived, or `None` if the registry does not report it; the upload then
    /// starts over.
    ///
    /// docker-registry 2.8.2 never reports it: the state of its session has a size that is wrong after a
    /// break, so it answers 404, `BLOB_UPLOAD_INVALID`, and drops the session. It and its successors also
    /// send `0-0` if nothing has arrived, so that a single byte counts as none.
    /// Source: CNCF Distribution, `registry/handlers/blobupload.go`; the OCI distribution
    /// specification 1.1, "Pushing a blob in chunks", the current status.
    fn resumed(&self, session: &Session, size_bytes: u64) -> Option<Session> {
        let response = self.send(&Request::new(Method::GET, session.location.clone()), None).ok()?;
        let arrived_bytes = arrived_bytes(response.header(RANGE.as_str())?, size_bytes)?;
        let location = location(&response).ok()?.unwrap_or_else(|| session.location.clone());
        (response.status == StatusCode::NO_CONTENT).then_some(Session { location, arrived_bytes })
    }
}

/// How much of `size_bytes` has arrived, from the `Range` header of an upload session: `0-LAST`.
fn arrived_bytes(range: &str, size_bytes: u64) -> Option<u64> {
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    (1..size_bytes).contains(&last).then(|| last + 1)
}

fn action(blob: &Descriptor) -> String {
    format!("upload the blob {}", blob.digest)
}

/// The request that sends the rest and closes the session. It is not retried: the registry is asked first
/// how much has arrived.
fn finish(blob: &Descriptor, content: Content<'_>, session: &Session) -> Request {
    let from = session.arrived_bytes;
    let request = Request::new(Method::PUT, session.location.with("digest", &blob.digest.to_string())).once();
    let request = if (1..blob.size).contains(&from) {
        request.header(CONTENT_RANGE, format!("{from}-{}", blob.size - 1))
    } else {
        request
    };
    match content {
        Content::File(path) => request.file(OCTETS, path.to_owned(), from, blob.size - from),
        Content::Bytes(bytes) => {
            let rest = usize::try_from(from).ok().and_then(|from| bytes.get(from..));
            request.bytes(OCTETS, rest.unwrap_or_default())
        }
    }
}

fn location(response: &Response) -> Result<Option<Url>> {
    response.header(LOCATION.as_str()).map(|location| response.url.resolve(location)).transpose().map_err(Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn a_range_counts_from_the_first_byte() {
        for (range, arrived) in [
            ("0-1", Some(2)),
            ("0-99", Some(100)),
            ("0-0", None),
            ("0-100", None),
            ("1-5", None),
            ("0-", None),
            ("", None),
        ] {
            assert_eq!(arrived_bytes(range, 100), arrived, "{range}");
        }
        assert_eq!(arrived_bytes("0-18446744073709551615", u64::MAX), None);
    }

    #[test]
    fn any_range_is_within_the_blob() {
        arbtest::arbtest(|source| {
            let range = mutated_input::text(source, "0-18446744073709551614")?;
            let size_bytes = source.arbitrary()?;
            if let Some(arrived) = arrived_bytes(&range, size_bytes) {
                assert!((2..=size_bytes).contains(&arrived), "{arrived} of {size_bytes}, {range:?}");
                let blob = Descriptor::new(OCTETS, &oci::digest::sha256(b"").into(), size_bytes);
                let location = "https://x/u".parse().expect("a URL");
                finish(&blob, Content::File("x".into()), &Session { location, arrived_bytes: arrived });
            }
            Ok(())
        });
    }
}
