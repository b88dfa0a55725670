//! `cargo xtask build` compiles an upstream ref into `dist/<version>/`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde_json::json;

use crate::credentials;
use crate::dist::{Dist, Metadata, assemble, binary, names, recipe};
use crate::go::{self, BuildInfo, Go, GoVersion, PAGE, Sources};
use crate::http::Endpoint;
use crate::os::files::{self, Staging};
use crate::os::streams::{print_json, print_stdout};
use crate::os::terminal::{note, print_status, size};
use crate::upstream::{Selection, Source, Tools, Upstream, UpstreamRef, relative};

mod again;
mod compile;
mod several;

/// Compile buildkitd and buildctl for linux/riscv64 into dist/<version>/
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask build                          the release that the submodule pins
  cargo xtask build --ref v0.14.0            any release, branch or commit
  cargo xtask build --ref v0.31.0..v0.32.2   each stable release of that range
  cargo xtask build --ref v0.32.2 --ref master
  cargo xtask build --ref master --json      the record of the build, as JSON
  cargo xtask build --go /opt/go/bin/go      with your own Go
  cargo xtask build --again                  once more: is every byte the same?

Prints the directory of the build on standard output. Does nothing if that build is already there. Given \
several refs, builds the others if one fails, and prints a table at the end; with --json the output is then a \
list.

Exit status: 0 all are built or were already, 1 one failed or (with --again) differs, 2 bad arguments.")]
pub struct Build {
    /// Release tag (v0.14.0), branch (master), commit (7 to 40 hex digits) or range of releases; can be given several times [default: the pinned commit]
    #[arg(long, value_name = "REF", env = "BUILDKIT_REF")]
    r#ref: Vec<Selection>,
    /// Directory in which <version>/ is created [default: dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    /// A go command or GOROOT to use [default: the newest patch of the Go that upstream uses: on PATH, downloaded earlier, downloaded now]
    #[arg(long, value_name = "PATH")]
    go: Option<Utf8PathBuf>,
    /// Go's download page, or a mirror of it
    #[arg(long, value_name = "URL", env = "XTASK_GO_PAGE", default_value = PAGE)]
    go_page: Endpoint,
    /// Build again what DIR, or the only build in dist/, records, with the very Go, and compare every file
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["ref", "out"])]
    again: Option<Utf8PathBuf>,
    /// Compile with at most N programs and threads at once, for small machines [default: one for each processor]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroU32>,
    /// Print the record of the build as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task in the checkout at `root`.
pub fn run(root: &Utf8Path, arguments: &Build) -> Result<ExitCode> {
    let upstream = Upstream::of(root)?;
    let builder = Builder {
        root,
        upstream: &upstream,
        out: match &arguments.out {
            Some(out) => absolute(out)?,
            None => root.join("dist"),
        },
        go: Sources::new(root, arguments.go.as_deref(), &arguments.go_page),
        settings: compile::Settings { jobs: arguments.jobs, ..Default::default() },
    };
    if let Some(original) = &arguments.again {
        let named = (!original.as_str().is_empty()).then_some(original.as_path());
        return again::run(builder, &Dist::open(root, named)?, arguments.json);
    }
    match refs(&upstream, &arguments.r#ref)?.as_slice() {
        [only] => {
            builder.build(only.as_ref())?.print(root, arguments.json);
            Ok(ExitCode::SUCCESS)
        }
        several => Ok(several::run(&builder, several, arguments.json)),
    }
}

/// The requested refs, with ranges expanded. `None` is the pinned commit.
fn refs(upstream: &Upstream, selections: &[Selection]) -> Result<Vec<Option<UpstreamRef>>> {
    let mut refs = Vec::new();
    for selection in selections {
        match selection {
            Selection::Ref(one) => refs.push(Some(one.clone())),
            Selection::Releases(first, last) => {
                refs.extend(upstream.releases(first, last)?.into_iter().map(|tag| Some(UpstreamRef::Release(tag))));
            }
        }
    }
    if refs.is_empty() {
        refs.push(None);
    }
    Ok(refs)
}

/// What all refs of one run are built with.
struct Builder<'a> {
    root: &'a Utf8Path,
    upstream: &'a Upstream,
    out: Utf8PathBuf,
    go: Sources<'a>,
    settings: compile::Settings,
}

/// The directory of a build, new or already there.
struct Built {
    folder: Utf8PathBuf,
    record: Metadata,
    is_unchanged: bool,
}

impl Builder<'_> {
    fn build(&self, wanted: Option<&UpstreamRef>) -> Result<Built> {
        let source = self.upstream.resolve(wanted)?;
        print_status("source", format_args!("{} is {}, of {}", source.version, source.commit, source.source_date));
        let folder = self.out.join(source.version.to_string());
        refuse_foreign(self.root, self.upstream.folder(), &folder)?;
        let tools = self.upstream.tools(&source.commit)?;
        // What was built with an older patch of the wanted Go stays: nothing is looked for then.
        if self.go.named.is_none()
            && let Some(record) = present(&folder, &source, |go| tools.go.is_met_by(go))
        {
            return Ok(Built { folder, record, is_unchanged: true });
        }
        self.build_from(source, tools, folder)
    }

    /// Builds into `folder`, unless it holds the very build already.
    fn build_from(&self, source: Source, tools: Tools, folder: Utf8PathBuf) -> Result<Built> {
        let go = self.go.find(tools.go)?;
        print_status("go", format_args!("{} {}; {}", go.record.version, go.reason, tools.go));
        let present = || present(&folder, &source, |version| version == go.record.version);
        if let Some(record) = present() {
            return Ok(Built { folder, record, is_unchanged: true });
        }
        let (files, lock) = self.upstream.files(&source.commit)?;
        // Another run may have built it while this one waited for the lock.
        if let Some(record) = present() {
            return Ok(Built { folder, record, is_unchanged: true });
        }
        announce_replacement(self.root, &folder);
        let staging =
            Staging::new(&folder).map_err(|error| anyhow!("{error:#}; choose another directory with --out DIR"))?;
        let mut record = Metadata::new(source, go.record.clone());
        record.workflow_commit = credentials::workflow_commit()?;
        record.emulators = tools.emulators;
        self.make(&mut record, &go, &files, &staging, &lock)?;
        staging.publish()?;
        Ok(Built { folder, record, is_unchanged: false })
    }

    /// Compiles, checks the binaries and packages them, all in the staging directory.
    fn make(&self, record: &mut Metadata, go: &Go, worktree: &Utf8Path, staging: &Staging, lock: &File) -> Result<()> {
        let cache = self.settings.cache.clone().or_else(|| go::cache(&go.program, &self.root.join("target/go-cache")));
        // Beside the sources, as /tmp may be small or in memory, and a killed run leaves there what nobody removes.
        let temporary = Staging::new(&self.upstream.folder().join("go-build"))?;
        let settings =
            compile::Settings { jobs: self.settings.jobs, cache, temporary: Some(temporary.path().to_owned()) };
        compile::compile(record, go, &settings, worktree, staging.path(), lock)?;
        drop(temporary);
        // Compression takes longer than the checks: do both at once.
        let build_infos = std::thread::scope(|scope| {
            let archived = scope.spawn(|| assemble::archive(staging.path(), record));
            let build_infos = names::COMMANDS.map(|command| gate(record, command, staging.path()));
            archived.join().expect("archiving does not panic")?;
            anyhow::Ok(build_infos)
        })?;
        let [daemon, client] = build_infos;
        assemble::assemble(staging.path(), record, [daemon?, client?])
    }
}

impl Built {
    fn print(&self, root: &Utf8Path, json: bool) {
        self.print_status(root);
        if json {
            print_json(&self.as_json());
        } else {
            print_stdout(&self.folder);
        }
    }

    fn print_status(&self, root: &Utf8Path) {
        let total_bytes = self.record.files.iter().map(|file| file.size_bytes).sum();
        let state = if self.is_unchanged { "is up to date; nothing to do" } else { "is ready" };
        let (folder, count) = (relative(root, &self.folder), self.record.files.len() + 2);
        print_status("dist", format_args!("{folder} {state} ({} in {count} files)", size(total_bytes)));
    }

    fn as_json(&self) -> serde_json::Value {
        json!({ "dist": self.folder, "unchanged": self.is_unchanged, "metadata": self.record })
    }
}

fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf> {
    camino::absolute_utf8(path).with_context(|| format!("--out {path} is not a valid path"))
}

/// Refuses to write into the sources, and to replace a directory that is not a build.
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

/// Whether a path, which may not exist yet, is inside a directory once links are resolved.
fn is_inside(path: &Utf8Path, directory: &Utf8Path) -> bool {
    let real = |path: &Utf8Path| path.canonicalize_utf8().ok();
    let Some(directory) = real(directory) else { return false };
    path.ancestors().find_map(real).is_some_and(|path| path.starts_with(directory))
}

/// Notes what is lost if another build is replaced.
fn announce_replacement(root: &Utf8Path, folder: &Utf8Path) {
    if let Ok(Dist { record, .. }) = Dist::open(folder, Some(folder)) {
        let image = if record.image.is_some() { ", with its image" } else { "" };
        let (was, proofs) = (&record.source.r#ref, record.proofs.len());
        note(format_args!(
            "{} holds another build (of {was}, with Go {}{image} and {proofs} proofs), which is replaced",
            relative(root, folder),
            record.go.version
        ));
    }
}

/// Refuses a binary that is not what was requested.
fn gate(record: &Metadata, command: &str, folder: &Utf8Path) -> Result<BuildInfo> {
    let program = folder.join(command);
    let file = File::open(&program).with_context(|| format!("Go did not create {command}"))?;
    let info = binary::inspect(file, command, record.go.version)
        .map_err(|faults| anyhow!("{command} is refused: {faults}"))?;
    let version = recipe::version_line(command, &record.source.version, &record.source.commit);
    match binary::check_version(&program, &version)? {
        Some(how) => {
            print_status(
                "gate",
                format_args!("{command} is static riscv64 and reports {} {how}", record.source.version),
            );
        }
        None => {
            print_status("gate", format_args!("{command} is static riscv64"));
            note(format_args!(
                "{command} --version was not run: there is no qemu-user here; `cargo xtask doctor` prints how to install it"
            ));
        }
    }
    Ok(info)
}

/// The record of a directory that already holds a build of `source` with an accepted Go, with every file intact.
fn present(folder: &Utf8Path, source: &Source, accepts: impl Fn(GoVersion) -> bool) -> Option<Metadata> {
    let found = Dist::open(folder, Some(folder)).ok()?;
    let is_right = |name: &String| files::mode(&folder.join(name)).is_ok_and(|mode| mode == names::mode(name));
    let is_whole = names::files(&source.version).iter().all(is_right);
    let is_wanted = found.record.is_of(source) && accepts(found.record.go.version);
    (is_wanted && is_whole && found.has_its_sums() && found.verify().is_ok()).then_some(found.record)
}
