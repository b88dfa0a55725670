//! Injects the faults of a schedule between a task and a fake, and after each write checks the fake for
//! states that must never occur. The fakes have no clock: each request tells them how much time has passed.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fakes::github;
use fakes::message::{Request, Response, Service};
use fakes::registry::FakeRegistry;
use fakes::server::{Action, Faults, locked};
use http::Method;
use http::header::{AUTHORIZATION, HOST};

use crate::http::HASTE_ON_LOOPBACK;
use crate::os::process::KillHandle;
use crate::rehearse::faults::{Fault, RecordedRequest, Schedule, Side};

/// The faults that happen inside a fake.
pub trait Fake: Service + 'static {
    /// The first list after the next write is stale.
    fn stale_once(&mut self);
    /// The next upload of an asset fails and leaves an incomplete one. Only GitHub has assets.
    fn starter_once(&mut self) {}
    /// From now on lists lag behind writes. Only GitHub has lists that can.
    fn lag(&mut self, _duration: Duration) {}
    /// Lets time pass, which nothing else does.
    fn advance(&mut self, _time: Duration) {}
    /// All tokens expire. Only the registry issues tokens.
    fn expire_tokens(&mut self) {}
}

impl Fake for github::FakeGitHub {
    fn stale_once(&mut self) {
        Self::stale_once(self);
    }

    fn starter_once(&mut self) {
        Self::starter_once(self);
    }

    fn lag(&mut self, duration: Duration) {
        Self::lag(self, duration);
    }

    fn advance(&mut self, time: Duration) {
        Self::advance(self, time);
    }
}

impl Fake for FakeRegistry {
    fn stale_once(&mut self) {
        Self::stale_once(self);
    }

    fn expire_tokens(&mut self) {
        Self::expire_tokens(self);
    }
}

/// Returns a problem if the state of the fake is one that must never occur.
pub type Monitor<D> = Box<dyn Fn(&D) -> Option<String> + Send>;

/// A fake that is checked after each write, and whose time passes as fast as that of a client on loopback.
pub struct Monitored<D> {
    pub fake: D,
    /// The problems found so far.
    pub problems: Vec<String>,
    check: Monitor<D>,
    last_request: Instant,
}

impl<D> Monitored<D> {
    pub fn new(fake: D, check: Monitor<D>) -> Self {
        Self { fake, problems: Vec::new(), check, last_request: Instant::now() }
    }
}

impl<D: Fake> Service for Monitored<D> {
    fn handle(&mut self, request: &Request) -> Response {
        let now = Instant::now();
        self.fake.advance((now - self.last_request) * HASTE_ON_LOOPBACK);
        self.last_request = now;
        let response = self.fake.handle(request);
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        if let Some(problem) = (!is_read).then(|| (self.check)(&self.fake)).flatten() {
            let problem = format!("after {} {}: {problem}", request.method(), request.uri().path());
            self.problems.push(problem);
        }
        response
    }
}

/// Injects the faults of one side's schedule, and records the requests.
pub struct FaultInjector<D> {
    side: Side,
    service: Arc<Mutex<Monitored<D>>>,
    faults: BTreeMap<u64, Fault>,
    /// The number of requests before the checkpoint.
    before: u64,
    recorded: Mutex<Vec<RecordedRequest>>,
    kill_handle: KillHandle,
}

impl<D: Fake> FaultInjector<D> {
    /// `kill_handle` is what the faults kill the task with.
    pub fn new(side: Side, monitored: Monitored<D>, schedule: &Schedule, before: u64, kill_handle: KillHandle) -> Self {
        let ours = schedule.0.iter().filter(|one| one.side == side);
        let faults = ours.map(|one| (one.number, one.fault)).collect();
        Self { side, service: Arc::new(Mutex::new(monitored)), faults, before, recorded: Mutex::default(), kill_handle }
    }

    pub fn service(&self) -> Arc<Mutex<Monitored<D>>> {
        Arc::clone(&self.service)
    }

    /// Whether even the first connection is refused.
    pub fn starts_closed(&self) -> bool {
        self.faults.get(&(self.before + 1)) == Some(&Fault::Refused)
    }

    /// The requests, in order.
    pub fn recorded_requests(&self) -> Vec<RecordedRequest> {
        locked(&self.recorded).clone()
    }
}

impl<D: Fake> Faults for FaultInjector<D> {
    fn action(&self, number: u64, head: &http::Request<()>) -> Action {
        let header = |name| head.headers().get(name).and_then(|value| value.to_str().ok());
        locked(&self.recorded).push(RecordedRequest {
            method: head.method().clone(),
            host: header(HOST).unwrap_or_default().to_owned(),
            path: head.uri().path().to_owned(),
            has_token: header(AUTHORIZATION).is_some_and(|value| value.starts_with("Bearer ")),
        });
        let number = self.before + number;
        let is_upload =
            self.side == Side::Github && head.method() == Method::POST && head.uri().path().ends_with("/assets");
        let fake = || locked(&self.service);
        match self.faults.get(&number) {
            // The request before a refused one is the last that is accepted.
            None | Some(Fault::Refused) if self.faults.get(&(number + 1)) == Some(&Fault::Refused) => {
                Action::RefuseNext
            }
            None | Some(Fault::Refused) => Action::Pass,
            Some(Fault::ResetBefore) => Action::ResetBefore,
            Some(Fault::ResetAfter) => Action::ResetAfter,
            Some(Fault::ReplyLost) => Action::CloseAfter,
            Some(Fault::Truncated) => Action::Truncate,
            Some(Fault::KilledBefore) => Action::KillBefore,
            Some(Fault::KilledAfter) => Action::KillAfter,
            Some(Fault::Stale) => {
                fake().fake.stale_once();
                Action::Pass
            }
            Some(Fault::LostInLag(lag)) => {
                fake().fake.lag(lag.duration());
                Action::CloseAfter
            }
            Some(Fault::Expired) => {
                fake().fake.expire_tokens();
                Action::Pass
            }
            Some(Fault::BadGateway) if is_upload => {
                fake().fake.starter_once();
                Action::Pass
            }
            Some(fault @ Fault::BadGateway) => fault.response(self.side).map_or(Action::Pass, Action::InsteadAfter),
            Some(fault) => fault.response(self.side).map_or(Action::Pass, Action::Instead),
        }
    }

    fn kill(&self) {
        self.kill_handle.kill();
    }
}
