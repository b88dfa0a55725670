//! Lists that do not show the last write yet.

use crate::github::response::Response;
use crate::github::routes::Route;
use crate::github::{Call, FakeGitHub, State};

/// A collection whose list may be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    Releases,
    Assets,
    Issues,
    Comments,
    Labels,
    Runs,
}

/// Whether a list returns its state before the last write.
#[derive(Clone)]
pub enum Stale {
    No,
    /// After the next write.
    Wanted,
    /// The next list of that collection is read from this state.
    Of(Collection, Box<State>),
}

impl FakeGitHub {
    /// Makes the next list of a collection after the next write to it return the state before that write.
    pub fn stale_once(&mut self) {
        self.stale = Stale::Wanted;
    }
}

impl State {
    /// Runs the handler of a request: a list possibly on the stale state, and a write so that the next
    /// list is stale if that was asked for.
    pub fn run_handler(&mut self, stale: &mut Stale, route: Route, call: &Call, is_read: bool) -> Response {
        let outcome = match (is_read, &mut *stale) {
            (true, Stale::Of(collection, before)) if route.collection == Some(*collection) => {
                let outcome = (route.handler)(before, call);
                *stale = Stale::No;
                outcome
            }
            (false, Stale::Wanted) => {
                let before = Box::new(self.clone());
                let outcome = (route.handler)(self, call);
                if let (Ok(_), Some(collection)) = (&outcome, route.collection) {
                    *stale = Stale::Of(collection, before);
                }
                outcome
            }
            _ => (route.handler)(self, call),
        };
        outcome.unwrap_or_else(|refused| refused)
    }
}
