//! GitHub's REST API: reading, listing page by page, and writing. What its refusals mean is told in
//! [`crate::github::documents`].

use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use http::header::{ACCEPT, ETAG, HeaderName, IF_NONE_MATCH};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::github::documents::explain;
use crate::http::authorization::Authorization;
use crate::http::endpoint::Endpoint;
use crate::http::url::Url;
use crate::http::{Http, Request, Response};

pub use documents::{
    Asset, AssetState, Comment, CompareStatus, Issue, IssueState, Release, Run, RunConclusion, RunStatus, StateReason,
};
pub use issues::Issues;
pub use releases::Releases;
pub use repository::Repository;
pub use step::{Executor, GitHubStep, notes_file};
pub use tracking_issue::{
    BUILD_INPUT, BUILD_WORKFLOW, issue_marker, issue_title, published_comment, run_comment, run_title, tracked_version,
};
pub use workflow_runs::Workflow;

mod documents;
mod issues;
mod releases;
mod repository;
mod step;
mod tracking_issue;
mod workflow_runs;

/// The version of the API that these documents are of.
const API_VERSION: &str = "2026-03-10";
const MEDIA_TYPE: &str = "application/vnd.github+json";
/// At a hundred entries a page: nothing that is listed here has more.
const MOST_PAGES: usize = 50;

/// The API, as one identity sees it.
pub struct GitHub {
    http: Http,
    api: Endpoint,
    token: Option<Authorization>,
}

/// What became of a request that makes something and must not be repeated blindly.
pub enum Made<T> {
    /// It is made.
    Yes(T),
    /// Nobody knows: no answer came, or one that says nothing.
    Unsure(Error),
}

/// The answer to a conditional request.
pub enum Page<T> {
    /// Nothing has changed since the entity tag was given.
    Unchanged,
    /// What is there now.
    Changed {
        /// The entries.
        entries: Vec<T>,
        /// What to request with the next time.
        etag: Option<String>,
        /// Where the list goes on.
        next: Option<Url>,
    },
}

impl GitHub {
    /// The API at `api`, with a token or as anyone.
    pub fn new(api: Endpoint, token: Option<Authorization>) -> Self {
        Self { http: Http::default(), api, token }
    }

    /// The same as anyone sees it.
    pub fn anonymous(&self) -> Self {
        Self::new(self.api.clone(), None)
    }

    /// Whether there is a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// One document; none where GitHub answers 404, which it also does for what one may not see.
    pub fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let response = self.http.send(&self.ask(Method::GET, self.api.join(path)))?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.accepted(&response)?.json().map(Some)
    }

    /// All entries of a list, page by page. `path` may have a query.
    pub fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        self.follow(Some(self.api.join(path).with("per_page", "100")))
    }

    /// All entries of a list from one of its pages on.
    pub fn follow<T: DeserializeOwned>(&self, mut next: Option<Url>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(all) };
            let Page::Changed { entries, next: following, .. } = self.page(&url, None)? else {
                bail!("{url} is unchanged, though nothing was said to be known of it");
            };
            all.extend(entries);
            next = following;
        }
        bail!("a list has more than {MOST_PAGES} pages{}", next.map_or_else(String::new, |url| format!(": {url}")))
    }

    /// One page of a list, asked for on the condition that it has changed since `etag`.
    /// Source: "Best practices for using the REST API", conditional requests; "Using pagination".
    pub fn page<T: DeserializeOwned>(&self, url: &Url, etag: Option<&str>) -> Result<Page<T>> {
        let request = self.ask(Method::GET, url.clone());
        let response =
            self.http.send(&etag.into_iter().fold(request, |request, etag| request.header(IF_NONE_MATCH, etag)))?;
        if response.status == StatusCode::NOT_MODIFIED && etag.is_some() {
            return Ok(Page::Unchanged);
        }
        let entries = self.accepted(&response)?.json()?;
        let etag = response.header(ETAG.as_str()).map(str::to_owned);
        let next =
            response.header("link").and_then(next_of).map(|next| url.resolve(next)).transpose().map_err(Error::msg)?;
        let stays = next.as_ref().is_none_or(|next| next.origin() == url.origin());
        ensure!(stays, "{url} goes on at another site; it is not followed");
        Ok(Page::Changed { entries, etag, next })
    }

    /// Waits until a list is likely to show the last write.
    pub fn pause(&self) {
        std::thread::sleep(if self.api.is_loopback() { Duration::from_millis(5) } else { Duration::from_secs(2) });
    }

    /// The URL of something of the API.
    pub fn url(&self, path: &str) -> Url {
        self.api.join(path)
    }

    /// Makes something by POST.
    fn make<T: DeserializeOwned>(&self, path: &str, document: &impl Serialize) -> Result<Made<T>> {
        let request =
            self.ask(Method::POST, self.api.join(path)).bytes("application/json", serde_json::to_vec(document)?);
        self.made(&request, |request| self.http.send(request))
    }

    fn made<T: DeserializeOwned>(
        &self,
        request: &Request,
        send: impl FnOnce(&Request) -> Result<Response>,
    ) -> Result<Made<T>> {
        let response = match send(request) {
            Ok(response) if !response.status.is_server_error() => response,
            Ok(response) => return Ok(Made::Unsure(self.refused(&response))),
            Err(error) => return Ok(Made::Unsure(error)),
        };
        match self.accepted(&response)?.json() {
            Ok(made) => Ok(Made::Yes(made)),
            Err(error) => Ok(Made::Unsure(error)),
        }
    }

    /// Changes something by PATCH, which gives the same however often it is said.
    fn change(&self, path: &str, document: &impl Serialize) -> Result<()> {
        let request = self.ask(Method::PATCH, self.api.join(path)).repeatable();
        let response = self.http.send(&request.bytes("application/json", serde_json::to_vec(document)?))?;
        self.accepted(&response).map(|_| ())
    }

    /// Removes something, or finds it gone.
    fn remove(&self, path: &str) -> Result<()> {
        let response = self.http.send(&self.ask(Method::DELETE, self.api.join(path)))?;
        if response.status == StatusCode::NOT_FOUND { Ok(()) } else { self.accepted(&response).map(|_| ()) }
    }

    fn ask(&self, method: Method, url: Url) -> Request {
        Request::new(method, url)
            .authorization(self.token.as_ref())
            .header(ACCEPT, MEDIA_TYPE)
            .header(HeaderName::from_static("x-github-api-version"), API_VERSION)
    }

    fn accepted<'a>(&self, response: &'a Response) -> Result<&'a Response> {
        if response.status.is_success() { Ok(response) } else { Err(self.refused(response)) }
    }

    fn refused(&self, response: &Response) -> Error {
        let permissions = response.header("x-accepted-github-permissions");
        let why = explain(response.status.as_u16(), &response.body, permissions, self.has_token());
        Error::msg(why).context(format!("{} was refused", response.url))
    }

    /// Makes what must not be made twice: looks whether it is there, makes it, and where nobody
    /// knows whether that worked, looks again. A list can be a moment older than the last write, so
    /// that a second look is needed before anything is made once more.
    fn ensure<T>(&self, look: impl Fn() -> Result<Option<T>>, make: impl Fn() -> Result<Made<T>>) -> Result<T> {
        if let Some(found) = look()? {
            return Ok(found);
        }
        let mut unsure = None;
        for _ in 0..2 {
            match make()? {
                Made::Yes(made) => return Ok(made),
                Made::Unsure(error) => unsure.get_or_insert(error),
            };
            for _ in 0..2 {
                if let Some(found) = look()? {
                    return Ok(found);
                }
                self.pause();
            }
        }
        Err(unsure.context("nothing was made")?.context("run this again: it goes on from what is there"))
    }
}

/// Where a list goes on, by its `Link` header (RFC 8288). Source: "Using pagination in the REST API", using link headers.
pub fn next_of(link: &str) -> Option<&str> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    next.split_once('<')?.1.split_once('>').map(|(url, _)| url)
}

#[cfg(test)]
mod fake_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_named_in_the_link_header() {
        let link = r#"<https://api.github.com/x?page=1>; rel="prev", <https://api.github.com/x?page=3>; rel="next""#;
        assert_eq!(next_of(link), Some("https://api.github.com/x?page=3"));
        assert_eq!(next_of(r#"<https://api.github.com/x?page=1>; rel="first""#), None);
    }
}
