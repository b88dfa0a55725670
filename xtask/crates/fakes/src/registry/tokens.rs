//! Who may do what: a bearer challenge, a token for it, and tokens that expire.
//!
//! Source: Docker, "Registry authentication" (challenge, token request, answer). What ghcr.io says in
//! each case is as its users report it: an anonymous token for a private package is refused with 401
//! by the token endpoint, wrong credentials with 403 `denied`, and a token that may not push with 403
//! `permission_denied: write_package` by the registry.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;

use crate::message::{Content, Request, Response};
use crate::registry::responses::{self, error};
use crate::registry::route::{parameter, parameters};

/// Every token begins with this, so that one that leaked is found.
pub const TOKEN_MARK: &str = "registry-token-";

/// Who can sign in.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
    /// Whether the account may push.
    pub may_push: bool,
}

/// What a token opens.
#[derive(Clone, Debug)]
struct Token {
    scopes: Vec<(String, Vec<String>)>,
    requests_left: u32,
}

/// The tokens that were given.
#[derive(Clone, Debug)]
pub struct Tokens {
    account: Account,
    /// How many requests a token is good for: the fake has no clock.
    pub lifetime_requests: u32,
    given: BTreeMap<String, Token>,
    count: u32,
}

/// What the registry thinks of a request's `Authorization`.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Granted,
    /// There is no token, or one that has expired.
    Unknown,
    /// The token is good, and not for this.
    Denied,
}

impl Tokens {
    /// None given yet, to an account.
    pub fn new(account: Account) -> Self {
        Self { account, lifetime_requests: 10_000, given: BTreeMap::new(), count: 0 }
    }

    /// Ends every token that was given.
    pub fn expire(&mut self) {
        self.given.clear();
    }

    /// Judges a request that needs `action` on `repository`, or any token where there is none.
    pub fn judge(&mut self, authorization: Option<&str>, wanted: Option<(&str, &str)>) -> Verdict {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let Some(token) = token.and_then(|token| self.given.get_mut(token)) else { return Verdict::Unknown };
        if token.requests_left == 0 {
            return Verdict::Unknown;
        }
        token.requests_left -= 1;
        let allows = |(repository, action): (&str, &str)| {
            let of_it = token.scopes.iter().filter(|(name, _)| name == repository);
            of_it.flat_map(|(_, actions)| actions).any(|given| given == action)
        };
        if wanted.is_none_or(allows) { Verdict::Granted } else { Verdict::Denied }
    }

    /// Whether the account may push at all.
    pub fn may_push(&self) -> bool {
        self.account.may_push
    }

    /// Answers the token endpoint. A scope is cut down to what its asker may do.
    pub fn give(&mut self, request: &Request, is_public: impl Fn(&str) -> bool) -> Response {
        let authorization = responses::header(request, http::header::AUTHORIZATION);
        let expected = basic(&self.account.username, &self.account.password);
        let is_known = match authorization {
            None => false,
            Some(value) if value == expected => true,
            Some(_) => return error(StatusCode::FORBIDDEN, "DENIED", "denied"),
        };
        if parameter(request.uri(), "service").is_none() {
            return error(StatusCode::BAD_REQUEST, "UNSUPPORTED", "no service was named");
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
        let token = format!("{TOKEN_MARK}{}", self.count);
        self.given.insert(token.clone(), Token { scopes, requests_left: self.lifetime_requests });
        let body = Content::json(&json!({ "token": token, "expires_in": 300 }));
        responses::response(StatusCode::OK, &[("Content-Type", "application/json")], body)
    }
}

/// The header `Authorization` of a user with a password (RFC 7617).
pub fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// The answer to a request without a good token.
pub fn challenge(request: &Request, repository: Option<&str>, actions: &str, had_token: bool) -> Response {
    let host = responses::host(request);
    let name = repository.unwrap_or("user/image");
    let problem = if had_token { ",error=\"invalid_token\"" } else { "" };
    let value = format!(
        "Bearer realm=\"http://{host}/token\",service=\"{host}\",scope=\"repository:{name}:{actions}\"{problem}"
    );
    let body = responses::errors("UNAUTHORIZED", "authentication required");
    let headers = [("WWW-Authenticate", value.as_str()), ("Content-Type", "application/json")];
    responses::response(StatusCode::UNAUTHORIZED, &headers, body)
}
