//! Git, called in two ways. A contributor's checkout is only read, with the settings that they need to
//! read it. In a repository of ours nobody's settings, hooks, templates or variables have a say, except
//! those that lead to upstream: see [`transport`].
#![allow(
    clippy::disallowed_methods,
    reason = "reads the names of the environment's variables, looks whether a file exists"
)]

use anyhow::{Result, ensure};
use camino::Utf8Path;

use crate::os::process::{Run, run};

pub use transport::Transport;

mod transport;

/// Variables by which a person says where git's settings are. They are kept where a checkout is read: without
/// them `safe.directory`, for one, would not be found.
const SETTINGS_VARIABLES: &str = "GIT_CONFIG";

/// The oldest git that works. Before, `GIT_CONFIG_GLOBAL` is ignored, and a person's settings would have a say.
/// Source: git's release notes of 2.32.
const OLDEST: (u32, u32) = (2, 32);

/// What `git --version` prints.
///
/// # Errors
/// If git is missing or too old.
pub fn version() -> Result<String> {
    let line = run!("git --version").read()?;
    let is_too_old = number_of(&line).is_some_and(|version| version < OLDEST);
    ensure!(!is_too_old, "this is {line}; {}.{} or newer is needed", OLDEST.0, OLDEST.1);
    Ok(line)
}

/// Major and minor version in the output of `git --version`; `None` if it has another form.
fn number_of(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.strip_prefix("git version ")?.split('.').map_while(|number| number.parse::<u32>().ok());
    numbers.next().zip(numbers.next())
}

/// Whether the files at `root` have a repository of their own.
pub fn has_repository(root: &Utf8Path) -> bool {
    root.join(".git").exists()
}

/// What a git command reads in the contributor's checkout at `root`.
///
/// # Errors
/// If it has no repository, or git refuses to read it.
pub fn read(root: &Utf8Path, git: Run) -> Result<String> {
    ensure!(
        has_repository(root),
        "{root} has no .git, as after GitHub's \"Download ZIP\"; `git clone` makes a checkout that has one"
    );
    read_only(root, git).read()
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn the_version_is_that_of_the_mutated_line_or_none() {
        assert_eq!(number_of("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(number_of("git version 2"), None);
        arbtest::arbtest(|source| {
            let line = mutated_input::text(source, "git version 2.39.5")?;
            if let Some((major, minor)) = number_of(&line) {
                assert!(line.contains(&major.to_string()) && line.contains(&minor.to_string()), "{line:?}");
            }
            Ok(())
        });
    }
}
