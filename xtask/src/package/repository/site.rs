//! What the pages have that a repository is published at, so that nothing in them changes.
#![allow(clippy::disallowed_methods, reason = "writes files")]

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::Sha256;
use packages::index::{Channel, Index, SHA256SUMS};

use crate::http::Url;
use crate::package::repository::plan::PUBLIC_KEY;
use crate::published::{LARGEST_SUMS_BYTES, package_sums, text_page};

/// Ours has one key, of some hundred bytes.
const LARGEST_KEY_BYTES: u64 = 1 << 16;

/// What is published. Nothing is, before the first time.
#[derive(Debug, Default)]
pub struct Site {
    /// The text of its `SHA256SUMS`.
    sums: Option<String>,
    /// The public key that users have.
    pub public_key: Option<String>,
}

impl Site {
    /// Reads what is published at `url`.
    pub fn read(url: &Url) -> Result<Self> {
        let sums = text_page(url, SHA256SUMS, LARGEST_SUMS_BYTES)?;
        let public_key = if sums.is_some() { text_page(url, PUBLIC_KEY, LARGEST_KEY_BYTES)? } else { None };
        Ok(Self { sums, public_key })
    }

    /// The packages that have to stay. Of master the older ones go.
    pub fn packages(&self, index: &Index, url: &Url) -> Result<BTreeMap<Utf8PathBuf, Sha256>> {
        let sums = self.sums.as_deref().unwrap_or_default();
        let mut there = package_sums(sums).with_context(|| format!("{url}/{SHA256SUMS} is not a list of packages"))?;
        let is_wanted = |path: &Utf8PathBuf| index.packages.iter().any(|package| package.path == *path);
        there.retain(|path, _| is_wanted(path) || Channel::of_path(path) != Some(Channel::Master));
        Ok(there)
    }

    /// The file with the public key that users have, and where they find it: in the directory, or else at the pages, of
    /// which it is a copy in `stage`.
    pub fn key_file(&self, folder: &Utf8Path, stage: &Utf8Path, url: &Url) -> Result<(Utf8PathBuf, String)> {
        let in_folder = folder.join(PUBLIC_KEY);
        let Some(key) = self.public_key.as_ref().filter(|_| !in_folder.is_file()) else {
            let place = in_folder.to_string();
            return Ok((in_folder, place));
        };
        let path = stage.join("published.asc");
        fs::write(&path, key).with_context(|| format!("cannot write {path}"))?;
        Ok((path, format!("{url}/{PUBLIC_KEY}")))
    }
}

#[cfg(test)]
mod tests {
    use oci::digest::sha256;

    use super::*;

    #[test]
    fn what_the_pages_have_stays_except_for_older_packages_of_master() {
        let digest = sha256(b"x");
        let stable = "apt/pool/main/b/buildkit/buildkit_0.32.2-1_riscv64.deb";
        let master = "rpm/master/packages/buildkit-0~20260804.git991535e0973-1.riscv64.rpm";
        let site = Site { sums: Some(format!("{digest}  {stable}\n{digest}  {master}\n")), public_key: None };
        let url: Url = "https://owner.github.io/name".parse().expect("a URL");
        let index = Index { packages: Vec::new(), indexes: Vec::new() };
        let found = site.packages(&index, &url).expect("is read");
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [stable]);
        let other = Site { sums: Some("<html>".to_owned()), public_key: None };
        let error = other.packages(&index, &url).expect_err("is no list").to_string();
        assert_eq!(error, "https://owner.github.io/name/SHA256SUMS is not a list of packages");
    }
}
