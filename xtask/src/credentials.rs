//! Tokens and passwords, read from the environment only.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use anyhow::{Context, Error, Result, bail};

use crate::http::Authorization;
use crate::registry::ImageRepository;
use crate::upstream::CommitId;

/// The variables that may hold a token, in this order. It is never a flag: everyone on a machine can
/// read the arguments of a process.
pub const TOKEN_VARIABLES: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

/// The token in the environment, if there is one.
pub fn token() -> Result<Option<Authorization>> {
    let value = |name: &'static str| variable(name).map(|value| (name, value));
    let Some((name, value)) = TOKEN_VARIABLES.into_iter().find_map(value) else { return Ok(None) };
    let token = Authorization::bearer(&value).map_err(Error::msg);
    token.map(Some).with_context(|| format!("{name} is not a valid token"))
}

/// Credentials for a registry: `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`, or for GitHub's registry the
/// token. A GitHub token goes to no other registry.
///
/// # Errors
/// If only one of the two is set.
pub fn registry_credentials(repository: &ImageRepository) -> Result<Option<Authorization>> {
    match (variable("REGISTRY_USERNAME"), variable("REGISTRY_PASSWORD")) {
        (Some(user), Some(password)) => return Ok(Some(Authorization::basic(&user, &password))),
        (None, None) => {}
        _ => bail!("of REGISTRY_USERNAME and REGISTRY_PASSWORD only one is set; set both or neither"),
    }
    if !repository.is_github() {
        return Ok(None);
    }
    let token = TOKEN_VARIABLES.into_iter().find_map(variable);
    // GitHub checks the token only, but Basic credentials need a user name.
    let user = variable("GITHUB_ACTOR").unwrap_or_else(|| "token".to_owned());
    Ok(token.map(|token| Authorization::basic(&user, &token)))
}

/// The commit of this repository that a workflow runs at.
pub fn workflow_commit() -> Result<Option<CommitId>> {
    let commit = variable("GITHUB_SHA").map(|text| text.parse()).transpose();
    commit.map_err(Error::msg).context("GITHUB_SHA is not a commit")
}

/// An empty variable counts as unset: a workflow sets one if a secret does not exist.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
