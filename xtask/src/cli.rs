//! Arguments of every task, and those that several tasks share.

use anyhow::{Context, Error, Result};
use camino::Utf8Path;
use clap::{Args, ValueEnum};

use crate::credentials::{TOKEN_VARIABLES, token};
use crate::git::read_only;
use crate::github::{GitHub, Repository};
use crate::http::endpoint::Endpoint;
use crate::os::process::run;
use crate::os::terminal;

/// What can stand before or after any task.
#[derive(Args)]
pub struct Global {
    /// Print the commits of this checkout and of the BuildKit that it pins
    #[arg(short = 'V', long)]
    pub version: bool,
    /// Print no status and no progress, only results, notes and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// When to colour the output; `auto` asks the terminal, `NO_COLOR` and `CLICOLOR_FORCE`
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Global {
    /// Sets up the terminal for the whole run.
    pub fn apply(&self) {
        let is_colored = match self.color {
            Color::Auto => None,
            Color::Always => Some(true),
            Color::Never => Some(false),
        };
        terminal::configure(self.quiet, is_colored);
    }
}

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
    pub fn open(&self, root: &Utf8Path) -> Result<(GitHub, Repository)> {
        let github = GitHub::new(self.api.clone(), token()?);
        let repository = self.repo.clone().map_or_else(|| of_origin(root), Ok)?;
        Ok((github, repository))
    }
}

fn of_origin(root: &Utf8Path) -> Result<Repository> {
    let ask = read_only(root, run!("git remote get-url origin"));
    let ask = TOKEN_VARIABLES.iter().fold(ask, |ask, name| ask.env_remove(*name));
    let url = ask.read().context("this checkout has no remote `origin`; name the repository with --repo OWNER/NAME")?;
    Repository::of_remote(url.trim()).map_err(Error::msg)
}
