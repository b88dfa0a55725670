//! What the client sends, and what comes back.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::http::{Authorization, RetryReason, Url};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) authorization: Option<Authorization>,
    pub(super) body: Body,
    pub(super) is_repeatable: bool,
    pub(super) is_redirected: bool,
}

/// What is sent along.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Bytes(Vec<u8>),
    /// A part of a file, read anew at each attempt.
    File {
        path: Utf8PathBuf,
        offset_bytes: u64,
        size_bytes: u64,
    },
}

impl Request {
    /// A request without a body. What RFC 9110 calls idempotent is repeated where that may help, and
    /// anything else only where it surely had no effect.
    pub fn new(method: Method, url: Url) -> Self {
        let is_repeatable = method.is_idempotent();
        let (headers, authorization, body) = (Vec::new(), None, Body::None);
        Self { method, url, headers, authorization, body, is_repeatable, is_redirected: true }
    }

    /// With a header.
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With what proves who we are, where there is something.
    pub fn authorization(mut self, authorization: Option<&Authorization>) -> Self {
        self.authorization = authorization.cloned();
        self
    }

    /// With a body of this media type.
    pub fn bytes(mut self, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(content.into());
        self.header(CONTENT_TYPE, media_type)
    }

    /// With a part of a file as its body, in constant memory.
    pub fn file(mut self, media_type: &str, path: Utf8PathBuf, offset_bytes: u64, size_bytes: u64) -> Self {
        self.body = Body::File { path, offset_bytes, size_bytes };
        self.header(CONTENT_TYPE, media_type)
    }

    /// Repeated like an idempotent one: sent twice it does no harm.
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// Never repeated, not even where its method says that it could be.
    pub fn once(mut self) -> Self {
        self.is_repeatable = false;
        self
    }

    /// Answered by the service itself or not at all: a redirect is taken for the answer.
    pub fn unredirected(mut self) -> Self {
        self.is_redirected = false;
        self
    }

    /// What is asked for.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Response {
    /// Where it came from, after redirects.
    pub url: Url,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Why the request may have to be sent again; none where this is to be taken as it is.
    ///
    /// Source: GitHub, "Best practices for using the REST API", handling rate limit errors: 403 or 429,
    /// with `retry-after`, or with `x-ratelimit-remaining: 0` and `x-ratelimit-reset` in seconds
    /// since 1970, or with neither.
    pub fn retry_reason(&self) -> Option<RetryReason> {
        let is_limit = || String::from_utf8_lossy(&self.body).contains("rate limit");
        match RetryReason::of_status(self.status, &self.headers) {
            None if self.status == StatusCode::FORBIDDEN && is_limit() => Some(RetryReason::Later(None)),
            other => other,
        }
    }

    /// The body as a JSON document.
    ///
    /// # Errors
    /// Where it is none of that form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{} answered something else than was asked for", self.url))
    }
}
