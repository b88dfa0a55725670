//! Lists that do not show the last write yet. No document of GitHub mentions them. Sources: reports of a run that was
//! not listed for eight seconds (Codex-/return-dispatch issue 183), of a draft that the next command did not find
//! (cli/cli issue 6599), and of a list of releases without the last one (octokit/octokit.js issue 2909).

use std::time::Duration;

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

/// Lists that show each write only after a time, on a clock that only [`FakeGitHub::advance`] moves.
#[derive(Clone, Default)]
pub struct Lag {
    duration: Duration,
    now: Duration,
    /// The writes that the list of their collection does not show yet, oldest first.
    hidden: Vec<Write>,
}

#[derive(Clone)]
struct Write {
    at: Duration,
    collection: Collection,
    before: Box<State>,
}

impl Lag {
    /// The state that the list of a collection shows, unless it is the present one.
    fn shown(&mut self, collection: Option<Collection>) -> Option<&mut State> {
        let oldest = self.hidden.iter_mut().find(|write| Some(write.collection) == collection);
        oldest.map(|write| &mut *write.before)
    }
}

impl FakeGitHub {
    /// Makes the next list of a collection after the next write to it return the state before that write.
    pub fn stale_once(&mut self) {
        self.stale = Stale::Wanted;
    }

    /// From now on each list shows a write only when as much time has passed.
    pub fn lag(&mut self, duration: Duration) {
        self.lag.duration = duration;
        self.advance(Duration::ZERO);
    }

    /// Lets time pass, which nothing else does.
    pub fn advance(&mut self, time: Duration) {
        let Lag { duration, now, hidden } = &mut self.lag;
        *now += time;
        hidden.retain(|write| write.at + *duration > *now);
    }
}

impl State {
    /// Runs the handler of a request: a list possibly on an earlier state. A write keeps the state before it for
    /// the lists that are not to show it yet.
    pub fn run_handler(
        &mut self,
        (stale, lag): (&mut Stale, &mut Lag),
        route: Route,
        call: &Call,
        is_read: bool,
    ) -> Response {
        let outcome = match (is_read, &mut *stale) {
            (true, Stale::Of(collection, before)) if route.collection == Some(*collection) => {
                let outcome = (route.handler)(before, call);
                *stale = Stale::No;
                outcome
            }
            (true, _) => match lag.shown(route.collection) {
                Some(before) => (route.handler)(before, call),
                None => (route.handler)(self, call),
            },
            (false, _) => {
                let is_kept = matches!(stale, Stale::Wanted) || !lag.duration.is_zero();
                let before = is_kept.then(|| Box::new(self.clone()));
                let outcome = (route.handler)(self, call);
                if let (Ok(_), Some(collection), Some(before)) = (&outcome, route.collection, before) {
                    if let Stale::Wanted = stale {
                        *stale = Stale::Of(collection, before.clone());
                    }
                    if !lag.duration.is_zero() {
                        lag.hidden.push(Write { at: lag.now, collection, before });
                    }
                }
                outcome
            }
        };
        outcome.unwrap_or_else(|refused| refused)
    }
}
