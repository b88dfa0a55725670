//! What differs from the usual on demand: a classic token, a description, no workflow, packages, and writes that
//! fail or show late.

use http::{StatusCode, Uri};

use crate::github::access::Token;
use crate::github::response::Response;
use crate::github::site::Site;
use crate::github::{FakeGitHub, OTHER_REPOSITORY_ID, REPOSITORY_IDS};

impl FakeGitHub {
    /// Registers a classic personal access token with scopes of the form `repo`.
    pub fn allow_classic(&mut self, token: &str, scopes: &[&str]) {
        self.tokens.insert(token.to_owned(), Token::classic(scopes));
    }

    /// Sets the description of the repository.
    pub fn describe(&mut self, description: &str) {
        self.state.description = Some(description.to_owned());
    }

    /// Archives the repository, which is read-only from then on. The fake still accepts writes: no client that asks
    /// first sends one.
    pub fn archive(&mut self) {
        self.state.is_archived = true;
    }

    /// Renames the repository.
    pub fn rename(&mut self, name: &str) {
        self.former_name = Some(std::mem::replace(&mut self.repository, name.to_owned()));
    }

    /// What GitHub answers to a request for the former name, or for an issue that was transferred, whatever the
    /// method: 301, with the address of the repository by its id. Sources: "Best practices for using the REST API",
    /// "Follow redirects"; "Get an issue".
    pub(super) fn moved(&self, host: &str, uri: &Uri) -> Option<Response> {
        let below = |name: &str| {
            let rest = uri.path().strip_prefix("/repos/")?.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        };
        let is_transferred = |rest: &&str| {
            let number = rest.strip_prefix("/issues/").and_then(|rest| rest.split('/').next());
            let found = self.state.issues.iter().find(|issue| Some(issue.number.to_string().as_str()) == number);
            found.is_some_and(|issue| issue.is_transferred)
        };
        let renamed = self.former_name.as_deref().and_then(below).map(|rest| (REPOSITORY_IDS[1].0, rest));
        let transferred = below(&self.repository).filter(is_transferred).map(|rest| (OTHER_REPOSITORY_ID, rest));
        let (id, rest) = renamed.or(transferred)?;
        let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
        let url = format!("{}/repositories/{id}{rest}{query}", Site::of(host).api);
        Some(Response::message(StatusCode::MOVED_PERMANENTLY, "Moved Permanently").with("location", url))
    }

    /// Makes a token expire.
    pub fn expire(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Makes the repository one without the workflow.
    pub fn remove_workflow(&mut self) {
        self.state.has_no_workflow = true;
    }

    /// Adds a package of the repository's owner.
    pub fn add_package(&mut self, name: &str) {
        self.state.packages.insert(name.to_owned());
    }

    /// The packages of the repository's owner.
    pub fn packages(&self) -> Vec<String> {
        self.state.packages.iter().cloned().collect()
    }

    /// Makes the next upload of an asset fail with 502 and leave an asset in the state `starter`.
    pub fn starter_once(&mut self) {
        self.state.leaves_starter = true;
    }
}
