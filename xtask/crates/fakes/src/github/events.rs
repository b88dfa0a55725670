//! Events of the type `repository_dispatch`, which start the workflows that listen to them.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::github::response::{Outcome, Response};
use crate::github::{Call, FakeGitHub, State};

/// Source: "Create a repository dispatch event": "The name of this event must be 100 characters or fewer"; "The maximum
/// number of top-level properties is 10."
const LONGEST_TYPE_CHARACTERS: usize = 100;
const MOST_PROPERTIES: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dispatch {
    event_type: String,
    #[serde(default)]
    client_payload: Map<String, Value>,
}

impl FakeGitHub {
    /// The events that were sent, in their order, each with its payload.
    pub fn events(&self) -> &[(String, Value)] {
        &self.state.events
    }
}

impl State {
    /// "Create a repository dispatch event": 204.
    pub fn dispatch_event(&mut self, call: &Call) -> Outcome {
        let Dispatch { event_type, client_payload } = call.document()?;
        if !(1..=LONGEST_TYPE_CHARACTERS).contains(&event_type.chars().count())
            || client_payload.len() > MOST_PROPERTIES
        {
            let refused = Response::message(StatusCode::UNPROCESSABLE_ENTITY, "Invalid request.");
            return Err(refused.violating("the type of an event or its payload is too long".to_owned()));
        }
        self.events.push((event_type, Value::Object(client_payload)));
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}
