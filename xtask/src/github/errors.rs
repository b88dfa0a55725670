//! What GitHub says when it refuses a request, as one line that says what to do.
//! Source: GitHub's REST API, version 2026-03-10.

use std::fmt;

use http::StatusCode;
use serde::Deserialize;

use crate::os::shell::one_line;

const MAX_ERRORS: usize = 10;
const MAX_EXCERPT_CHARS: usize = 1000;
/// Where a person switches issues on.
pub const SWITCH_ISSUES_ON: &str = "Settings > General > Features > Issues";

/// What to do about refusals that are known by their words, the final one first: GitHub lists both for the same tag.
/// Sources: github-community-projects/ospo-reusable-workflows issue 83, safe-global/safe-deployments issue 682.
const HINTS: [(&str, &str); 2] = [
    (
        "was used by an immutable release",
        "; GitHub never gives away that tag again, also after the release is deleted: this version cannot be published \
         in this repository",
    ),
    (
        "Repository rule violations",
        "; a rule about tags, under Settings > Rules > Rulesets or of the organization, stops the token; exclude the tags \
         `buildkit-*` from it, and run this again",
    ),
];

/// A response that refuses, explained.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    explanation: String,
}

impl Refused {
    pub fn new(status: StatusCode, explanation: String) -> Self {
        Self { status, explanation }
    }

    /// Whether the issue of the request is in another repository now, or nowhere. Source: "Get an issue".
    pub fn is_gone(&self) -> bool {
        [StatusCode::MOVED_PERMANENTLY, StatusCode::NOT_FOUND, StatusCode::GONE].contains(&self.status)
    }

    /// Whether the page of a list is beyond the entries that GitHub shows. Sources: MeltanoLabs/tap-github issue 182,
    /// iree-org/iree pull request 16506.
    pub fn is_beyond_results(&self) -> bool {
        self.status == StatusCode::UNPROCESSABLE_ENTITY && self.explanation.contains("(Only the first ")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.explanation)
    }
}

impl std::error::Error for Refused {}

/// The body of an error response.
#[derive(Debug, Default, Deserialize)]
struct ApiError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

/// Explains an error response, and what to do next. `permissions` is the header
/// `X-Accepted-GitHub-Permissions`, in which GitHub names the permissions that it requires.
/// Source: "Troubleshooting the REST API", "Permissions required for GitHub Apps".
pub fn explain(status: u16, body: &[u8], permissions: Option<&str>, has_token: bool) -> String {
    let error: ApiError = serde_json::from_slice(body).unwrap_or_default();
    let message = if error.message.is_empty() { String::new() } else { format!(" ({})", excerpt(&error.message)) };
    let needed = permissions.map_or_else(String::new, |names| format!("; it needs the permission {}", excerpt(names)));
    match status {
        401 => format!(
            "GitHub does not accept the token{message}: it is wrong or has expired; set GITHUB_TOKEN to a valid one"
        ),
        403 if has_token => format!("the token does not have permission for this{message}{needed}"),
        404 if !has_token => {
            format!("GitHub answered 404{message}: it does not exist, or reading it needs a token in GITHUB_TOKEN")
        }
        404 => format!("GitHub answered 404{message}: it does not exist, or the token may not see it{needed}"),
        403 => format!("GitHub answered 403{message}; set GITHUB_TOKEN"),
        // Source: "Create an issue". Nothing else that is used here answers 410.
        410 => {
            format!("GitHub answered 410{message}: the repository has no issues; {SWITCH_ISSUES_ON} switches them on")
        }
        _ => {
            let errors: String = error.errors.iter().take(MAX_ERRORS).map(|error| format!("; {error}")).collect();
            let errors = excerpt(&errors);
            let hint = HINTS.iter().find(|(words, _)| errors.contains(words)).map_or("", |(_, hint)| *hint);
            format!("GitHub answered {status}{message}{errors}{hint}")
        }
    }
}

/// Explains a refusal because of too many requests, which has the status of a missing permission too.
/// Source: "Rate limits for the REST API", exceeding the rate limit.
pub fn explain_limit(body: &[u8], has_token: bool) -> String {
    let error: ApiError = serde_json::from_slice(body).unwrap_or_default();
    let advice = if has_token { "" } else { ", or set GITHUB_TOKEN, which has a higher limit" };
    format!("GitHub limits the rate of requests ({}); run this again later{advice}", excerpt(&error.message))
}

/// The start of a text, without control characters, which a terminal could interpret.
fn excerpt(text: &str) -> String {
    one_line(text).chars().take(MAX_EXCERPT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn an_error_names_the_missing_permission() {
        let body = br#"{"message":"Resource not accessible by integration","documentation_url":"x"}"#;
        let message = explain(403, body, Some("contents=write"), true);
        assert_eq!(
            message,
            "the token does not have permission for this (Resource not accessible by integration); it needs the permission contents=write"
        );
        assert!(explain(401, br#"{"message":"Bad credentials"}"#, None, true).contains("wrong or has expired"));
        let body = br#"{"message":"Validation Failed","errors":[{"resource":"Release","code":"already_exists","field":"tag_name"}]}"#;
        assert!(explain(422, body, None, true).contains("already_exists"));
        assert_eq!(explain(500, b"<html>", None, true), "GitHub answered 500");
    }

    /// The answers that the sources of [`HINTS`] quote.
    #[test]
    fn a_tag_that_may_not_be_created_is_explained() {
        let rule = r#"{"resource":"Release","code":"custom","field":"pre_receive","message":"pre_receive Repository rule violations found\n\nCannot create ref due to creations being restricted.\n\n"}"#;
        let used = r#"{"resource":"Release","code":"custom","field":"tag_name","message":"tag_name was used by an immutable release"}"#;
        let explained = |errors: &str| {
            let body = format!(r#"{{"message":"Validation Failed","errors":[{errors}]}}"#);
            explain(422, body.as_bytes(), None, true)
        };
        assert!(
            explained(rule).ends_with("exclude the tags `buildkit-*` from it, and run this again"),
            "{}",
            explained(rule)
        );
        let both = explained(&format!("{rule},{used}"));
        assert!(both.ends_with("this version cannot be published in this repository"), "{both}");
    }

    #[test]
    fn common_errors_name_the_cause_and_what_to_do() {
        let explained: String = [
            (401, "Bad credentials", None, true),
            (403, "Resource not accessible by integration", Some("issues=write"), true),
            (403, "Resource not accessible by personal access token", Some("contents=write; workflows=write"), true),
            (403, "API rate limit exceeded for 192.0.2.1.", None, false),
            (404, "Not Found", Some("contents=read"), true),
            (404, "Not Found", None, false),
            (410, "Issues has been disabled in this repository.", None, true),
            (422, "Validation Failed", None, true),
        ]
        .iter()
        .map(|&(status, message, permissions, has_token)| {
            let body = serde_json::json!({ "message": message }).to_string();
            explain(status, body.as_bytes(), permissions, has_token) + "\n"
        })
        .collect();
        expect![[r#"
            GitHub does not accept the token (Bad credentials): it is wrong or has expired; set GITHUB_TOKEN to a valid one
            the token does not have permission for this (Resource not accessible by integration); it needs the permission issues=write
            the token does not have permission for this (Resource not accessible by personal access token); it needs the permission contents=write; workflows=write
            GitHub answered 403 (API rate limit exceeded for 192.0.2.1.); set GITHUB_TOKEN
            GitHub answered 404 (Not Found): it does not exist, or the token may not see it; it needs the permission contents=read
            GitHub answered 404 (Not Found): it does not exist, or reading it needs a token in GITHUB_TOKEN
            GitHub answered 410 (Issues has been disabled in this repository.): the repository has no issues; Settings > General > Features > Issues switches them on
            GitHub answered 422 (Validation Failed)
        "#]].assert_eq(&explained);
    }
}
