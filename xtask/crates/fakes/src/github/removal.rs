//! Removal of releases, git tags, labels, workflow runs and packages.

use http::StatusCode;
use serde_json::{Value, json};

use crate::github::response::{Outcome, Response};
use crate::github::{Call, State};

impl State {
    /// "Delete a release". Its git tag stays.
    pub fn delete_release(&mut self, id: &str) -> Outcome {
        let position = self.releases.iter().position(|release| release.id.to_string() == id);
        self.releases.remove(position.ok_or_else(Response::not_found)?);
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    /// "List matching references", of tags: those that begin with the prefix, and an empty list if there is none.
    pub fn matching_tags(&self, call: &Call, prefix: &str) -> Response {
        let api = call.api();
        let tags = self.tags.iter().filter(|(tag, _)| tag.starts_with(prefix));
        let to_json = |(tag, commit): (&String, &String)| {
            json!({
                "ref": format!("refs/tags/{tag}"),
                "node_id": "REF",
                "url": format!("{api}/git/refs/tags/{tag}"),
                "object": {"type": "commit", "sha": commit, "url": format!("{api}/git/commits/{commit}")},
            })
        };
        Response::ok(&Value::Array(tags.map(to_json).collect()))
    }

    /// "Delete a reference". 422 is among its answers; its message for a reference that does not exist is quoted in
    /// github/lock pull request 48.
    pub fn delete_tag(&mut self, tag: &str) -> Outcome {
        let missing = || Response::message(StatusCode::UNPROCESSABLE_ENTITY, "Reference does not exist");
        self.tags.remove(tag).map(|_| Response::empty(StatusCode::NO_CONTENT)).ok_or_else(missing)
    }

    /// "Delete a label", from the repository and so from its issues.
    pub fn delete_label(&mut self, name: &str) -> Outcome {
        let is_it = |other: &str| other.eq_ignore_ascii_case(name);
        let position = self.labels.iter().position(|label| is_it(&label.name));
        self.labels.remove(position.ok_or_else(Response::not_found)?);
        self.issues.iter_mut().for_each(|issue| issue.labels.retain(|label| !is_it(label)));
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    /// "Delete a workflow run".
    pub fn delete_run(&mut self, id: &str) -> Outcome {
        let position = self.runs.iter().position(|run| run.id.to_string() == id).ok_or_else(Response::not_found)?;
        self.runs.remove(position);
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    /// "Delete a package for a user", "Delete a package for an organization".
    pub fn delete_package(&mut self, name: &str) -> Outcome {
        if self.packages.remove(name) {
            Ok(Response::empty(StatusCode::NO_CONTENT))
        } else {
            Err(Response::not_found())
        }
    }
}
