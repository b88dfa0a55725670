//! Writes a RPM.

use std::io::Write;

use anyhow::Result;

use crate::contents::Package;

/// Writes the package.
///
/// # Errors
/// If a file cannot be read, or `out` not be written to.
pub fn write(package: &Package, out: impl Write) -> Result<()> {
    let _ = (package, out);
    anyhow::bail!("not written yet")
}
