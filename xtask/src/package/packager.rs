//! The program `packager` of the crate `packages`: what it is asked for, and how it is run. Cargo compiles it if it is new.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "writes and removes files, names a lock")]

use std::fs::{self, File};

use anyhow::{Context, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
use packages::index::Index;
use packages::request::{Overlay, Request};
use serde::Serialize;

use crate::dist::{Dist, names};
use crate::os::cargo::cargo;
use crate::os::process::{Run, run};
use crate::os::terminal::print_status;

/// A request for what is `wanted` of the build in the directory `folder`.
pub fn request<Wanted>(
    root: &Utf8Path,
    dist: &Dist,
    folder: &Utf8Path,
    repository: &str,
    out: &Utf8Path,
    wanted: Wanted,
) -> Result<Request<Wanted>> {
    let source = &dist.record.source;
    Ok(Request {
        version: names::package_version(source).map_err(Error::msg)?,
        upstream_version: source.version.to_string(),
        commit: source.commit.to_string(),
        repository: repository.to_owned(),
        source_date_epoch: u32::try_from(source.source_date_epoch).context("the date of the source")?,
        dist: folder.to_owned(),
        packaging: root.join("packaging"),
        out: out.to_owned(),
        wanted,
    })
}

/// Writes packages. It holds the lock of the sources too.
pub fn write_packages(root: &Utf8Path, request: &Request, lock: &File) -> Result<()> {
    print_status("compile", "the program that writes packages, if it is new");
    cargo(root).args(["build", "--quiet", "--locked", "--package", "packages"]).effect(lock)?;
    let names: Vec<String> = request.wanted.formats.iter().map(|format| request.version.file_name(*format)).collect();
    print_status("write", names.join(", "));
    with_file(request, |path| packager(root).args(["write", path.as_str()]).effect(lock))
}

/// Writes an overlay.
pub fn write_overlay(root: &Utf8Path, request: &Request<Overlay>) -> Result<()> {
    with_file(request, |path| packager(root).args(["overlay", path.as_str()]).read().map(drop))
}

/// Where a published package differs from the same one made again.
pub fn explain(root: &Utf8Path, published: &Utf8Path, again: &Utf8Path) -> Result<String> {
    packager(root).args(["explain", published.as_str(), again.as_str()]).read()
}

/// Writes the indexes of a repository with these packages into the directory `folder`, with another `program` if one is
/// given.
pub fn index(
    root: &Utf8Path,
    program: Option<&Utf8Path>,
    folder: &Utf8Path,
    packages: &[Utf8PathBuf],
) -> Result<Index> {
    let packager = program.map_or_else(|| packager(root), |program| run!("{program}"));
    let run = packager.args(["index", folder.as_str()]).args(packages.iter().map(|path| path.as_str()));
    serde_json::from_str(&run.read()?).context("packager printed something else than an index")
}

fn packager(root: &Utf8Path) -> Run {
    cargo(root).args(["run", "--quiet", "--locked", "--package", "packages", "--"])
}

/// Writes the request into a file of the directory that it names, for as long as `run` takes.
fn with_file<Wanted: Serialize>(request: &Request<Wanted>, run: impl FnOnce(&Utf8Path) -> Result<()>) -> Result<()> {
    let path = request.out.join("request.json");
    fs::write(&path, serde_json::to_vec(request)?).with_context(|| format!("cannot write {path}"))?;
    run(&path)?;
    fs::remove_file(&path).with_context(|| format!("cannot remove {path}"))
}
