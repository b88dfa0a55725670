//! What is published, as anyone can read it: shared by `release`, which reads back what it wrote, and by `verify`. All
//! of it may be hostile, and is bounded.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use anyhow::{Context, Error, Result, anyhow, ensure};
use camino::Utf8PathBuf;
use http::StatusCode;
use oci::digest::{HashingWriter, Sha256, copy};

use crate::dist::names::{METADATA, SHA256SUMS};
use crate::dist::{FileRecord, ReleaseName};
use crate::github::{Asset, GitHub, Release, Repository};
use crate::http::{Http, RateLimited, UnexpectedStatus, Url};
use crate::registry::RegistryError;

/// The type of an SBOM that is attached to an image. Source: the IANA registry of media types.
pub const SPDX: &str = "application/spdx+json";
/// The type of a provenance bundle. Source: Sigstore, "Sigstore Bundle Format"; GitHub's attest action pushes its
/// bundles as this.
pub const SIGSTORE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// `SHA256SUMS` has ten lines.
pub const LARGEST_SUMS_BYTES: u64 = 1 << 20;
/// A record with all its proofs has 20 kB.
pub const LARGEST_RECORD_BYTES: u64 = 4 << 20;
/// A download that breaks off is begun again so often, in all.
const DOWNLOAD_ATTEMPTS: u32 = 3;

/// The published release of that name; `None` if nobody can see one.
pub fn release(github: &GitHub, repository: &Repository, name: &ReleaseName) -> Result<Option<Release>> {
    let response = github.get(&format!("repos/{repository}/releases/tags/{name}"))?;
    match response.status {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => response.json().map(Some),
        status => Err(UnexpectedStatus { url: response.url, status }.into()),
    }
}

/// Whether a published release of BuildKit has no record of this project. One of ours has both files, of which somebody
/// may have removed one.
pub fn is_foreign(release: &Release) -> bool {
    let is_ours = release.assets.iter().any(|asset| [METADATA, SHA256SUMS].contains(&asset.name.as_str()));
    !release.draft && !is_ours && release.tag_name.parse::<ReleaseName>().is_ok()
}

/// Downloads a small asset from its public URL.
pub fn small_asset(asset: &Asset, limit_bytes: u64) -> Result<Vec<u8>> {
    Http::default().get(&url_of(asset)?, limit_bytes)
}

/// A file at a path of the pages, where repositories of packages are; `None` if there is none.
pub fn page(url: &Url, path: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>> {
    match Http::default().get(&url.join(path), limit_bytes) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_status(&error, &[StatusCode::NOT_FOUND]) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same, as text.
pub fn text_page(url: &Url, path: &str, limit_bytes: u64) -> Result<Option<String>> {
    let bytes = page(url, path, limit_bytes)?;
    bytes.map(|bytes| String::from_utf8(bytes).with_context(|| format!("{url}/{path} is not text"))).transpose()
}

/// The packages in the `SHA256SUMS` of a repository of packages, by their paths in it.
pub fn package_sums(text: &str) -> Result<BTreeMap<Utf8PathBuf, Sha256>> {
    let parse = |line: &str| {
        let (digest, path) = line.split_once("  ").with_context(|| format!("{line:?} has no two spaces"))?;
        Ok((path.into(), digest.parse().map_err(Error::msg)?))
    };
    text.lines().map(parse).collect()
}

/// The public URL of an asset.
pub fn url_of(asset: &Asset) -> Result<Url> {
    asset.browser_download_url.parse().map_err(Error::msg)
}

/// Reads a stream of `size_bytes` in constant memory into `to`, which is made anew for each attempt, and opens it again
/// if it breaks off. Returns what arrived.
///
/// # Errors
/// If it is longer than `size_bytes`, or cannot be read.
pub fn download<W: Write>(
    name: &str,
    size_bytes: u64,
    open: impl Fn() -> Result<Box<dyn Read>>,
    to: impl Fn() -> Result<W>,
) -> Result<FileRecord> {
    let mut last = None;
    for _ in 0..DOWNLOAD_ATTEMPTS {
        let mut out = HashingWriter::new(to()?);
        match copy(&mut open()?.take(size_bytes + 1), &mut out) {
            Ok(arrived_bytes) => {
                ensure!(arrived_bytes <= size_bytes, "{name} is longer than {size_bytes} bytes");
                let (mut inner, sha256): (W, Sha256) = out.finish();
                inner.flush().with_context(|| format!("cannot write {name}"))?;
                return Ok(FileRecord { name: name.to_owned(), size_bytes: arrived_bytes, sha256 });
            }
            Err(error) => last = Some(error),
        }
    }
    Err(anyhow!(last.expect("there was an attempt")).context(format!("the download of {name} broke off")))
}

/// Whether a later read may succeed although nothing is published meanwhile.
pub fn is_temporary(error: &Error) -> bool {
    error.is::<RateLimited>()
        || is_status(error, &[StatusCode::NOT_FOUND, StatusCode::TOO_MANY_REQUESTS])
        || error.downcast_ref::<RegistryError>().is_some_and(RegistryError::is_limited)
}

/// Whether a download was answered with one of these.
pub fn is_status(error: &Error, statuses: &[StatusCode]) -> bool {
    error.downcast_ref::<UnexpectedStatus>().is_some_and(|error| statuses.contains(&error.status))
}

/// Whether a registry refused because of missing credentials.
pub fn is_private(error: &Error) -> bool {
    error.downcast_ref::<RegistryError>().is_some_and(RegistryError::is_private)
}

/// Whether an error is about the way to what is published, and says nothing about what is there.
pub fn is_unreachable(error: &Error) -> bool {
    let is_gone = |status: StatusCode| [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&status);
    let is_of_service = |error: &RegistryError| error.is_limited() || error.status.is_server_error();
    error.is::<RateLimited>()
        || error.downcast_ref::<UnexpectedStatus>().is_some_and(|error| !is_gone(error.status))
        || error.downcast_ref::<RegistryError>().is_some_and(is_of_service)
        || error.chain().any(|cause| cause.is::<ureq::Error>() || cause.is::<io::Error>())
}

#[cfg(test)]
mod tests {
    use oci::digest::sha256;

    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn what_is_in_the_way_is_told_from_what_is_there() {
        let status = |code: u16| {
            let url = "https://x/".parse().expect("a URL");
            Error::new(UnexpectedStatus { url, status: StatusCode::from_u16(code).expect("a status") })
        };
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        for unreachable in [
            status(503).context("cannot read it"),
            status(403),
            Error::new(RateLimited { host: "x".to_owned(), minutes: 60 }),
            Error::new(reset()).context("the download broke off"),
            Error::new(ureq::Error::HostNotFound),
        ] {
            assert!(is_unreachable(&unreachable), "{unreachable:#}");
        }
        for there in [status(404), status(410), anyhow!("it has another digest")] {
            assert!(!is_unreachable(&there), "{there:#}");
        }
    }

    #[test]
    fn a_list_of_packages_is_read_as_sha256sum_reads_it() {
        let digest = sha256(b"x");
        let read = package_sums(&format!("{digest}  apt/a b.deb\n")).expect("is read");
        assert_eq!(read, BTreeMap::from([("apt/a b.deb".into(), digest)]));
        for text in ["x", "x  y", "0a  y\n"] {
            package_sums(text).expect_err(text);
        }
    }

    #[test]
    fn a_mutated_list_is_refused_or_writes_itself_again() {
        let sample = format!("{}  apt/a.deb\n{}  rpm/stable/b.rpm\n", sha256(b"a"), sha256(b"b"));
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, &sample)?;
            if let Ok(found) = package_sums(&text) {
                for (path, digest) in &found {
                    assert!(text.contains(&format!("{digest}  {path}")), "{path}");
                }
            }
            Ok(())
        });
    }

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    #[test]
    fn a_download_is_bounded_whatever_arrives_and_begun_again_if_it_breaks_off() {
        let endless = || Ok(Box::new(io::repeat(7)) as Box<dyn Read>);
        let error = download("a", 1000, endless, || Ok(io::sink())).expect_err("is too long");
        assert_eq!(error.to_string(), "a is longer than 1000 bytes");

        let attempts = std::cell::Cell::new(0);
        let open = |breaks: u32| {
            attempts.set(attempts.get() + 1);
            let rest: Box<dyn Read> = if attempts.get() <= breaks { Box::new(Broken) } else { Box::new(&b"cd"[..]) };
            Ok(Box::new((&b"ab"[..]).chain(rest)) as Box<dyn Read>)
        };
        let found = download("a", 4, || open(2), || Ok(Vec::new())).expect("arrives");
        assert_eq!((found.size_bytes, found.sha256), (4, sha256(b"abcd")));
        attempts.set(0);
        let error = download("a", 4, || open(9), || Ok(Vec::new())).expect_err("breaks off");
        assert!(is_unreachable(&error) && attempts.get() == 3, "{error:#}");
    }
}
