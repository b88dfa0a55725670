//! A client of GitHub's REST API: reads, lists page by page, and writes. [`documents`] has the types, [`errors`]
//! what a refusal means.

use anyhow::{Context, Error, Result, anyhow, ensure};
use http::header::{ACCEPT, HeaderName};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::github::errors::{Refused, explain, explain_limit};
use crate::http::{Authorization, Clock, Endpoint, Http, RateLimited, Request, Response, RetryReason, Url};
use crate::os::shell::one_line;

pub use changed_issue::{CHANGED_MARKER, CHANGED_TITLE};
pub use documents::{
    Asset, AssetState, Comment, CompareStatus, Issue, IssueState, Release, Run, RunConclusion, RunStatus, Settings,
    StateReason,
};
pub use errors::SWITCH_ISSUES_ON;
pub use event::EventType;
pub use issues::Issues;
pub use lists::{Page, next_of};
pub use releases::Releases;
pub use repository::Repository;
pub use step::{Executor, GitHubStep, notes_file};
pub use tracking_issue::{
    BUILD_INPUT, BUILD_WORKFLOW, LABELS, has_author_with_access, issue_marker, issue_title, published_comment,
    run_comment, run_title, tracked_version,
};
pub use workflow_runs::Workflow;
pub use workflow_state::schedules_are_active;

mod access;
mod changed_issue;
mod documents;
mod errors;
mod event;
mod issues;
mod lists;
mod releases;
mod repository;
mod rulesets;
mod step;
mod tracking_issue;
mod workflow_runs;
mod workflow_state;

/// The version of the API that [`documents`] describes.
pub const API_VERSION: &str = "2026-03-10";
const MEDIA_TYPE: &str = "application/vnd.github+json";
/// The API, with the credentials of one user or none.
pub struct GitHub {
    http: Http,
    api: Endpoint,
    token: Option<Authorization>,
    /// For lists that do not show the last write yet.
    clock: Clock,
}

/// The outcome of a request that creates something and must not be repeated blindly.
enum Creation<T> {
    Created(T),
    /// No response, or one that does not show what was created, or whether anything was.
    Unknown(Error),
}

impl GitHub {
    /// The API at `api`, with a token or anonymously.
    pub fn new(api: Endpoint, token: Option<Authorization>) -> Self {
        let clock = Clock::of(&api.join(""));
        Self { http: Http::default(), api, token, clock }
    }

    /// The same API without a token.
    pub fn anonymous(&self) -> Self {
        Self { clock: self.clock.clone(), ..Self::new(self.api.clone(), None) }
    }

    /// The same API with the same token.
    #[cfg(test)]
    pub fn same(&self) -> Self {
        Self { clock: self.clock.clone(), ..Self::new(self.api.clone(), self.token.clone()) }
    }

    /// The same API, with another clock.
    #[cfg(test)]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Reads one document. `None` if GitHub answers 404, which it also does for what the token may not see.
    pub fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let response = self.http.send(&self.request(Method::GET, self.api.join(path)))?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.success(&response)?.json().map(Some)
    }

    /// One response with its headers, whatever its status.
    pub fn get(&self, path: &str) -> Result<Response> {
        self.http.send(&self.request(Method::GET, self.api.join(path)))
    }

    /// The settings of a repository. Fails if it is not visible, or has another name by now: GitHub leads reads of the
    /// former name to the new one, but no writes, and pages and images would have the former one.
    pub fn settings(&self, repository: &Repository) -> Result<Settings> {
        let settings: Option<Settings> = self.read(&format!("repos/{repository}"))?;
        let settings = settings
            .with_context(|| format!("the repository {repository} does not exist, or the token may not see it"))?;
        let name = one_line(&settings.full_name);
        ensure!(
            name.eq_ignore_ascii_case(&repository.to_string()),
            "the repository {repository} is now {name}; use --repo {name}, or change the remote: \
             git remote set-url origin https://github.com/{name}"
        );
        Ok(settings)
    }

    /// The clock to wait with until a list includes the last write.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The URL of a path of the API.
    pub fn url(&self, path: &str) -> Url {
        self.api.join(path)
    }

    /// Creates something by POST. Fails if GitHub refuses, so that nothing was created.
    fn create<T: DeserializeOwned>(&self, path: &str, document: &impl Serialize) -> Result<Creation<T>> {
        let request =
            self.request(Method::POST, self.api.join(path)).bytes("application/json", serde_json::to_vec(document)?);
        self.creation(&request, |request| self.http.send(request))
    }

    fn creation<T: DeserializeOwned>(
        &self,
        request: &Request,
        send: impl FnOnce(&Request) -> Result<Response>,
    ) -> Result<Creation<T>> {
        let response = match send(request) {
            Ok(response) if !response.status.is_server_error() => response,
            Ok(response) => return Ok(Creation::Unknown(self.error(&response))),
            Err(error) if is_without_effect(&error) => return Err(error),
            Err(error) => return Ok(Creation::Unknown(error)),
        };
        match self.success(&response)?.json() {
            // Older servers answer a dispatch with 204.
            _ if response.body.is_empty() => {
                Ok(Creation::Unknown(anyhow!("GitHub accepted the request, but does not show the result")))
            }
            Ok(created) => Ok(Creation::Created(created)),
            Err(error) => Ok(Creation::Unknown(error)),
        }
    }

    /// Sends something by POST that may arrive twice, and has no result.
    fn notify(&self, path: &str, document: &impl Serialize) -> Result<()> {
        let request = self.request(Method::POST, self.api.join(path)).repeatable();
        let response = self.http.send(&request.bytes("application/json", serde_json::to_vec(document)?))?;
        self.success(&response).map(|_| ())
    }

    /// Changes something by PATCH, which is safe to repeat.
    fn change(&self, path: &str, document: &impl Serialize) -> Result<()> {
        let request = self.request(Method::PATCH, self.api.join(path)).repeatable();
        let response = self.http.send(&request.bytes("application/json", serde_json::to_vec(document)?))?;
        self.success(&response).map(|_| ())
    }

    /// Removes something. The response has any status.
    pub fn delete(&self, path: &str) -> Result<Response> {
        self.http.send(&self.request(Method::DELETE, self.api.join(path)))
    }

    /// Removes something, unless it is already gone.
    pub fn remove(&self, path: &str) -> Result<()> {
        let response = self.delete(path)?;
        if response.status == StatusCode::NOT_FOUND { Ok(()) } else { self.success(&response).map(|_| ()) }
    }

    fn request(&self, method: Method, url: Url) -> Request {
        Request::new(method, url)
            .authorization(self.token.as_ref())
            .header(ACCEPT, MEDIA_TYPE)
            .header(HeaderName::from_static("x-github-api-version"), API_VERSION)
    }

    fn success<'a>(&self, response: &'a Response) -> Result<&'a Response> {
        if response.status.is_success() { Ok(response) } else { Err(self.error(response)) }
    }

    fn error(&self, response: &Response) -> Error {
        let permissions = response.header("x-accepted-github-permissions");
        let explanation = match response.retry_reason() {
            Some(RetryReason::Later(_)) => explain_limit(&response.body, self.has_token()),
            _ => explain(response.status.as_u16(), &response.body, permissions, self.has_token()),
        };
        Error::new(Refused::new(response.status, explanation)).context(format!("{} was refused", response.url))
    }

    /// Creates what must not exist twice: looks for it, creates it, and if the response does not show it, looks
    /// again for half a minute. It is never created again here, because a list may lag even more: a later run
    /// sees what became of it.
    fn ensure<T>(
        &self,
        what: &str,
        find: impl Fn() -> Result<Option<T>>,
        create: impl FnOnce() -> Result<Creation<T>>,
    ) -> Result<T> {
        if let Some(found) = find()? {
            return Ok(found);
        }
        let error = match create()? {
            Creation::Created(created) => return Ok(created),
            Creation::Unknown(error) => error,
        };
        let hint = || format!("{what} may exist, but is not listed yet; run this again in a few minutes");
        let found = self.clock.look_until_found(find).with_context(|| format!("{}: {error:#}", hint()))?;
        found.ok_or_else(|| error.context(hint()))
    }
}

/// Whether no attempt of a request that is not repeatable had an effect: there was no connection, or GitHub asks to wait.
fn is_without_effect(error: &Error) -> bool {
    error.is::<RateLimited>() || matches!(RetryReason::of_error(error), RetryReason::Unsent)
}

#[cfg(test)]
mod creation_tests;
#[cfg(test)]
mod fake_tests;
#[cfg(test)]
mod property_tests;
