//! The files of a release: complete, whole, and the same in GitHub's list, in `SHA256SUMS`, in the record and on the
//! release's page.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "writes files")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};

use anyhow::{Context, Error, Result, bail, ensure};
use camino::Utf8Path;
use oci::digest::{Sha256, sha256};

use crate::dist::names::{self, METADATA, SHA256SUMS};
use crate::dist::{FileRecord, Metadata, ReleaseName, sha256sums};
use crate::github::{Asset, AssetState, GitHub, Release, Repository};
use crate::http::Http;
use crate::os::terminal::size;
use crate::published::{self, LARGEST_SUMS_BYTES};
use crate::verify::findings::Findings;

/// Source: GitHub Docs, "About releases": "Each file included in a release must be under 2 GiB."
const LARGEST_ASSET_BYTES: u64 = 2 << 30;
/// A release has about ten files.
const MOST_FILES: usize = 100;
/// How many of the files that differ are named.
const MOST_NAMES: usize = 3;

/// What the checks of the files are about.
pub struct Place<'a> {
    /// Reads without credentials.
    pub anyone: &'a GitHub,
    /// Reads the same with a token, if there is one, where anyone's requests are used up.
    pub github: &'a GitHub,
    pub repository: &'a Repository,
    pub name: &'a ReleaseName,
    /// Where the files are kept; `None` if they are only compared by the digests that GitHub has.
    pub folder: Option<&'a Utf8Path>,
}

/// A release and its record.
pub struct Published {
    pub release: Release,
    pub record: Metadata,
}

/// The check that every file is what the record says.
pub const AS_RECORDED: &str = "metadata";
const OF_FILES: [&str; 5] = ["files", "github-digests", "sha256sums", AS_RECORDED, "page"];

impl Place<'_> {
    /// Checks all of it; `listed` is the release, if it was listed already. Returns the record, unless there is none to
    /// believe.
    pub fn check(&self, findings: &mut Findings, listed: Option<Release>) -> Option<Published> {
        let release = listed.map_or_else(|| self.release(), Ok).map(|release| {
            let fixed = if release.immutable { "immutable" } else { "not immutable: its owner could change it" };
            let evidence = format!("{}, {} files, {fixed}", release.html_url, release.assets.len());
            (release, evidence)
        });
        let Some(release) = findings.add("release", release) else {
            findings.not_run(&["record"], "there is no release to read it from");
            findings.not_run(&OF_FILES, "there is no release to compare");
            return None;
        };
        let Some((record, of_record)) = findings.add("record", self.record(&release)) else {
            findings.not_run(&OF_FILES, "there is no record to compare with");
            return None;
        };
        let expected = expected(&record);
        let Some(assets) = findings.add("files", complete(&release, &expected)) else {
            findings.not_run(&OF_FILES[1..], "the files are not complete");
            return None;
        };
        let found = match self.folder {
            Some(folder) => findings.add("github-digests", downloaded(&assets, folder)),
            None => findings.add("github-digests", as_listed(&assets)),
        };
        let Some(found) = found else {
            findings.not_run(&OF_FILES[2..], "the files could not be compared");
            return Some(Published { release, record });
        };
        findings.add_evidence("sha256sums", sums(&assets, &found));
        findings.add_evidence(AS_RECORDED, same_as_recorded(&record, &of_record, &found));
        findings.add_evidence("page", page(&release, &record, self.name));
        Some(Published { release, record })
    }

    fn release(&self) -> Result<Release> {
        let read = |github| published::release(github, self.repository, self.name);
        let found = read(self.anyone).or_else(|error| match self.github.has_token() {
            true => read(self.github),
            false => Err(error),
        })?;
        found
            .filter(|release| !release.draft)
            .with_context(|| format!("nobody can see a release {} of {}", self.name, self.repository))
    }

    /// The record, and its digest as a file.
    fn record(&self, release: &Release) -> Result<((Metadata, FileRecord), String)> {
        let asset = asset(release, METADATA)?;
        let text = published::small_asset(asset, published::LARGEST_RECORD_BYTES)?;
        let record = Metadata::parse(&text).with_context(|| format!("{METADATA} cannot be used"))?;
        let name = ReleaseName::of(&record.source).map_err(Error::msg)?;
        ensure!(name == *self.name, "{METADATA} is of {name}, not of {}", self.name);
        ensure!(record.image.is_some(), "{METADATA} names no image");
        let source = &record.source;
        let evidence = format!("{}, commit {}, built with Go {}", source.version, source.commit, record.go.version);
        let file = FileRecord { name: METADATA.to_owned(), size_bytes: text.len() as u64, sha256: sha256(&text) };
        Ok(((record, file), evidence))
    }
}

fn asset<'a>(release: &'a Release, name: &str) -> Result<&'a Asset> {
    release.assets.iter().find(|asset| asset.name == name).with_context(|| format!("{name} is not among its files"))
}

/// The names of all files that a release with this record has.
fn expected(record: &Metadata) -> BTreeSet<String> {
    let recorded = record.all_files().map(|file| file.name.clone());
    recorded.chain(names::published(&record.source.version)).collect()
}

/// The assets of these names. Nothing may be missing, and nothing may be there that the record does not have.
fn complete<'a>(release: &'a Release, expected: &BTreeSet<String>) -> Result<(Vec<&'a Asset>, String)> {
    ensure!(expected.len() <= MOST_FILES, "{METADATA} names {} files; {MOST_FILES} is the limit", expected.len());
    if let Some(name) = expected.iter().find(|name| !is_file_name(name)) {
        bail!("{METADATA} names {name:?}, which no file of a release is called");
    }
    let mut assets = Vec::new();
    for name in expected {
        let asset = asset(release, name)?;
        ensure!(asset.state == AssetState::Uploaded, "{name} is not uploaded: its state is {}", asset.state);
        ensure!(asset.size <= LARGEST_ASSET_BYTES, "{name} has {} bytes, which GitHub does not allow", asset.size);
        assets.push(asset);
    }
    if let Some(other) = release.assets.iter().find(|asset| !expected.contains(&asset.name)) {
        bail!("{:?} is a file of the release that its record does not have", other.name);
    }
    let total = size(assets.iter().map(|asset| asset.size).sum());
    let evidence = format!("{} files, {total}: all that the record has, and nothing else", assets.len());
    Ok((assets, evidence))
}

/// Whether a name stays inside the directory that it is joined to.
fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+~".contains(&byte);
    (1..=255).contains(&name.len()) && !name.starts_with(['.', '-']) && name.bytes().all(is_plain)
}

/// Downloads every file into `folder`, and compares it with what GitHub says of it.
fn downloaded(assets: &[&Asset], folder: &Utf8Path) -> Result<(Vec<FileRecord>, String)> {
    let mut files = Vec::new();
    for asset in assets {
        let path = folder.join(&asset.name);
        let create = || File::create(&path).with_context(|| format!("cannot create {path}"));
        files.push(download(asset, create)?);
    }
    let digests = assets.iter().filter(|asset| asset.digest.is_some()).count();
    let total = size(files.iter().map(|file| file.size_bytes).sum());
    Ok((files, format!("{total} downloaded without credentials: {digests} files have the digest that GitHub names")))
}

fn download<W: Write>(asset: &Asset, create: impl Fn() -> Result<W>) -> Result<FileRecord> {
    let url = published::url_of(asset)?;
    let open = || Ok(Box::new(Http::default().open(&url)?) as Box<dyn Read>);
    let file = published::download(&asset.name, asset.size, open, create)?;
    ensure!(
        asset.is_complete(file.size_bytes, &file.sha256),
        "{} arrives with {} bytes, sha256:{}, but GitHub names {} bytes, {}",
        asset.name,
        file.size_bytes,
        file.sha256,
        asset.size,
        asset.digest.as_deref().unwrap_or("no digest")
    );
    Ok(file)
}

/// The files as GitHub lists them. One without a digest, from before June 2025, is downloaded.
fn as_listed(assets: &[&Asset]) -> Result<(Vec<FileRecord>, String)> {
    let file = |asset: &&Asset| match digest_of(asset) {
        Some(sha256) => Ok(FileRecord { name: asset.name.clone(), size_bytes: asset.size, sha256 }),
        None => download(asset, || Ok(io::sink())),
    };
    let files = assets.iter().map(file).collect::<Result<_>>()?;
    Ok((files, "as GitHub computed them; `verify TAG` downloads the files".to_owned()))
}

fn digest_of(asset: &Asset) -> Option<Sha256> {
    asset.digest.as_deref()?.strip_prefix("sha256:")?.parse().ok()
}

/// `SHA256SUMS` has every other file, as it is.
fn sums(assets: &[&Asset], found: &[FileRecord]) -> Result<String> {
    let asset = assets.iter().find(|asset| asset.name == SHA256SUMS).expect("the files are complete");
    let text = String::from_utf8(published::small_asset(asset, LARGEST_SUMS_BYTES)?);
    let text = text.ok().with_context(|| format!("{SHA256SUMS} is not text"))?;
    let is_other = |file: &&FileRecord| file.name != SHA256SUMS;
    let lines: BTreeSet<&str> = text.lines().collect();
    let differing =
        names_of(found.iter().filter(is_other), |file| !lines.contains(sha256sums([file]).trim_end_matches('\n')));
    ensure!(differing.is_empty(), "{SHA256SUMS} has another digest, or none, of {differing}");
    ensure!(lines.len() + 1 == found.len(), "{SHA256SUMS} has {} lines for {} files", lines.len(), found.len() - 1);
    Ok(format!("the same {} digests", lines.len()))
}

/// Every file is as the record has it, and the record is what was read.
fn same_as_recorded(record: &Metadata, of_record: &FileRecord, found: &[FileRecord]) -> Result<String> {
    let recorded: Vec<&FileRecord> = record.all_files().chain([of_record]).collect();
    let differing = names_of(found.iter(), |file| file.name != SHA256SUMS && !recorded.contains(&file));
    ensure!(differing.is_empty(), "{METADATA} has another size or digest of {differing}");
    Ok(format!("the same sizes and digests of {} files", recorded.len() - 1))
}

/// The page of the release names what its record has: who changes one may forget the other. A mark decides what GitHub
/// shows as the newest.
fn page(release: &Release, record: &Metadata, name: &ReleaseName) -> Result<String> {
    match (release.prerelease, name.is_prerelease()) {
        (true, false) => bail!("it is marked as a prerelease, and {name} is none"),
        (false, true) => bail!("it is not marked as a prerelease, and {name} is one"),
        _ => {}
    }
    let body = release.body.as_deref().unwrap_or_default();
    let image = record.image.as_ref().map(|image| FileRecord {
        name: "the image".to_owned(),
        size_bytes: image.size_bytes,
        sha256: image.digest.sha256().clone(),
    });
    let differing = names_of(record.all_files().chain(&image), |file| !body.contains(&format!("`{}`", file.sha256)));
    ensure!(differing.is_empty(), "the page of the release has another digest, or none, of {differing}");
    Ok("the same digests, that of the image among them".to_owned())
}

/// The first names of the files that differ.
fn names_of<'a>(files: impl Iterator<Item = &'a FileRecord>, differs: impl Fn(&FileRecord) -> bool) -> String {
    let names: Vec<&str> = files.filter(|file| differs(file)).map(|file| file.name.as_str()).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dist::samples;
    use crate::os::mutated_input;

    /// A release with the files of the sample record, in the form of GitHub's API.
    fn published(change: impl FnOnce(&mut Value)) -> Release {
        let asset = |name: &String| {
            json!({
                "id": 1, "name": name, "state": "uploaded", "size": 7, "digest": null,
                "browser_download_url": "http://127.0.0.1:9/",
            })
        };
        let assets: Vec<Value> = expected(&samples::proved_record()).iter().map(asset).collect();
        let mut release = json!({
            "id": 1, "tag_name": "t", "target_commitish": "main", "name": null, "body": null, "draft": false,
            "prerelease": false, "html_url": "", "upload_url": "", "assets": assets,
        });
        change(&mut release);
        serde_json::from_value(release).expect("is a release")
    }

    #[test]
    fn what_is_claimed_is_refused_before_it_is_downloaded() {
        let record = samples::proved_record();
        let refusal = |record: &Metadata, change: &dyn Fn(&mut Value)| {
            let release = published(change);
            complete(&release, &expected(record)).map(|_| ()).map_err(|error| error.to_string())
        };
        refusal(&record, &|_| ()).expect("is complete");
        let huge = refusal(&record, &|release| release["assets"][0]["size"] = json!(10_u64 << 30));
        assert!(huge.as_ref().is_err_and(|why| why.contains("which GitHub does not allow")), "{huge:?}");
        let begun = refusal(&record, &|release| release["assets"][0]["state"] = json!("starter"));
        assert!(begun.as_ref().is_err_and(|why| why.contains("starter")), "{begun:?}");
        for name in ["../x", "/etc/passwd", ".provenance.json", "a/b", "-x", "", "a\nb"] {
            let mut hostile = record.clone();
            hostile.files[0].name = name.to_owned();
            let why = refusal(&hostile, &|_| ()).expect_err(name);
            assert!(why.contains("which no file of a release is called"), "{why}");
        }
        let mut long = record.clone();
        let file = long.files[0].clone();
        long.files.extend((0..100).map(|number| FileRecord { name: format!("file-{number}"), ..file.clone() }));
        refusal(&long, &|_| ()).expect_err("too many");
    }

    #[test]
    fn of_any_record_only_names_inside_the_directory_are_downloaded() {
        let text = serde_json::to_string(&samples::proved_record()).expect("is written");
        arbtest::arbtest(|source| {
            let Ok(record) = Metadata::parse(&mutated_input::bytes(source, text.as_bytes())?) else { return Ok(()) };
            let (names, release) = (expected(&record), published(|_| ()));
            if let Ok((assets, _)) = complete(&release, &names) {
                let folder = Utf8Path::new("/scratch");
                assert!(assets.len() <= MOST_FILES);
                for asset in assets {
                    assert_eq!(folder.join(&asset.name).parent(), Some(folder), "{:?}", asset.name);
                }
            }
            Ok(())
        });
    }
}
