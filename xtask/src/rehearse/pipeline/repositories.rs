//! The last job of the workflow: it makes the repositories of APT and DNF of every published release, and deploys them to
//! the pages of the repository.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;

use anyhow::{Context, Result};
use fakes::names::PAGES;
use oci::digest::sha256;

use crate::rehearse::checkout::files_below;
use crate::rehearse::pipeline::Pipeline;

/// Where the job makes the site, and where actions/upload-pages-artifact takes it from.
const SITE: &str = "_site";
/// The directory of APT's index of the releases.
const INDEX: &str = "apt/dists/stable/main/binary-riscv64";
const RELEASE: &str = "apt/dists/stable/Release";

impl Pipeline<'_> {
    /// Runs the job, and deploys what it made. The actions that do so are not rehearsed: a deployment replaces the whole
    /// site.
    pub(super) fn publish_packages(&mut self) -> Result<()> {
        let mut arguments: Vec<String> =
            ["package", "--repository", SITE, "--from-releases", "--execute", "--unsigned"]
                .iter()
                .map(ToString::to_string)
                .chain(["--packager".to_owned(), self.config.packager.to_string()])
                .collect();
        arguments.extend(self.pages_option("--url"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run_until_success(&arguments, &self.config.secrets.tracking)?;
        let site = self.checkout.join(SITE);
        if !site.is_dir() {
            self.problems.push("the last job of the workflow wrote no repositories".to_owned());
            return Ok(());
        }
        let mut files = fakes::github::Pages::new();
        for path in files_below(&site)? {
            let content = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
            files.insert(path.strip_prefix(&site)?.to_string(), content);
        }
        self.github.with(|github| github.deploy_pages(files));
        // The next job has a new machine.
        for folder in [site, self.checkout.join("target/released-packages"), self.checkout.join("target/repository")] {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {folder}"))?;
        }
        Ok(())
    }

    /// Where the pages are.
    pub(super) fn pages_url(&self) -> String {
        let name = self.config.repository.rsplit('/').next().unwrap_or_default();
        match self.config.real_names {
            Some(_) => format!("https://{PAGES}/{name}"),
            None => format!("{}/pages/{name}", self.github.server.url()),
        }
    }

    /// The option that names the pages. Under the real names the default is right.
    pub(super) fn pages_option(&self, name: &str) -> Vec<String> {
        let is_default = self.config.real_names.is_some();
        if is_default { Vec::new() } else { vec![name.to_owned(), self.pages_url()] }
    }

    /// Puts another digest into the place of one in APT's index, and makes all that leads to the index fit: what only a
    /// comparison with the record can find.
    pub(super) fn replace_in_index(&self, from: &str, to: &str) {
        self.github.with(|github| {
            let mut pages = github.pages().clone();
            let place = |digest: &str| format!("{INDEX}/by-hash/SHA256/{digest}");
            let old = pages.get(&format!("{INDEX}/Packages")).cloned().unwrap_or_default();
            let new = String::from_utf8_lossy(&old).replace(from, to).into_bytes();
            let [old_digest, new_digest] = [&old, &new].map(|content| sha256(content).to_string());
            pages.remove(&place(&old_digest));
            pages.insert(place(&new_digest), new.clone());
            pages.insert(format!("{INDEX}/Packages"), new);
            if let Some(release) = pages.get_mut(RELEASE) {
                *release = String::from_utf8_lossy(release).replace(&old_digest, &new_digest).into_bytes();
            }
            github.deploy_pages(pages);
        });
    }
}
