//! `cargo xtask build`: from an upstream ref to `dist/<version>/`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde_json::json;

use crate::dist::record::Metadata;
use crate::dist::{Dist, assemble, names, recipe};
use crate::go::build_info::BuildInfo;
use crate::go::{Go, PAGE, Sources};
use crate::http::endpoint::Endpoint;
use crate::os::files::{self, Staging};
use crate::os::terminal::{note, print_status, size};
use crate::upstream::git_ref::UpstreamRef;
use crate::upstream::{Upstream, relative};

mod binary;
mod compile;

/// Compile buildkitd and buildctl for linux/riscv64 into dist/<version>/
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask build                        the release that the submodule pins
  cargo xtask build --ref v0.14.0          any release tag, branch or commit of upstream
  cargo xtask build --ref master --json    what was made, as JSON on standard output
  cargo xtask build --go /opt/go/bin/go    with a Go of your own

The folder that was made is printed on standard output. A second run that would make the same
thing does nothing. Exit status: 0 made or already there, 1 failed, 2 bad arguments.")]
pub struct Build {
    /// Release tag (v0.14.0), branch (master) or commit (7 to 40 hex digits) [default: the pinned commit]
    #[arg(long, value_name = "REF", env = "BUILDKIT_REF")]
    r#ref: Option<UpstreamRef>,
    /// Where the folder <version>/ is put [default: dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    /// A go command or GOROOT to use [default: the first that is new enough of PATH, an earlier download, a new one]
    #[arg(long, value_name = "PATH")]
    go: Option<Utf8PathBuf>,
    /// Go's download page, or a mirror of it
    #[arg(long, value_name = "URL", env = "XTASK_GO_PAGE", default_value = PAGE)]
    go_page: Endpoint,
    /// Print the record of the build as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// Each step's own: the ref, the source, Go, the compilation, the gate, the disk.
pub fn run(root: &Utf8Path, arguments: &Build) -> Result<()> {
    let out = match &arguments.out {
        Some(out) => absolute(out)?,
        None => root.join("dist"),
    };
    let upstream = Upstream::of(root)?;
    let source = upstream.resolve(arguments.r#ref.as_ref())?;
    print_status("source", format_args!("{} is {}, of {}", source.version, source.commit, source.source_date));
    let wanted = upstream.go_version(&source.commit)?;
    let downloads = root.join("target/go");
    let go =
        Sources { named: arguments.go.as_deref(), downloads: &downloads, page: &arguments.go_page }.find(wanted)?;
    print_status("go", format_args!("{} ({})", go.version, go.reason));

    let mut record = Metadata::new(source, go.version);
    let folder = out.join(record.source.version.to_string());
    refuse_foreign(root, upstream.folder(), &folder)?;
    let (worktree, lock) = match present(&folder, &record) {
        Some(found) => return report(root, &folder, &found, true, arguments.json),
        None => upstream.files(&record.source.commit)?,
    };
    // Another run may have made it while this one waited for the lock.
    if let Some(found) = present(&folder, &record) {
        return report(root, &folder, &found, true, arguments.json);
    }
    announce_replacement(root, &folder);
    let staging = Staging::new(&folder).map_err(|error| anyhow!("{error:#}; choose another folder with --out DIR"))?;
    make(&mut record, &go, &worktree, &staging, &lock)?;
    staging.publish()?;
    report(root, &folder, &record, false, arguments.json)
}

fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf> {
    camino::absolute_utf8(path).with_context(|| format!("--out {path} is no path"))
}

/// Refuses to put a build where it would be lost, or where something stands that is not a build.
fn refuse_foreign(root: &Utf8Path, sources: &Utf8Path, folder: &Utf8Path) -> Result<()> {
    for taken in [sources, &root.join("buildkit")] {
        ensure!(!is_inside(folder, taken), "{folder} is inside {taken}; choose another directory with --out DIR");
    }
    let is_ours = folder.join(names::METADATA).is_file();
    let is_empty = folder.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_none());
    ensure!(
        is_ours || is_empty || folder.symlink_metadata().is_err(),
        "{folder} was not created by `cargo xtask build`; move it away, or choose another directory with --out DIR"
    );
    Ok(())
}

/// Whether a path, which may not exist yet, is inside a directory, whatever links lead there.
fn is_inside(path: &Utf8Path, directory: &Utf8Path) -> bool {
    let real = |path: &Utf8Path| path.canonicalize_utf8().ok();
    let Some(directory) = real(directory) else { return false };
    path.ancestors().find_map(real).is_some_and(|path| path.starts_with(directory))
}

/// Says what is lost if another build stands there.
fn announce_replacement(root: &Utf8Path, folder: &Utf8Path) {
    if let Ok(Dist { record, .. }) = Dist::open(folder, Some(folder)) {
        let image = if record.image.is_some() { ", with its image" } else { "" };
        let (was, proofs) = (&record.source.r#ref, record.proofs.len());
        note(format_args!(
            "{} holds another build (of {was}, with Go {}{image} and {proofs} proofs), which is replaced",
            relative(root, folder),
            record.go
        ));
    }
}

/// Compile, gate, hand over: all in the staging folder.
fn make(record: &mut Metadata, go: &Go, worktree: &Utf8Path, staging: &Staging, lock: &File) -> Result<()> {
    compile::compile(record, go, worktree, staging.path(), lock)?;
    // Compressing takes longer than the gate: do both at once.
    let build_infos = std::thread::scope(|scope| {
        let archived = scope.spawn(|| assemble::archive(staging.path(), record));
        let build_infos = names::COMMANDS.map(|command| gate(record, command, staging.path()));
        archived.join().expect("the archive does not panic")?;
        anyhow::Ok(build_infos)
    })?;
    let [daemon, client] = build_infos;
    assemble::assemble(staging.path(), record, [daemon?, client?])
}

/// Refuses a binary that is not what was to be made.
fn gate(record: &Metadata, command: &str, folder: &Utf8Path) -> Result<BuildInfo> {
    let program = folder.join(command);
    let file = File::open(&program).with_context(|| format!("Go made no {command}"))?;
    let info = binary::inspect(file, command, record.go).map_err(|faults| anyhow!("{command} is refused: {faults}"))?;
    let version = recipe::version_line(command, &record.source.version, &record.source.commit);
    match compile::check_version(&program, &version)? {
        Some(how) => {
            print_status("gate", format_args!("{command} is static riscv64 and says {} {how}", record.source.version));
        }
        None => {
            print_status("gate", format_args!("{command} is static riscv64"));
            note(format_args!(
                "{command} --version was not run: no qemu-user here; `cargo xtask doctor` says how to get it"
            ));
        }
    }
    Ok(info)
}

/// The record of a folder that already is what `wanted` would make, every file of it unharmed.
fn present(folder: &Utf8Path, wanted: &Metadata) -> Option<Metadata> {
    let found = Dist::open(folder, Some(folder)).ok()?;
    let is_right = |name: &String| files::mode(&folder.join(name)).is_ok_and(|mode| mode == names::mode(name));
    let is_whole = names::files(&wanted.source.version).iter().all(is_right);
    (is_whole && found.record.makes_the_same_as(wanted) && found.verify().is_ok()).then_some(found.record)
}

fn report(root: &Utf8Path, folder: &Utf8Path, record: &Metadata, is_old: bool, json: bool) -> Result<()> {
    let total_bytes = record.files.iter().map(|file| file.size_bytes).sum();
    let done = if is_old { "is already this very build; nothing to do" } else { "is ready" };
    print_status(
        "dist",
        format_args!("{} {done} ({} in {} files)", relative(root, folder), size(total_bytes), record.files.len() + 2),
    );
    if json {
        let report = json!({ "dist": folder, "unchanged": is_old, "metadata": record });
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{folder}");
    }
    Ok(())
}
