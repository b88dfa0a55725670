//! Go's own download page: the official archives, each checked against its published SHA-256 before it is
//! unpacked.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::BufReader;

use anyhow::{Context, Error, Result};
use camino::Utf8Path;
use flate2::read::GzDecoder;
use oci::digest::Sha256;
use serde::Deserialize;

use crate::go::version::GoVersion;
use crate::http::{Endpoint, Expected, Http, OtherContent, Url, receive};
use crate::os::host::{goarch, goos};
use crate::os::terminal::print_status;

/// Go's own download page.
pub const PAGE: &str = "https://go.dev/dl";

/// The list of all downloads has about 2 MB.
const LARGEST_LIST_BYTES: u64 = 32 << 20;
/// Ten times the size of the largest archive so far.
const LARGEST_ARCHIVE_BYTES: u64 = 1 << 30;

/// One release on the download page. Source: <https://pkg.go.dev/golang.org/x/website/internal/dl>.
#[derive(Deserialize)]
struct Release {
    version: String,
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    filename: String,
    os: String,
    arch: String,
    kind: String,
    sha256: String,
    size: u64,
}

/// An archive for this machine that the page lists.
#[derive(Clone, Debug)]
pub struct Archive {
    pub version: GoVersion,
    pub url: Url,
    pub sha256: Sha256,
    size_bytes: u64,
}

/// Why an archive is not used.
pub enum ArchiveError {
    /// Another source may be tried.
    Unavailable(Error),
    /// No other source may be tried.
    Tampered(Error),
}

impl From<Error> for ArchiveError {
    fn from(error: Error) -> Self {
        Self::Unavailable(error)
    }
}

/// The archives for this machine that the page lists.
///
/// # Errors
/// If the page does not answer, or what it answers is no such list.
pub fn archives(page: &Endpoint) -> Result<Vec<Archive>> {
    let url = page.join("?mode=json&include=all");
    let list = Http::default().get(&url, LARGEST_LIST_BYTES)?;
    let releases: Vec<Release> =
        serde_json::from_slice(&list).with_context(|| format!("{url} is not Go's list of downloads"))?;
    Ok(releases.iter().filter_map(|release| archive(release, page)).collect())
}

/// The archive of a release for this machine, if it has one of a plausible name and size.
fn archive(release: &Release, page: &Endpoint) -> Option<Archive> {
    let version: GoVersion = release.version.parse().ok()?;
    let fits = |file: &&Listed| file.kind == "archive" && file.os == goos() && file.arch == goarch();
    let file = release.files.iter().find(fits)?;
    let name = format!("go{version}.{}-{}.tar.gz", goos(), goarch());
    let is_plausible = file.filename == name && file.size <= LARGEST_ARCHIVE_BYTES;
    let sha256 = file.sha256.parse().ok()?;
    is_plausible.then(|| Archive { version, url: page.join(&name), sha256, size_bytes: file.size })
}

impl Archive {
    /// Downloads the archive and unpacks it into the empty directory `into`.
    ///
    /// # Errors
    /// `Tampered` if it is not what was published; `Unavailable` if it cannot be downloaded or unpacked.
    pub fn fetch(&self, into: &Utf8Path) -> Result<(), ArchiveError> {
        let file = into.join("archive.tar.gz");
        self.download(&file)?;
        print_status("go", format_args!("unpacking Go {}", self.version));
        unpack(&file, into)?;
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {file}"))?;
        Ok(())
    }

    /// Streams the archive into `file`. Fails if it is not what was published.
    fn download(&self, file: &Utf8Path) -> Result<(), ArchiveError> {
        let Self { url, sha256, size_bytes, .. } = self;
        let body = Http::default().open(url)?;
        receive(body, Expected { size_bytes: *size_bytes, sha256 }, file, "go").map_err(|error| {
            if error.is::<OtherContent>() {
                ArchiveError::Tampered(
                    error.context(format!("{url} is not the archive that was published; it was deleted")),
                )
            } else {
                ArchiveError::Unavailable(error.context(format!("cannot download {url}")))
            }
        })
    }
}

fn unpack(archive: &Utf8Path, into: &Utf8Path) -> Result<()> {
    let file = File::open(archive).with_context(|| format!("cannot open {archive}"))?;
    let mut entries = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    entries.unpack(into).with_context(|| format!("cannot unpack {archive}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::wanted::WantedGo;
    use crate::os::mutated_input;

    fn list() -> String {
        let file = |version: &str, size_bytes: u64| {
            format!(
                r#"{{"filename":"go{version}.{os}-{arch}.tar.gz","os":"{os}","arch":"{arch}","kind":"archive","sha256":"{sha256}","size":{size_bytes}}}"#,
                os = goos(),
                arch = goarch(),
                sha256 = "07".repeat(32),
            )
        };
        let release = |version: &str, size_bytes| {
            format!(r#"{{"version":"go{version}","stable":true,"files":[{}]}}"#, file(version, size_bytes))
        };
        format!("[{},{},{}]", release("1.21.13", 100), release("1.21.14", u64::MAX), release("1.21.2", 100))
    }

    fn archives_in(list: &[u8]) -> Vec<Archive> {
        let page = PAGE.parse().expect("an address");
        let releases = serde_json::from_slice::<Vec<Release>>(list).unwrap_or_default();
        releases.iter().filter_map(|release| archive(release, &page)).collect()
    }

    #[test]
    fn the_newest_archive_of_a_plausible_size_is_used() {
        let wanted = WantedGo::at_least("1.21".parse().expect("a version"));
        let archive = wanted.best(archives_in(list().as_bytes()), |archive| archive.version).expect("is found");
        assert_eq!((archive.version.to_string().as_str(), archive.size_bytes), ("1.21.13", 100));
    }

    #[test]
    fn a_mutated_list_gives_no_archive_or_one_of_the_page() {
        let list = list();
        arbtest::arbtest(|source| {
            for archive in archives_in(&mutated_input::bytes(source, list.as_bytes())?) {
                assert!(archive.size_bytes <= LARGEST_ARCHIVE_BYTES);
                let name = archive.url.to_string().replace("https://go.dev/dl/", "");
                assert!(!name.contains(['/', '\\']), "{name}");
            }
            Ok(())
        });
    }
}
