//! The header of an RPM package, as the indexes of DNF need it.
#![allow(clippy::disallowed_types, reason = "reads packages")]

use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, anyhow, ensure};
use camino::Utf8Path;
use rpm::PackageMetadata;

use crate::repository::file_name::part_of_name;

/// Of lead, signatures and header; ours have some ten kilobytes.
const MOST_HEADER_BYTES: u64 = 16 << 20;

/// A header.
pub struct RpmHeader(pub PackageMetadata);

impl RpmHeader {
    /// Reads that of the package `file`, and not its payload.
    ///
    /// # Errors
    /// If it is not an RPM, or if its header is not what its own digest says.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        let input = File::open(file).with_context(|| format!("cannot open {file}"))?;
        // The crate rpm panics at offsets that lead out of a damaged header.
        let parse = || PackageMetadata::parse(&mut BufReader::new(input.take(MOST_HEADER_BYTES)));
        let header = catch_unwind(AssertUnwindSafe(parse)).map_err(|_| anyhow!("its header is damaged"))??;
        header.verify_digests()?;
        Ok(Self(header))
    }

    /// Its version, without epoch and release.
    pub fn version(&self) -> Result<&str> {
        Ok(self.0.get_version()?)
    }

    /// When it was built, in seconds after 1970.
    pub fn built_epoch(&self) -> Result<u64> {
        Ok(self.0.get_build_time()?)
    }

    /// Its place in the repository of its channel.
    pub fn path(&self) -> Result<String> {
        let architecture = self.0.get_arch()?;
        ensure!(architecture == "riscv64", "it is for {architecture}, not for riscv64");
        let [name, version, release] =
            [self.0.get_name()?, self.0.get_version()?, self.0.get_release()?].map(part_of_name);
        Ok(format!("packages/{}-{}-{}.{architecture}.rpm", name?, version?, release?))
    }
}
