//! What can be wrong at upstream's end, told from what git prints.

use std::fmt;

use anyhow::{Error, anyhow};

/// Upstream does not have what was asked for.
#[derive(Debug)]
pub struct NotThere(pub String);

impl fmt::Display for NotThere {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for NotThere {}

/// Upstream cannot be reached.
#[derive(Debug)]
pub struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// What to do if upstream at `url` does not answer, or does not have `what`; any other failure of git speaks
/// for itself.
pub fn explained(error: &Error, url: &str, what: &str) -> Error {
    let text = error.to_string();
    if ABSENT.iter().any(|sign| text.contains(sign)) {
        let name = what.strip_prefix("refs/heads/").map_or_else(|| what.to_owned(), |name| format!("branch {name}"));
        return anyhow!(NotThere(format!("{url} has no {name}")));
    }
    if !UNREACHABLE.iter().any(|sign| text.contains(sign)) {
        return anyhow!("cannot get {what} of upstream: {text}");
    }
    anyhow!(Unreachable(format!(
        "cannot fetch {what} from {url}\n  \
         If it cannot be reached from here, point git at a mirror or at a local clone with all of its tags:\n    \
         git config --global url.MIRROR.insteadOf {url}\n    \
         git config --global url.file:///PATH/OF/A/CLONE.insteadOf {url}\n{text}"
    )))
}

/// What git says if the other side has no such ref or commit.
const ABSENT: [&str; 2] = ["couldn't find remote ref", "not our ref"];

/// What git says if the other side does not answer, by transport.
const UNREACHABLE: [&str; 6] = [
    "unable to access",
    "Could not read from remote repository",
    "does not appear to be a git repository",
    "unable to connect",
    "promisor remote",
    "hung up",
];
