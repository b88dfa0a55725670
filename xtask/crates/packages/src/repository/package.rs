//! One package of a repository: what it is, and its place.

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Sha256, file_digest};
use serde::Serialize;

use crate::repository::Channel;
use crate::repository::deb::Control;
use crate::repository::rpm_header::RpmHeader;

/// A `.deb` or `.rpm` file.
#[derive(Serialize)]
pub struct Package {
    /// Where it was read.
    pub file: Utf8PathBuf,
    /// Its place in the repository. It follows from what the package says of itself: GitHub renames an asset with `~`.
    pub path: Utf8PathBuf,
    pub size_bytes: u64,
    pub sha256: Sha256,
    pub channel: Channel,
    /// When it was built, in seconds after 1970: the date of its source.
    pub built_epoch: u64,
    #[serde(skip)]
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
        let header = header.with_context(|| format!("{file} is not a package"))?;
        let (built_epoch, version) = match &header {
            Header::Deb(control) => (control.built_epoch, control.version()?),
            Header::Rpm(header) => (header.built_epoch()?, header.version()?),
        };
        let channel = Channel::of(version);
        let path = match &header {
            Header::Deb(control) => control.path()?,
            Header::Rpm(header) => format!("rpm/{channel}/{}", header.path()?),
        };
        Ok(Self { file: file.to_owned(), path: path.into(), size_bytes, sha256, channel, built_epoch, header })
    }
}

/// The part of a file's name that a package gives. It can lead nowhere else, in a path or in a line of a list.
pub fn part_of_name(text: &str) -> Result<&str> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.~_".contains(&byte);
    let is_sane = text.len() <= 200 && !text.starts_with(['.', '-']) && !text.is_empty();
    ensure!(is_sane && text.bytes().all(is_allowed), "{text:?} cannot be part of a package's file name");
    Ok(text)
}
