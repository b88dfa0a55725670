//! What can be wrong at upstream's end, told from what git prints.

use std::fmt;

use anyhow::{Error, anyhow};

use crate::upstream::version::ReleaseTag;

/// Nothing that a new mirror would cure.
#[derive(Debug)]
pub enum UpstreamError {
    /// Upstream does not have what was asked for.
    NotThere(String),
    /// Upstream cannot be reached.
    Unreachable(String),
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotThere(message) | Self::Unreachable(message)) = self;
        out.write_str(message)
    }
}

impl std::error::Error for UpstreamError {}

/// Whether the cause of a failure is that upstream cannot be reached.
pub fn is_unreachable(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(UpstreamError::Unreachable(_)))
}

/// What to do if upstream at `url` does not answer, or does not have `what`; any other failure of git speaks
/// for itself.
pub fn explained(error: &Error, url: &str, what: &str) -> Error {
    let text = error.to_string();
    if ABSENT.iter().any(|sign| text.contains(sign)) {
        let name = what.strip_prefix("refs/heads/").map_or_else(|| what.to_owned(), |name| format!("branch {name}"));
        let tag = what.strip_prefix("refs/heads/").map(|name| format!("v{name}"));
        let tag = tag.filter(|tag| tag.parse::<ReleaseTag>().is_ok()).map(|tag| format!("; its release is {tag}"));
        return anyhow!(UpstreamError::NotThere(format!("{url} has no {name}{}", tag.unwrap_or_default())));
    }
    if FULL.iter().any(|sign| text.contains(sign)) {
        return anyhow!("the disk is full; free some space (`cargo xtask clean` does), and run this again\n{text}");
    }
    if !UNREACHABLE.iter().any(|sign| text.contains(sign)) {
        return anyhow!("cannot get {what} of upstream: {text}");
    }
    anyhow!(UpstreamError::Unreachable(format!(
        "cannot fetch {what} from {url}\n  \
         If it cannot be reached from here, point git at a mirror or at a local clone with all of its tags:\n    \
         git config --global url.MIRROR.insteadOf {url}\n    \
         git config --global url.file:///PATH/OF/A/CLONE.insteadOf {url}\n{text}"
    )))
}

/// What git says if the other side has no such ref or commit.
const ABSENT: [&str; 2] = ["couldn't find remote ref", "not our ref"];

/// What git says if this machine cannot take what the other side sends: its own words, and errno(3).
const FULL: [&str; 3] = ["Out of diskspace", "No space left on device", "Disk quota exceeded"];

/// What git says if the other side does not answer, by transport.
const UNREACHABLE: [&str; 6] = [
    "unable to access",
    "Could not read from remote repository",
    "does not appear to be a git repository",
    "unable to connect",
    "promisor remote",
    "hung up",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_an_upstream_that_cannot_be_reached() {
        // What git 2.47 prints on a file system without space.
        for printed in [
            "fatal: sha1 file 'objects/pack/tmp_idx_JNr2Zh' write error. Out of diskspace\nfatal: could not fetch \
             b448c8f5 from promisor remote",
            "fatal: cannot create 'objects/pack/tmp_pack_x': No space left on device\nfatal: fetch-pack: invalid \
             index-pack output\nfatal: the remote end hung up",
        ] {
            let error = explained(&anyhow!("`git fetch` failed\n{printed}"), "https://u.example/", "files");
            assert!(!is_unreachable(&error) && error.to_string().contains("free some"), "{error}");
        }
        let error = explained(&anyhow!("couldn't find remote ref"), "https://u.example/", "refs/heads/0.32.2");
        assert_eq!(error.to_string(), "https://u.example/ has no branch 0.32.2; its release is v0.32.2");
        let error = explained(&anyhow!("fatal: unable to access 'https://u.example/'"), "https://u.example/", "tags");
        assert!(is_unreachable(&error), "{error}");
    }
}
