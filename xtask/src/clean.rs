//! `cargo xtask clean`: frees what earlier builds left on the disk, and what can be had again.
#![allow(clippy::disallowed_methods, reason = "reads and removes files")]

use std::fs;
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde_json::json;

use crate::dist::Dist;
use crate::go::GoVersion;
use crate::os::files;
use crate::os::streams::print_json;
use crate::os::terminal::{print_status, print_table, size};
use crate::upstream::{CommitId, Upstream, relative};

/// Free the disk space of earlier builds: old directories in dist/, sources, and Go versions
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask clean               keeps the newest build, its source and its Go
  cargo xtask clean --dry-run     shows what would be freed, and frees nothing
  cargo xtask clean --keep 0      frees all of it

The mirror of upstream is kept, and what another run is using. Go's own build cache is not touched: `go clean \
-cache` frees it.

Exit status: 0 freed or nothing to free, 1 failed.")]
pub struct Clean {
    /// How many of the newest builds in dist/ to keep
    #[arg(long, value_name = "N", default_value_t = 1)]
    keep: usize,
    /// Show what would be freed, and free nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what is freed as JSON
    #[arg(long)]
    json: bool,
}

/// One directory that can be freed.
struct Item {
    path: Utf8PathBuf,
    reason: &'static str,
    size_bytes: u64,
}

/// A build in `dist/`.
struct Build {
    dist: Dist,
    made: SystemTime,
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// If something cannot be listed or removed.
pub fn run(root: &Utf8Path, arguments: &Clean) -> Result<()> {
    let items = plan(root, arguments.keep)?;
    let total_bytes = items.iter().map(|item| item.size_bytes).sum();
    let rows: Vec<_> = items
        .iter()
        .map(|item| [relative(root, &item.path).to_string(), size(item.size_bytes), item.reason.to_owned()])
        .collect();
    print_table(&rows);
    if !arguments.dry_run {
        for item in &items {
            fs::remove_dir_all(&item.path).with_context(|| format!("cannot remove {}", item.path))?;
        }
    }
    let verb = if arguments.dry_run { "would be freed" } else { "freed" };
    print_status("clean", format_args!("{} {verb}", size(total_bytes)));
    if arguments.json {
        let list: Vec<_> = items
            .iter()
            .map(|item| json!({ "path": item.path, "size_bytes": item.size_bytes, "reason": item.reason }))
            .collect();
        let report = json!({ "dry_run": arguments.dry_run, "size_bytes": total_bytes, "freed": list });
        print_json(&report);
    }
    Ok(())
}

fn plan(root: &Utf8Path, keep: usize) -> Result<Vec<Item>> {
    let upstream = Upstream::of(root)?;
    let (sources, go) = (upstream.folder().to_owned(), root.join("target/go"));
    let mut builds = builds(&root.join("dist"))?;
    builds.sort_by_key(|build| std::cmp::Reverse(build.made));
    let old = builds.split_off(keep.min(builds.len()));
    let has_commit = |commit: &CommitId| builds.iter().any(|build| build.dist.record.source.commit == *commit);
    let has_go = |version: &GoVersion| builds.iter().any(|build| build.dist.record.go.version == *version);
    let mut items = Vec::new();
    for build in old {
        items.push(Item::new(build.dist.folder, "an older build")?);
    }
    for path in directories(&sources)? {
        let Some(commit) = named::<CommitId>(&path) else { continue };
        if !has_commit(&commit) && !files::is_locked(&sources.join(format!("{commit}.lock"))) {
            items.push(Item::new(path, "source of a build that is not kept")?);
        }
    }
    for path in directories(&go)? {
        if named::<GoVersion>(&path).is_some_and(|version| !has_go(&version)) {
            items.push(Item::new(path, "a Go that no kept build was made with")?);
        }
    }
    for parent in [root.join("dist"), sources, go].into_iter().filter(|parent| parent.is_dir()) {
        for path in files::leftovers(&parent)?.into_iter().filter(|path| path.is_dir()) {
            items.push(Item::new(path, "left by a run that was killed")?);
        }
    }
    Ok(items)
}

/// What a directory is named after, if that is a `T`.
fn named<T: FromStr>(path: &Utf8Path) -> Option<T> {
    path.file_name()?.parse().ok()
}

impl Item {
    fn new(path: Utf8PathBuf, reason: &'static str) -> Result<Self> {
        let size_bytes = size_of(&path)?;
        Ok(Self { path, reason, size_bytes })
    }
}

fn builds(dist: &Utf8Path) -> Result<Vec<Build>> {
    let opened = directories(dist)?.into_iter().filter_map(|folder| Dist::open(&folder, Some(&folder)).ok());
    opened
        .map(|dist| {
            let made = fs::metadata(&dist.folder).and_then(|metadata| metadata.modified());
            Ok(Build { made: made.with_context(|| format!("cannot read {}", dist.folder))?, dist })
        })
        .collect()
}

/// The directories in a directory, sorted; none if it is not there.
fn directories(parent: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    if !parent.is_dir() {
        return Ok(Vec::new());
    }
    let entries = parent.read_dir_utf8().with_context(|| format!("cannot list {parent}"))?.flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut paths: Vec<_> = directories.map(|entry| entry.path().to_owned()).collect();
    paths.sort();
    Ok(paths)
}

/// Size of all files below a directory, in bytes; links are not followed.
fn size_of(directory: &Utf8Path) -> Result<u64> {
    let (mut size_bytes, mut waiting) = (0, vec![directory.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in next.read_dir_utf8().with_context(|| format!("cannot list {next}"))?.flatten() {
            let metadata = entry.metadata().with_context(|| format!("cannot read {}", entry.path()))?;
            if metadata.is_dir() {
                waiting.push(entry.path().to_owned());
            } else {
                size_bytes += metadata.len();
            }
        }
    }
    Ok(size_bytes)
}
