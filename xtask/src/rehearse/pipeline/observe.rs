//! What can be observed of a pipeline: its visible state, its requests, and its problems.

use anyhow::{Error, Result};
use fakes::github::Exchange;
use fakes::server::locked;
use serde_json::{Value, json};

use crate::github::Repository;
use crate::registry::ImageRepository;
use crate::rehearse::checkout;
use crate::rehearse::faults::RecordedRequest;
use crate::rehearse::fixtures::Build;
use crate::rehearse::pipeline::Pipeline;

impl Pipeline<'_> {
    /// The page of a build's release, if it is published.
    pub fn page(&self, build: &Build) -> Option<String> {
        let name = build.release().ok()?.to_string();
        self.github.with(|github| github.release_page(&name))
    }

    pub fn exchanges(&self) -> Vec<Exchange> {
        self.github.with(|github| github.exchanges().to_vec())
    }

    /// Where the image is published, without a tag.
    pub fn image(&self) -> Result<ImageRepository> {
        let repository: Repository = self.config.repository.parse().map_err(Error::msg)?;
        ImageRepository::of(&self.registry_host(), repository.owner()).map_err(Error::msg)
    }

    /// The registry's tags, with their digests.
    pub fn tags(&self) -> Vec<(String, String)> {
        self.registry.with(|registry| registry.tags())
    }

    /// The number of requests since the beginning of the scenario.
    pub fn requests(&self) -> [u64; 2] {
        [self.before[0] + self.github.server.requests(), self.before[1] + self.registry.server.requests()]
    }

    /// The requests since the checkpoint.
    pub fn recorded_requests(&self) -> [Vec<RecordedRequest>; 2] {
        [self.github.injector.recorded_requests(), self.registry.injector.recorded_requests()]
    }

    /// Everything that a user can see, independent of the registry's port.
    pub fn state(&self) -> Value {
        let mut github = self.github.with(|github| github.clone());
        github.replace_text(&self.registry_host(), "REGISTRY");
        // The notes name the registry to verify only if it is not ghcr.io, which it is under the real names.
        github.replace_text(" --registry REGISTRY", "");
        github.replace_in_pages(&self.pages_url(), "PAGES");
        json!({
            "github": github.snapshot(),
            "registry": self.registry.with(|registry| registry.snapshot()),
        })
    }

    /// Every problem so far, one sentence each.
    pub fn problems(&self) -> Result<Vec<String>> {
        let mut problems = self.problems.clone();
        // One lock at a time: two at once could deadlock.
        let watched = locked(&self.github.service).problems.clone();
        let github = self.github.with(|github| github.violations().to_vec());
        let registry = self.registry.with(|registry| registry.violations().to_vec());
        problems.extend(watched.into_iter().chain(github).map(|problem| format!("github: {problem}")));
        problems.extend(registry.into_iter().map(|problem| format!("registry: {problem}")));
        problems.extend(checkout::leaks(&self.checkout, &self.config.secrets)?);
        Ok(problems)
    }
}
