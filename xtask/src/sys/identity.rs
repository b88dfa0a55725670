//! Whom a task speaks for: which repository, at which API, with which token. Flags first, then what
//! GitHub Actions sets, then the checkout.

use anyhow::{Context, Error, Result};
use camino::Utf8Path;
use clap::Args;

use super::git::git;
use super::github::GitHub;
use crate::model::endpoint::Endpoint;
use crate::model::repository::Repository;
use crate::model::secret::Authorization;

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

/// An empty variable is none: a workflow sets one so where a secret does not exist.
fn token() -> Result<Option<Authorization>> {
    let value =
        |name: &'static str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(|value| (name, value));
    let Some((name, value)) = TOKEN_VARIABLES.into_iter().find_map(value) else { return Ok(None) };
    let token = Authorization::bearer(&value).map_err(Error::msg);
    token.map(Some).with_context(|| format!("{name} holds no token"))
}

fn of_origin(root: &Utf8Path) -> Result<Repository> {
    let ask = git(root, ["remote", "get-url", "origin"]);
    let ask = TOKEN_VARIABLES.iter().fold(ask, |ask, name| ask.env_remove(*name));
    let url = ask.read().context("this checkout has no remote `origin`; name the repository with --repo OWNER/NAME")?;
    Repository::of_remote(url.trim()).map_err(Error::msg)
}
