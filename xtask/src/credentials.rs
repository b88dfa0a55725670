//! Tokens and passwords, read from the environment and from nowhere else.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use anyhow::{Context, Error, Result, bail};

use crate::http::Authorization;
use crate::registry::ImageRepository;
use crate::upstream::git_ref::CommitId;

/// Where a token is looked for, in this order. It is never a flag: everyone on a machine can read
/// the arguments of a process.
pub const TOKEN_VARIABLES: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

/// The token of the environment, if there is one.
///
/// # Errors
/// If what is there is no token.
pub fn token() -> Result<Option<Authorization>> {
    let value = |name: &'static str| variable(name).map(|value| (name, value));
    let Some((name, value)) = TOKEN_VARIABLES.into_iter().find_map(value) else { return Ok(None) };
    let token = Authorization::bearer(&value).map_err(Error::msg);
    token.map(Some).with_context(|| format!("{name} holds no token"))
}

/// Credentials for a registry: `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`, or for GitHub's own the
/// token and whoever it is of. A token of GitHub's goes to no other registry.
///
/// # Errors
/// Where one of the two is set without the other.
pub fn registry_credentials(repository: &ImageRepository) -> Result<Option<Authorization>> {
    match (variable("REGISTRY_USERNAME"), variable("REGISTRY_PASSWORD")) {
        (Some(user), Some(password)) => return Ok(Some(Authorization::basic(&user, &password))),
        (None, None) => {}
        _ => bail!("of REGISTRY_USERNAME and REGISTRY_PASSWORD only one is set; set both or none"),
    }
    if !repository.is_github() {
        return Ok(None);
    }
    let token = TOKEN_VARIABLES.into_iter().find_map(variable);
    // GitHub looks at the token alone; a name is asked for by the form.
    let user = variable("GITHUB_ACTOR").unwrap_or_else(|| "token".to_owned());
    Ok(token.map(|token| Authorization::basic(&user, &token)))
}

/// The commit of this repository that a workflow runs at.
///
/// # Errors
/// Where the variable holds none.
pub fn workflow_commit() -> Result<Option<CommitId>> {
    let commit = variable("GITHUB_SHA").map(|text| text.parse()).transpose();
    commit.map_err(Error::msg).context("GITHUB_SHA holds no commit")
}

/// An empty variable is none: a workflow sets one so where a secret does not exist.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
