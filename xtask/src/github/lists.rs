//! Lists of GitHub's API: read page by page, and conditionally.

use anyhow::{Error, Result, bail, ensure};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::github::GitHub;
use crate::github::errors::Refused;
use crate::http::Url;

/// GitHub shows ten thousand entries of a list, a hundred per page. Source: MeltanoLabs/tap-github issue 182.
pub const MAX_PAGES: usize = 100;

/// The response to a conditional request.
pub enum Page<T> {
    Unchanged,
    Changed {
        entries: Vec<T>,
        /// For the next conditional request.
        etag: Option<String>,
        /// The next page of the list.
        next: Option<Url>,
    },
}

/// What is behind the pages that were read.
enum Rest {
    Nothing,
    /// Entries that GitHub does not show.
    Hidden,
    Page(Url),
}

impl GitHub {
    /// All entries of a list that GitHub shows, page by page. `path` may have a query. Fails after [`MAX_PAGES`] pages.
    pub fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        self.follow(Some(self.api.join(path).with("per_page", "100")))
    }

    /// All entries of a list from the page `next` on.
    pub fn follow<T: DeserializeOwned>(&self, next: Option<Url>) -> Result<Vec<T>> {
        match self.pages(next, MAX_PAGES)? {
            (all, Rest::Nothing | Rest::Hidden) => Ok(all),
            (_, Rest::Page(url)) => bail!("a list has more than {MAX_PAGES} pages: {url}"),
        }
    }

    /// The entries of the first `most` pages of a list, and whether there are more.
    pub fn begin<T: DeserializeOwned>(&self, path: &str, most: usize) -> Result<(Vec<T>, bool)> {
        let (entries, rest) = self.pages(Some(self.api.join(path).with("per_page", "100")), most)?;
        Ok((entries, !matches!(rest, Rest::Nothing)))
    }

    /// The entries of up to `most` pages from the page `next` on, and what is behind them.
    fn pages<T: DeserializeOwned>(&self, mut next: Option<Url>, most: usize) -> Result<(Vec<T>, Rest)> {
        let mut all = Vec::new();
        for _ in 0..most {
            let Some(url) = next else { break };
            let (entries, following) = match self.page(&url, None) {
                Ok(Page::Changed { entries, next, .. }) => (entries, next),
                Ok(Page::Unchanged) => bail!("{url} was reported as unchanged, but the request was not conditional"),
                Err(error) if error.downcast_ref().is_some_and(Refused::is_beyond_results) => {
                    return Ok((all, Rest::Hidden));
                }
                Err(error) => return Err(error),
            };
            all.extend(entries);
            next = following;
        }
        Ok((all, next.map_or(Rest::Nothing, Rest::Page)))
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
