//! Who asks, and whether he may.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, StatusCode};

use crate::github::response::Response;

/// The versions of the API. Source: GitHub REST API, "API Versions"; changelog of 2026-03-12.
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

/// A token of a GitHub App, as a workflow has it: what it may do is said permission by permission.
#[derive(Clone)]
pub struct Token {
    permissions: BTreeSet<String>,
}

impl Token {
    /// With permissions of the form `contents=write`.
    pub fn new(permissions: &[&str]) -> Self {
        Self { permissions: permissions.iter().map(|&permission| permission.to_owned()).collect() }
    }

    /// Whether it has that permission.
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }
}

/// The token of a request, if it has one; refuses what GitHub refuses before it looks at a path.
/// Sources: "Troubleshooting the REST API", "User agent required" and "Not a supported version";
/// "Authenticating to the REST API": invalid credentials are answered by 401 `Bad credentials`.
pub fn token<'a>(known: &'a BTreeMap<String, Token>, headers: &HeaderMap) -> Result<Option<&'a Token>, Response> {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if header("user-agent").is_none_or(str::is_empty) {
        let message =
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
        return Err(
            Response::message(StatusCode::FORBIDDEN, message).violating("a request has no User-Agent".to_owned())
        );
    }
    if let Some(version) = header("x-github-api-version").filter(|version| !VERSIONS.contains(version)) {
        let message = format!("\"{version}\" is not a supported version.");
        return Err(Response::message(StatusCode::BAD_REQUEST, &message).violating(format!("API version {version}")));
    }
    let Some(credentials) = header("authorization") else { return Ok(None) };
    let secret = credentials.strip_prefix("Bearer ").or_else(|| credentials.strip_prefix("token "));
    let found = secret.and_then(|secret| known.get(secret));
    found.map(Some).ok_or_else(|| Response::message(StatusCode::UNAUTHORIZED, "Bad credentials"))
}

/// Refuses what the token may not do. What is public can be read by anyone. Sources:
/// "Authenticating to the REST API": without a token, 404 or 403; "Troubleshooting the REST API",
/// "Resource not accessible", with the permissions that would do in `X-Accepted-GitHub-Permissions`.
pub fn permitted(token: Option<&Token>, permission: &'static str, is_upstream: bool) -> Result<(), Response> {
    if permission.ends_with("=read") {
        return Ok(());
    }
    match token {
        None => Err(Response::not_found()),
        Some(token) if token.may(permission) && !is_upstream => Ok(()),
        Some(_) => Err(Response::message(StatusCode::FORBIDDEN, "Resource not accessible by integration")
            .with("x-accepted-github-permissions", permission)),
    }
}
