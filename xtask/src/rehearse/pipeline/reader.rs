//! A program by others reads the fake GitHub, and compares what it reads with the fake's state.
#![allow(clippy::disallowed_methods, reason = "writes a file")]

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::github::API_VERSION;
use crate::os::process::run;
use crate::rehearse::pipeline::Pipeline;

const LIMIT: Duration = Duration::from_secs(2 * 60);

impl Pipeline<'_> {
    /// Runs the reader, if there is one. That it does not succeed is a problem; it says why itself.
    pub fn run_reader(&mut self) -> Result<()> {
        let Some(reader) = &self.config.reader else { return Ok(()) };
        let state = self.folder.join("state.json");
        let snapshot = self.github.with(|github| github.snapshot());
        fs::write(&state, snapshot.to_string()).with_context(|| format!("cannot write {state}"))?;
        let run = run!("{reader}")
            .env("GITHUB_API_URL", self.github.server.url())
            .env("GITHUB_REPOSITORY", &self.config.repository)
            .env("GITHUB_TOKEN", &self.config.secrets.release)
            .env("GITHUB_API_VERSION", API_VERSION)
            .env("REHEARSED_STATE", state.as_str());
        let output = run.limit(LIMIT).echoed()?;
        if !output.status.success() {
            self.problems.push(format!("{reader} reads something else than the fake has ({})", output.status));
        }
        Ok(())
    }
}
