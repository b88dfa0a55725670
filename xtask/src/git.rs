//! Git, called so that neither the user's settings nor a hook's environment change what it does
//! to us.

use std::time::Duration;

use camino::Utf8Path;

use crate::os::process::Run;

/// Fetching upstream's history over a slow line takes minutes.
const FETCH_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Variables by which a hook points git at its own repository. Source: `git rev-parse --local-env-vars`,
/// without those that carry the user's `-c` options.
const REPOSITORY_VARIABLES: [&str; 8] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
];

/// Settings that would change the bytes of a checkout or run code of the user's own in it.
const SETTINGS: [&str; 5] = [
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
];

/// A git command in `directory`, which never asks for a password.
pub fn git<S: Into<String>>(directory: &Utf8Path, arguments: impl IntoIterator<Item = S>) -> Run {
    let run = Run::new("git")
        .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
        .args(arguments)
        .directory(directory)
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0");
    REPOSITORY_VARIABLES.iter().fold(run, |run, name| run.env_remove(*name))
}

/// The same, with time enough for the network.
pub fn slow_git<S: Into<String>>(directory: &Utf8Path, arguments: impl IntoIterator<Item = S>) -> Run {
    git(directory, arguments).limit(FETCH_LIMIT)
}
