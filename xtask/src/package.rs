//! `cargo xtask package`: makes a Debian package, an RPM and a Gentoo overlay of a build, and records the packages in its
//! `metadata.json`. With `--repository` it makes repositories of packages: see [`repository`].
//!
//! What is in them is decided, and the formats are written, by the program `packager` of the crate `packages`: see
//! [`packager`]. This task brings together what it works on.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, ValueEnum};
use oci::digest::file_digest;
use packages::request::{Module, Packages};
use packages::version::Format;
use serde_json::{Value, json};

use crate::cli::Target;
use crate::dist::{Dist, FileRecord, names, sbom};
use crate::os::files::{self, MODE_FILE, Staging};
use crate::os::streams::{print_json, print_stdout};
use crate::os::terminal::{print_status, size};
use crate::package::again::Difference;
use crate::package::repository::RepositoryOptions;
use crate::upstream::{Source, Upstream};

mod again;
mod help;
mod overlay;
mod packager;
mod repository;

/// Make a Debian package, an RPM and Gentoo ebuilds of dist/<version>/, or a repository of packages
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask package                        of the only build in dist/
  cargo xtask package --dist dist/v0.32.2    of this build
  cargo xtask package --format deb --json    the Debian package alone, as JSON
  cargo xtask package --repo OWNER/NAME      that this repository publishes
  cargo xtask package --again                once more: is every byte the same?
  cargo xtask package --format ebuild --source v0.32.2.tar.gz
                                             an overlay, dist/<version>/gentoo/
  cargo xtask package --repository pages     the plan: what is added to the APT
                                             and DNF repository in pages/
  cargo xtask package --repository pages --execute
                                             write it, signed with the key of
                                             XTASK_SIGNING_KEY
  cargo xtask package --repository pages --from assets --execute --unsigned
  cargo xtask package --repository pages --from-releases
                                             of every published release's
                                             packages

Needs qemu-user, unless this machine is riscv64: the man pages and the shell completion are made from what the \
commands print for --help. The same build gives the same bytes on every machine. `cargo xtask release` \
publishes the packages with the build. Compiling the program that writes them takes a minute the first time, \
and writing them one or two.

A repository only grows: a published package neither changes nor goes, and to recover from an interrupted run, \
run it again. XTASK_SIGNING_KEY is an OpenPGP secret key in ASCII armor, without a passphrase; gpg signs with \
it.

Standard output is the path of each package, the commands of a plan or, with --json, an object with `unchanged` \
(whether these very packages were recorded already), `packages` (name, size_bytes and sha256 of each), \
`differences` (with --again: name and why) and `overlay` (the path of Gentoo's, or null); of a repository, its \
`packages`, the `steps` and who signed it.

Exit status: 0 made, 1 failed or (with --again) differs, 2 bad arguments.")]
pub struct Package {
    /// Directory created by `cargo xtask build` [default: the only one in dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    dist: Option<Utf8PathBuf>,
    /// Which packages to make
    #[arg(long, value_enum, default_value_t = Choice::All)]
    format: Choice,
    /// Make the packages that the build records once more, and compare them; keeps them in target/again-packages if one differs
    #[arg(long, conflicts_with = "format")]
    again: bool,
    #[command(flatten)]
    github: Target,
    /// Upstream's source archive of the release, for the ebuild that compiles it
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    source: Option<Utf8PathBuf>,
    #[command(flatten)]
    static_repository: RepositoryOptions,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    Deb,
    Rpm,
    Ebuild,
    All,
}

impl Choice {
    fn formats(self) -> Vec<Format> {
        match self {
            Self::Deb => vec![Format::Deb],
            Self::Rpm => vec![Format::Rpm],
            Self::Ebuild => Vec::new(),
            Self::All => Format::ALL.to_vec(),
        }
    }

    /// Whether there is an overlay too. Ebuilds are made of releases only.
    fn has_overlay(self, source: &Source) -> bool {
        matches!(self, Self::Ebuild) || matches!(self, Self::All) && source.version.release_tag().is_some()
    }
}

/// Runs the task in the checkout at `root`.
pub fn run(root: &Utf8Path, arguments: &Package) -> Result<ExitCode> {
    if let Some(folder) = arguments.static_repository.folder() {
        return repository::run(root, folder, &arguments.static_repository, &arguments.github, arguments.json);
    }
    let dist = Dist::open(root, arguments.dist.as_deref())?;
    dist.verify()?;
    let folder = dist.folder.canonicalize_utf8().with_context(|| format!("{} is gone", dist.folder))?;
    let repository = arguments.github.repository().find_or_project(root).to_string();
    if arguments.again {
        let (made, differences) = again::run(root, &dist, &folder, &repository)?;
        let is_same = differences.is_empty();
        report(&folder, &made, &Outcome { is_unchanged: is_same, differences, overlay: None }, arguments);
        return Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let write_overlay = || overlay::write(root, &dist, &folder, &repository, arguments.source.as_deref());
    let overlay = arguments.format.has_overlay(&dist.record.source).then(write_overlay).transpose()?;
    let formats = arguments.format.formats();
    let mut made = Vec::new();
    if !formats.is_empty() {
        let staging = Staging::new(&folder.join("packages"))?;
        made = make(root, &dist, &folder, formats, &repository, staging.path())?;
        keep(&folder, staging.path(), dist.record.source.source_date_epoch, &made)?;
    }
    let is_unchanged = made.iter().all(|file| dist.record.packages.contains(file));
    report(&folder, &made, &Outcome { is_unchanged, differences: Vec::new(), overlay }, arguments);
    Ok(ExitCode::SUCCESS)
}

/// Makes the packages in the directory `out`.
fn make(
    root: &Utf8Path,
    dist: &Dist,
    folder: &Utf8Path,
    formats: Vec<Format>,
    repository: &str,
    out: &Utf8Path,
) -> Result<Vec<FileRecord>> {
    let source = &dist.record.source;
    let (sources, lock) = Upstream::of(root)?.files(&source.commit)?;
    print_status("help", "asking the commands for it, for man pages and completion");
    let wanted = Packages { sources, modules: modules(folder, source)?, help: help::collect(folder)?, formats };
    let request = packager::request(root, dist, folder, repository, out, wanted)?;
    packager::write_packages(root, &request, &lock)?;
    request.wanted.formats.iter().map(|format| record(out, request.version.file_name(*format))).collect()
}

/// The Go modules that the SBOM of the commands lists.
fn modules(folder: &Utf8Path, source: &Source) -> Result<Vec<Module>> {
    let path = folder.join(names::sbom(&source.version));
    let text = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let document: Value = serde_json::from_slice(&text).with_context(|| format!("{path} is not JSON"))?;
    Ok(sbom::binaries::modules(&document).map(|(path, version)| Module { path, version }).collect())
}

fn record(folder: &Utf8Path, name: String) -> Result<FileRecord> {
    let (size_bytes, sha256) = file_digest(&folder.join(&name))?;
    Ok(FileRecord { name, size_bytes, sha256 })
}

/// Moves the packages into the build, in place of those of an earlier run, and records them there. If a run is killed
/// between the two, the next one records what it makes.
fn keep(folder: &Utf8Path, from: &Utf8Path, modified_epoch: i64, made: &[FileRecord]) -> Result<()> {
    for FileRecord { name, .. } in made {
        let (from, to) = (from.join(name), folder.join(name));
        files::set_mode_and_time(&from, MODE_FILE, files::instant(modified_epoch))?;
        fs::rename(&from, &to).with_context(|| format!("cannot create {to}"))?;
    }
    Dist::update(folder, |record| {
        record.packages.retain(|known| made.iter().all(|file| file.name != known.name));
        record.packages.extend(made.iter().cloned());
        record.packages.sort_by(|one, other| one.name.cmp(&other.name));
    })
}

/// What is reported beside the packages.
struct Outcome {
    /// Whether they were recorded already.
    is_unchanged: bool,
    differences: Vec<Difference>,
    overlay: Option<Utf8PathBuf>,
}

fn report(folder: &Utf8Path, made: &[FileRecord], outcome: &Outcome, arguments: &Package) {
    let Outcome { is_unchanged, differences, overlay } = outcome;
    for FileRecord { name, size_bytes, sha256 } in made {
        let is_same = *is_unchanged || arguments.again && differences.iter().all(|one| one.name != *name);
        let state = match (is_same, arguments.again) {
            (true, _) => "is as it was recorded",
            (false, true) => "differs from what is recorded; made again, it is in target/again-packages",
            (false, false) => "is ready",
        };
        print_status("package", format_args!("{name} {state} ({}, sha256:{sha256})", size(*size_bytes)));
        if !arguments.json {
            print_stdout(folder.join(name));
        }
    }
    if arguments.json {
        let report =
            json!({ "unchanged": is_unchanged, "packages": made, "differences": differences, "overlay": overlay });
        print_json(&report);
    } else if let Some(overlay) = overlay {
        print_stdout(overlay);
    }
}
