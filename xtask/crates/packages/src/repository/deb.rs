//! The control file of a Debian package: deb(5), deb-control(5).
#![allow(clippy::disallowed_types, reason = "reads packages")]

use std::fs::File;
use std::io::{BufReader, Read};

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use flate2::read::GzDecoder;

use crate::repository::package::part_of_name;

/// Of the member `control.tar.gz`; those of large packages have a few hundred kilobytes.
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
    /// If it is not in the format of deb(5), version 2.0, with a `control.tar.gz`.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        let mut input = BufReader::new(File::open(file).with_context(|| format!("cannot open {file}"))?);
        let mut magic = [0; 8];
        input.read_exact(&mut magic)?;
        ensure!(&magic == b"!<arch>\n", "it is not an archive of `ar`");
        let (name, built_epoch, content) = member(&mut input)?;
        ensure!(name == "debian-binary" && content.starts_with(b"2."), "its first member is {name:?}");
        let (name, _, content) = member(&mut input)?;
        ensure!(name == "control.tar.gz", "its second member is {name:?}, and only control.tar.gz can be read");
        Ok(Self { text: control_file(&content)?, built_epoch })
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
fn member(input: &mut impl Read) -> Result<(String, u64, Vec<u8>)> {
    let mut header = [0; 60];
    input.read_exact(&mut header).context("it ends early")?;
    let text = |from: usize, to: usize| std::str::from_utf8(&header[from..to]).map(str::trim_ascii_end);
    let name = text(0, 16)?.trim_end_matches('/').to_owned();
    let (date, size) = (text(16, 28)?.parse()?, text(48, 58)?.parse::<u64>()?);
    ensure!(header.ends_with(b"`\n"), "a member has no header");
    ensure!(size <= MOST_CONTROL_BYTES, "its member {name} has {size} bytes");
    let mut content = Vec::new();
    input.take(size).read_to_end(&mut content)?;
    ensure!(content.len() as u64 == size, "it ends early");
    if size % 2 == 1 {
        input.read_exact(&mut [0])?;
    }
    Ok((name, date, content))
}

/// The file `control` in a `control.tar.gz`.
fn control_file(packed: &[u8]) -> Result<String> {
    let mut archive = tar::Archive::new(GzDecoder::new(packed).take(MOST_CONTROL_BYTES));
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
