//! Debian's archive: downloads packages, each checked by a chain of digests from the signed release to the
//! list of packages to the package. Needs no apt, no root, and no Debian.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::{self, File};
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;
use oci::digest::copy;

use crate::http::{Endpoint, Expected, Http, OtherContent, receive};
use crate::os::host;
use crate::os::process::{Run, run};
use crate::os::terminal::print_status;
use crate::smoke::machine::debian::index::{Described, archive_in, described_in, files_of, package_in};

mod index;

pub use index::Package;

/// The image's release, so that the machine has matching files.
const SUITE: &str = "trixie";
/// `InRelease` has 140 kB, a list of packages 60 MB.
const LARGEST_RELEASE_BYTES: u64 = 4 << 20;
const LARGEST_LIST_BYTES: u64 = 512 << 20;
/// The kernel has 112 MB.
const LARGEST_PACKAGE_BYTES: u64 = 1 << 30;
/// Unpacking the kernel takes seven seconds on a desktop.
const UNPACK_LIMIT: Duration = Duration::from_secs(15 * 60);
/// The keys that sign the archive, on Debian, Ubuntu and Fedora.
const KEYRINGS: [&str; 3] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/distribution-gpg-keys/debian/debian-archive-keyring.gpg",
];

/// The archive that apt uses on this host, over TLS whatever apt uses.
pub fn archive_of_apt() -> Result<Endpoint> {
    let folder = Utf8Path::new("/etc/apt/sources.list.d").read_dir_utf8().into_iter().flatten().flatten();
    let files = folder.map(|entry| entry.path().to_owned()).chain(["/etc/apt/sources.list".into()]);
    let texts: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    texts.iter().find_map(|text| archive_in(text)).context(
        "apt has no source in Debian's archive on this host; name a mirror with --debian-archive URL or \
         XTASK_DEBIAN_ARCHIVE (list: https://www.debian.org/mirror/list)",
    )
}

/// One release of the archive.
pub struct Archive {
    http: Http,
    endpoint: Endpoint,
    release: String,
    /// Whether the signature of the release was checked, for messages.
    pub trust: String,
}

impl Archive {
    /// Downloads the release, and checks its signature if gpgv and Debian's keys are installed.
    /// `scratch` is an empty directory.
    pub fn open(endpoint: &Endpoint, scratch: &Utf8Path) -> Result<Self> {
        let http = Http::default();
        let release = endpoint.join(&format!("dists/{SUITE}/InRelease"));
        let signed = http.get(&release, LARGEST_RELEASE_BYTES).with_context(|| {
            format!("Debian's archive at {endpoint} cannot be read; name another mirror with --debian-archive URL")
        })?;
        let signed_file = scratch.join("InRelease");
        fs::write(&signed_file, &signed).with_context(|| format!("cannot write {signed_file}"))?;
        let (release, trust) = match signature_check() {
            Ok(gpgv) => (signed_part(gpgv, &signed_file)?, "signature checked by gpgv".to_owned()),
            Err(missing) => (String::from_utf8(signed)?, format!("signature not checked, {missing}; trusted by TLS")),
        };
        Ok(Self { http, endpoint: endpoint.clone(), release, trust })
    }

    /// The list of packages for an architecture.
    pub fn list(&self, architecture: &str, scratch: &Utf8Path) -> Result<String> {
        let folder = format!("main/binary-{architecture}");
        let described = described_in(&self.release, &format!("{folder}/Packages.gz")).map_err(Error::msg)?;
        let by_hash = format!("dists/{SUITE}/{folder}/by-hash/SHA256/{}", described.sha256);
        let file = scratch.join(format!("Packages-{architecture}.gz"));
        self.download(&Described { path: by_hash, ..described }, &file)?;
        let mut list = String::new();
        let content = File::open(&file).with_context(|| format!("cannot open {file}"))?;
        GzDecoder::new(content)
            .take(LARGEST_LIST_BYTES)
            .read_to_string(&mut list)
            .context("Debian's list of packages cannot be unpacked")?;
        Ok(list)
    }

    /// Downloads a package, and unpacks its files into a tar archive in `scratch`.
    pub fn package(&self, package: &Package, scratch: &Utf8Path) -> Result<Utf8PathBuf> {
        let deb = scratch.join(format!("{}.deb", package.file.sha256));
        self.download(&package.file, &deb)?;
        let (tar, compressed) = (deb.with_extension("tar"), deb.with_extension("tar.xz"));
        let unpack = || -> Result<()> {
            let mut content = files_of(File::open(&deb)?).map_err(Error::msg)?;
            copy(&mut content, &mut File::create(&compressed)?)?;
            run!("xz -d {compressed}").limit(UNPACK_LIMIT).read()?;
            Ok(fs::remove_file(&deb)?)
        };
        unpack().with_context(|| format!("cannot unpack Debian's package {}", package.name))?;
        Ok(tar)
    }

    fn download(&self, described: &Described, into: &Utf8Path) -> Result<()> {
        let Described { path, size_bytes, sha256 } = described;
        ensure!(
            *size_bytes <= LARGEST_PACKAGE_BYTES,
            "{path} has {size_bytes} bytes by its index, more than the limit of {LARGEST_PACKAGE_BYTES}"
        );
        let body = self.http.open(&self.endpoint.join(path))?;
        let expected = Expected { size_bytes: *size_bytes, sha256 };
        receive(body, expected, into, "debian").map_err(|error| {
            let is_other = error.is::<OtherContent>();
            error.context(if is_other {
                format!(
                    "{path} of Debian's archive does not match its index and is not used; try again, or another \
                     mirror with --debian-archive URL"
                )
            } else {
                format!("cannot download {path}")
            })
        })
    }
}

/// The package of that name; prints its version.
pub fn find(list: &str, name: &str) -> Result<Package> {
    let package = package_in(list, name).map_err(|error| Error::msg(format!("Debian {SUITE}: {error}")))?;
    print_status("debian", format_args!("{} {}", package.name, package.version));
    Ok(package)
}

/// gpgv with Debian's keys, or what is missing for it.
fn signature_check() -> Result<Run, &'static str> {
    let gpgv = host::on_path("gpgv").ok_or("gpgv is not installed")?;
    let keyring = KEYRINGS.iter().find(|path| Utf8Path::new(path).is_file());
    let keyring = keyring.ok_or("debian-archive-keyring is not installed")?;
    Ok(run!("{gpgv} --keyring {keyring}"))
}

/// The text that the signature covers, without anything around it.
fn signed_part(gpgv: Run, signed: &Utf8Path) -> Result<String> {
    let text = signed.with_extension("text");
    let check = gpgv.args(["--status-fd", "1", "--output", text.as_str(), signed.as_str()]);
    let output = check.output()?;
    let status = String::from_utf8_lossy(&output.stdout);
    let has = |word: &str| status.lines().any(|line| line.starts_with(&format!("[GNUPG:] {word} ")));
    // A release is signed by each key in use; an older keyring has only some of them.
    if !has("VALIDSIG") || has("BADSIG") {
        bail!(
            "the release of Debian's archive is not signed by Debian, by the keys on this host; update \
             debian-archive-keyring, or name another mirror with --debian-archive URL\n{}",
            output.stderr.trim_end()
        );
    }
    fs::read_to_string(&text).with_context(|| format!("cannot read {text}"))
}
