//! Upstream's repository: its releases and its history.

use serde_json::json;

use crate::github::releases::Release;
use crate::github::response::{Outcome, Response};
use crate::github::{Call, FakeGitHub, State, shapes};

const MASTER: &str = "master";

impl FakeGitHub {
    /// Adds a commit: without a parent on top of master, with one on a branch.
    pub fn commit_upstream(&mut self, commit: &str, parent: Option<&str>) {
        let master = self.state.refs.get(MASTER).cloned();
        if parent.is_none() {
            self.state.refs.insert(MASTER.to_owned(), commit.to_owned());
        }
        self.state.commits.insert(commit.to_owned(), parent.map(str::to_owned).or(master));
    }

    /// Publishes an upstream release with any tag: `v0.32.2`, `v0.33.0-rc1` or `dockerfile/1.20.0`. An
    /// unknown commit is added on top of master. Later releases are listed first.
    pub fn publish_upstream(&mut self, tag: &str, commit: &str, is_prerelease: bool) {
        if !self.state.commits.contains_key(commit) {
            self.commit_upstream(commit, None);
        }
        self.state.refs.insert(tag.to_owned(), commit.to_owned());
        let id = self.state.tick();
        self.state.upstream.push(Release {
            id,
            tag: tag.to_owned(),
            commit: MASTER.to_owned(),
            name: Some(tag.to_owned()),
            body: Some(String::new()),
            is_draft: false,
            is_prerelease,
            published: Some(id),
            is_immutable: false,
            is_unlisted: false,
            assets: Vec::new(),
        });
    }

    /// Lists of upstream's releases do not show this one, or do again; by its tag it is always found.
    pub fn list_upstream(&mut self, tag: &str, is_listed: bool) {
        let release = self.state.upstream.iter_mut().find(|release| release.tag == tag);
        release.expect("it is published").is_unlisted = !is_listed;
    }

    /// Upstream deletes a release and its tag: lists do not show it any more, and its page is 404.
    pub fn withdraw_upstream(&mut self, tag: &str) {
        self.state.upstream.retain(|release| release.tag != tag);
        self.state.refs.remove(tag);
    }
}

impl State {
    /// A commit and all its ancestors, newest first.
    fn history(&self, reference: &str) -> Option<Vec<&String>> {
        let commit = self.refs.get(reference).map_or(reference, String::as_str);
        let (first, _) = self.commits.get_key_value(commit)?;
        Some(std::iter::successors(Some(first), |commit| self.commits.get(*commit)?.as_ref()).collect())
    }

    /// "Compare two commits", `BASE...HEAD`, each a tag, branch or commit: how many commits each has that
    /// the other does not have.
    pub fn compare(&mut self, call: &Call, basehead: &str) -> Outcome {
        let (base, head) = basehead.split_once("...").ok_or_else(Response::not_found)?;
        let base = self.history(base).filter(|_| call.is_upstream).ok_or_else(Response::not_found)?;
        let head = self.history(head).ok_or_else(Response::not_found)?;
        let ahead: Vec<_> = head.iter().filter(|commit| !base.contains(commit)).rev().collect();
        let behind_by = base.iter().filter(|commit| !head.contains(commit)).count();
        let common = head.iter().find(|commit| base.contains(commit)).ok_or_else(Response::not_found)?;
        let status = match (ahead.len(), behind_by) {
            (0, 0) => "identical",
            (_, 0) => "ahead",
            (0, _) => "behind",
            _ => "diverged",
        };
        let html = format!("https://github.com/{}/compare/{basehead}", call.repository);
        Ok(Response::ok(&json!({
            "url": format!("{}/compare/{basehead}", call.api()),
            "html_url": html,
            "permalink_url": html,
            "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"),
            "base_commit": shapes::commit(call, base[0]),
            "merge_base_commit": shapes::commit(call, common),
            "status": status,
            "ahead_by": ahead.len(),
            "behind_by": behind_by,
            "total_commits": ahead.len(),
            "commits": ahead.iter().map(|commit| shapes::commit(call, commit)).collect::<Vec<_>>(),
            "files": [],
        })))
    }
}
