//! Whom a task speaks for: which repository, at which API, with which token. Flags first, then what
//! GitHub Actions sets, then the checkout.

use anyhow::{Context, Error, Result, bail};
use camino::Utf8Path;
use clap::Args;

use super::git::git;
use super::github::GitHub;
use crate::model::endpoint::Endpoint;
use crate::model::image_repository::ImageRepository;
use crate::model::repository::Repository;
use crate::model::secret::Authorization;
use crate::model::upstream_ref::CommitId;

/// Where a token is looked for, in this order. It is never a flag: everyone on a machine can read
/// the arguments of a process.
const TOKEN_VARIABLES: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

/// The repository that a task works on, and the API where it is found.
#[derive(Args)]
pub struct Target {
    /// The repository on GitHub [default: that of the remote `origin`]
    #[arg(long, value_name = "OWNER/NAME", env = "GITHUB_REPOSITORY", hide_env_values = true)]
    repo: Option<Repository>,
    /// GitHub's API: that of an enterprise server, or a double's
    #[arg(long, value_name = "URL", env = "GITHUB_API_URL", default_value = "https://api.github.com", hide = true)]
    api: Endpoint,
}

impl Target {
    /// The API as the token of the environment sees it, or as anyone does where there is none; and
    /// the repository.
    ///
    /// # Errors
    /// Where the checkout at `root` has no remote that names one, or the token can be none.
    pub fn open(&self, root: &Utf8Path) -> Result<(GitHub, Repository)> {
        let github = GitHub::new(self.api.clone(), token()?);
        let repository = self.repo.clone().map_or_else(|| of_origin(root), Ok)?;
        Ok((github, repository))
    }
}

fn token() -> Result<Option<Authorization>> {
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
pub fn commit() -> Result<Option<CommitId>> {
    let commit = variable("GITHUB_SHA").map(|text| text.parse()).transpose();
    commit.map_err(Error::msg).context("GITHUB_SHA holds no commit")
}

/// An empty variable is none: a workflow sets one so where a secret does not exist.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn of_origin(root: &Utf8Path) -> Result<Repository> {
    let ask = git(root, ["remote", "get-url", "origin"]);
    let ask = TOKEN_VARIABLES.iter().fold(ask, |ask, name| ask.env_remove(*name));
    let url = ask.read().context("this checkout has no remote `origin`; name the repository with --repo OWNER/NAME")?;
    Repository::of_remote(url.trim()).map_err(Error::msg)
}
