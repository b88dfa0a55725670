//! What is refused before the request is considered: missing authorization, too many requests without credentials,
//! and the creation of a package.

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use crate::message::{Request, Response};
use crate::registry::FakeRegistry;
use crate::registry::responses::{error, header};
use crate::registry::route::Route;
use crate::registry::tokens::{self, Access};

impl FakeRegistry {
    /// The error response if the request is not authorized.
    pub(super) fn check_access(&mut self, request: &Request, route: Route<'_>) -> Option<Response> {
        let is_read = [Method::GET, Method::HEAD].contains(request.method()) && !matches!(route, Route::Upload(..));
        let (action, actions) = if is_read { ("pull", "pull") } else { ("push", "pull,push") };
        let wanted = route.repository().map(|name| (name, action));
        let authorization = header(request, AUTHORIZATION);
        match self.tokens.check(authorization, wanted) {
            Access::Granted => None,
            Access::Unknown => {
                Some(tokens::unauthorized(request, route.repository(), actions, authorization.is_some()))
            }
            Access::Denied if !self.tokens.may_push() => Some(error(
                StatusCode::FORBIDDEN,
                "DENIED",
                &format!("permission_denied: {}", if is_read { "read_package" } else { "write_package" }),
            )),
            Access::Denied => Some(tokens::unauthorized(request, route.repository(), actions, false)),
        }
    }

    /// The error response if the request has no credentials, or a token without any, and is one too many.
    pub(super) fn limited(&mut self, request: &Request, route: Route<'_>) -> Option<Response> {
        let authorization = header(request, AUTHORIZATION);
        let is_anonymous = match route {
            Route::Token => authorization.is_none(),
            _ => self.tokens.is_anonymous(authorization),
        };
        let left = self.anonymous_requests.as_mut().filter(|_| is_anonymous)?;
        match left.checked_sub(1) {
            None => Some(too_many_requests()),
            Some(rest) => {
                *left = rest;
                None
            }
        }
    }

    /// The error response if the request would create a package and may not. An organisation decides which packages
    /// its members create (GitHub Docs, "Configuring a package's access control and visibility", "Package creation
    /// visibility for organization members"). The response to a token without that permission is as users report it:
    /// 403 to the request that opens an upload (freeipa/ipa-tuura issue 38, open-policy-agent/gatekeeper issue 3697).
    pub(super) fn denied_creation(&self, request: &Request, route: Route<'_>) -> Option<Response> {
        let is_new = route.repository().is_some_and(|name| !self.repositories.contains_key(name));
        let is_push = [Method::POST, Method::PUT].contains(request.method());
        let message = "installation not allowed to Create organization package";
        (self.denies_creation && is_new && is_push).then(|| error(StatusCode::FORBIDDEN, "DENIED", message))
    }
}

/// The response to a client that has sent too many requests. No document of GitHub mentions a limit. Source: OCI
/// distribution specification 1.1, "Error Codes", code-14; the message is reported in dependabot/cli issue 380.
fn too_many_requests() -> Response {
    let message = "retry-after: 880.092µs, allowed: 44000/minute";
    error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message)
}
