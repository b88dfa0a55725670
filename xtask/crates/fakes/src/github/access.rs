//! Authentication and permissions.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, StatusCode};

use crate::github::response::Response;

/// The versions of the API. Source: GitHub REST API, "API Versions"; changelog of 2026-03-12.
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

/// What no permission of a GitHub App grants. Source: "Delete a package for a user": tokens of OAuth apps and classic
/// ones need the scopes `read:packages` and `delete:packages`; GitHub's OpenAPI description has
/// `enabledForGitHubApps: false`.
pub const DELETE_PACKAGES: &str = "delete:packages";

/// The token of a GitHub App, as workflows get it, with individual permissions; or a classic personal
/// access token, with scopes.
#[derive(Clone)]
pub struct Token {
    permissions: BTreeSet<String>,
    scopes: Option<BTreeSet<String>>,
}

/// What the scope `repo` includes of that which is needed here. Source: "Scopes for OAuth apps".
const OF_SCOPE_REPO: [&str; 3] = ["contents=write", "issues=write", "actions=write"];

impl Token {
    /// Takes permissions of the form `contents=write`.
    pub fn new(permissions: &[&str]) -> Self {
        Self { permissions: permissions.iter().map(|&permission| permission.to_owned()).collect(), scopes: None }
    }

    /// A classic token of somebody who owns the repository.
    pub fn classic(scopes: &[&str]) -> Self {
        let granted = if scopes.contains(&"repo") { &OF_SCOPE_REPO[..] } else { &[] };
        let mut permissions = Self::new(granted).permissions;
        if scopes.contains(&"delete:packages") && scopes.contains(&"read:packages") {
            permissions.insert(DELETE_PACKAGES.to_owned());
        }
        Self { permissions, scopes: Some(scopes.iter().map(|&scope| scope.to_owned()).collect()) }
    }

    /// The header `X-OAuth-Scopes`, which only answers to classic tokens have. Source: "Scopes for OAuth apps",
    /// "Checking the scopes".
    pub fn scopes(&self) -> Option<String> {
        Some(self.scopes.as_ref()?.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    }

    pub fn has(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }
}

/// The token of a request, if it has one, or the error for what GitHub refuses before it considers the
/// path. Sources: "Troubleshooting the REST API", "User agent required" and "Not a supported version";
/// "Authenticating to the REST API": 401 `Bad credentials` for invalid credentials.
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

/// Refuses what the token does not permit. Anyone may read what is public. Sources: "Authenticating to
/// the REST API": 404 or 403 without a token; "Troubleshooting the REST API", "Resource not accessible",
/// with the permissions that would suffice in `X-Accepted-GitHub-Permissions`.
pub fn check_permission(token: Option<&Token>, permission: &'static str, is_upstream: bool) -> Result<(), Response> {
    if permission.ends_with("=read") {
        return Ok(());
    }
    match token {
        None => Err(Response::not_found()),
        Some(token) if token.has(permission) && !is_upstream => Ok(()),
        Some(_) => Err(Response::message(StatusCode::FORBIDDEN, "Resource not accessible by integration")
            .with("x-accepted-github-permissions", permission)),
    }
}
