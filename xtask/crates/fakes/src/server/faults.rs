//! The faults that a server can inject, and who decides on them.

use crate::message::Response;

/// What to do with one request.
#[derive(Debug)]
pub enum Action {
    /// Handle it and respond.
    Pass,
    /// Reset the connection before the request takes effect.
    ResetBefore,
    /// Handle it, then reset the connection without a response.
    ResetAfter,
    /// Handle it, then close the connection without a response.
    CloseAfter,
    /// Handle it with the first bytes of its body, as many as given, then reset the connection.
    ResetWithin(u64),
    /// Handle it, and send half of the response.
    Truncate,
    /// Send this response without handling the request.
    Instead(Response),
    /// Handle it, and send this response instead.
    InsteadAfter(Response),
    /// Handle it and respond, but refuse connections from before the response on, until
    /// [`reopen`](super::Server::reopen).
    RefuseNext,
    /// Kill the client before the request takes effect.
    KillBefore,
    /// Handle it, then kill the client before a response.
    KillAfter,
}

pub trait Faults: Send + Sync {
    /// Decides about a request, by its number, counted from 1. None of its body has been read, and the
    /// service is not locked.
    fn action(&self, number: u64, head: &http::Request<()>) -> Action;

    /// Kills the client and waits until it has ended.
    fn kill(&self) {}
}

/// Every request passes.
pub struct NoFaults;

impl Faults for NoFaults {
    fn action(&self, _number: u64, _head: &http::Request<()>) -> Action {
        Action::Pass
    }
}
