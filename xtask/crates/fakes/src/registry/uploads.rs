//! Uploads of blobs: sessions, monolithic and in chunks. Source: OCI distribution specification 1.1,
//! "Pushing blobs".
#![allow(clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io;

use http::{Method, StatusCode};

use crate::digest::{HashingWriter, is_digest};
use crate::message::{Content, Request, Response};
use crate::registry::responses::{self, empty, error, header};
use crate::registry::route::parameter;
use crate::registry::{DIGEST, FakeRegistry};

/// An upload session.
#[derive(Clone, Debug)]
pub struct Upload {
    repository: String,
    pieces: Vec<Content>,
}

impl Upload {
    fn size_bytes(&self) -> u64 {
        self.pieces.iter().map(Content::size_bytes).sum()
    }
}

impl FakeRegistry {
    /// `POST` to `/v2/<name>/blobs/uploads/`: opens a session. A registry does not have to accept the
    /// blob with this request, nor to mount it from another repository; it then responds with 202
    /// ("Mounting a blob from another repository").
    pub(super) fn begin_upload(&mut self, request: &Request, name: &str) -> Response {
        self.sessions += 1;
        let id = format!("session-{}", self.sessions);
        self.uploads.insert(id.clone(), Upload { repository: name.to_owned(), pieces: Vec::new() });
        self.progress(request, &id, StatusCode::ACCEPTED)
    }

    /// Every request to a `<blob-push-location>`.
    pub(super) fn continue_upload(&mut self, request: &Request, name: &str, id: &str) -> Response {
        // A location must be used as it was returned: this is the "critical query parameter" in it.
        if parameter(request.uri(), "_state").is_none() {
            self.record_violation(request, "the location of an upload was not used as returned");
            return error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_INVALID", "blob upload invalid");
        }
        let Some(upload) = self.uploads.get_mut(id).filter(|upload| upload.repository == name) else {
            // Not a violation: the session may have ended with a request whose response was lost.
            return error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        match *request.method() {
            Method::GET => self.progress(request, id, StatusCode::NO_CONTENT),
            Method::DELETE => {
                self.uploads.remove(id);
                empty(StatusCode::NO_CONTENT, &[])
            }
            _ if !is_in_order(request, upload.size_bytes()) => {
                error(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", "the chunk is out of order")
            }
            Method::PATCH => {
                upload.pieces.push(request.body().clone());
                self.progress(request, id, StatusCode::ACCEPTED)
            }
            _ => self.end_upload(request, name, id),
        }
    }

    fn end_upload(&mut self, request: &Request, name: &str, id: &str) -> Response {
        let digest = parameter(request.uri(), "digest").filter(|text| is_digest(text));
        let Some(digest) = digest else {
            self.record_violation(request, "an upload was finished without a digest");
            return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "no digest was given");
        };
        let mut upload = self.uploads.remove(id).expect("was found by the caller");
        if request.body().size_bytes() > 0 {
            upload.pieces.push(request.body().clone());
        }
        match concatenate(upload.pieces) {
            Ok(blob) if digest == format!("sha256:{}", blob.sha256()) => {
                self.repositories.entry(name.to_owned()).or_default().blobs.insert(digest.clone(), blob);
                created(name, &digest)
            }
            Ok(_) => {
                self.record_violation(request, "the uploaded content does not match its digest");
                error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "provided digest did not match uploaded content")
            }
            Err(problem) => error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", &problem.to_string()),
        }
    }

    /// The progress of an upload and the location to continue at: a path for every second session, a
    /// whole URL for the others, since a registry may return either.
    fn progress(&self, request: &Request, id: &str, status: StatusCode) -> Response {
        let upload = &self.uploads[id];
        let done_bytes = upload.size_bytes();
        let path = format!("/v2/{}/blobs/uploads/{id}?_state={done_bytes}", upload.repository);
        let is_relative = self.sessions.is_multiple_of(2);
        let location = if is_relative { path } else { format!("{}{path}", responses::origin(request)) };
        let range = format!("0-{}", done_bytes.saturating_sub(1));
        empty(status, &[("Location", &location), ("Range", &range), ("Docker-Upload-UUID", id)])
    }
}

/// Whether a chunk begins where the last one ended. One without a range is appended.
fn is_in_order(request: &Request, done_bytes: u64) -> bool {
    let Some(range) = header(request, http::header::CONTENT_RANGE) else {
        return done_bytes == 0 || request.body().size_bytes() == 0;
    };
    let ends = range.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<u64>().ok()?)));
    ends.is_some_and(|(first, last): (u64, u64)| {
        first == done_bytes && first.checked_add(request.body().size_bytes()) == last.checked_add(1)
    })
}

fn created(name: &str, digest: &str) -> Response {
    let location = format!("/v2/{name}/blobs/{digest}");
    empty(StatusCode::CREATED, &[("Location", &location), (DIGEST, digest)])
}

/// The chunks as one: in memory if all of them are, else in a file next to the first one that is a file.
fn concatenate(mut pieces: Vec<Content>) -> io::Result<Content> {
    if pieces.len() == 1 {
        return Ok(pieces.remove(0));
    }
    let file = pieces.iter().find_map(|piece| match piece {
        Content::File { path, .. } => Some(path.with_extension("joined")),
        Content::Memory(_) => None,
    });
    let Some(path) = file else {
        let bytes = pieces.into_iter().filter_map(|piece| match piece {
            Content::Memory(bytes) => Some(bytes),
            Content::File { .. } => None,
        });
        return Ok(Content::Memory(bytes.flatten().collect()));
    };
    let mut out = HashingWriter::new(File::create(&path)?);
    let mut size_bytes = 0;
    for piece in &pieces {
        size_bytes += match piece {
            Content::Memory(bytes) => io::copy(&mut bytes.as_slice(), &mut out)?,
            Content::File { path, .. } => io::copy(&mut File::open(path)?, &mut out)?,
        };
    }
    Ok(Content::File { path, size_bytes, sha256: out.finish() })
}
