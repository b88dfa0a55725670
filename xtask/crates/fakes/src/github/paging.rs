//! Paged lists.

use http::StatusCode;
use serde_json::Value;

use crate::github::response::Response;
use crate::github::{Call, FakeGitHub, REPOSITORY_IDS};
use crate::message::encoded;

/// Source: GitHub REST API, "Using pagination in the REST API"; parameters `per_page` and `page`.
const PER_PAGE: (usize, usize) = (30, 100);
/// Source: MeltanoLabs/tap-github issue 182. It has been a thousand (iree-org/iree pull request 16506).
pub const MOST_RESULTS: usize = 10_000;

impl FakeGitHub {
    /// Shows so many entries of each list and no more.
    pub fn limit_results(&mut self, most: usize) {
        self.most_results = most;
    }
}

impl Call<'_> {
    /// A query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    /// The answer to a request for a page beyond the entries that are shown, in the words of both reports.
    pub fn beyond_the_results(&self) -> Option<Response> {
        let (page, per_page) = self.page_and_size();
        let message = format!("Only the first {} results are available.", self.most_results);
        let is_beyond = (page - 1) * per_page >= self.most_results;
        is_beyond.then(|| Response::message(StatusCode::UNPROCESSABLE_ENTITY, &message))
    }

    fn page_and_size(&self) -> (usize, usize) {
        let number = |name, default| self.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        (number("page", 1).max(1), number("per_page", PER_PAGE.0).clamp(1, PER_PAGE.1))
    }

    /// One page of `items`, and the `Link` header, which is empty if there is only one page. As at
    /// GitHub, links go to `/repositories/ID/…` and keep the other parameters. `path` is the path of the
    /// list below the repository. Source: GitHub REST API, "Using pagination in the REST API".
    pub fn page(&self, items: Vec<Value>, path: &str) -> (Vec<Value>, String) {
        let (page, per_page) = self.page_and_size();
        let last = items.len().div_ceil(per_page).max(1);
        let others: String = self
            .query
            .iter()
            .filter(|pair| pair.0 != "page")
            .fold(String::new(), |text, (name, value)| format!("{text}{name}={}&", encoded(value)));
        let id = REPOSITORY_IDS.into_iter().find(|id| id.1 == self.is_upstream).map_or(0, |id| id.0);
        let link = |to: usize, relation| {
            format!("<{}/repositories/{id}/{path}?{others}page={to}>; rel=\"{relation}\"", self.site.api)
        };
        let mut links = Vec::new();
        if page > 1 {
            links.push(link(page - 1, "prev"));
        }
        if page < last {
            links.extend([link(page + 1, "next"), link(last, "last")]);
        }
        if page > 1 {
            links.push(link(1, "first"));
        }
        (items.into_iter().skip((page - 1) * per_page).take(per_page).collect(), links.join(", "))
    }
}
