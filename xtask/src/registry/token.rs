//! Authentication with the scheme that a registry asks for.

use anyhow::{Error, Result, anyhow};
use http::Method;
use http::header::WWW_AUTHENTICATE;
use serde::Deserialize;

use crate::http::{Authorization, Request, Response};
use crate::registry::Registry;
use crate::registry::auth::{AuthScheme, token_url};

/// Common servers take headers of 8 or 16 KiB.
const LONGEST_TOKEN_BYTES: usize = 64 << 10;

/// The response of a token service; it is never printed.
/// Source: CNCF Distribution, "Token Authentication Specification", token response fields.
#[derive(Deserialize)]
struct TokenResponse {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    /// The authorization that `response` asks for, or `None` if there is none to send. Credentials go to
    /// the service that the registry names and nowhere else (see [`token_url`]).
    ///
    /// # Errors
    /// If the token service refuses, or cannot be trusted.
    pub(super) fn authenticate(&self, response: &Response) -> Result<Option<Authorization>> {
        let headers = response.headers.get_all(WWW_AUTHENTICATE).iter();
        let header: Vec<_> = headers.filter_map(|value| value.to_str().ok()).collect();
        let (realm, service, scopes) = match AuthScheme::select(&header.join(", ")) {
            None => return Ok(None),
            Some(AuthScheme::Basic) => return Ok(self.credentials.clone()),
            Some(AuthScheme::Bearer { realm, service, scopes }) => (realm, service, scopes),
        };
        let may_push = self.credentials.is_some();
        let url = token_url(&self.repository, may_push, &realm, service.as_deref(), &scopes).map_err(Error::msg)?;
        let response =
            self.http.send(&Request::new(Method::GET, url.clone()).authorization(self.credentials.as_ref()))?;
        if !response.status.is_success() {
            return Err(self.refused(may_push, format!("get a token from {}", url.origin()), &response));
        }
        let token = token_in(&response.body).ok_or_else(|| anyhow!("{} answered without a token", url.origin()))?;
        Authorization::bearer(&token).map(Some).map_err(Error::msg)
    }
}

/// The token in the response of a token service. Errors of serde are dropped: they may quote it.
fn token_in(body: &[u8]) -> Option<String> {
    let response: TokenResponse = serde_json::from_slice(body).ok()?;
    response.token.or(response.access_token).filter(|token| token.len() <= LONGEST_TOKEN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn a_token_has_either_name_and_a_largest_size() {
        assert_eq!(token_in(br#"{"token":"a","access_token":"b"}"#).as_deref(), Some("a"));
        assert_eq!(token_in(br#"{"access_token":"b","expires_in":300}"#).as_deref(), Some("b"));
        for body in ["", "{}", "[]", r#"{"token":1}"#, r#"{"token":null}"#] {
            assert_eq!(token_in(body.as_bytes()), None, "{body}");
        }
        let of = |length| token_in(format!(r#"{{"token":"{}"}}"#, "x".repeat(length)).as_bytes());
        assert!(of(LONGEST_TOKEN_BYTES).is_some() && of(LONGEST_TOKEN_BYTES + 1).is_none());
    }

    #[test]
    fn any_accepted_token_fits_a_header_and_is_not_in_an_error() {
        arbtest::arbtest(|source| {
            let sample = br#"{"token":"eyJh.b-c_","access_token":"d","expires_in":300,"issued_at":"2026-01-01"}"#;
            let body = mutated_input::bytes(source, sample)?;
            let Some(token) = token_in(&body) else { return Ok(()) };
            assert!(token.len() <= body.len(), "{token:?}");
            match Authorization::bearer(&token) {
                Ok(authorization) => {
                    let value: http::HeaderValue = authorization.header().parse().expect("a header");
                    assert_eq!(value.len(), "Bearer ".len() + token.len());
                }
                Err(error) => assert!(token.len() < 5 || !error.contains(&token), "{error}"),
            }
            Ok(())
        });
    }
}
