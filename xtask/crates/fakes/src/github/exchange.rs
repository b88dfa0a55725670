//! A request with its response, as it is held to GitHub's description.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::github::response::Response;
use crate::message::{Content, Request, query};

/// A JSON request to `api.github.com` with its response, to be checked against GitHub's OpenAPI
/// description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchange {
    pub method: String,
    /// The path as in the description: `/repos/{owner}/{repo}/releases`.
    pub template: String,
    /// The version of the API that the request names.
    pub version: Option<String>,
    /// The names of the query's parameters.
    pub query: BTreeSet<String>,
    pub status: u16,
    /// The request's body, if it is JSON.
    pub request: Option<Value>,
    /// The response's body, if it is JSON.
    pub response: Option<Value>,
}

impl Exchange {
    /// `template` is the path in the description, without the repository.
    pub(super) fn new(template: &str, request: &Request, response: &Response) -> Self {
        let body = |content: &Content| match content {
            Content::Memory(bytes) => serde_json::from_slice(bytes).ok(),
            Content::File { .. } => None,
        };
        let version = request.headers().get("x-github-api-version").and_then(|version| version.to_str().ok());
        Self {
            method: request.method().to_string(),
            template: format!("/repos/{{owner}}/{{repo}}{template}"),
            version: version.map(str::to_owned),
            query: query(request.uri()).into_iter().map(|pair| pair.0).collect(),
            status: response.status.as_u16(),
            request: body(request.body()),
            response: body(&response.content),
        }
    }
}
