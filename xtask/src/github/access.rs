//! What a token may do in a repository, as far as GitHub shows without a change.

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::dist::ReleaseName;
use crate::github::GitHub;
use crate::github::repository::Repository;
use crate::http::RetryReason;
use crate::os::shell::one_line;

/// The scopes of which a classic token needs one to write to a repository, the second only for a public one.
/// Source: GitHub Docs, "Scopes for OAuth apps".
const SCOPES: [&str; 2] = ["repo", "public_repo"];

/// The repository, in the words of "Get a repository".
#[derive(Deserialize)]
struct Document {
    default_branch: String,
    #[serde(default)]
    archived: bool,
    permissions: Option<Permissions>,
}

/// What the account of the token may do.
#[derive(Deserialize)]
struct Permissions {
    push: bool,
}

impl GitHub {
    /// Why the token may not write to the repository, a sentence each; with `release`, also why it may not publish
    /// that release, and with `issue`, why it may not change that issue. Nothing is changed.
    pub fn refusals(
        &self,
        repository: &Repository,
        release: Option<&ReleaseName>,
        issue: Option<u64>,
    ) -> Result<Vec<String>> {
        let response = self.get(&format!("repos/{repository}"))?;
        let missing = || format!("the repository {repository} does not exist, or the token may not see it");
        ensure!(response.status != StatusCode::NOT_FOUND, missing());
        let scopes = response.header("x-oauth-scopes").map(str::to_owned);
        let found: Document = self.success(&response)?.json()?;
        if found.archived {
            return Ok(vec![format!("{repository} is archived, and so it is read-only")]);
        }
        if let Some(scopes) = scopes {
            return Ok(classic_refusal(repository, &scopes, found.permissions).into_iter().collect());
        }
        // Of the token of an app, `permissions` does not say what its own permissions are.
        let release = release.map(|release| self.refuses_contents(repository, release, &found.default_branch));
        let issue = issue.map(|issue| self.refuses_issue(repository, issue));
        Ok([release.transpose()?.flatten(), issue.transpose()?.flatten()].into_iter().flatten().collect())
    }

    /// Why the token may not write contents. To generate release notes needs that permission, and saves nothing.
    /// Sources: "Generate release notes content for a release"; reports of a token that may only read:
    /// justeattakeaway/httpclient-interception pull request 781, ksharma-xyz/KRAIL pull request 1539. Any other answer
    /// than a refusal says nothing about the permission.
    fn refuses_contents(&self, repository: &Repository, release: &ReleaseName, branch: &str) -> Result<Option<String>> {
        let document = json!({ "tag_name": release.to_string(), "target_commitish": branch });
        let path = format!("repos/{repository}/releases/generate-notes");
        self.refuses(Method::POST, &path, &document, &format!("releases of {repository}"))
    }

    /// Why the token may not change an issue. It is sent a change of nothing. Source: "Update an issue", of whose fields
    /// none is required, and which answers 403 to a token without the permission.
    fn refuses_issue(&self, repository: &Repository, issue: u64) -> Result<Option<String>> {
        let path = format!("repos/{repository}/issues/{issue}");
        self.refuses(Method::PATCH, &path, &json!({}), &format!("the issue #{issue} of {repository}"))
    }

    fn refuses(&self, method: Method, path: &str, document: &Value, what: &str) -> Result<Option<String>> {
        let request = self.request(method, self.url(path)).repeatable();
        let response = self.http.send(&request.bytes("application/json", serde_json::to_vec(document)?))?;
        let is_limited = matches!(response.retry_reason(), Some(RetryReason::Later(_)));
        match response.status {
            _ if is_limited => Err(self.error(&response)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let why = self.error(&response).root_cause().to_string();
                Ok(Some(format!("{what} cannot be written: {why}")))
            }
            _ => Ok(None),
        }
    }
}

/// Why a classic token may not write, by its scopes and by what its account may do.
fn classic_refusal(repository: &Repository, scopes: &str, permissions: Option<Permissions>) -> Option<String> {
    if !scopes.split(',').any(|scope| SCOPES.contains(&scope.trim())) {
        let has =
            if scopes.trim().is_empty() { "no scope".to_owned() } else { format!("the scopes {}", one_line(scopes)) };
        return Some(format!(
            "the token (classic) has {has}; it needs `repo`, or for a public repository `public_repo`"
        ));
    }
    let may_push = permissions.is_none_or(|permissions| permissions.push);
    (!may_push).then(|| format!("the account of the token may not push to {repository}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_classic_token_is_known_by_its_scopes_and_its_account() {
        let repository: Repository = "o/n".parse().expect("a repository");
        for (scopes, push, word) in [
            ("repo, write:packages", Some(true), None),
            ("gist, public_repo", None, None),
            ("repo", Some(false), Some("may not push to o/n")),
            ("repo:status, write:packages", Some(true), Some("the scopes repo:status, write:packages;")),
            ("", Some(true), Some("has no scope;")),
        ] {
            let found = classic_refusal(&repository, scopes, push.map(|push| Permissions { push }));
            assert_eq!(found.is_some(), word.is_some(), "{scopes}: {found:?}");
            assert!(found.unwrap_or_default().contains(word.unwrap_or_default()), "{scopes}");
        }
    }
}
