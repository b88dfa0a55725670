//! Git, called in two ways. A contributor's checkout is only read, with the settings that they need to
//! read it. In a repository of ours nobody's settings, hooks, templates or variables have a say, except
//! those that lead to upstream: see [`transport`].
#![allow(clippy::disallowed_methods, reason = "reads the names of the environment's variables")]

use camino::Utf8Path;

use crate::os::process::Run;

pub use transport::Transport;

mod transport;

/// Variables by which a person says where git's settings are. They are kept where a checkout is read: without
/// them `safe.directory`, for one, would not be found.
const SETTINGS_VARIABLES: &str = "GIT_CONFIG";

/// Lets a git command read `directory` of a contributor. Only plumbing commands are safe from settings.
pub fn read_only(directory: &Utf8Path, git: Run) -> Run {
    quiet(git, |name| !name.starts_with(SETTINGS_VARIABLES)).directory(directory).env("GIT_OPTIONAL_LOCKS", "0")
}

/// Lets a git command work in the repository `git_dir`, which is ours, as if nothing on this machine were
/// configured.
pub fn own(git_dir: &Utf8Path, git: Run) -> Run {
    quiet(git, |_| true)
        .env("GIT_DIR", git_dir.as_str())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
}

/// A git command that never asks for a password, without those of git's variables that `drops` names.
fn quiet(git: Run, drops: impl Fn(&str) -> bool) -> Run {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let dropped = names.filter(|name| name.starts_with("GIT_") && drops(name));
    dropped.fold(git, Run::env_remove).env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0")
}
