//! A package as a repository needs it: its place, its digest and its header.

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use oci::digest::file_digest;

use crate::index::{Channel, PackageFile};
use crate::repository::control::Control;
use crate::repository::rpm_header::RpmHeader;

/// A `.deb` or `.rpm` file that was read.
pub struct Package {
    pub file: PackageFile,
    /// The date of its source, in seconds after 1970.
    pub built_epoch: u64,
    pub header: Header,
}

/// What a package says of itself.
pub enum Header {
    Deb(Control),
    Rpm(RpmHeader),
}

impl Package {
    /// Reads a package.
    ///
    /// # Errors
    /// If the file is not a package for riscv64.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        let (size_bytes, sha256) = file_digest(file)?;
        let header = match file.extension() {
            Some("deb") => Control::read(file).map(Header::Deb),
            Some("rpm") => RpmHeader::read(file).map(Header::Rpm),
            _ => bail!("{file} is neither a .deb nor an .rpm"),
        };
        let header = header.with_context(|| format!("{file} is not a package that a repository can have"))?;
        let (built_epoch, version) = match &header {
            Header::Deb(control) => (control.built_epoch, control.version()?),
            Header::Rpm(header) => (header.built_epoch()?, header.version()?),
        };
        let channel = Channel::of(version);
        let path = match &header {
            Header::Deb(control) => control.path()?,
            Header::Rpm(header) => format!("rpm/{channel}/{}", header.path()?),
        };
        let file = PackageFile { file: file.to_owned(), path: path.into(), size_bytes, sha256, channel };
        Ok(Self { file, built_epoch, header })
    }
}
