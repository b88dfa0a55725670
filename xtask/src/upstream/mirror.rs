//! Upstream in a bare repository of our own: its tags as upstream has them now, never a contributor's, and
//! the branches and commits that were asked for. It appears whole or not at all; what a killed run left in
//! it is removed by the next, and a damaged one is made again.
//!
//! It is filled without trees and files (`--filter=tree:0`) if the server can do that: git then fetches
//! those of the commits that are built.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::{self, File};
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::git::{Transport, own, read_only};
use crate::os::files::{self, Staging};
use crate::os::process::{Run, run};
use crate::os::terminal::{note, print_status};
use crate::upstream::errors::{UpstreamError, explained};
use crate::upstream::git_ref::CommitId;
use crate::upstream::submodule::Submodule;
use crate::upstream::version::ReleaseTag;

/// Upstream's tags of releases; it has others for the Dockerfile frontend.
const TAGS: &str = "+refs/tags/v*:refs/tags/v*";
/// Upstream's branches.
const BRANCHES: &str = "+refs/heads/*:refs/xtask/heads/*";
/// Where a single branch or commit is fetched to.
const FETCHED: &str = "refs/xtask/fetched";
const REMOTE: &str = "upstream";
/// In the mirror: the address that it was made from. It is written last.
const MADE_FROM: &str = "xtask-made-from";

/// In the mirror: the file of settings for the git of a mirror that is on this machine.
const TRUSTED: &str = "xtask-trusted";

/// A commit's files are checked out byte for byte as they are in upstream's repository, whatever the
/// `.gitattributes` among them ask for.
const ATTRIBUTES: &str = "* -text -eol -ident -filter -working-tree-encoding\n";

/// The mirror, with the lock that keeps every other run out of it.
pub struct Mirror<'a> {
    git_dir: Utf8PathBuf,
    submodule: &'a Submodule,
    lock: File,
    /// Whether this run fetched the tags.
    pub is_fresh: bool,
}

impl<'a> Mirror<'a> {
    /// Opens the mirror in `folder` of the submodule's upstream, and makes it if there is none.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn open(folder: &Utf8Path, submodule: &'a Submodule) -> Result<Self> {
        let wait = || note("another run is fetching upstream; waiting for it");
        let lock = files::lock(&folder.join("mirror.lock"), wait)?;
        let mirror = Self { git_dir: git_dir(folder), submodule, lock, is_fresh: false };
        if fs::read_to_string(mirror.git_dir.join(MADE_FROM)).is_ok_and(|made_from| made_from == submodule.url) {
            mirror.remove_leftovers()?;
        } else {
            mirror.make()?;
        }
        Ok(mirror)
    }

    /// Whether `commit` is in the mirror in `folder`, if there is one. Takes no lock and changes nothing.
    pub fn has(folder: &Utf8Path, commit: &CommitId) -> bool {
        let git_dir = git_dir(folder);
        git_dir.join(MADE_FROM).is_file() && lookup(&git_dir, commit.as_str()).is_ok_and(|found| found.is_some())
    }

    /// An empty mirror in place of whatever is there.
    pub fn make(&self) -> Result<()> {
        let staging = Staging::new(&self.git_dir)?;
        let new = staging.path();
        own(new, run!("git init --quiet --bare --template= --object-format=sha1 {new}")).effect(&self.lock)?;
        for (key, value) in [
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", REMOTE),
            (&format!("remote.{REMOTE}.url"), &self.submodule.url),
            (&format!("remote.{REMOTE}.promisor"), "true"),
            (&format!("remote.{REMOTE}.partialCloneFilter"), "tree:0"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
        ] {
            own(new, run!("git config {key} {value}")).effect(&self.lock)?;
        }
        let write = |name: &str, content: &str| {
            fs::write(new.join(name), content).with_context(|| format!("cannot write {new}/{name}"))
        };
        fs::create_dir_all(new.join("info")).with_context(|| format!("cannot make {new}/info"))?;
        write("info/attributes", ATTRIBUTES)?;
        write(MADE_FROM, &self.submodule.url)?;
        staging.publish()
    }

    /// Removes what a killed run left: lock files, which nobody can hold while this run has the lock of the
    /// mirror, and packs that were being received.
    fn remove_leftovers(&self) -> Result<()> {
        let mut folders = vec![self.git_dir.clone()];
        while let Some(folder) = folders.pop() {
            // Git removes directories that its references leave empty.
            let Ok(entries) = folder.read_dir_utf8() else { continue };
            for entry in entries.flatten() {
                let (name, path) = (entry.file_name(), entry.path());
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !is_loose_objects(name) {
                    folders.push(path.to_owned());
                } else if name.ends_with(".lock") || name.starts_with("tmp_") {
                    note(format_args!("removing {path}, left by a run that was killed"));
                    remove_if_there(path)?;
                }
            }
        }
        Ok(())
    }

    /// The commit of a release tag, if the mirror has it under exactly this name: git itself would also take
    /// `v99.0.0-g991535e` for the commit 991535e.
    pub fn tag(&self, tag: &ReleaseTag) -> Result<Option<CommitId>> {
        let name = format!("refs/tags/{tag}");
        let found = own(&self.git_dir, run!("git show-ref --verify --hash {name}")).output()?;
        let object = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        if found.status.success() { lookup(&self.git_dir, &object) } else { Ok(None) }
    }

    /// All tags of releases, in no order.
    pub fn tags(&self) -> Result<Vec<ReleaseTag>> {
        let listed = own(&self.git_dir, run!("git for-each-ref --format=%(refname:strip=2) refs/tags/v*")).read()?;
        Ok(listed.lines().filter_map(|name| name.parse().ok()).collect())
    }

    /// The commit that a whole or abbreviated name stands for, if the mirror has it.
    pub fn commit(&self, name: &str) -> Result<Option<CommitId>> {
        lookup(&self.git_dir, name)
    }

    /// Fetches upstream's tags, its branches too if `all`.
    ///
    /// # Errors
    /// `UpstreamError::Unreachable` if upstream does not answer.
    pub fn refresh(&mut self, all: bool) -> Result<()> {
        let (what, refspecs): (_, &[&str]) =
            if all { ("tags and branches", &[TAGS, BRANCHES]) } else { ("tags", &[TAGS]) };
        self.fetch(what, refspecs)?;
        self.is_fresh = true;
        Ok(())
    }

    /// Fetches one ref of upstream's, or one commit by its whole name, and the tags; returns the commit.
    ///
    /// # Errors
    /// `UpstreamError::NotThere` if upstream has none of that name, `UpstreamError::Unreachable` if it does not answer.
    pub fn fetch_one(&mut self, name: &str) -> Result<CommitId> {
        self.fetch(name, &[&format!("+{name}:{FETCHED}"), TAGS])?;
        self.is_fresh = true;
        lookup(&self.git_dir, FETCHED)?.with_context(|| format!("{name} of {} is not a commit", self.submodule.url))
    }

    fn fetch(&self, what: &str, refspecs: &[&str]) -> Result<()> {
        print_status("source", format_args!("fetching {what} from {}", self.submodule.url));
        let flags = ["--quiet", "--no-tags", "--prune", "--no-write-fetch-head", "--no-recurse-submodules"];
        let run = own(&self.git_dir, run!("git fetch {flags...} {REMOTE} {refspecs...}"));
        self.with_transport(run)?.effect(&self.lock).map_err(|error| explained(&error, &self.submodule.url, what))
    }

    /// Upstream's rule for a version, with the length of abbreviation that git chooses in a whole clone of
    /// upstream (135,000 objects): a partial clone has fewer objects and would choose less.
    /// Source: the `buildkit-version` stage of upstream's Dockerfile.
    pub fn describe(&self, commit: &CommitId) -> Result<String> {
        let rule = ["--match", "v[0-9]*", "--always", "--tags", "--abbrev=9"];
        own(&self.git_dir, run!("git describe {rule...} {commit}")).read()
    }

    /// Date of a commit, in seconds since 1970.
    pub fn date(&self, commit: &CommitId) -> Result<i64> {
        let printed = own(&self.git_dir, run!("git rev-list --timestamp --max-count=1 {commit}")).read()?;
        let date = printed.split(' ').next().and_then(|date| date.parse().ok());
        date.with_context(|| format!("git gave {printed:?} for the date of {commit}"))
    }

    /// A file of a commit.
    pub fn file(&self, commit: &CommitId, path: &str) -> Result<String> {
        let run = own(&self.git_dir, run!("git cat-file blob {commit}:{path}"));
        self.with_objects(run)?.read().map_err(|error| explained(&error, &self.submodule.url, path))
    }

    /// Checks the files of a commit out into the empty folder `files`, and writes an index of them.
    pub fn check_out(&self, commit: &CommitId, index: &Utf8Path, files: &Utf8Path) -> Result<()> {
        let run = in_files(&self.git_dir, index, files, run!("git read-tree --reset -u {commit}"));
        self.with_objects(run)?.effect(&self.lock).map_err(|error| explained(&error, &self.submodule.url, "files"))
    }

    /// Writes a file of a commit into an archive that names the commit, as GitHub's source archives do.
    pub fn archive(&self, commit: &CommitId, path: &str, to: &Utf8Path) -> Result<()> {
        let archive = run!("git archive --format=tar.gz --prefix=buildkit/ --output={to} {commit} {path}");
        let run = self.with_objects(own(&self.git_dir, archive))?;
        run.read().map(drop).map_err(|error| explained(&error, &self.submodule.url, path))
    }

    /// Lets `run` read the submodule's objects, and fetch what neither has.
    fn with_objects(&self, run: Run) -> Result<Run> {
        let run = self.with_transport(run)?;
        Ok(match self.submodule.objects() {
            Some(objects) => run.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.as_str()),
            None => run,
        })
    }

    /// Lets `run` reach upstream.
    fn with_transport(&self, run: Run) -> Result<Run> {
        let transport = Transport::of(&self.submodule.root)?;
        let trusted = self.git_dir.join(TRUSTED);
        fs::write(&trusted, transport.trusted()).with_context(|| format!("cannot write {trusted}"))?;
        Ok(transport.allow(run).env("GIT_CONFIG_GLOBAL", trusted.as_str()))
    }

    /// Whether git finds that something is missing in the mirror.
    pub fn is_damaged(&self) -> bool {
        let checked = own(&self.git_dir, run!("git fsck --connectivity-only --no-dangling --no-progress"));
        checked.output().is_ok_and(|checked| !checked.status.success())
    }
}

/// Where the mirror is in the folder of upstream.
pub fn git_dir(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join("mirror.git")
}

/// Removes a file. A child of git that outlived its parent may remove its own meanwhile.
fn remove_if_there(path: &Utf8Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {path}")),
    }
}

/// Whether upstream answers at all.
///
/// # Errors
/// If it does not answer.
pub fn answers(submodule: &Submodule, limit: Duration) -> Result<()> {
    let Submodule { root, url } = submodule;
    let run = Transport::of(root)?.allow(read_only(root, run!("git ls-remote --quiet {url} HEAD")));
    let answer = run.limit(limit).read();
    answer.map(|_| ()).map_err(|error| UpstreamError::Unreachable(format!("{url} does not answer: {error:#}")).into())
}

/// Whether nothing was changed, added or removed in `files` since the commit's files were checked out.
pub fn is_clean(git_dir: &Utf8Path, index: &Utf8Path, files: &Utf8Path) -> bool {
    let prints_nothing = |git: Run| in_files(git_dir, index, files, git).read().is_ok_and(|text| text.is_empty());
    index.is_file()
        && files.is_dir()
        && prints_nothing(run!("git diff-files --name-only"))
        && prints_nothing(run!("git ls-files --others"))
}

fn in_files(git_dir: &Utf8Path, index: &Utf8Path, files: &Utf8Path, git: Run) -> Run {
    let run = own(git_dir, git).directory(files);
    run.env("GIT_INDEX_FILE", index.as_str()).env("GIT_WORK_TREE", files.as_str())
}

/// The commit of a name, if it is there. A partial clone would otherwise ask upstream for it.
fn lookup(git_dir: &Utf8Path, name: &str) -> Result<Option<CommitId>> {
    let commit = format!("{name}^{{commit}}");
    let run = own(git_dir, run!("git rev-parse --verify --quiet {commit}"));
    let output = run.env("GIT_NO_LAZY_FETCH", "1").output()?;
    if !output.status.success() {
        return Ok(None);
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().map(Some).map_err(anyhow::Error::msg)
}

/// Whether a folder's name is that of loose objects, of which there may be thousands.
fn is_loose_objects(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
