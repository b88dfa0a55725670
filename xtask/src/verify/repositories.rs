//! The repositories of APT and DNF at the pages of the repository: whether their indexes lead to the packages of a release
//! as they were recorded. Signatures are left to APT and DNF, which have the key from before.

use std::collections::BTreeMap;
use std::io::{self, Read};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use flate2::read::GzDecoder;
use http::StatusCode;
use oci::digest::{Sha256, sha256};
use packages::index::{Channel, SHA256SUMS};
use packages::version::{ARCHITECTURE, Format, NAME};

use crate::dist::{FileRecord, Metadata, names};
use crate::http::{Http, Url};
use crate::published::{self, is_status, is_unreachable};
use crate::verify::findings::Findings;

/// Ours have some kilobytes for each version.
const LARGEST_INDEX_BYTES: u64 = 16 << 20;
/// The check.
const REPOSITORIES: &str = "repositories";

/// The indexes, as a client reads them.
pub struct Repositories {
    url: Url,
    /// Of each package, by its path.
    sums: BTreeMap<String, Sha256>,
    /// APT's and DNF's index of each channel that there is.
    apt: BTreeMap<&'static str, String>,
    dnf: BTreeMap<&'static str, String>,
}

impl Repositories {
    /// Reads those at `url`. None if there are none.
    ///
    /// # Errors
    /// If an index is not what leads to it says, or cannot be read.
    pub fn read(url: &Url) -> Result<Option<Self>> {
        let Some(sums) = text(url, SHA256SUMS)? else { return Ok(None) };
        let parse = |line: &str| {
            let (digest, path) = line.split_once("  ").with_context(|| format!("{line:?} has no two spaces"))?;
            Ok((path.to_owned(), digest.parse().map_err(Error::msg)?))
        };
        let sums: Result<_> = sums.lines().map(parse).collect();
        let sums = sums.with_context(|| format!("{url}/{SHA256SUMS} is not a list of packages"))?;
        let mut found = Self { url: url.clone(), sums, apt: BTreeMap::new(), dnf: BTreeMap::new() };
        for channel in Channel::ALL.map(name_of) {
            found.apt.extend(apt_index(url, channel)?.map(|index| (channel, index)));
            found.dnf.extend(dnf_index(url, channel)?.map(|index| (channel, index)));
        }
        Ok(Some(found))
    }

    /// Compares the packages of a record; `has_downloads` downloads them too. None if none of them is there.
    fn check(&self, record: &Metadata, has_downloads: bool) -> Result<Option<String>> {
        let version = names::package_version(&record.source).map_err(Error::msg)?;
        let channel = name_of(Channel::of(&version.with_revision()));
        let mut missing = Vec::new();
        for package in &record.packages {
            let is_deb = package.name == version.file_name(Format::Deb);
            let (name, index, end) = if is_deb {
                (format!("{NAME}_{}_{ARCHITECTURE}.deb", version.with_revision()), self.apt.get(channel), "\n\n")
            } else {
                (format!("{NAME}-{}.{ARCHITECTURE}.rpm", version.with_revision()), self.dnf.get(channel), "</package>")
            };
            let Some((path, sha256)) = self.sums.iter().find(|(path, _)| path.ends_with(&format!("/{name}"))) else {
                missing.push(name);
                continue;
            };
            ensure!(*sha256 == package.sha256, "{SHA256SUMS} has another digest of {path}");
            let entry = index.and_then(|index| index.split(end).find(|entry| entry.contains(&name)));
            let entry = entry.with_context(|| format!("the index of {channel} does not have {name}"))?;
            ensure!(
                entry.contains(&package.sha256.to_string()),
                "the index of {channel} has another digest of {name} than its record"
            );
            if has_downloads {
                self.download(path, package)?;
            }
        }
        match missing.as_slice() {
            [] => {
                let how = if has_downloads { "as they arrive and in every index" } else { "in every index" };
                Ok(Some(format!("{} of {channel}: the digests of the record, {how}", self.url)))
            }
            missing if missing.len() == record.packages.len() => Ok(None),
            missing => bail!("{}/{SHA256SUMS} does not have {}", self.url, missing.join(", ")),
        }
    }

    fn download(&self, path: &str, package: &FileRecord) -> Result<()> {
        let url = self.url.join(path);
        let open = || Ok(Box::new(Http::default().open(&url)?) as Box<dyn Read>);
        let found = published::download(&package.name, package.size_bytes, open, || Ok(io::sink()))?;
        ensure!(found == *package, "{url} arrives with another digest, {}", found.sha256);
        Ok(())
    }
}

/// Adds the check of a release's packages.
pub fn check(findings: &mut Findings, found: &Result<Option<Repositories>>, record: &Metadata, has_downloads: bool) {
    if record.packages.is_empty() {
        return findings.not_run(&[REPOSITORIES], "the release has no packages");
    }
    match found {
        Err(error) if is_unreachable(error) => findings.undetermined(REPOSITORIES, error),
        Err(error) => findings.add_evidence(REPOSITORIES, Err(anyhow!("{error:#}"))),
        Ok(None) => findings.not_run(&[REPOSITORIES], "the pages have no repositories of APT and DNF"),
        Ok(Some(repositories)) => match repositories.check(record, has_downloads) {
            Ok(None) => findings.not_run(&[REPOSITORIES], &format!("{} does not have its packages", repositories.url)),
            Ok(Some(evidence)) => findings.add_evidence(REPOSITORIES, Ok(evidence)),
            Err(error) => findings.add_evidence(REPOSITORIES, Err(error)),
        },
    }
}

fn name_of(channel: Channel) -> &'static str {
    match channel {
        Channel::Stable => "stable",
        Channel::Prerelease => "prerelease",
        Channel::Master => "master",
    }
}

/// The text at a path; `None` if there is none.
fn text(url: &Url, path: &str) -> Result<Option<String>> {
    let bytes = bytes(url, path)?;
    bytes.map(|bytes| String::from_utf8(bytes).with_context(|| format!("{url}/{path} is not text"))).transpose()
}

fn bytes(url: &Url, path: &str) -> Result<Option<Vec<u8>>> {
    match Http::default().get(&url.join(path), LARGEST_INDEX_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_status(&error, &[StatusCode::NOT_FOUND]) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file whose digest something else names.
fn bytes_of(url: &Url, path: &str, digest: &str) -> Result<Vec<u8>> {
    let bytes = bytes(url, path)?.with_context(|| format!("{url}/{path} is not there"))?;
    ensure!(sha256(&bytes).to_string() == digest, "{url}/{path} is not what leads to it says");
    Ok(bytes)
}

/// APT's list of packages, through what is signed or, if nothing is, through `Release`.
fn apt_index(url: &Url, channel: &str) -> Result<Option<String>> {
    let folder = format!("apt/dists/{channel}");
    let signed = text(url, &format!("{folder}/InRelease"))?;
    let release = signed.map_or_else(|| text(url, &format!("{folder}/Release")), |text| Ok(Some(text)))?;
    let Some(release) = release else { return Ok(None) };
    let component = format!("main/binary-{ARCHITECTURE}");
    let name = format!("{component}/Packages");
    let line = release.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let digest =
        line.filter(|line| line.last() == Some(&name.as_str())).find(|line| line.len() == 3).map(|line| line[0]);
    let digest = digest.with_context(|| format!("{url}/{folder} has no digest of {name}"))?;
    digest.parse::<Sha256>().map_err(Error::msg).with_context(|| format!("{url}/{folder} has {digest:?}"))?;
    let list = bytes_of(url, &format!("{folder}/{component}/by-hash/SHA256/{digest}"), digest)?;
    String::from_utf8(list).map(Some).with_context(|| format!("{url}/{folder}/{name} is not text"))
}

/// DNF's list of packages.
fn dnf_index(url: &Url, channel: &str) -> Result<Option<String>> {
    let folder = format!("rpm/{channel}");
    let Some(repomd) = text(url, &format!("{folder}/repodata/repomd.xml"))? else { return Ok(None) };
    let between = |from: &str, to: &str| {
        let primary = repomd.split("<data type=\"primary\">").nth(1)?;
        Some(primary.split_once(from)?.1.split_once(to)?.0.to_owned())
    };
    let digest = between("<checksum type=\"sha256\">", "<").with_context(|| format!("{url}/{folder} has no index"))?;
    let path = between("<location href=\"repodata/", "\"").with_context(|| format!("{url}/{folder} has no index"))?;
    let packed = bytes_of(url, &format!("{folder}/repodata/{path}"), &digest)?;
    let mut list = String::new();
    let mut unpacked = GzDecoder::new(&*packed).take(LARGEST_INDEX_BYTES + 1);
    unpacked
        .read_to_string(&mut list)
        .with_context(|| format!("{url}/{folder}/repodata/{path} is not gzip of text"))?;
    ensure!(list.len() as u64 <= LARGEST_INDEX_BYTES, "{url}/{folder}/repodata/{path} is too large");
    Ok(Some(list))
}
