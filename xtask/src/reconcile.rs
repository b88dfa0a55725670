//! One change to GitHub or to a registry, as it is planned, printed and executed. Nothing is changed
//! there in any other way, except that `rehearse --canary` removes what it made.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use crate::github::{self, GitHub, GitHubStep, Repository};
use crate::registry::{Registry, RegistryStep};

/// One change. Its `Display` is shell code that makes the same change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Step {
    GitHub(GitHubStep),
    Registry(RegistryStep),
}

impl From<GitHubStep> for Step {
    fn from(step: GitHubStep) -> Self {
        Self::GitHub(step)
    }
}

impl From<RegistryStep> for Step {
    fn from(step: RegistryStep) -> Self {
        Self::Registry(step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GitHub(step) => step.fmt(out),
            Self::Registry(step) => step.fmt(out),
        }
    }
}

/// Executes steps on GitHub and in one registry.
pub struct Executor<'a> {
    github: github::Executor<'a>,
    registry: &'a Registry,
}

impl<'a> Executor<'a> {
    pub fn new(github: &'a GitHub, repository: &'a Repository, registry: &'a Registry) -> Self {
        Self { github: github::Executor::new(github, repository), registry }
    }

    /// Executes one step. If it fails, earlier steps keep their effect and running the task again
    /// continues from there.
    pub fn execute(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::GitHub(step) => self.github.execute(step),
            Step::Registry(step) => step.execute(self.registry),
        }
    }
}
