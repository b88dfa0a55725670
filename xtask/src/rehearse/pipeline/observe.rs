//! What can be seen of a pipeline: what a user would, what was asked, and what went wrong.

use anyhow::{Error, Result};
use fakes::github::Exchange;
use fakes::server::locked;
use serde_json::{Value, json};

use crate::github::repository::Repository;
use crate::registry::repository::ImageRepository;
use crate::rehearse::checkout;
use crate::rehearse::faults::RecordedRequest;
use crate::rehearse::fixtures::Build;
use crate::rehearse::pipeline::Pipeline;

impl Pipeline<'_> {
    /// The page of a build's release, where it is published.
    pub fn page(&self, build: &Build) -> Option<String> {
        let name = build.release().ok()?.to_string();
        self.github.with(|github| github.release_page(&name))
    }

    /// What was exchanged with GitHub.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.github.with(|github| github.exchanges().to_vec())
    }

    /// Where the image is published, without a tag.
    pub fn image(&self) -> Result<ImageRepository> {
        let repository: Repository = self.config.repository.parse().map_err(Error::msg)?;
        ImageRepository::of(&self.registry_host(), repository.owner()).map_err(Error::msg)
    }

    /// The tags that the registry shows, with their digests.
    pub fn tags(&self) -> Vec<(String, String)> {
        self.registry.with(|registry| registry.tags())
    }

    /// How many requests there have been since the beginning of the scenario.
    pub fn requests(&self) -> [u64; 2] {
        [self.before[0] + self.github.server.requests(), self.before[1] + self.registry.server.requests()]
    }

    /// What was asked since the checkpoint.
    pub fn recorded_requests(&self) -> [Vec<RecordedRequest>; 2] {
        [self.github.injector.recorded_requests(), self.registry.injector.recorded_requests()]
    }

    /// All that a user could see, whatever port the registry is at.
    pub fn state(&self) -> Value {
        let mut github = self.github.with(|github| github.clone());
        github.replace_text(&self.registry_host(), "REGISTRY");
        json!({
            "github": github.snapshot(),
            "registry": self.registry.with(|registry| registry.snapshot()),
        })
    }

    /// Everything that went wrong so far, a sentence each.
    ///
    /// # Errors
    /// Where a file of the checkout cannot be read.
    pub fn problems(&self) -> Result<Vec<String>> {
        let mut problems = self.problems.clone();
        // One lock after the other: a second one taken while the first is held would wait for ever.
        let watched = locked(&self.github.service).problems.clone();
        let github = self.github.with(|github| github.violations().to_vec());
        let registry = self.registry.with(|registry| registry.violations().to_vec());
        problems.extend(watched.into_iter().chain(github).map(|problem| format!("github: {problem}")));
        problems.extend(registry.into_iter().map(|problem| format!("registry: {problem}")));
        problems.extend(checkout::leaks(&self.checkout, &self.config.secrets)?);
        Ok(problems)
    }
}
