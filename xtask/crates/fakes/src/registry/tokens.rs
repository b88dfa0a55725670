//! Authorization: the challenge, a token for it, and tokens that expire.
//!
//! Source: Docker, "Registry authentication" (challenge, token request, response). The statuses and
//! messages of ghcr.io are as its users report them: the token endpoint refuses an anonymous token for a
//! private package with 401 and wrong credentials with 403 `denied`; the registry refuses a token without
//! permission to push with 403 `permission_denied: write_package`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;

use crate::message::{Content, Request, Response};
use crate::registry::responses::{self, error};
use crate::registry::route::{parameter, parameters};

/// The prefix of every token, by which a leaked one is found.
pub const TOKEN_PREFIX: &str = "registry-token-";

#[derive(Clone, Debug)]
pub struct Account {
    pub username: String,
    pub password: String,
    pub may_push: bool,
}

/// What a token permits.
#[derive(Clone, Debug)]
struct Token {
    scopes: Vec<(String, Vec<String>)>,
    /// Whether it was issued without credentials.
    is_anonymous: bool,
    requests_left: u32,
}

/// The tokens issued so far.
#[derive(Clone, Debug)]
pub struct Tokens {
    account: Account,
    /// How many requests a token is valid for: the fake has no clock.
    pub lifetime_requests: u32,
    issued: BTreeMap<String, Token>,
    count: u32,
}

/// The result of checking a request's `Authorization`.
#[derive(Debug, PartialEq, Eq)]
pub enum Access {
    Granted,
    /// No token, or one that has expired.
    Unknown,
    /// The token is valid, but does not permit this.
    Denied,
}

impl Tokens {
    pub fn new(account: Account) -> Self {
        Self { account, lifetime_requests: 10_000, issued: BTreeMap::new(), count: 0 }
    }

    /// Expires every issued token.
    pub fn expire(&mut self) {
        self.issued.clear();
    }

    /// Checks a request that needs `action` on `repository`, or just any token if `wanted` is `None`.
    pub fn check(&mut self, authorization: Option<&str>, wanted: Option<(&str, &str)>) -> Access {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let Some(token) = token.and_then(|token| self.issued.get_mut(token)) else { return Access::Unknown };
        if token.requests_left == 0 {
            return Access::Unknown;
        }
        token.requests_left -= 1;
        let allows = |(repository, action): (&str, &str)| {
            let of_it = token.scopes.iter().filter(|(name, _)| name == repository);
            of_it.flat_map(|(_, actions)| actions).any(|issued| issued == action)
        };
        if wanted.is_none_or(allows) { Access::Granted } else { Access::Denied }
    }

    /// Whether a request has a token that was issued without credentials.
    pub fn is_anonymous(&self, authorization: Option<&str>) -> bool {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.and_then(|token| self.issued.get(token)).is_some_and(|token| token.is_anonymous)
    }

    pub fn may_push(&self) -> bool {
        self.account.may_push
    }

    /// Responds for the token endpoint. A scope is reduced to what the client may do.
    pub fn issue(&mut self, request: &Request, is_public: impl Fn(&str) -> bool) -> Response {
        let authorization = responses::header(request, http::header::AUTHORIZATION);
        let expected = basic(&self.account.username, &self.account.password);
        let is_known = match authorization {
            None => false,
            Some(value) if value == expected => true,
            Some(_) => return error(StatusCode::FORBIDDEN, "DENIED", "denied"),
        };
        if parameter(request.uri(), "service").is_none() {
            return error(StatusCode::BAD_REQUEST, "UNSUPPORTED", "the parameter service is missing");
        }
        let mut scopes = Vec::new();
        for scope in parameters(request.uri(), "scope").iter().flat_map(|scopes| scopes.split(' ')) {
            let mut parts = scope.split(':');
            let (Some("repository"), Some(name), Some(actions)) = (parts.next(), parts.next(), parts.next()) else {
                return error(StatusCode::BAD_REQUEST, "UNSUPPORTED", "a scope is repository:NAME:ACTIONS");
            };
            if !is_known && !is_public(name) {
                return error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
            }
            let allowed = |action: &&str| *action == "pull" || is_known && self.account.may_push;
            scopes.push((name.to_owned(), actions.split(',').filter(allowed).map(str::to_owned).collect()));
        }
        self.count += 1;
        let token = format!("{TOKEN_PREFIX}{}", self.count);
        let issued = Token { scopes, is_anonymous: !is_known, requests_left: self.lifetime_requests };
        self.issued.insert(token.clone(), issued);
        let body = Content::json(&json!({ "token": token, "expires_in": 300 }));
        responses::response(StatusCode::OK, &[("Content-Type", "application/json")], body)
    }
}

/// The `Authorization` header of a user with a password (RFC 7617).
pub fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// The response to a request without a valid token.
pub fn unauthorized(request: &Request, repository: Option<&str>, actions: &str, had_token: bool) -> Response {
    let (origin, host) = (responses::origin(request), responses::host(request));
    let name = repository.unwrap_or("user/image");
    let problem = if had_token { ",error=\"invalid_token\"" } else { "" };
    let value =
        format!("Bearer realm=\"{origin}/token\",service=\"{host}\",scope=\"repository:{name}:{actions}\"{problem}");
    let body = responses::errors("UNAUTHORIZED", "authentication required");
    let headers = [("WWW-Authenticate", value.as_str()), ("Content-Type", "application/json")];
    responses::response(StatusCode::UNAUTHORIZED, &headers, body)
}
