//! An APT and a DNF repository as static files. The indexes are a function of the packages alone: the same packages
//! give the same bytes on every machine and on every day.
//!
//! `apt/` has the pool and one suite per channel, `rpm/<channel>/` is one repository of DNF per channel.
#![allow(clippy::disallowed_methods, reason = "writes the indexes")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::{Compression, GzBuilder};
use oci::digest::Sha256;

use crate::index::{Channel, Index, PackageFile, SHA256SUMS};
use crate::repository::package::Package;

mod apt;
mod control;
mod dnf;
mod file_name;
mod package;
pub(crate) mod rpm_header;

/// Files by their paths in the repository.
type Files = BTreeMap<Utf8PathBuf, Vec<u8>>;

/// Reads `packages`, and writes the indexes of a repository that has them all into the directory `folder`.
///
/// # Errors
/// If a file is not a package, or if two have the same place and other bytes.
pub fn index(packages: &[Utf8PathBuf], folder: &Utf8Path) -> Result<Index> {
    let mut by_path = BTreeMap::new();
    for file in packages {
        let package = Package::read(file)?;
        match by_path.get(&package.file.path) {
            None => _ = by_path.insert(package.file.path.clone(), package),
            Some(first) => require_same(&first.file, &package.file)?,
        }
    }
    let packages: Vec<Package> = by_path.into_values().collect();
    let files = indexes(&packages)?;
    for (path, content) in &files {
        let path = folder.join(path);
        let parent = path.parent().with_context(|| format!("{path} is in no directory"))?;
        fs::create_dir_all(parent).with_context(|| format!("cannot create {parent}"))?;
        fs::write(&path, content).with_context(|| format!("cannot write {path}"))?;
    }
    let packages = packages.into_iter().map(|package| package.file).collect();
    Ok(Index { packages, indexes: files.into_keys().collect() })
}

/// Two files with the same place are the same package.
fn require_same(first: &PackageFile, second: &PackageFile) -> Result<()> {
    if first.sha256 == second.sha256 {
        return Ok(());
    }
    bail!(
        "{} and {} are both {}, and differ (SHA-256 {} and {}); a published package never changes: give the new one a \
         higher revision",
        first.file,
        second.file,
        first.path,
        first.sha256,
        second.sha256
    )
}

/// Every file of the repository but its packages.
fn indexes(packages: &[Package]) -> Result<Files> {
    let mut files = Files::new();
    for channel in Channel::ALL {
        let of_channel: Vec<&Package> = packages.iter().filter(|package| package.file.channel == channel).collect();
        // Machines ask for the stable channel even before there is a package in it.
        if !of_channel.is_empty() || channel == Channel::Stable {
            files.extend(apt::suite(channel, &of_channel)?);
            files.extend(dnf::repodata(channel, &of_channel)?);
        }
    }
    let line = |package: &Package| format!("{}  {}\n", package.file.sha256, package.file.path);
    files.insert(SHA256SUMS.into(), packages.iter().map(line).collect::<String>().into());
    Ok(files)
}

/// The newest of the packages' dates, in seconds after 1970. It never goes back, as packages are only added: both
/// APT and DNF refuse indexes that are older than those that they have.
fn date(packages: &[&Package]) -> u64 {
    packages.iter().map(|package| package.built_epoch).max().unwrap_or_default()
}

/// The same bytes on every host.
fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    gzip.write_all(content)?;
    Ok(gzip.finish()?)
}

/// The digest of a file of the repository.
fn sha256(content: &[u8]) -> Sha256 {
    oci::digest::sha256(content)
}
