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
use serde::Serialize;

pub use channel::Channel;
pub use package::Package;

mod apt;
mod channel;
mod deb;
mod dnf;
mod package;
mod rpm_header;

/// What `sha256sum --check` reads: every package, and nothing else.
pub const SHA256SUMS: &str = "SHA256SUMS";

/// Files by their paths in the repository.
type Files = BTreeMap<Utf8PathBuf, Vec<u8>>;

/// A repository's packages and the files that describe them.
#[derive(Serialize)]
pub struct Repository {
    /// Sorted by path.
    pub packages: Vec<Package>,
    /// The paths of the indexes, relative to the repository.
    pub indexes: Vec<Utf8PathBuf>,
}

/// Reads `packages`, and writes the indexes of a repository that has them all into the directory `folder`.
///
/// # Errors
/// If a file is not a package, or if two have the same place and other bytes.
pub fn index(packages: &[Utf8PathBuf], folder: &Utf8Path) -> Result<Repository> {
    let mut by_path = BTreeMap::new();
    for file in packages {
        let package = Package::read(file)?;
        let Some(known) = by_path.get(&package.path) else {
            by_path.insert(package.path.clone(), package);
            continue;
        };
        let Package { file: first, path, sha256, .. } = known;
        if *sha256 != package.sha256 {
            bail!(
                "{first} and {file} are both {path}, and differ (SHA-256 {sha256} and {}); a published package never \
                 changes: give the new one a higher revision",
                package.sha256
            );
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
    Ok(Repository { packages, indexes: files.into_keys().collect() })
}

/// Every file of the repository but its packages.
fn indexes(packages: &[Package]) -> Result<Files> {
    let mut files = Files::new();
    for channel in Channel::ALL {
        let of_channel: Vec<&Package> = packages.iter().filter(|package| package.channel == channel).collect();
        // Machines ask for the stable channel even before there is a package in it.
        if !of_channel.is_empty() || channel == Channel::Stable {
            files.extend(apt::suite(channel, &of_channel)?);
            files.extend(dnf::repodata(channel, &of_channel)?);
        }
    }
    let line = |package: &Package| format!("{}  {}\n", package.sha256, package.path);
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
