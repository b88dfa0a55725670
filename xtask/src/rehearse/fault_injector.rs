//! The place between a task and a double where a schedule is carried out, and where an eye is kept
//! on the double: after each request, what must never be is looked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fakes::github;
use fakes::message::{Answer, Request, Service};
use fakes::registry::Registry;
use fakes::server::{Faults, Verdict, locked};
use http::Method;
use http::header::AUTHORIZATION;

use crate::os::process::Leash;
use crate::rehearse::faults::{Fault, Schedule, Seen, Side};

/// What the rehearsal can make a double do by itself.
pub trait Double: Service + 'static {
    /// The first list after the next write does not show it.
    fn stale_once(&mut self);
    /// The next upload of an asset fails and leaves a part of it, where there are assets.
    fn starter_once(&mut self) {}
    /// Every token has expired, where tokens do.
    fn expire_tokens(&mut self) {}
}

impl Double for github::Double {
    fn stale_once(&mut self) {
        Self::stale_once(self);
    }

    fn starter_once(&mut self) {
        Self::starter_once(self);
    }
}

impl Double for Registry {
    fn stale_once(&mut self) {
        Self::stale_once(self);
    }

    fn expire_tokens(&mut self) {
        Self::expire_tokens(self);
    }
}

/// Says what must never be, and is.
pub type Watch<D> = Box<dyn Fn(&D) -> Option<String> + Send>;

/// A double with an eye on it.
pub struct Watched<D> {
    /// The double.
    pub double: D,
    /// What was there, at some moment, that must never be.
    pub problems: Vec<String>,
    watch: Watch<D>,
}

impl<D> Watched<D> {
    /// Keeps an eye on a double.
    pub fn new(double: D, watch: Watch<D>) -> Self {
        Self { double, problems: Vec::new(), watch }
    }
}

impl<D: Double> Service for Watched<D> {
    fn answer(&mut self, request: &Request) -> Answer {
        let answer = self.double.answer(request);
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        if let Some(problem) = (!is_read).then(|| (self.watch)(&self.double)).flatten() {
            let problem = format!("after {} {}: {problem}", request.method(), request.uri().path());
            self.problems.push(problem);
        }
        answer
    }
}

/// Carries a schedule out on one side, and keeps a list of what was asked.
pub struct Wire<D> {
    side: Side,
    service: Arc<Mutex<Watched<D>>>,
    breaks: BTreeMap<u64, Fault>,
    /// How many requests there were before the first one here.
    before: u64,
    seen: Mutex<Vec<Seen>>,
    leash: Leash,
}

impl<D: Double> Wire<D> {
    /// A wire to a double, whose faults kill by `leash`.
    pub fn new(side: Side, watched: Watched<D>, schedule: &Schedule, before: u64, leash: Leash) -> Self {
        let ours = schedule.0.iter().filter(|one| one.side == side);
        let breaks = ours.map(|one| (one.number, one.fault)).collect();
        Self { side, service: Arc::new(Mutex::new(watched)), breaks, before, seen: Mutex::default(), leash }
    }

    /// The double.
    pub fn service(&self) -> Arc<Mutex<Watched<D>>> {
        Arc::clone(&self.service)
    }

    /// Whether already the first connection is refused.
    pub fn begins_closed(&self) -> bool {
        self.breaks.get(&(self.before + 1)) == Some(&Fault::Refused)
    }

    /// What was asked, in order.
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.seen).clone()
    }
}

impl<D: Double> Faults for Wire<D> {
    fn verdict(&self, number: u64, head: &http::Request<()>) -> Verdict {
        let authorization = head.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        locked(&self.seen).push(Seen {
            method: head.method().clone(),
            path: head.uri().path().to_owned(),
            has_token: authorization.is_some_and(|value| value.starts_with("Bearer ")),
        });
        let number = self.before + number;
        let is_upload =
            self.side == Side::Github && head.method() == Method::POST && head.uri().path().ends_with("/assets");
        let double = || locked(&self.service);
        match self.breaks.get(&number) {
            // The one before a refused request is the last that gets in.
            None | Some(Fault::Refused) if self.breaks.get(&(number + 1)) == Some(&Fault::Refused) => {
                Verdict::RefuseNext
            }
            None | Some(Fault::Refused) => Verdict::Pass,
            Some(Fault::ResetBefore) => Verdict::ResetBefore,
            Some(Fault::ResetAfter) => Verdict::ResetAfter,
            Some(Fault::ReplyLost) => Verdict::CloseAfter,
            Some(Fault::Truncated) => Verdict::Truncate,
            Some(Fault::KilledBefore) => Verdict::KillBefore,
            Some(Fault::KilledAfter) => Verdict::KillAfter,
            Some(Fault::Stale) => {
                double().double.stale_once();
                Verdict::Pass
            }
            Some(Fault::Expired) => {
                double().double.expire_tokens();
                Verdict::Pass
            }
            Some(Fault::BadGateway) if is_upload => {
                double().double.starter_once();
                Verdict::Pass
            }
            Some(fault @ Fault::BadGateway) => fault.answer(self.side).map_or(Verdict::Pass, Verdict::InsteadAfter),
            Some(fault) => fault.answer(self.side).map_or(Verdict::Pass, Verdict::Instead),
        }
    }

    fn kill(&self) {
        self.leash.kill();
    }
}
