//! Errors of a registry, and what to do about them: one message for each cause.

use std::fmt;

use http::StatusCode;
use serde::Deserialize;

use crate::os::shell::one_line;
use crate::registry::ImageRepository;

/// An error document has a few hundred bytes.
const LARGEST_BODY_BYTES: usize = 64 << 10;
/// In what ghcr.io answers to a token that may not create a package, in lower case. It has two messages, and speaks of
/// an organisation to users as well. Sources: docker/build-push-action issue 606, freeipa/ipa-tuura issue 38.
const CREATION_DENIED: [&str; 2] = ["not allowed to create organization package", "create_package"];
/// A quoted message is cut here.
const LONGEST_QUOTE: usize = 200;

/// An unexpected response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryError {
    /// What failed: `push the blob sha256:…`.
    pub action: String,
    pub repository: ImageRepository,
    /// Whether the request changes the repository.
    pub is_write: bool,
    /// Whether there were no credentials.
    pub is_anonymous: bool,
    /// Whether the credentials are valid and not sufficient (RFC 6750, section 3.1).
    pub has_insufficient_scope: bool,
    pub status: StatusCode,
    pub details: Vec<ErrorDetail>,
}

/// One entry of an error body. Source: the OCI distribution specification 1.1, "Error Codes".
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ErrorDetail {
    pub code: String,
    /// May be empty.
    #[serde(default)]
    pub message: String,
}

impl ErrorDetail {
    /// The entries of a body, or none if it has another format, such as a proxy's HTML.
    pub fn parse(body: &[u8]) -> Vec<Self> {
        #[derive(Deserialize)]
        struct Body {
            errors: Vec<ErrorDetail>,
        }
        if body.len() > LARGEST_BODY_BYTES {
            return Vec::new();
        }
        serde_json::from_slice(body).map_or_else(|_| Vec::new(), |body: Body| body.errors)
    }
}

impl fmt::Display for ErrorDetail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.message.is_empty() { self.code.clone() } else { format!("{}: {}", self.code, self.message) };
        out.write_str(&one_line(&text).chars().take(LONGEST_QUOTE).collect::<String>())
    }
}

impl RegistryError {
    /// Whether the registry requires credentials to read the repository. GitHub does so for a private
    /// package and for one that does not exist.
    pub fn is_private(&self) -> bool {
        self.is_anonymous && !self.is_write && self.is_about_access()
    }

    /// Whether the registry limits the rate of requests.
    pub fn is_limited(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS || self.has_code("TOOMANYREQUESTS")
    }

    /// Whether the registry does not permit the request, with these credentials or with none.
    pub fn is_about_access(&self) -> bool {
        let is_refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&self.status);
        !self.is_limited() && (is_refused || self.has_code("DENIED"))
    }

    fn has_code(&self, code: &str) -> bool {
        self.details.iter().any(|detail| detail.code == code)
    }

    /// Whether GitHub refused to create the package, which then has no page with settings.
    fn is_about_creation(&self) -> bool {
        let message = |detail: &ErrorDetail| detail.message.to_ascii_lowercase();
        let is_it = |message: String| CREATION_DENIED.iter().any(|denied| message.contains(denied));
        self.repository.is_github() && self.details.iter().any(|detail| is_it(message(detail)))
    }

    /// Whether the credentials themselves are refused, rather than what they may do. GitHub answers 403 to an expired
    /// token, with no other word than this. Sources: openai/tart issue 277, devcontainers/cli pull request 515.
    fn is_about_credentials(&self) -> bool {
        let is_denied = |detail: &ErrorDetail| detail.code == "UNAUTHORIZED" || detail.message == "denied";
        let is_of_github = self.repository.is_github() && self.details.iter().any(is_denied);
        self.is_about_access()
            && !self.has_insufficient_scope
            && (self.status == StatusCode::UNAUTHORIZED || is_of_github)
    }

    fn advice(&self) -> Option<String> {
        let on_github = self.repository.is_github();
        let variables = if on_github {
            "GITHUB_ACTOR and GITHUB_TOKEN, or REGISTRY_USERNAME and REGISTRY_PASSWORD"
        } else {
            "REGISTRY_USERNAME and REGISTRY_PASSWORD"
        };
        let pages = self.repository.settings_pages();
        Some(match self.status {
            _ if self.is_limited() => "it limits the rate of requests; run this again later".to_owned(),
            _ if self.is_private() && on_github => format!(
                "the package is private or does not exist: set {variables}, or make it public by hand, \
                 because no API can: Package settings, Danger Zone, Change visibility, at {pages}"
            ),
            _ if self.is_about_access() && self.is_anonymous => format!("credentials are required: set {variables}"),
            _ if self.is_about_credentials() => {
                format!("the credentials are wrong or expired: check {variables}")
            }
            _ if self.is_about_creation() => format!(
                "there is no such package yet, and this token may not create it: a workflow's job needs \
                 `permissions: packages: write`, a personal token (classic) `write:packages`; if the owner is an \
                 organisation, one of its owners must also allow it: Organization settings, Packages, Package Creation, \
                 Public and Private, at {}",
                self.repository.package_creation_page()
            ),
            _ if self.is_about_access() && on_github => format!(
                "the token may not do that: a workflow's job needs `permissions: packages: write`, a personal token \
                 (classic) `write:packages`; a package that exists must also be linked with the repository that runs \
                 the workflow, with the role Write under Manage Actions access, at {pages}"
            ),
            _ if self.is_about_access() => format!("these credentials may not do that: check {variables}"),
            StatusCode::NOT_FOUND if self.is_write => {
                "there is no such repository, and this registry does not create one on push: create it first".to_owned()
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                "it is larger than the registry, or a proxy in front of it, accepts".to_owned()
            }
            _ if self.has_code("DIGEST_INVALID") => {
                "the content does not match its digest: was a file changed meanwhile? build it again".to_owned()
            }
            _ if self.has_code("MANIFEST_BLOB_UNKNOWN") || self.status.is_server_error() => "run this again".to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, repository, status, .. } = self;
        write!(out, "cannot {action}: {repository} answered {status}")?;
        for detail in self.details.iter().take(3) {
            write!(out, "; {detail}")?;
        }
        self.advice().map_or(Ok(()), |advice| write!(out, "\n  {advice}"))
    }
}

impl std::error::Error for RegistryError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    fn error(repository: &str, status: u16, body: &str) -> RegistryError {
        RegistryError {
            action: "push the tag latest".to_owned(),
            repository: repository.parse().expect("parses"),
            is_write: true,
            is_anonymous: false,
            has_insufficient_scope: false,
            status: StatusCode::from_u16(status).expect("a status"),
            details: ErrorDetail::parse(body.as_bytes()),
        }
    }

    #[test]
    fn a_message_names_the_missing_permission_and_the_settings_page() {
        let body = r#"{"errors":[{"code":"DENIED","message":"permission_denied: write_package","detail":null}]}"#;
        let expected = "cannot push the tag latest: ghcr.io/me/b answered 403 Forbidden; \
            DENIED: permission_denied: write_package\n  \
            the token may not do that: a workflow's job needs `permissions: packages: write`, a personal token (classic) \
            `write:packages`; a package that exists must also be linked with the repository that runs the workflow, with \
            the role Write under Manage Actions access, at https://github.com/users/me/packages/container/b/settings \
            (of an organisation: https://github.com/orgs/me/packages/container/b/settings)";
        assert_eq!(error("ghcr.io/me/b", 403, body).to_string(), expected);
    }

    #[test]
    fn a_private_package_is_distinguished_from_wrong_credentials() {
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        let with = error("ghcr.io/me/b", 401, body);
        assert!(with.to_string().contains("wrong or expired: check GITHUB_ACTOR and GITHUB_TOKEN"), "{with}");
        let known = RegistryError { has_insufficient_scope: true, ..with.clone() };
        assert!(known.to_string().contains("may not do that"), "{known}");
        let without = RegistryError { is_anonymous: true, is_write: false, ..with.clone() };
        assert!(without.is_private() && !with.is_private());
        assert!(without.to_string().contains("Change visibility"), "{without}");
        let elsewhere = error("127.0.0.1:5000/b", 401, body);
        assert!(elsewhere.to_string().ends_with("check REGISTRY_USERNAME and REGISTRY_PASSWORD"), "{elsewhere}");
        let nobody = RegistryError { is_anonymous: true, ..elsewhere };
        assert!(nobody.to_string().contains("credentials are required"), "{nobody}");
    }

    /// The answers to a revoked token: of the token service (openai/tart issue 277), and in the words of another one
    /// (autc04/Retro68 issue 274).
    #[test]
    fn an_expired_token_is_not_taken_for_a_missing_permission() {
        let denied = r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#;
        let unknown = r#"{"errors":[{"code":"UNAUTHORIZED","message":"unauthenticated: User cannot be authenticated with the token provided."}]}"#;
        for (status, body) in [(403, denied), (401, unknown), (403, unknown)] {
            let printed = error("ghcr.io/me/b", status, body).to_string();
            assert!(printed.contains("the credentials are wrong or expired: check GITHUB_ACTOR"), "{printed}");
        }
        let anonymous = RegistryError { is_anonymous: true, is_write: false, ..error("ghcr.io/me/b", 403, denied) };
        assert!(anonymous.is_private(), "{anonymous}");
    }

    /// There is no page of a package that does not exist.
    #[test]
    fn a_package_that_may_not_be_created_is_answered_with_the_settings_that_allow_it() {
        for message in [
            "installation not allowed to Create organization package",
            "permission_denied: installation not allowed to Create organization package",
            "permission_denied: create_package",
        ] {
            let body = format!(r#"{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}"#);
            let printed = error("ghcr.io/me/b", 403, &body).to_string();
            for advice in
                ["packages: write", "https://github.com/organizations/me/settings/packages", "Package Creation"]
            {
                assert!(printed.contains(advice), "{printed}");
            }
            assert!(!printed.contains("packages/container"), "{printed}");
        }
    }

    /// A registry may refuse with another status than 429; a package is not private because of it.
    #[test]
    fn a_limit_is_not_taken_for_a_private_package() {
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"m"}]}"#;
        for status in [401, 403, 429] {
            let limited = RegistryError { is_anonymous: true, is_write: false, ..error("ghcr.io/me/b", status, body) };
            assert!(limited.is_limited() && !limited.is_private(), "{limited}");
            assert!(limited.to_string().contains("again later"), "{limited}");
        }
    }

    #[test]
    fn each_cause_has_its_advice() {
        for (status, body, advice) in [
            (
                404,
                r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#,
                "answered 404 Not Found; NAME_UNKNOWN\n  there is no such",
            ),
            (413, "<html>", "larger than the registry"),
            (429, r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#, "again later"),
            (400, r#"{"errors":[{"code":"DIGEST_INVALID","message":"m","detail":{"a":[]}}]}"#, "was a file changed"),
            (503, "", "run this again"),
        ] {
            let message = error("ghcr.io/me/b", status, body).to_string();
            assert!(message.contains(advice), "{message}");
        }
        assert!(!error("ghcr.io/me/b", 400, "{}").to_string().contains('\n'));
    }

    #[test]
    fn a_quote_is_short_and_has_no_control_characters() {
        let body = format!(r#"{{"errors":[{{"code":"A","message":"\u001b[2J{}"}}]}}"#, "x".repeat(900));
        let quoted = ErrorDetail::parse(body.as_bytes())[0].to_string();
        assert!(quoted.starts_with("A:  [2Jxxx") && quoted.len() == LONGEST_QUOTE, "{quoted}");
        for other in ["", "404 page not found", "{}", r#"{"errors":{}}"#, r#"{"errors":[{}]}"#] {
            assert_eq!(ErrorDetail::parse(other.as_bytes()), []);
        }
    }

    #[test]
    fn a_body_has_a_largest_size() {
        let of = |size: usize| {
            let mut body = br#"{"errors":[{"code":"A"}]}"#.to_vec();
            body.resize(size, b' ');
            ErrorDetail::parse(&body).len()
        };
        assert_eq!((of(LARGEST_BODY_BYTES), of(LARGEST_BODY_BYTES + 1)), (1, 0));
    }

    #[test]
    fn any_body_gives_a_short_message_without_control_characters() {
        arbtest::arbtest(|source| {
            let sample =
                r#"{"errors":[{"code":"DENIED","message":"\u001b[2J\n"},{"code":"A","detail":[{}]},{"code":"B"}]}"#;
            let body = mutated_input::bytes(source, sample.as_bytes())?;
            let details = ErrorDetail::parse(&body);
            assert!(details.len() * r#"{"code":""}"#.len() <= body.len(), "{details:?}");
            let message = RegistryError { details, ..error("registry.example/a", 400, "") }.to_string();
            let plain = error("registry.example/a", 400, "").to_string();
            assert!(message.chars().count() <= plain.len() + 3 * (LONGEST_QUOTE + 2) + 200, "{message}");
            assert!(!message.replacen("\n  ", "", 1).contains(char::is_control), "{message:?}");
            Ok(())
        });
    }
}
