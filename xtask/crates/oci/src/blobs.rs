//! The blobs of an image by name, in a folder or in a tar archive that is read in place.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;

use crate::digest::{Digest, sha256_of};
use crate::documents::{Compression, Descriptor};
use crate::layer::members::{Kind, Member as TarMember, read_file};
use crate::limits::{ARCHIVE_MEMBERS, DOCUMENT_BYTES};

/// Where the blobs are.
#[derive(Debug)]
pub enum Store {
    /// An image layout, unpacked.
    Folder(Utf8PathBuf),
    /// A tar archive, with its members by name.
    Archive { path: Utf8PathBuf, members: BTreeMap<String, Member> },
}

/// A member of an archive that holds an image.
#[derive(Clone, Debug)]
pub enum Member {
    /// A file: where its content begins in the archive, and its length, in bytes.
    Span { offset: u64, size_bytes: u64 },
    /// A further name of another member.
    Link(String),
}

impl Store {
    /// Opens a folder, or lists an archive.
    ///
    /// Fails if it is neither.
    pub fn open(path: &Utf8Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let mut file = File::open(path)?;
        let mut head = [0; 4];
        if file.read_exact(&mut head).is_ok() && Compression::of_magic(&head) != Ok(Compression::None) {
            bail!("it is compressed; unpack it first (gunzip, unzstd)");
        }
        file.rewind()?;
        let mut members = BTreeMap::new();
        let each = |member: TarMember, _: &mut dyn Read| {
            match member.kind {
                Kind::File => {
                    let (offset, size_bytes) = (member.offset_bytes, member.size_bytes);
                    members.insert(member.path, Member::Span { offset, size_bytes });
                }
                // `docker save` stores a layer that occurs twice as a link: `../<id>/layer.tar`.
                Kind::Symlink(target) => {
                    let target = target.trim_start_matches("../").to_owned();
                    members.insert(member.path, Member::Link(target));
                }
                _ => {}
            }
            Ok(())
        };
        read_file(file, ARCHIVE_MEMBERS, each)
            .map_err(|error| anyhow!(error))
            .context("it is neither a directory nor a tar archive of an image")?;
        Ok(Self::Archive { path: path.to_owned(), members })
    }

    /// Where a blob is in its file: offset and length in bytes.
    pub fn find(&self, name: &str) -> Option<(u64, u64)> {
        match self {
            Self::Folder(folder) => {
                let file = folder.join(name).metadata().ok()?;
                file.is_file().then_some((0, file.len()))
            }
            Self::Archive { members, .. } => match members.get(name)? {
                Member::Span { offset, size_bytes } => Some((*offset, *size_bytes)),
                Member::Link(target) => match members.get(target)? {
                    Member::Span { offset, size_bytes } => Some((*offset, *size_bytes)),
                    Member::Link(_) => None,
                },
            },
        }
    }

    /// A blob as a stream, with its length in bytes.
    pub fn reader(&self, name: &str) -> Result<(Box<dyn Read>, u64)> {
        // Names come from the image, and the store may be a folder: nothing outside it is opened.
        ensure!(!name.contains(char::is_control), "{name:?} is not the name of a blob");
        ensure!(!name.split('/').any(|part| part == "..") && !name.starts_with('/'), "{name} leads out of the image");
        let (offset, size_bytes) = self.find(name).with_context(|| format!("{name} is missing"))?;
        let path = match self {
            Self::Folder(folder) => folder.join(name),
            Self::Archive { path, .. } => path.clone(),
        };
        let mut file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        file.seek(SeekFrom::Start(offset)).with_context(|| format!("cannot read {path}"))?;
        Ok((Box::new(BufReader::with_capacity(256 << 10, file).take(size_bytes)), size_bytes))
    }

    /// A whole document, compared with its descriptor.
    pub fn bytes(&self, name: &str, described: Option<&Descriptor>) -> Result<Vec<u8>> {
        let (content, size_bytes) = self.reader(name)?;
        ensure!(size_bytes <= DOCUMENT_BYTES, "{name} has {size_bytes} bytes; the limit is {DOCUMENT_BYTES}");
        if let Some(descriptor) = described {
            self.check(name, descriptor)?;
        }
        let mut bytes = Vec::new();
        content.take(size_bytes).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
        Ok(bytes)
    }

    /// The same, parsed.
    pub fn document<T: DeserializeOwned>(&self, name: &str, described: Option<&Descriptor>) -> Result<T> {
        let bytes = self.bytes(name, described)?;
        serde_json::from_slice(&bytes).with_context(|| format!("{name} is malformed"))
    }

    /// Compares a blob with its descriptor.
    pub fn check(&self, name: &str, described: &Descriptor) -> Result<()> {
        let (mut content, size_bytes) = self.reader(name)?;
        ensure!(size_bytes == described.size, "{name} has {size_bytes} bytes, and {} were announced", described.size);
        let found = Digest::from(sha256_of(&mut content).with_context(|| format!("cannot read {name}"))?);
        ensure!(found == described.digest, "{name} is damaged: its digest is {found}");
        Ok(())
    }
}
