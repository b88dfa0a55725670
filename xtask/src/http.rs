//! The one HTTP client: TLS with the system's trust store, a limit on everything, and plain HTTP to
//! this machine only. It follows redirects itself, so that credentials go to no other origin.
#![allow(clippy::disallowed_types, reason = "reads and writes files and opens sockets")]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue, LOCATION};
use request::Body;
use retry::BROKE_OFF;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

use crate::os::terminal::{Counted, Progress};

pub use authorization::Authorization;
pub use download::{Expected, OtherContent, receive};
pub use endpoint::Endpoint;
pub use errors::{RateLimited, UnexpectedStatus};
pub use lag::{Clock, HASTE_ON_LOOPBACK, look_until_found};
pub use request::{Request, Response};
pub use retry::{Retry, RetryReason};
pub use url::Url;

mod authorization;
mod download;
mod endpoint;
mod errors;
mod lag;
mod request;
mod retry;
mod url;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// GitHub answers an upload only after storing it.
const RESPONSE_LIMIT: Duration = Duration::from_secs(120);
const BODY_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Allocated for each connection; the default of ureq is eight times as much.
const BUFFER_BYTES: usize = 16 << 10;
const MOST_REDIRECTS: usize = 5;
/// A page of a hundred releases with their notes takes a few megabytes.
const LARGEST_DOCUMENT_BYTES: u64 = 32 << 20;

pub struct Http {
    agent: Agent,
    /// For this machine: a proxy on another one does not reach it, and would read what is sent in plain HTTP.
    without_proxy: Agent,
}

impl Default for Http {
    fn default() -> Self {
        let configured = || {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
                .timeout_connect(Some(CONNECT_LIMIT))
                .timeout_send_body(Some(BODY_LIMIT))
                .timeout_recv_response(Some(RESPONSE_LIMIT))
                .timeout_recv_body(Some(BODY_LIMIT))
                .input_buffer_size(BUFFER_BYTES)
                .output_buffer_size(BUFFER_BYTES)
                .user_agent("docker-for-riscv64-xtask")
        };
        Self { agent: configured().build().into(), without_proxy: configured().proxy(None).build().into() }
    }
}

impl Http {
    /// Sends a request and reads the whole response, whatever its status. Transient failures are
    /// retried (see [`Retry`]).
    ///
    /// # Errors
    /// If there is no complete response, or if the service asks for a longer wait than [`Retry`] allows.
    pub fn send(&self, request: &Request) -> Result<Response> {
        self.send_with_progress(request, None)
    }

    /// The same, and shows how many bytes of the body are sent.
    pub fn send_with_progress(&self, request: &Request, mut progress: Option<&mut Progress>) -> Result<Response> {
        let mut retry = Retry::new(&request.url, request.is_repeatable);
        let before = progress.as_deref().map_or(0, Progress::done);
        loop {
            let result = self.send_once(request, progress.as_deref_mut());
            let reason = match &result {
                Ok(response) => response.retry_reason(),
                Err(error) => Some(RetryReason::of_error(error)),
            };
            let is_retried = reason.map_or(Ok(false), |reason| retry.wait(reason))?;
            if !is_retried {
                return result.with_context(|| format!("{} {} failed", request.method, request.url));
            }
            if let Some(progress) = progress.as_deref_mut() {
                progress.go_back_to(before);
            }
        }
    }

    /// Downloads a small public document.
    ///
    /// # Errors
    /// As [`Http::send`]; an [`UnexpectedStatus`] if the status is not a success; if the document is larger than `limit_bytes`.
    pub fn get(&self, url: &Url, limit_bytes: u64) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.open(url)?.take(limit_bytes + 1).read_to_end(&mut body).with_context(|| format!("cannot read {url}"))?;
        ensure!(body.len() as u64 <= limit_bytes, "{url} is larger than {limit_bytes} bytes");
        Ok(body)
    }

    /// Opens a large public document as a stream.
    ///
    /// # Errors
    /// As [`Http::send`], and an [`UnexpectedStatus`] if the status is not a success.
    pub fn open(&self, url: &Url) -> Result<impl Read + use<>> {
        self.open_request(&Request::new(Method::GET, url.clone()))
    }

    /// The same, with the headers and credentials of a request.
    pub fn open_request(&self, request: &Request) -> Result<impl Read + use<>> {
        let url = &request.url;
        let mut retry = Retry::new(url, true);
        loop {
            let (reason, error) = match self.follow(request, None) {
                Ok((_, response)) if response.status().is_success() => return Ok(response.into_body().into_reader()),
                Ok((url, response)) => {
                    let reason = RetryReason::of_status(response.status(), response.headers());
                    (reason, Error::new(UnexpectedStatus { url, status: response.status() }))
                }
                Err(error) => (Some(RetryReason::of_error(&error)), error.context(format!("cannot get {url}"))),
            };
            if !reason.map_or(Ok(false), |reason| retry.wait(reason))? {
                return Err(error);
            }
        }
    }

    /// Checks that the server answers, with any status.
    pub fn reach(&self, url: &Url) -> Result<()> {
        let response = self.follow(&Request::new(Method::HEAD, url.clone()), None);
        response.map(|_| ()).with_context(|| format!("{url} does not answer"))
    }

    fn send_once(&self, request: &Request, progress: Option<&mut Progress>) -> Result<Response> {
        let (url, response) = self.follow(request, progress)?;
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        let read = body.into_reader().take(LARGEST_DOCUMENT_BYTES + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("the response from {url} {BROKE_OFF}"))?;
        ensure!(bytes.len() as u64 <= LARGEST_DOCUMENT_BYTES, "{url} is larger than {LARGEST_DOCUMENT_BYTES} bytes");
        Ok(Response { url, status: head.status, headers: head.headers, body: bytes })
    }

    /// One attempt. Redirects are followed if the method is safe; credentials go to the same origin only.
    fn follow(
        &self,
        request: &Request,
        mut progress: Option<&mut Progress>,
    ) -> Result<(Url, http::Response<ureq::Body>)> {
        let mut url = request.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.call(request, &url, progress.as_deref_mut())?;
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            match location {
                Some(location)
                    if response.status().is_redirection() && request.method.is_safe() && request.follows_redirects =>
                {
                    url = url.resolve(location).map_err(Error::msg)?;
                }
                _ => return Ok((url, response)),
            }
        }
        bail!("{} redirects more than {MOST_REDIRECTS} times", request.url)
    }

    fn call(
        &self,
        request: &Request,
        url: &Url,
        progress: Option<&mut Progress>,
    ) -> Result<http::Response<ureq::Body>> {
        let mut sent = http::Request::builder().method(&request.method).uri(url.as_str());
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        if let Some(authorization) = request.authorization.as_ref().filter(|_| url.origin() == request.url.origin()) {
            let mut value: HeaderValue =
                authorization.header().parse().context("the credentials do not fit into a header")?;
            value.set_sensitive(true);
            sent = sent.header(AUTHORIZATION, value);
        }
        let agent = if url.is_loopback() { &self.without_proxy } else { &self.agent };
        Ok(match &request.body {
            // An empty body has `Content-Length: 0`; without a body there would be no length.
            Body::None if request.method.is_safe() || request.method == Method::DELETE => agent.run(sent.body(())?)?,
            Body::None => agent.run(sent.body(&[][..])?)?,
            Body::Bytes(bytes) => agent.run(sent.body(&bytes[..])?)?,
            Body::File { path, offset_bytes, size_bytes } => {
                let mut file = File::open(path).with_context(|| format!("cannot open {path}"))?;
                file.seek(SeekFrom::Start(*offset_bytes)).with_context(|| format!("cannot read {path}"))?;
                let sent = sent.header(CONTENT_LENGTH, *size_bytes);
                let mut part = file.take(*size_bytes);
                match progress {
                    Some(progress) => {
                        let mut counted = Counted { inner: part, progress };
                        agent.run(sent.body(SendBody::from_reader(&mut counted))?)?
                    }
                    None => agent.run(sent.body(SendBody::from_reader(&mut part))?)?,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
