//! Saying who we are, in the way in which a registry asks for it.

use anyhow::{Error, Result, anyhow};
use http::Method;
use http::header::WWW_AUTHENTICATE;
use serde::Deserialize;

use crate::http::{Authorization, Request, Response};
use crate::registry::Registry;
use crate::registry::auth::{AuthScheme, token_url};

/// What a token service answers; it is never shown.
/// Source: CNCF Distribution, "Token Authentication Specification", token response fields.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    /// What to send where `response` said that we are unknown, or known no longer; none where there is
    /// nothing that could be sent. Credentials go to the service that the registry itself names, and
    /// never further (see [`token_url`]).
    ///
    /// # Errors
    /// Where that service refuses, or is not to be trusted.
    pub(super) fn answer(&self, response: &Response) -> Result<Option<Authorization>> {
        let headers = response.headers.get_all(WWW_AUTHENTICATE).iter();
        let header: Vec<_> = headers.filter_map(|value| value.to_str().ok()).collect();
        let (realm, service, scopes) = match AuthScheme::of(&header.join(", ")) {
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
        // What serde says of a document that is none may quote it.
        let answer: Option<Answer> = serde_json::from_slice(&response.body).ok();
        let token = answer.and_then(|answer| answer.token.or(answer.access_token));
        let token = token.ok_or_else(|| anyhow!("{} answered without a token", url.origin()))?;
        Authorization::bearer(&token).map(Some).map_err(Error::msg)
    }
}
