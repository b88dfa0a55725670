//! Makes a build again from upstream's source, with the very Go that it records, and compares every file: what two
//! machines made alike, neither of them made up.
#![allow(clippy::disallowed_methods, reason = "removes files")]

use std::fs;
use std::io;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use oci::digest::Sha256;
use serde_json::json;

use crate::build::Builder;
use crate::dist::{Dist, Metadata};
use crate::go::WantedGo;
use crate::os::files;
use crate::os::streams::print_json;
use crate::os::terminal::{note, print_error, print_status, print_table};
use crate::upstream::{Source, SourceRef, Tools, Upstream, UpstreamRef, relative};

/// Builds what `original` records, below `target/`, and prints a table of its files.
///
/// # Errors
/// If the original is not what it records, if upstream has another commit under its ref, or if it cannot be built.
pub fn run(mut builder: Builder<'_>, original: &Dist, json: bool) -> Result<ExitCode> {
    original.verify()?;
    let record = &original.record;
    let source = confirmed(builder.upstream, &record.source)?;
    print_status("source", format_args!("{} is {}, of {}", source.version, source.commit, source.source_date));
    // Nothing that was compiled before counts, not even what Go has in its cache.
    let work = builder.root.join("target/again");
    let _lock = files::lock(&work.with_extension("lock"), || note("another run builds again; waiting for it"))?;
    remove(&work)?;
    builder.settings.cache = Some(work.join("go-cache"));
    let folder = work.join(source.version.to_string());
    let tools = Tools { go: WantedGo::exactly(record.go.version), ..builder.upstream.tools(&source.commit)? };
    let built = builder.build_from(source, tools, folder)?;
    remove(&work.join("go-cache"))?;
    let files = compared(record, &built.record);
    let differing: Vec<&str> = files.iter().filter(|file| !file.is_same()).map(|file| file.name.as_str()).collect();
    print_table(&files.iter().map(FileOfBoth::row).collect::<Vec<_>>());
    if differing.is_empty() {
        remove(&work)?;
        print_status("again", format_args!("every byte of {} is the same", relative(builder.root, &original.folder)));
    } else {
        let (again, names) = (relative(builder.root, &built.folder), differing.join(", "));
        print_error(&anyhow::anyhow!(
            "{} is not what its source gives: {names} differ; compare it with {again} (diffoscope shows where)",
            original.folder
        ));
    }
    if json {
        let list: Vec<_> = files.iter().map(FileOfBoth::as_json).collect();
        let report = json!({ "dist": original.folder, "same": differing.is_empty(), "files": list });
        print_json(&report);
    }
    Ok(if differing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn remove(folder: &Utf8Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context(format!("cannot remove {folder}")),
        _ => Ok(()),
    }
}

/// The source that a record claims, if upstream says the same of its commit; a release tag has to be at it.
fn confirmed(upstream: &Upstream, claimed: &Source) -> Result<Source> {
    let wanted = match &claimed.r#ref {
        SourceRef::Release(tag) => UpstreamRef::Release(tag.clone()),
        SourceRef::Master | SourceRef::Branch(_) | SourceRef::Commit(_) => {
            claimed.commit.as_str().parse().map_err(anyhow::Error::msg)?
        }
    };
    let found = Source { r#ref: claimed.r#ref.clone(), ..upstream.resolve(Some(&wanted))? };
    ensure!(
        found == *claimed,
        "the record says that {} is {} at {} of {}, and upstream that it is {} at {} of {}",
        claimed.r#ref,
        claimed.version,
        claimed.commit,
        claimed.source_date,
        found.version,
        found.commit,
        found.source_date
    );
    Ok(found)
}

/// One file in the original and in the other build.
struct FileOfBoth {
    name: String,
    original: Option<Sha256>,
    again: Option<Sha256>,
}

impl FileOfBoth {
    fn is_same(&self) -> bool {
        self.original == self.again
    }

    fn row(&self) -> [String; 3] {
        let outcome = if self.is_same() { "same" } else { "differs" };
        let digest = self.original.as_ref().map_or_else(|| "not there".to_owned(), ToString::to_string);
        [self.name.clone(), outcome.to_owned(), digest]
    }

    fn as_json(&self) -> serde_json::Value {
        json!({ "name": self.name, "same": self.is_same(), "sha256": self.original, "sha256_again": self.again })
    }
}

/// Every file that one of the records has.
fn compared(original: &Metadata, again: &Metadata) -> Vec<FileOfBoth> {
    let digest = |record: &Metadata, name: &str| {
        record.files.iter().find(|file| file.name == name).map(|file| file.sha256.clone())
    };
    let mut names: Vec<&String> = original.files.iter().chain(&again.files).map(|file| &file.name).collect();
    names.sort_unstable();
    names.dedup();
    let both =
        |name: &String| FileOfBoth { name: name.clone(), original: digest(original, name), again: digest(again, name) };
    names.into_iter().map(both).collect()
}
