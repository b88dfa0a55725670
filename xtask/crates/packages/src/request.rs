//! What `cargo xtask package` asks the program `packager` for, as JSON in a file.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::version::{Format, PackageVersion};

/// All that the packages are made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub version: PackageVersion,
    /// Upstream's version, as the commands print it.
    pub upstream_version: String,
    /// The commit of upstream.
    pub commit: String,
    /// The repository on GitHub that publishes the packages, `OWNER/NAME`.
    pub repository: String,
    /// The time of every file, in seconds since 1970.
    pub source_date_epoch: u32,
    /// The directory that holds `buildkitd` and `buildctl`.
    pub dist: Utf8PathBuf,
    /// `packaging/` of this repository.
    pub packaging: Utf8PathBuf,
    /// The files of upstream at the commit, with their `vendor/`.
    pub sources: Utf8PathBuf,
    /// The Go modules that are linked into the commands.
    pub modules: Vec<Module>,
    /// What each command and each of its subcommands prints for `--help`.
    pub help: Vec<Help>,
    pub formats: Vec<Format>,
    /// The directory that the packages are written to.
    pub out: Utf8PathBuf,
}

/// What an overlay of Gentoo's is made of; for the fields see [`Request`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OverlayRequest {
    pub version: PackageVersion,
    pub upstream_version: String,
    pub commit: String,
    pub repository: String,
    pub source_date_epoch: u32,
    pub dist: Utf8PathBuf,
    pub packaging: Utf8PathBuf,
    /// Upstream's source archive. Without it, the overlay has the binary package alone.
    pub source_archive: Option<Utf8PathBuf>,
    /// The directory that the overlay is written to.
    pub out: Utf8PathBuf,
}

/// A Go module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Module {
    pub path: String,
    pub version: String,
}

/// The help of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Help {
    /// `["buildctl", "debug", "logs"]`.
    pub command: Vec<String>,
    /// In the form of the Go package `urfave/cli`.
    pub text: String,
}
