//! The fake of GitHub's REST API: a state machine over requests and answers, for what `release`
//! and `check-upstream` use of it and nothing more. What each endpoint does is in the file of its
//! collection, with the document that says so; `cargo xtask ci` holds what is exchanged against
//! GitHub's own OpenAPI description. Time is a counter and ids are counted, so that two runs of the
//! same requests are the same.

use std::collections::{BTreeMap, BTreeSet};

use access::Token;
use actions::Run;
use http::{HeaderMap, Method, StatusCode};
use issues::Issue;
use labels::Label;
use releases::Release;
use response::Response;
use routes::Route;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{self, Content, Request, Service, decoded};

pub use snapshot::Waiting;

mod access;
mod actions;
mod assets;
mod issues;
mod labels;
mod paging;
mod releases;
mod response;
mod routes;
mod shapes;
mod snapshot;
mod upstream;

/// Upstream's repository.
const UPSTREAM: &str = "moby/buildkit";
/// The numbers under which GitHub knows the two repositories; its links to further pages use them.
const IDS: [(u64, bool); 2] = [(87_987_343, true), (1_000_000_001, false)];
/// Requests an hour with the token of a workflow, and without any. Source: GitHub REST API, "Rate
/// limits for the REST API".
const REQUESTS_AN_HOUR: (u64, u64) = (1_000, 60);

/// GitHub, as far as it is needed.
#[derive(Clone)]
pub struct FakeGitHub {
    state: State,
    /// `OWNER/NAME`.
    repository: String,
    tokens: BTreeMap<String, Token>,
    requests: u64,
    counted: u64,
    stale: Stale,
    violations: Vec<String>,
    record: Option<Vec<Exchange>>,
}

/// What is kept on GitHub's side.
#[derive(Clone, Default)]
struct State {
    releases: Vec<Release>,
    upstream: Vec<Release>,
    /// Upstream's commits, each with its parent.
    commits: BTreeMap<String, Option<String>>,
    /// Upstream's branch `master`, and its tags.
    refs: BTreeMap<String, String>,
    /// The release that was made the latest by name.
    latest: Option<u64>,
    issues: Vec<Issue>,
    labels: Vec<Label>,
    runs: Vec<Run>,
    /// Our git tags, each with what it points at.
    tags: BTreeMap<String, String>,
    /// One tick for each thing made or changed; ids and times come from it.
    ticks: u64,
    /// The next upload ends in 502 and leaves an asset of state `starter`.
    leaves_starter: bool,
}

/// What belongs together for a list that is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collection {
    Releases,
    Assets,
    Issues,
    Comments,
    Labels,
    Runs,
}

/// A list may answer as it was before the last write.
#[derive(Clone)]
enum Stale {
    No,
    /// Once there has been a write.
    Wanted,
    /// The next list of that collection is answered from this.
    Of(Collection, Box<State>),
}

/// A request of JSON to `api.github.com` with its answer, for the comparison with GitHub's OpenAPI
/// description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// `GET`.
    pub method: String,
    /// The path as the description has it: `/repos/{owner}/{repo}/releases`.
    pub template: String,
    /// Names of the query's parameters.
    pub query: BTreeSet<String>,
    /// The answer's status.
    pub status: u16,
    /// What was sent, where it is JSON.
    pub request: Option<Value>,
    /// What was answered, where it is JSON.
    pub response: Option<Value>,
}

/// A request, taken apart.
struct Call<'a> {
    /// Where the fake is: `http://127.0.0.1:PORT`.
    base: String,
    /// `OWNER/NAME`.
    repository: &'a str,
    is_upstream: bool,
    query: Vec<(String, String)>,
    headers: &'a HeaderMap,
    body: &'a Content,
    /// Whether the token may push: then drafts are visible.
    pushes: bool,
    login: &'a str,
}

impl FakeGitHub {
    /// An empty repository `OWNER/NAME`, and an upstream without releases.
    pub fn new(repository: &str) -> Self {
        Self {
            state: State::default(),
            repository: repository.to_owned(),
            tokens: BTreeMap::new(),
            requests: 0,
            counted: 0,
            stale: Stale::No,
            violations: Vec::new(),
            record: None,
        }
    }

    /// Makes a token known, with permissions of the form `contents=write`. Any other is refused.
    pub fn allow(&mut self, token: &str, permissions: &[&str]) {
        self.tokens.insert(token.to_owned(), Token::new(permissions));
    }

    /// Makes the next list of a collection after the next write to it answer as before that write.
    pub fn stale_once(&mut self) {
        self.stale = Stale::Wanted;
    }

    /// Makes the next upload of an asset end in 502 and leave an asset of state `starter`.
    pub fn starter_once(&mut self) {
        self.state.leaves_starter = true;
    }

    /// Keeps what is exchanged from now on.
    pub fn record(&mut self) {
        self.record = Some(Vec::new());
    }

    /// What was exchanged since.
    pub fn exchanges(&self) -> &[Exchange] {
        self.record.as_deref().unwrap_or_default()
    }

    /// What was sent that no client of GitHub's should send, a sentence each.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Whom a request is from and what it is about, or the refusal that GitHub has for it.
    fn replied(&mut self, request: &Request) -> (Response, Option<&'static str>) {
        let path = request.uri().path();
        let headers = request.headers();
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        if let Some(id) = path.strip_prefix("/objects/") {
            return (self.state.object(id, headers, host), None);
        }
        let token = match access::token(&self.tokens, headers) {
            Ok(token) => token.cloned(),
            Err(refusal) => return (refusal, None),
        };
        let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let Some((is_upstream, route)) = routes::find(request.method(), &segments, &self.repository) else {
            let violation = format!("{} {path} is no request of ours", request.method());
            return (Response::not_found().violating(violation), None);
        };
        if let Err(refusal) = access::permitted(token.as_ref(), route.permission, is_upstream) {
            return (refusal, None);
        }
        let call = Call {
            base: format!("http://{host}"),
            repository: if is_upstream { UPSTREAM } else { &self.repository },
            is_upstream,
            query: message::query(request.uri()),
            headers,
            body: request.body(),
            pushes: token.as_ref().is_some_and(|token| token.may("contents=write")) && !is_upstream,
            login: "github-actions[bot]",
        };
        let (template, permission) = (route.template, route.permission);
        let response = self.state.handled(&mut self.stale, route, &call, request.method() == Method::GET);
        (if token.is_some() { response.with("x-accepted-github-permissions", permission) } else { response }, template)
    }

    /// The headers of the hour's budget. Source: GitHub REST API, "Rate limits for the REST API"; a
    /// 304 does not count ("Best practices for using the REST API").
    fn budgeted(&mut self, response: Response, is_authorized: bool) -> Response {
        if response.status != StatusCode::NOT_MODIFIED {
            self.counted += 1;
        }
        let limit = if is_authorized { REQUESTS_AN_HOUR.0 } else { REQUESTS_AN_HOUR.1 };
        // The fake does not refuse what is over the limit: the rehearsal does, as a fault.
        let used = self.counted % limit;
        response
            .with("x-ratelimit-limit", limit.to_string())
            .with("x-ratelimit-remaining", (limit - used).to_string())
            .with("x-ratelimit-used", used.to_string())
            .with("x-ratelimit-reset", (shapes::EPOCH_SECONDS + 3600).to_string())
            .with("x-ratelimit-resource", "core")
            .with("x-github-request-id", format!("REHEARSAL:{}", self.requests))
    }
}

impl Service for FakeGitHub {
    fn handle(&mut self, request: &Request) -> message::Response {
        self.requests += 1;
        let (mut response, template) = self.replied(request);
        self.violations.extend(response.violation.take());
        if let (Some(record), Some(template)) = (&mut self.record, template) {
            let body = |content: &Content| match content {
                Content::Memory(bytes) => serde_json::from_slice(bytes).ok(),
                Content::File { .. } => None,
            };
            record.push(Exchange {
                method: request.method().to_string(),
                template: format!("/repos/{{owner}}/{{repo}}{template}"),
                query: message::query(request.uri()).into_iter().map(|pair| pair.0).collect(),
                status: response.status.as_u16(),
                request: body(request.body()),
                response: body(&response.content),
            });
        }
        if request.method() == Method::GET && response.status == StatusCode::OK {
            response = response.tagged(request.headers());
        }
        self.budgeted(response, request.headers().contains_key("authorization")).into_http()
    }
}

impl State {
    /// Has a request handled: a list perhaps by the state as it was, a write with that in mind.
    fn handled(&mut self, stale: &mut Stale, route: Route, call: &Call, is_read: bool) -> Response {
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
        outcome.unwrap_or_else(|refusal| refusal)
    }

    /// The next id, and the tick of the clock that goes with it.
    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }
}

#[cfg(test)]
mod tests;
