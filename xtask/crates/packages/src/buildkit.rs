//! The packages of `BuildKit`: which files, texts and relations each format has.

use anyhow::Result;

use crate::contents::Package;
use crate::request::Request;
use crate::version::Format;

/// The package in that format.
///
/// # Errors
/// If a file that it needs is missing.
pub fn package(request: &Request, format: Format) -> Result<Package> {
    let _ = (request, format);
    anyhow::bail!("not written yet")
}
