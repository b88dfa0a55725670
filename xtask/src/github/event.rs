//! The event that starts what waits for a release, such as the workflows that build packages of it.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use crate::dist::ReleaseName;
use crate::github::{GitHub, Repository};

/// Source: "Create a repository dispatch event": "The name of this event must be 100 characters or fewer".
const LONGEST_CHARACTERS: usize = 100;

/// The type of an event of the kind `repository_dispatch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventType(String);

impl EventType {
    /// Sends the event with the name of the release. GitHub keeps no list of events, so that one whose reply is lost is
    /// sent again.
    ///
    /// `GITHUB_TOKEN` starts no workflow by what it does, except by this event and by dispatching a workflow.
    /// Source: GitHub Docs, "Triggering a workflow from a workflow".
    pub fn send(&self, github: &GitHub, repository: &Repository, release: &ReleaseName) -> Result<()> {
        let document = json!({ "event_type": self, "client_payload": { "release_tag": release } });
        let path = format!("repos/{repository}/dispatches");
        let hint =
            || format!("{release} is published, but the event {self} was perhaps not sent; run this again to send it");
        github.notify(&path, &document).with_context(hint)
    }
}

impl FromStr for EventType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_legal = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if (1..=LONGEST_CHARACTERS).contains(&text.len()) && text.chars().all(is_legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} is not the type of an event: up to {LONGEST_CHARACTERS} letters, digits, `-`, `_` and `.`"
            ))
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn a_type_is_a_plain_word() {
        let event: EventType = "buildkit-released".parse().expect("a type");
        assert_eq!(event.to_string(), "buildkit-released");
        "x".repeat(100).parse::<EventType>().expect("fits");
        for text in ["", "a b", "a'b", "\n", &"x".repeat(101)] {
            text.parse::<EventType>().expect_err(text);
        }
        arbtest::arbtest(|random| {
            if let Ok(event) = mutated_input::text(random, "buildkit-released")?.parse::<EventType>() {
                assert!(event.0.len() <= LONGEST_CHARACTERS && shlex::split(&event.0) == Some(vec![event.0.clone()]));
            }
            Ok(())
        });
    }
}
