//! The model of a package that both formats are written from.
#![allow(clippy::disallowed_methods, reason = "reads files")]

use std::fs;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::version::PackageVersion;

/// A package, complete: a writer adds nothing but the format.
#[derive(Clone, Debug)]
pub struct Package {
    pub version: PackageVersion,
    /// One line, without an article or a full stop.
    pub summary: String,
    /// Paragraphs, wrapped, with an empty line between them.
    pub description: String,
    pub homepage: String,
    /// `Name <address>`.
    pub maintainer: String,
    /// In SPDX's form.
    pub license: String,
    pub section: String,
    pub relations: Relations,
    pub scripts: Scripts,
    /// Sorted by path, none twice. Directories are not listed: a writer adds those that no other package owns.
    pub files: Vec<File>,
    /// What changed, in one sentence: the only entry of the changelog.
    pub change: String,
    /// The time of everything, in seconds since 1970.
    pub source_date_epoch: u32,
}

/// Other packages, by the names that the distribution gives them.
#[derive(Clone, Debug, Default)]
pub struct Relations {
    pub depends: Vec<String>,
    pub recommends: Vec<String>,
    pub suggests: Vec<String>,
}

/// Shell scripts that the package manager runs. Each is idempotent. Source: Debian Policy, "Maintainer scripts";
/// Fedora Packaging Guidelines, "Scriptlets".
#[derive(Clone, Debug, Default)]
pub struct Scripts {
    pub after_install: String,
    pub before_remove: String,
    pub after_remove: String,
}

/// A regular file.
#[derive(Clone, Debug)]
pub struct File {
    /// Absolute: `/usr/bin/buildkitd`.
    pub path: Utf8PathBuf,
    pub content: Content,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Content {
    /// A file that is read when the package is written.
    Of(Utf8PathBuf),
    Text(Vec<u8>),
}

impl Content {
    /// All of its bytes.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::Of(path) => fs::read(path).with_context(|| format!("cannot read {path}")),
            Self::Text(text) => Ok(text.clone()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mode 0755.
    Program,
    /// Mode 0644.
    Data,
    /// Mode 0644; a user's changes outlive an upgrade.
    Config,
    /// Mode 0644; may be left out of an installation.
    Doc,
    /// Mode 0644; never left out.
    License,
}
