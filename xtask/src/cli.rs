//! Arguments of every task, and arguments that several tasks share.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use std::ffi::{OsStr, OsString};

use anyhow::{Error, Result, anyhow};
use camino::Utf8Path;
use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, Command, Parser, ValueEnum};

use crate::credentials::{TOKEN_VARIABLES, token};
use crate::git::read_only;
use crate::github::{GitHub, Repository};
use crate::http::Endpoint;
use crate::os::process::run;
use crate::os::terminal;

mod tips;
pub mod version;

/// The command line, with the variables that stand for options. An empty variable is none: a workflow sets one to the
/// empty string where it has no value.
pub fn parse<T: Parser>() -> T {
    let with_variables = |counts: fn(&OsStr) -> bool| {
        let set = move |argument: Arg| {
            let is_ignored = argument.get_env().and_then(std::env::var_os).is_some_and(|value| !counts(&value));
            let argument = if is_ignored { argument.env(Resettable::Reset) } else { argument };
            argument.hide_env_values(true)
        };
        T::command().mut_args(set).mut_subcommands(|task| task.mut_args(set))
    };
    let mut command = with_variables(|value| !value.is_empty());
    let words: Vec<OsString> = std::env::args_os().collect();
    let parsed = command.clone().try_get_matches_from(&words);
    let parsed = parsed
        .and_then(|mut matches| T::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command)));
    parsed.unwrap_or_else(|mut error| {
        // What is right without the variables is wrong because of one of them.
        if with_variables(|_| false).try_get_matches_from(&words).is_ok() {
            command.build();
            blame_variable(&mut error, &command);
        } else {
            tips::add(&command, &words, &mut error);
        }
        error.exit()
    })
}

/// Names the variable in the place of the option that it stands for.
fn blame_variable(error: &mut clap::Error, command: &Command) {
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let Some(ContextValue::String(option)) = error.get(kind) else { continue };
        let mut arguments = command.get_subcommands().flat_map(Command::get_arguments);
        let variable = arguments.find(|argument| argument.to_string() == *option).and_then(Arg::get_env);
        if let Some(variable) = variable.map(|name| name.to_string_lossy().into_owned()) {
            error.insert(kind, ContextValue::String(variable));
        }
    }
}

/// Options that are accepted before or after any task.
#[derive(Args)]
pub struct Global {
    /// Print the commits of this checkout and of its pinned BuildKit
    #[arg(short = 'V', long)]
    pub version: bool,
    /// Print only results, notes and errors, without status and progress
    #[arg(short, long, global = true, display_order = 900)]
    quiet: bool,
    /// When to color the output; `auto` depends on the terminal, `NO_COLOR` and `CLICOLOR_FORCE`
    #[arg(long, global = true, display_order = 901, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Global {
    /// Configures the terminal output.
    pub fn apply(&self) {
        let is_colored = match self.color {
            Color::Auto => None,
            Color::Always => Some(true),
            Color::Never => Some(false),
        };
        terminal::configure(self.quiet, is_colored);
    }
}

/// The GitHub repository that a task works for.
#[derive(Args)]
pub struct RepositoryOption {
    /// The repository on GitHub [default: from the remote `origin`]
    #[arg(long, value_name = "OWNER/NAME", env = "GITHUB_REPOSITORY")]
    repo: Option<Repository>,
}

impl RepositoryOption {
    /// The repository that is named, or the remote `origin` of the checkout at `root`.
    ///
    /// # Errors
    /// If there is neither.
    pub fn find(&self, root: &Utf8Path) -> Result<Repository> {
        self.repo.clone().map_or_else(|| origin_repository(root), Ok)
    }

    /// The same, or the project's own repository if there is neither.
    pub fn find_or_project(&self, root: &Utf8Path) -> Repository {
        self.find(root).unwrap_or_else(|_| Repository::of_project())
    }
}

/// The GitHub repository that a task works on, and its API.
#[derive(Args)]
pub struct Target {
    #[command(flatten)]
    repository: RepositoryOption,
    /// The URL of GitHub's API, for an enterprise server or a fake
    #[arg(long, value_name = "URL", env = "GITHUB_API_URL", default_value = "https://api.github.com", hide = true)]
    api: Endpoint,
}

impl Target {
    /// The option that names the repository.
    pub fn repository(&self) -> &RepositoryOption {
        &self.repository
    }

    /// Opens the API with the token from the environment, if any, and finds the repository.
    pub fn open(&self, root: &Utf8Path) -> Result<(GitHub, Repository)> {
        let github = GitHub::new(self.api.clone(), token()?);
        Ok((github, self.repository.find(root)?))
    }
}

fn origin_repository(root: &Utf8Path) -> Result<Repository> {
    let command = read_only(root, run!("git remote get-url origin"));
    let command = TOKEN_VARIABLES.iter().fold(command, |command, name| command.env_remove(*name));
    let url = command.read().map_err(|error| match error.to_string().contains("No such remote") {
        true => anyhow!("this checkout has no remote `origin`; use --repo OWNER/NAME"),
        false => error.context("the remote `origin` of this checkout cannot be read; use --repo OWNER/NAME"),
    })?;
    Repository::of_remote(url.trim()).map_err(Error::msg)
}

#[cfg(test)]
mod documented_commands;
