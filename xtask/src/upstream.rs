//! From an upstream ref to source on disk: a mirror of upstream that is ours, and a folder of files for
//! each commit that is built.
//!
//! The contributor's submodule `buildkit/` is read for the commit that is pinned, and for objects that
//! then need not be fetched. Nothing in it decides what a version is, and it is never written to.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};

use oci::image_name::ImageName;

use crate::git;
use crate::go::WantedGo;
use crate::os::checkout;
use crate::os::clock::Timestamp;
use crate::os::files::{self, Staging};
use crate::os::process::run;
use crate::os::terminal::{note, print_status};
use crate::upstream::errors::UpstreamError;
use crate::upstream::mirror::Mirror;
use crate::upstream::submodule::Submodule;

mod emulators;
mod errors;
mod git_ref;
mod mirror;
mod source;
mod submodule;
mod version;

pub use errors::is_unreachable;
pub use git_ref::{CommitId, Selection, UpstreamRef};
pub use source::{MASTER, PACKAGE, Source, SourceRef};
pub use version::{ReleaseTag, Version};

/// What upstream itself uses for a commit.
pub struct Tools {
    /// The Go that compiles it.
    pub go: WantedGo,
    /// The image of emulators that upstream's own image takes, if it takes one.
    pub emulators: Option<ImageName>,
}

/// Upstream as this checkout has it.
pub struct Upstream {
    submodule: Submodule,
    /// The mirror and the sources, shared by all worktrees of the checkout.
    folder: Utf8PathBuf,
}

impl Upstream {
    /// The upstream of the checkout at `root`; nothing is fetched yet.
    ///
    /// # Errors
    /// If git is missing or too old, cannot read the checkout, or finds no URL for the submodule.
    pub fn of(root: &Utf8Path) -> Result<Self> {
        git::version()?;
        let folder = main_worktree(root)?.join("target/upstream");
        Ok(Self { submodule: Submodule::of(root)?, folder })
    }

    /// Where the mirror and the sources are: nobody's own files last here.
    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Finds the commit of a ref, or the pinned one, and all that its build is stamped with.
    ///
    /// # Errors
    /// If upstream has no such ref, or cannot be reached although it has to be.
    pub fn resolve(&self, wanted: Option<&UpstreamRef>) -> Result<Source> {
        self.with_mirror(|mirror| {
            let commit = match wanted {
                None => self.commit(mirror, self.submodule.pinned()?.as_str())?,
                Some(UpstreamRef::Release(tag)) => {
                    if mirror.tag(tag)?.is_none() {
                        mirror.refresh(false)?;
                    }
                    mirror.tag(tag)?.ok_or_else(|| self.not_there(&format!("tag {tag}")))?
                }
                Some(UpstreamRef::Branch(branch)) => mirror.fetch_one(&format!("refs/heads/{}", branch.as_str()))?,
                Some(UpstreamRef::Commit(prefix)) => self.commit(mirror, prefix.as_str())?,
            };
            let version = match wanted {
                Some(UpstreamRef::Release(tag)) => Version::from(tag),
                _ => describe(mirror, &commit)?,
            };
            let r#ref = match (wanted, version.release_tag()) {
                (Some(UpstreamRef::Branch(branch)), _) if branch.as_str() == MASTER => SourceRef::Master,
                (_, Some(tag)) => SourceRef::Release(tag),
                (Some(UpstreamRef::Branch(branch)), None) => SourceRef::Branch(branch.clone()),
                (_, None) => SourceRef::Commit(commit.clone()),
            };
            let source_date_epoch = mirror.date(&commit)?;
            let source_date = Timestamp::of_epoch(source_date_epoch)?;
            Ok(Source { r#ref, commit, version, package: PACKAGE.to_owned(), source_date, source_date_epoch })
        })
    }

    /// The stable releases from `first` to `last`, both included, as upstream has them now.
    ///
    /// # Errors
    /// If there is none, or upstream cannot be reached.
    pub fn releases(&self, first: &ReleaseTag, last: &ReleaseTag) -> Result<Vec<ReleaseTag>> {
        self.with_mirror(|mirror| {
            mirror.refresh(false)?;
            let mut found = mirror.tags()?;
            found.retain(|tag| tag.is_stable() && (first..=last).contains(&tag));
            found.sort();
            if found.is_empty() { Err(self.not_there(&format!("release from {first} to {last}"))) } else { Ok(found) }
        })
    }

    /// What upstream's own files say that it uses for the commit.
    ///
    /// # Errors
    /// If the commit has no `Dockerfile` or `go.mod`, or that requires no Go.
    pub fn tools(&self, commit: &CommitId) -> Result<Tools> {
        let (dockerfile, go_mod) =
            self.with_mirror(|mirror| Ok((mirror.file(commit, "Dockerfile")?, mirror.file(commit, "go.mod")?)))?;
        let go = WantedGo::of(&dockerfile, &go_mod).map_err(|error| anyhow!("go.mod of {commit}: {error}"))?;
        Ok(Tools { go, emulators: emulators::named_in(&dockerfile) })
    }

    /// The Go that upstream compiles the pinned commit with, if the mirror has the commit.
    ///
    /// # Errors
    /// If it does not.
    pub fn pinned_go(&self) -> Result<WantedGo> {
        let pinned = self.submodule.pinned()?;
        anyhow::ensure!(Mirror::has(&self.folder, &pinned), "{pinned} was not fetched yet");
        Ok(self.tools(&pinned)?.go)
    }

    /// Whether the pinned commit was fetched before, or else upstream answers within `limit`.
    ///
    /// # Errors
    /// If neither is so.
    pub fn at_hand(&self, limit: Duration) -> Result<String> {
        let pinned = self.submodule.pinned()?;
        if Mirror::has(&self.folder, &pinned) {
            return Ok(format!("{} has the pinned commit {}", self.folder, &pinned.as_str()[..12]));
        }
        mirror::answers(&self.submodule, limit)?;
        Ok(format!("{} answers", self.submodule.url))
    }

    /// The files of the commit, none changed or added, and the lock that keeps every other run out of them.
    ///
    /// # Errors
    /// If files have to be fetched and cannot be, or do not fit on the disk.
    pub fn files(&self, commit: &CommitId) -> Result<(Utf8PathBuf, File)> {
        let folder = self.folder.join(commit.as_str());
        let (index, files) = (folder.join("index"), folder.join("files"));
        let lock = files::lock(&self.folder.join(format!("{commit}.lock")), || {
            note(format_args!("another run is building {commit}; waiting for it"));
        })?;
        if !mirror::is_clean(&mirror::git_dir(&self.folder), &index, &files) {
            self.with_mirror(|mirror| {
                print_status("source", format_args!("checking out to {}", relative(&self.submodule.root, &files)));
                self.commit(mirror, commit.as_str())?;
                let staging = Staging::new(&folder)?;
                let (index, files) = (staging.path().join("index"), staging.path().join("files"));
                fs::create_dir(&files).with_context(|| format!("cannot make {files}"))?;
                mirror.check_out(commit, &index, &files)?;
                staging.publish()
            })?;
        }
        Ok((files, lock))
    }

    /// Writes one file of a commit into an archive: a source archive, as far as its commit and that file are of interest.
    pub fn archive(&self, commit: &CommitId, path: &str, to: &Utf8Path) -> Result<()> {
        self.with_mirror(|mirror| mirror.archive(commit, path, to))
    }

    /// Does something with the mirror, and again with a new mirror if the old one turns out to be damaged.
    fn with_mirror<T>(&self, action: impl Fn(&mut Mirror) -> Result<T>) -> Result<T> {
        let mut mirror = Mirror::open(&self.folder, &self.submodule)?;
        let done = action(&mut mirror);
        let Err(error) = &done else { return done };
        if error.is::<UpstreamError>() || !mirror.is_damaged() {
            return done;
        }
        note(format_args!("the mirror of upstream in {} is damaged, and is made again: {error:#}", self.folder));
        mirror.make()?;
        action(&mut mirror)
    }

    /// The commit of a whole or abbreviated name, fetched if it is not in the mirror yet.
    fn commit(&self, mirror: &mut Mirror, name: &str) -> Result<CommitId> {
        for all in [false, true] {
            if let Some(commit) = mirror.commit(name)? {
                return Ok(commit);
            }
            mirror.refresh(all)?;
        }
        match mirror.commit(name)? {
            Some(commit) => Ok(commit),
            None if name.len() == 40 => mirror.fetch_one(name),
            None => Err(self.not_there(&format!("commit {name} (or more than one that begins so)"))),
        }
    }

    fn not_there(&self, what: &str) -> anyhow::Error {
        anyhow!(UpstreamError::NotThere(format!("{} has no {what}", self.submodule.url)))
    }
}

/// What upstream would call the commit. Its tags are fetched before that, for a newer one may lie on the
/// commit: unless the commit is known to be a release.
fn describe(mirror: &mut Mirror, commit: &CommitId) -> Result<Version> {
    let described = |mirror: &Mirror| mirror.describe(commit)?.parse().map_err(anyhow::Error::msg);
    let version: Version = described(mirror)?;
    if mirror.is_fresh || version.release_tag().is_some_and(|tag| tag.is_stable()) {
        return Ok(version);
    }
    match mirror.refresh(false) {
        Err(error) if is_unreachable(&error) => {
            note("upstream cannot be reached: the version is named after the tags of an earlier fetch");
            Ok(version)
        }
        Err(error) => Err(error),
        Ok(()) => described(mirror),
    }
}

/// The first worktree of the checkout at `root`, which may be another of its worktrees.
fn main_worktree(root: &Utf8Path) -> Result<Utf8PathBuf> {
    if !git::has_repository(root) {
        return Ok(root.to_owned());
    }
    let common = git::read(root, run!("git rev-parse --path-format=absolute --git-common-dir"));
    let common = Utf8PathBuf::from(common.with_context(|| format!("git does not read {root} as a checkout"))?);
    let main = common.parent().filter(|_| common.file_name() == Some(".git"));
    Ok(main.filter(|main| checkout::is_root(main)).unwrap_or(root).to_owned())
}

/// A path as seen from the checkout, if it is inside.
pub fn relative<'a>(root: &Utf8Path, path: &'a Utf8Path) -> &'a Utf8Path {
    path.strip_prefix(root).unwrap_or(path)
}
