//! Requests and responses of the client.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::http::{Authorization, RetryReason, Url};

#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) authorization: Option<Authorization>,
    pub(super) body: Body,
    pub(super) is_repeatable: bool,
    pub(super) follows_redirects: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Bytes(Vec<u8>),
    /// A part of a file, opened at each attempt.
    File {
        path: Utf8PathBuf,
        offset_bytes: u64,
        size_bytes: u64,
    },
}

impl Request {
    /// A request without a body. A method that RFC 9110 calls idempotent is retried; any other only if
    /// the attempt certainly had no effect.
    pub fn new(method: Method, url: Url) -> Self {
        let is_repeatable = method.is_idempotent();
        let (headers, authorization, body) = (Vec::new(), None, Body::None);
        Self { method, url, headers, authorization, body, is_repeatable, follows_redirects: true }
    }

    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn authorization(mut self, authorization: Option<&Authorization>) -> Self {
        self.authorization = authorization.cloned();
        self
    }

    pub fn bytes(mut self, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(content.into());
        self.header(CONTENT_TYPE, media_type)
    }

    /// Sets a part of a file as the body; it is sent in constant memory.
    pub fn file(mut self, media_type: &str, path: Utf8PathBuf, offset_bytes: u64, size_bytes: u64) -> Self {
        self.body = Body::File { path, offset_bytes, size_bytes };
        self.header(CONTENT_TYPE, media_type)
    }

    /// Retries the request like an idempotent one: sending it twice does no harm.
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// Does not retry the request if it may have had an effect, even if its method is idempotent.
    pub fn once(mut self) -> Self {
        self.is_repeatable = false;
        self
    }

    /// Returns a redirect as the response instead of following it.
    pub fn without_redirects(mut self) -> Self {
        self.follows_redirects = false;
        self
    }

    pub fn url(&self) -> &Url {
        &self.url
    }
}

#[derive(Debug)]
pub struct Response {
    /// The address after redirects.
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    /// A header, if it is present and visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Why the request may have to be sent again, or `None` if the response is final.
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

    /// Parses the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| format!("{} sent an unexpected response", self.url))
    }
}
