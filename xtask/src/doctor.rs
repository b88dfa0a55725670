//! doctor
use anyhow::Result;
use camino::Utf8Path;
use std::process::ExitCode;
/// doctor
#[derive(clap::Args)]
pub struct Doctor {}
/// x
pub fn run(_: &Utf8Path, _: &Doctor) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
