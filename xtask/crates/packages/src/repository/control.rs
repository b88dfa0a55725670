//! The control file of a Debian package: deb(5), deb-control(5).
#![allow(clippy::disallowed_types, reason = "reads packages")]

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use flate2::read::GzDecoder;
use liblzma::read::XzDecoder;

use crate::repository::file_name::part_of_name;

/// Of `control.tar`, packed and unpacked; those of large packages have a few hundred kilobytes.
const MOST_CONTROL_BYTES: u64 = 4 << 20;

/// A control file.
#[derive(Debug)]
pub struct Control {
    /// One paragraph, without an empty line, with its last line end.
    pub text: String,
    /// The date of the archive's first member, in seconds after 1970.
    pub built_epoch: u64,
}

impl Control {
    /// Reads that of the package `file`.
    ///
    /// # Errors
    /// If it is not in the format of deb(5), version 2.0, packed by gzip or xz.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        let mut archive = ar::Archive::new(File::open(file).with_context(|| format!("cannot open {file}"))?);
        let (name, built_epoch, content) = member(&mut archive)?;
        ensure!(name == "debian-binary" && content.starts_with(b"2."), "its first member is {name:?}");
        let (name, _, content) = member(&mut archive)?;
        let text = match name.as_str() {
            "control.tar.gz" => control_file(GzDecoder::new(&*content))?,
            "control.tar.xz" => control_file(XzDecoder::new(&*content))?,
            _ => bail!("its second member is {name:?}, not control.tar.xz or control.tar.gz"),
        };
        Ok(Self { text, built_epoch })
    }

    /// The value of a field of one line.
    pub fn field(&self, name: &str) -> Result<&str> {
        let value = self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim).with_context(|| format!("its control file has no field {name}"))
    }

    /// Its version, without epoch.
    pub fn version(&self) -> Result<&str> {
        let version = self.field("Version")?;
        Ok(version.split_once(':').map_or(version, |(_, version)| version))
    }

    /// Its place in the repository, as dpkg-name(1) and Debian's archive have it.
    pub fn path(&self) -> Result<String> {
        let name = part_of_name(self.field("Package")?)?;
        let (version, architecture) = (part_of_name(self.version()?)?, self.field("Architecture")?);
        ensure!(architecture == "riscv64", "it is for {architecture}, not for riscv64");
        Ok(format!("apt/pool/main/{}/{name}/{name}_{version}_{architecture}.deb", &name[..1]))
    }
}

/// The next member of an archive: its name, its date and its content.
fn member(archive: &mut ar::Archive<File>) -> Result<(String, u64, Vec<u8>)> {
    let mut entry = archive.next_entry().context("it ends early")??;
    let header = entry.header();
    let (name, date, size) = (String::from_utf8_lossy(header.identifier()).into_owned(), header.mtime(), header.size());
    ensure!(size <= MOST_CONTROL_BYTES, "its member {name} has {size} bytes");
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    ensure!(content.len() as u64 == size, "it ends early");
    Ok((name, date, content))
}

/// The file `control` in a `control.tar`.
fn control_file(unpacked: impl Read) -> Result<String> {
    let mut archive = tar::Archive::new(unpacked.take(MOST_CONTROL_BYTES));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path_bytes().strip_prefix(b"./").unwrap_or(&entry.path_bytes()) != b"control" {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        let text = text.trim_end().to_owned() + "\n";
        ensure!(!text.lines().any(|line| line.trim().is_empty()), "its control file has several paragraphs");
        return Ok(text);
    }
    bail!("there is no control file in it")
}
