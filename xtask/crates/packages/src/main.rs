//! `packager`: writes the packages that a request names. `cargo xtask package` runs it; nobody has to by hand.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Parser, Subcommand};
use packages::request::Request;
use packages::version::Format;
use packages::{buildkit, deb, difference, ebuild, repository, rpm};
use serde::de::DeserializeOwned;

#[derive(Parser)]
struct Packager {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the packages of a request
    Write {
        /// The request, as JSON
        request: Utf8PathBuf,
    },
    /// Write a Gentoo overlay with the ebuilds of a request
    Overlay {
        /// The request, as JSON
        request: Utf8PathBuf,
    },
    /// Print where a published package differs from the same one made again
    Explain { published: Utf8PathBuf, again: Utf8PathBuf },
    /// Write the indexes of a repository that has these packages, and print what is where as JSON
    Index {
        /// The directory for the indexes
        folder: Utf8PathBuf,
        packages: Vec<Utf8PathBuf>,
    },
}

fn main() -> Result<()> {
    match Packager::parse().task {
        Task::Write { request } => write(&read(&request)?),
        Task::Overlay { request } => ebuild::write(&read(&request)?),
        Task::Explain { published, again } => {
            let difference = difference::explain(&published, &again)?;
            writeln!(std::io::stdout(), "{difference}").context("cannot print the difference")
        }
        Task::Index { folder, packages } => {
            let index = serde_json::to_string(&repository::index(&packages, &folder)?)?;
            writeln!(std::io::stdout(), "{index}").context("cannot print the index")
        }
    }
}

fn read<T: DeserializeOwned>(request: &Utf8Path) -> Result<T> {
    let text = fs::read_to_string(request).with_context(|| format!("cannot read {request}"))?;
    serde_json::from_str(&text).with_context(|| format!("{request} is not a request"))
}

/// The formats at once: each takes a minute of one processor.
fn write(request: &Request) -> Result<()> {
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            request.wanted.formats.iter().map(|format| scope.spawn(move || write_one(request, *format))).collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer does not panic"))
    })
}

fn write_one(request: &Request, format: Format) -> Result<()> {
    let package = buildkit::package(request, format)?;
    let path = request.out.join(request.version.file_name(format));
    let mut out = BufWriter::new(File::create(&path).with_context(|| format!("cannot create {path}"))?);
    match format {
        Format::Deb => deb::write(&package, &mut out),
        Format::Rpm => rpm::write(&package, &mut out),
    }
    .and_then(|()| Ok(out.flush()?))
    .with_context(|| format!("cannot write {path}"))
}
