//! Outputs and summaries of a GitHub Actions step. Elsewhere nothing is written.
//! Source: "Workflow commands for GitHub Actions", environment files.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files and reads the environment"
)]

use std::fs::File;
use std::io::Write;

use anyhow::{Context, Result};

/// Sets an output of the step. Line breaks become spaces.
pub fn output(name: &str, value: &str) -> Result<()> {
    append("GITHUB_OUTPUT", &format!("{name}={}\n", value.replace(['\n', '\r'], " ")))
}

/// Adds Markdown to the page of the run.
pub fn summary(markdown: &str) -> Result<()> {
    append("GITHUB_STEP_SUMMARY", markdown)
}

fn append(variable: &str, text: &str) -> Result<()> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else { return Ok(()) };
    let file = File::options().append(true).create(true).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {} ({variable})", path.display()))
}
