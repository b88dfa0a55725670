//! What `cargo xtask package` asks the program `packager` for, as JSON in a file.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::version::{Format, PackageVersion};

/// What is asked for, and the build that it is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request<Wanted = Packages> {
    pub version: PackageVersion,
    /// Upstream's version, as the commands print it.
    pub upstream_version: String,
    /// The commit of upstream.
    pub commit: String,
    /// The repository on GitHub that publishes the packages, `OWNER/NAME`.
    pub repository: String,
    /// The time of every file, in seconds since 1970.
    pub source_date_epoch: u32,
    /// The directory that holds `buildkitd`, `buildctl` and their archive.
    pub dist: Utf8PathBuf,
    /// `packaging/` of this repository.
    pub packaging: Utf8PathBuf,
    /// The directory that is written to.
    pub out: Utf8PathBuf,
    #[serde(flatten)]
    pub wanted: Wanted,
}

/// Packages of Debian and RPM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packages {
    /// The files of upstream at the commit, with their `vendor/`.
    pub sources: Utf8PathBuf,
    /// The Go modules that are linked into the commands.
    pub modules: Vec<Module>,
    /// What each command and each of its subcommands prints for `--help`.
    pub help: Vec<Help>,
    pub formats: Vec<Format>,
}

/// An overlay of Gentoo.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overlay {
    /// Upstream's source archive. Without it, the overlay has the binary package alone.
    pub source_archive: Option<Utf8PathBuf>,
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
