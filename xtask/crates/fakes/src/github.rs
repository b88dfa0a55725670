//! A fake of GitHub's REST API: a state machine over requests and responses, limited to what `release`
//! and `check-upstream` use. Each endpoint is in the file of its collection, with the document that
//! specifies it; `cargo xtask ci` checks the exchanges against GitHub's own OpenAPI description. Time and
//! ids are counters, so that the same requests give the same state.

use std::collections::{BTreeMap, BTreeSet};

use access::Token;
use actions::Run;
use history::History;
use http::{HeaderMap, Method, StatusCode};
use issues::Issue;
use labels::Label;
use lists::{Collection, Lag, Stale};
use releases::Release;
use response::Response;
use serde_json::Value;
use site::Site;

use crate::message::{self, Content, Request, Service, decoded};

pub use exchange::Exchange;
pub use pages::Pages;
pub use rulesets::TagRuleset;
pub use snapshot::PendingRun;

mod access;
mod actions;
mod assets;
mod earlier;
mod events;
mod exchange;
mod history;
mod issues;
mod labels;
mod lists;
mod notes;
mod pages;
mod paging;
mod releases;
mod removal;
mod response;
mod routes;
mod rulesets;
mod settings;
mod shapes;
mod site;
mod snapshot;
mod tampering;
mod upstream;

const UPSTREAM: &str = "moby/buildkit";
/// The ids of the two repositories at GitHub, which its links to further pages use, and whether each is
/// upstream's.
const REPOSITORY_IDS: [(u64, bool); 2] = [(87_987_343, true), (1_000_000_001, false)];
/// The repository that an issue is transferred to.
const OTHER_REPOSITORY_ID: u64 = 1_000_000_002;
/// Requests per hour with a workflow's token and without one. Source: GitHub REST API, "Rate limits for
/// the REST API".
const REQUESTS_AN_HOUR: (u64, u64) = (1_000, 60);

/// A fake GitHub.
#[derive(Clone)]
pub struct FakeGitHub {
    state: State,
    /// `OWNER/NAME`.
    repository: String,
    /// The name that it had before.
    former_name: Option<String>,
    tokens: BTreeMap<String, Token>,
    requests: u64,
    used_requests: u64,
    stale: Stale,
    lag: Lag,
    violations: Vec<String>,
    record: Option<Vec<Exchange>>,
    /// How many entries of a list are shown.
    most_results: usize,
}

/// Everything that GitHub stores.
#[derive(Clone, Default)]
struct State {
    releases: Vec<Release>,
    upstream: Vec<Release>,
    /// Upstream's commits, each with its parent.
    commits: BTreeMap<String, Option<String>>,
    /// Upstream's branch `master` and its tags, each with its commit.
    refs: BTreeMap<String, String>,
    /// The release that was explicitly made the latest.
    latest: Option<u64>,
    issues: Vec<Issue>,
    /// Whether issues are switched off, as in a new fork.
    are_issues_off: bool,
    labels: Vec<Label>,
    runs: Vec<Run>,
    /// The events that were sent, each with its type and payload.
    events: Vec<(String, Value)>,
    history: History,
    /// The git tags of our repository, each with its commit.
    tags: BTreeMap<String, String>,
    /// One tick for each object created or changed: the source of ids and times.
    ticks: u64,
    /// Whether releases become immutable when they are published.
    has_immutable_releases: bool,
    /// The next upload fails with 502 and leaves an asset in the state `starter`.
    leaves_starter: bool,
    /// A dispatch is answered without the run.
    hides_runs: bool,
    /// Labels of issues are dropped without an error.
    drops_labels: bool,
    description: Option<String>,
    is_archived: bool,
    /// Whether the workflow is missing from the repository.
    has_no_workflow: bool,
    pages: Pages,
    rulesets: Vec<TagRuleset>,
    hides_rulesets: bool,
    /// The packages of the repository's owner.
    packages: BTreeSet<String>,
}

/// A parsed request.
struct Call<'a> {
    /// The addresses for links.
    site: Site,
    /// `OWNER/NAME`.
    repository: &'a str,
    is_upstream: bool,
    query: Vec<(String, String)>,
    headers: &'a HeaderMap,
    body: &'a Content,
    /// Whether the token may push, and so see drafts.
    can_push: bool,
    /// Whether the token may change workflow files, which `GITHUB_TOKEN` never may.
    can_change_workflows: bool,
    login: &'a str,
    description: Option<String>,
    is_archived: bool,
    most_results: usize,
}

impl FakeGitHub {
    /// An empty repository `OWNER/NAME`, and an upstream without releases.
    pub fn new(repository: &str) -> Self {
        Self {
            state: State::default(),
            repository: repository.to_owned(),
            former_name: None,
            tokens: BTreeMap::new(),
            requests: 0,
            used_requests: 0,
            stale: Stale::No,
            lag: Lag::default(),
            violations: Vec::new(),
            record: None,
            most_results: paging::MOST_RESULTS,
        }
    }

    /// Registers a token with permissions of the form `contents=write`. Unknown tokens are refused.
    pub fn allow(&mut self, token: &str, permissions: &[&str]) {
        self.tokens.insert(token.to_owned(), Token::new(permissions));
    }

    /// Records the exchanges from now on.
    pub fn record(&mut self) {
        self.record = Some(Vec::new());
    }

    /// The recorded exchanges.
    pub fn exchanges(&self) -> &[Exchange] {
        self.record.as_deref().unwrap_or_default()
    }

    /// What clients sent that they should not have, one sentence each.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Authenticates and routes a request. Returns the response and the path's template, if it is part of
    /// the API.
    fn respond(&mut self, request: &Request) -> (Response, Option<&'static str>) {
        let headers = request.headers();
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let Some(path) = site::path_on_loopback(host, request.uri().path()) else {
            let violation = format!("{} {} was sent to {host}", request.method(), request.uri().path());
            return (Response::not_found().violating(violation), None);
        };
        if let Some(id) = path.strip_prefix("/objects/") {
            return (self.state.object(id, headers, host), None);
        }
        if let Some(path) = path.strip_prefix("/pages/") {
            return (self.state.page(&self.repository, &decoded(path), headers), None);
        }
        let token = match access::token(&self.tokens, headers) {
            Ok(token) => token.cloned(),
            Err(refused) => return (refused, None),
        };
        let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if let Some(moved) = self.moved(host, request.uri()) {
            return (moved, None);
        }
        let Some((is_upstream, route)) = routes::find(request.method(), &segments, &self.repository) else {
            let violation = format!("{} {path} is not implemented: no task sends it", request.method());
            return (Response::not_found().violating(violation), None);
        };
        if let Err(refused) = access::check_permission(token.as_ref(), route.permission, is_upstream) {
            return (refused, None);
        }
        let has = |permission| token.as_ref().is_some_and(|token| token.has(permission)) && !is_upstream;
        let call = Call {
            site: Site::of(host),
            repository: if is_upstream { UPSTREAM } else { &self.repository },
            is_upstream,
            query: message::query(request.uri()),
            headers,
            body: request.body(),
            can_push: has("contents=write"),
            can_change_workflows: has("workflows=write"),
            login: "github-actions[bot]",
            is_archived: self.state.is_archived && !is_upstream,
            description: self.state.description.clone().filter(|_| !is_upstream),
            most_results: self.most_results,
        };
        let (template, permission) = (route.template, route.permission);
        let response =
            self.state.run_handler((&mut self.stale, &mut self.lag), route, &call, request.method() == Method::GET);
        let response = match &token {
            None => response,
            Some(token) => match token.scopes() {
                Some(scopes) => response.with("x-oauth-scopes", scopes),
                None => response.with("x-accepted-github-permissions", permission),
            },
        };
        (response, template)
    }

    /// Adds the headers of the rate limit. Source: GitHub REST API, "Rate limits for the REST API"; a 304
    /// does not count ("Best practices for using the REST API").
    fn with_rate_limit(&mut self, response: Response, is_authorized: bool) -> Response {
        if response.status != StatusCode::NOT_MODIFIED {
            self.used_requests += 1;
        }
        let limit = if is_authorized { REQUESTS_AN_HOUR.0 } else { REQUESTS_AN_HOUR.1 };
        // The fake does not enforce the limit: the rehearsal does, as a fault.
        let used = self.used_requests % limit;
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
        let (mut response, template) = self.respond(request);
        self.violations.extend(response.violation.take());
        if let (Some(record), Some(template)) = (&mut self.record, template) {
            record.push(Exchange::new(template, request, &response));
        }
        if request.method() == Method::GET && response.status == StatusCode::OK {
            response = response.with_etag(request.headers());
        }
        self.with_rate_limit(response, request.headers().contains_key("authorization")).into_http()
    }
}

impl State {
    /// Advances the clock. Returns the tick, which is also the next id.
    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }
}

#[cfg(test)]
mod tests;
