//! Labels of issues.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::github::response::{Outcome, Response};
use crate::github::{Call, State};
use crate::message::encoded;

/// The colour of a label that is created without one. Source: github/docs#35718.
const DEFAULT_COLOR: &str = "ededed";

#[derive(Clone)]
pub struct Label {
    id: u64,
    pub name: String,
    color: String,
    description: Option<String>,
}

/// The fields of "Create a label".
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLabel {
    name: String,
    color: Option<String>,
    description: Option<String>,
}

impl State {
    pub fn list_labels(&self, call: &Call) -> Response {
        call.list_response(self.labels.iter().map(|label| label.to_json(call)).collect(), "labels")
    }

    /// "Create a label". Names are unique, ignoring case.
    pub fn create_label(&mut self, call: &Call) -> Outcome {
        let new: NewLabel = call.document()?;
        if self.labels.iter().any(|label| label.name.eq_ignore_ascii_case(&new.name)) {
            return Err(Response::invalid("Label", "name", "already_exists"));
        }
        let color = new.color.unwrap_or_else(|| DEFAULT_COLOR.to_owned());
        if color.len() != 6 || !color.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let violation = format!("{color:?} is not a valid label colour");
            return Err(Response::invalid("Label", "color", "invalid").violating(violation));
        }
        let label = Label { id: self.tick(), name: new.name, color, description: new.description };
        let document = label.to_json(call);
        self.labels.push(label);
        Ok(Response::created(&document))
    }

    /// Creates the labels that do not exist.
    pub fn ensure_labels(&mut self, names: &[String]) {
        for name in names {
            if !self.labels.iter().any(|label| label.name.eq_ignore_ascii_case(name)) {
                let color = DEFAULT_COLOR.to_owned();
                let label = Label { id: self.tick(), name: name.clone(), color, description: None };
                self.labels.push(label);
            }
        }
    }
}

impl Label {
    /// The JSON of a label. Source of the fields on archiving: githubkit-schemas 26.10.21, the schema `label`.
    pub fn to_json(&self, call: &Call) -> Value {
        json!({
            "id": self.id,
            "node_id": format!("LA_{}", self.id),
            "url": format!("{}/labels/{}", call.api(), encoded(&self.name)),
            "name": self.name,
            "description": self.description,
            "color": self.color,
            "default": false,
            "archived_at": null,
            "archived_by": null,
        })
    }
}
