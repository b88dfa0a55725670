//! Responses of a registry, with error bodies as specified. Source: OCI distribution specification 1.1,
//! "Error Codes".

use http::StatusCode;
use http::header::HeaderName;
use serde_json::json;

use crate::message::{Content, Request, Response};
use crate::names::{BLOBS, REGISTRY, REGISTRY_NAMES};

pub fn response(status: StatusCode, headers: &[(&str, &str)], body: Content) -> Response {
    let builder = headers
        .iter()
        .fold(http::Response::builder().status(status), |builder, (name, value)| builder.header(*name, *value));
    builder.body(body).expect("the headers of a fake are valid")
}

/// A response without a body.
pub fn empty(status: StatusCode, headers: &[(&str, &str)]) -> Response {
    response(status, headers, Content::Memory(Vec::new()))
}

/// A body with one error.
pub fn errors(code: &str, message: &str) -> Content {
    Content::json(&json!({ "errors": [{ "code": code, "message": message }] }))
}

/// A response with one error.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response {
    response(status, &[("Content-Type", "application/json")], errors(code, message))
}

/// A header of a request, if it is text.
pub fn header(request: &Request, name: HeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The host and port that a request was sent to.
pub fn host(request: &Request) -> &str {
    header(request, http::header::HOST).unwrap_or("127.0.0.1")
}

/// The address that a request was sent to: over TLS under the real names, in plain HTTP on loopback.
pub fn origin(request: &Request) -> String {
    let host = host(request);
    format!("{}://{host}", if REGISTRY_NAMES.contains(&host) { "https" } else { "http" })
}

/// The address that stores the blobs, which a client sees as another host: on loopback, this machine under its other
/// name.
pub fn storage_origin(request: &Request) -> String {
    let host = host(request);
    if host == REGISTRY {
        return format!("https://{BLOBS}");
    }
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    let name = if host.starts_with("localhost") { "127.0.0.1" } else { "localhost" };
    format!("http://{name}:{port}")
}
