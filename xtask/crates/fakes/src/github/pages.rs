//! GitHub Pages of our repository: files that a workflow's deployment replaces as a whole. Source: GitHub Docs, "Using
//! custom workflows with GitHub Pages"; actions/deploy-pages.

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};

use crate::github::response::Response;
use crate::github::{FakeGitHub, State};
use crate::message::Content;

/// The files by their paths in the site.
pub type Pages = BTreeMap<String, Vec<u8>>;

impl FakeGitHub {
    /// Replaces the site.
    pub fn deploy_pages(&mut self, files: Pages) {
        self.state.pages = files;
    }

    /// The files of the site.
    pub fn pages(&self) -> &Pages {
        &self.state.pages
    }

    /// Replaces a text, such as the address of the site, in every file of it that is text.
    pub fn replace_in_pages(&mut self, from: &str, to: &str) {
        for content in self.state.pages.values_mut() {
            if let Ok(text) = std::str::from_utf8(content) {
                *content = text.replace(from, to).into_bytes();
            }
        }
    }
}

impl State {
    /// A file of the site, at `NAME/PATH`: the site of a repository has the repository's name before its paths.
    pub fn page(&self, repository: &str, path: &str, headers: &HeaderMap) -> Response {
        let name = repository.rsplit('/').next().unwrap_or_default();
        let path = path.strip_prefix(name).and_then(|path| path.strip_prefix('/'));
        let page = match path.and_then(|path| self.pages.get(path)) {
            Some(content) => {
                let headers = vec![("content-type", "application/octet-stream".to_owned())];
                let content = Content::Memory(content.clone());
                Response { status: StatusCode::OK, content, headers, violation: None }
            }
            None => Response::not_found(),
        };
        if headers.contains_key("authorization") {
            return page.violating("a token was sent to the pages, which need none".to_owned());
        }
        page
    }
}
