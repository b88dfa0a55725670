//! A cache of the two lists of releases, upstream's and ours, with the entity tags for conditional
//! requests. It saves requests and never changes a decision.
#![allow(clippy::disallowed_methods, reason = "reads and writes files, reads the environment and reads the clock")]

use std::time::SystemTime;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::check_upstream::plan::Listed;
use crate::github::{GitHub, Page};
use crate::os::files;

/// Incremented when the format changes; a file of another version is ignored.
const SCHEMA: u32 = 1;

/// Both lists, as of the last completed run.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    schema: u32,
    /// Whether everything was published and every issue closed. If so, nothing can be left to do until
    /// a list changes.
    pub is_done: bool,
    pub upstream: List,
    pub ours: List,
}

/// A list of releases.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    etag: Option<String>,
    /// `None` until it is read for the first time.
    first_page: Option<Vec<Listed>>,
    other_pages: Vec<Listed>,
}

impl Lists {
    /// Reads the cache; empty if the file is missing or not valid.
    pub fn open(path: &Utf8Path) -> Self {
        let cached = std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        cached.filter(|cached: &Self| cached.schema == SCHEMA).unwrap_or_default()
    }

    pub fn save(&mut self, path: &Utf8Path) -> Result<()> {
        self.schema = SCHEMA;
        let directory = path.parent().expect("the file has a parent directory");
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {directory}"))?;
        files::replace(path, &serde_json::to_vec(self)?, SystemTime::now())
    }
}

impl List {
    /// Updates the list from the API at `path`, and returns whether it has changed. New entries come first,
    /// so if the first page is unchanged, so are the others, and one request is enough.
    pub fn refresh(&mut self, github: &GitHub, path: &str) -> Result<bool> {
        let url = github.url(path).with("per_page", "100");
        let etag = self.etag.as_deref().filter(|_| self.first_page.is_some());
        let (entries, etag, next) = match github.page(&url, etag)? {
            Page::Unchanged => return Ok(false),
            Page::Changed { entries, etag, next } => (entries, etag, next),
        };
        let has_changed = self.first_page.as_ref() != Some(&entries);
        if has_changed {
            self.other_pages = github.follow(next)?;
        }
        (self.etag, self.first_page) = (etag, Some(entries));
        Ok(has_changed)
    }

    pub fn entries(&self) -> Vec<Listed> {
        self.first_page.iter().flatten().chain(&self.other_pages).cloned().collect()
    }
}

/// The cache file of a repository at an API.
pub fn cache_path(root: &Utf8Path, api: &str, repository: &str) -> Utf8PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = format!("{api}-{repository}").replace(|c| !is_plain(c), "-").to_ascii_lowercase();
    root.join("target/check-upstream").join(name + ".json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_cache_or_one_of_another_version_is_ignored() {
        let folder = format!("xtask-lists-{}", std::process::id());
        let folder = Utf8PathBuf::try_from(std::env::temp_dir().join(folder)).expect("a UTF-8 name");
        let path = cache_path(&folder, "http://127.0.0.1:1", "O/n");
        assert!(path.ends_with("target/check-upstream/http---127.0.0.1-1-o-n.json"), "{path}");
        assert_eq!(Lists::open(&path), Lists::default());
        let list = List { etag: Some("W/\"1\"".to_owned()), first_page: Some(Vec::new()), other_pages: Vec::new() };
        let mut lists = Lists { is_done: true, ours: list, ..Lists::default() };
        lists.save(&path).expect("is written");
        assert_eq!(Lists::open(&path), lists);
        for broken in [&b"{"[..], b"{}", br#"{"schema":0,"is_done":true,"upstream":{},"ours":{}}"#] {
            std::fs::write(&path, broken).expect("is written");
            assert_eq!(Lists::open(&path), Lists::default());
        }
        std::fs::remove_dir_all(&folder).expect("is removed");
    }
}
