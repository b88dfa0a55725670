//! A client of GitHub's REST API: reads, lists page by page, and writes. [`documents`] has the types and
//! explains errors.

use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use http::header::{ACCEPT, ETAG, HeaderName, IF_NONE_MATCH};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::github::documents::explain;
use crate::http::{Authorization, Endpoint, Http, Request, Response, Url};

pub use documents::{
    Asset, AssetState, Comment, CompareStatus, Issue, IssueState, Release, Run, RunConclusion, RunStatus, Settings,
    StateReason,
};
pub use issues::{Issues, SWITCH_ISSUES_ON};
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

/// The version of the API that [`documents`] describes.
const API_VERSION: &str = "2026-03-10";
const MEDIA_TYPE: &str = "application/vnd.github+json";
/// At a hundred entries per page, no list used here is longer.
const MAX_PAGES: usize = 50;

/// The API, with the credentials of one user or none.
pub struct GitHub {
    http: Http,
    api: Endpoint,
    token: Option<Authorization>,
}

/// The outcome of a request that creates something and must not be repeated blindly.
enum Creation<T> {
    Created(T),
    /// No response, or one that does not show whether it was created.
    Unknown(Error),
}

/// The response to a conditional request.
pub enum Page<T> {
    /// The entity tag still matches.
    Unchanged,
    Changed {
        entries: Vec<T>,
        /// For the next conditional request.
        etag: Option<String>,
        /// The next page of the list.
        next: Option<Url>,
    },
}

impl GitHub {
    /// The API at `api`, with a token or anonymously.
    pub fn new(api: Endpoint, token: Option<Authorization>) -> Self {
        Self { http: Http::default(), api, token }
    }

    /// The same API without a token.
    pub fn anonymous(&self) -> Self {
        Self::new(self.api.clone(), None)
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

    /// The settings of a repository. Fails if it is not visible.
    pub fn settings(&self, repository: &Repository) -> Result<Settings> {
        self.read(&format!("repos/{repository}"))?
            .with_context(|| format!("the repository {repository} does not exist, or the token may not see it"))
    }

    /// All entries of a list, page by page. `path` may have a query. Fails after [`MAX_PAGES`] pages.
    pub fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        self.follow(Some(self.api.join(path).with("per_page", "100")))
    }

    /// All entries of a list from the page `next` on.
    pub fn follow<T: DeserializeOwned>(&self, mut next: Option<Url>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { return Ok(all) };
            let Page::Changed { entries, next: following, .. } = self.page(&url, None)? else {
                bail!("{url} was reported as unchanged, but the request was not conditional");
            };
            all.extend(entries);
            next = following;
        }
        bail!("a list has more than {MAX_PAGES} pages{}", next.map_or_else(String::new, |url| format!(": {url}")))
    }

    /// One page of a list, if it has changed since `etag`. Fails if the next page is on another site, where the
    /// token must not be sent.
    /// Source: "Best practices for using the REST API", conditional requests; "Using pagination".
    pub fn page<T: DeserializeOwned>(&self, url: &Url, etag: Option<&str>) -> Result<Page<T>> {
        let request = self.request(Method::GET, url.clone());
        let response =
            self.http.send(&etag.into_iter().fold(request, |request, etag| request.header(IF_NONE_MATCH, etag)))?;
        if response.status == StatusCode::NOT_MODIFIED && etag.is_some() {
            return Ok(Page::Unchanged);
        }
        let entries = self.success(&response)?.json()?;
        let etag = response.header(ETAG.as_str()).map(str::to_owned);
        let next =
            response.header("link").and_then(next_of).map(|next| url.resolve(next)).transpose().map_err(Error::msg)?;
        let is_same_site = next.as_ref().is_none_or(|next| next.origin() == url.origin());
        ensure!(is_same_site, "the next page after {url} is on another site, which is not followed");
        Ok(Page::Changed { entries, etag, next })
    }

    /// Waits until a list is likely to include the last write.
    pub fn pause(&self) {
        std::thread::sleep(if self.api.is_loopback() { Duration::from_millis(5) } else { Duration::from_secs(2) });
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
            Err(error) => return Ok(Creation::Unknown(error)),
        };
        match self.success(&response)?.json() {
            Ok(created) => Ok(Creation::Created(created)),
            Err(error) => Ok(Creation::Unknown(error)),
        }
    }

    /// Changes something by PATCH, which is safe to repeat.
    fn change(&self, path: &str, document: &impl Serialize) -> Result<()> {
        let request = self.request(Method::PATCH, self.api.join(path)).repeatable();
        let response = self.http.send(&request.bytes("application/json", serde_json::to_vec(document)?))?;
        self.success(&response).map(|_| ())
    }

    /// Removes something, unless it is already gone.
    fn remove(&self, path: &str) -> Result<()> {
        let response = self.http.send(&self.request(Method::DELETE, self.api.join(path)))?;
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
        let explanation = explain(response.status.as_u16(), &response.body, permissions, self.has_token());
        Error::msg(explanation).context(format!("{} was refused", response.url))
    }

    /// Creates what must not exist twice: looks for it, creates it, and if the outcome is unknown, looks
    /// again. It looks twice before it creates once more, because a list can be slightly older than the
    /// last write. Fails with the first error if the outcome is still unknown after two attempts.
    fn ensure<T>(&self, find: impl Fn() -> Result<Option<T>>, create: impl Fn() -> Result<Creation<T>>) -> Result<T> {
        if let Some(found) = find()? {
            return Ok(found);
        }
        let mut first = None;
        for _ in 0..2 {
            match create()? {
                Creation::Created(created) => return Ok(created),
                Creation::Unknown(error) => first.get_or_insert(error),
            };
            for _ in 0..2 {
                if let Some(found) = find()? {
                    return Ok(found);
                }
                self.pause();
            }
        }
        Err(first.context("nothing was created")?.context("run this again to continue"))
    }
}

/// The next page of a list, by its `Link` header (RFC 8288). Source: "Using pagination in the REST API", using
/// link headers.
pub fn next_of(mut link: &str) -> Option<&str> {
    loop {
        // Not split at commas, which a URL may contain.
        let (url, rest) = link.split_once('<')?.1.split_once('>')?;
        let (parameters, others) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        let mut parameters = parameters.split([';', ',']).map(str::trim);
        if parameters.any(|parameter| [r#"rel="next""#, "rel=next"].contains(&parameter)) {
            return Some(url);
        }
        link = others;
    }
}

#[cfg(test)]
mod fake_tests;
#[cfg(test)]
mod property_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_named_in_the_link_header() {
        let link = r#"<https://api.github.com/x?page=1>; rel="prev", <https://api.github.com/x?page=3>; rel="next""#;
        assert_eq!(next_of(link), Some("https://api.github.com/x?page=3"));
        assert_eq!(next_of(r#"<https://api.github.com/x?page=1>; rel="first""#), None);
        assert_eq!(
            next_of(r#"<https://api.github.com/x?labels=a,b>; rel="next""#),
            Some("https://api.github.com/x?labels=a,b")
        );
    }
}
