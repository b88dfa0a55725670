//! The two lists of releases, upstream's and ours, kept between runs with the tags by which GitHub
//! says that they are as they were. What is kept saves requests and decides nothing.
#![allow(clippy::disallowed_methods, reason = "reads and writes files, reads the environment and asks the clock")]

use std::time::SystemTime;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::check_upstream::plan::Listed;
use crate::github::{GitHub, Page};
use crate::os::files;

/// Raised when the form of the file changes; one of another form is ignored.
const SCHEMA: u32 = 1;

/// Both lists, as they were when a run last came to its end.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    schema: u32,
    /// Whether everything was published then, and every issue closed: until a list changes there is
    /// nothing to look at.
    pub is_settled: bool,
    /// Upstream's releases.
    pub upstream: List,
    /// Our own.
    pub ours: List,
}

/// One list.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    etag: Option<String>,
    /// None where it was never read.
    first_page: Option<Vec<Listed>>,
    further: Vec<Listed>,
}

impl Lists {
    /// What is kept in a file, or nothing where that is missing or broken.
    pub fn open(path: &Utf8Path) -> Self {
        let kept = std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        kept.filter(|kept: &Self| kept.schema == SCHEMA).unwrap_or_default()
    }

    /// Keeps them.
    pub fn save(&mut self, path: &Utf8Path) -> Result<()> {
        self.schema = SCHEMA;
        let folder = path.parent().expect("the file lies in a folder");
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
        files::replace(path, &serde_json::to_vec(self)?, SystemTime::now())
    }
}

impl List {
    /// Reads the list of releases at `path` as it is now, and says whether it has changed. New entries
    /// come first, so that where the first page is as it was the others are, too: one request.
    pub fn refresh(&mut self, github: &GitHub, path: &str) -> Result<bool> {
        let url = github.url(path).with("per_page", "100");
        let etag = self.etag.as_deref().filter(|_| self.first_page.is_some());
        let (entries, etag, next) = match github.page(&url, etag)? {
            Page::Unchanged => return Ok(false),
            Page::Changed { entries, etag, next } => (entries, etag, next),
        };
        let has_changed = self.first_page.as_ref() != Some(&entries);
        if has_changed {
            self.further = github.follow(next)?;
        }
        (self.etag, self.first_page) = (etag, Some(entries));
        Ok(has_changed)
    }

    /// All that is in it.
    pub fn entries(&self) -> Vec<Listed> {
        self.first_page.iter().flatten().chain(&self.further).cloned().collect()
    }
}

/// Where the lists of a repository at an API are kept.
pub fn place(root: &Utf8Path, api: &str, repository: &str) -> Utf8PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = format!("{api}-{repository}").replace(|c| !is_plain(c), "-").to_ascii_lowercase();
    root.join("target/check-upstream").join(name + ".json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_or_of_another_form_is_ignored() {
        let folder = format!("xtask-lists-{}", std::process::id());
        let folder = Utf8PathBuf::try_from(std::env::temp_dir().join(folder)).expect("a UTF-8 name");
        let path = place(&folder, "http://127.0.0.1:1", "O/n");
        assert!(path.ends_with("target/check-upstream/http---127.0.0.1-1-o-n.json"), "{path}");
        assert_eq!(Lists::open(&path), Lists::default());
        let list = List { etag: Some("W/\"1\"".to_owned()), first_page: Some(Vec::new()), further: Vec::new() };
        let mut lists = Lists { is_settled: true, ours: list, ..Lists::default() };
        lists.save(&path).expect("is written");
        assert_eq!(Lists::open(&path), lists);
        for broken in [&b"{"[..], b"{}", br#"{"schema":0,"is_settled":true,"upstream":{},"ours":{}}"#] {
            std::fs::write(&path, broken).expect("is written");
            assert_eq!(Lists::open(&path), Lists::default());
        }
        std::fs::remove_dir_all(&folder).expect("is removed");
    }
}
