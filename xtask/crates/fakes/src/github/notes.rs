//! Generated release notes.

use serde::Deserialize;
use serde_json::json;

use crate::github::response::{Outcome, Response};
use crate::github::{Call, State};

/// The fields of "Generate release notes content for a release" that we send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    tag_name: String,
    target_commitish: Option<String>,
}

impl State {
    /// "Generate release notes content for a release": they "are not saved anywhere". `target_commitish` is "required if
    /// the supplied `tag_name` does not reference an existing tag". A token that may only read is refused
    /// (ksharma-xyz/KRAIL pull request 1539).
    pub fn generate_notes(&mut self, call: &Call) -> Outcome {
        let Wanted { tag_name, target_commitish } = call.document()?;
        if target_commitish.is_none() && !self.tags.contains_key(&tag_name) {
            return Err(Response::invalid("Release", "target_commitish", "missing_field")
                .violating("notes of a new tag without a target".to_owned()));
        }
        Ok(Response::ok(&json!({"name": tag_name, "body": "**Full Changelog**"})))
    }
}
