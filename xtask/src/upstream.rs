//! From an upstream ref to source on disk: the submodule's object store, filled with no more than
//! the ref needs, and a worktree under `target/` for each commit that is built.
//!
//! The contributor's own checkout in `buildkit/` is never read or changed; only its object store
//! gains objects and upstream's own refs. A submodule that is missing is cloned without trees
//! (`--filter=tree:0`): all commits and tags, so that every version can be told, and of the files
//! only those of the commits that are checked out.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};

use crate::dist::recipe::PACKAGE;
use crate::git::{git, slow_git};
use crate::go::version::GoVersion;
use crate::os::terminal::{note, print_status};
use crate::os::{clock, files};
use crate::upstream::git_ref::{CommitId, UpstreamRef};
use crate::upstream::source::Source;
use crate::upstream::submodule::Submodule;
use crate::upstream::version::Version;

pub mod git_ref;
pub mod source;
mod submodule;
pub mod version;

/// Upstream's rule for a version, with the length of abbreviation that git chooses in a whole
/// clone of upstream (135,000 objects): a partial clone has fewer objects and would choose less.
/// Source: the `buildkit-version` stage of upstream's Dockerfile.
const DESCRIBE: [&str; 6] = ["describe", "--match", "v[0-9]*", "--always", "--tags", "--abbrev=9"];
const ALL_TAGS: &str = "refs/tags/v*:refs/tags/v*";
const ALL_BRANCHES: &str = "+refs/heads/*:refs/remotes/origin/*";

/// Upstream as this checkout has it.
pub struct Upstream {
    submodule: Submodule,
    worktrees: Utf8PathBuf,
}

impl Upstream {
    /// The upstream of the checkout at `root`; nothing is fetched yet.
    ///
    /// # Errors
    /// Where `root` is no git checkout or has no URL for the submodule.
    pub fn of(root: &Utf8Path) -> Result<Self> {
        Ok(Self { submodule: Submodule::of(root)?, worktrees: root.join("target/upstream") })
    }

    /// Finds the commit of a ref, or the pinned one, and all that its build is stamped with.
    ///
    /// # Errors
    /// Where upstream has no such ref, or cannot be reached although it has to be.
    pub fn resolve(&self, wanted: Option<&UpstreamRef>) -> Result<Source> {
        let lock = self.store_lock()?;
        let pinned = self.submodule.pinned()?;
        self.submodule.ensure(&lock)?;
        let commit = match wanted {
            None => self.commit(&pinned, &lock)?,
            Some(UpstreamRef::Release(tag)) => {
                let name = format!("refs/tags/{tag}");
                if self.lookup(&name)?.is_none() {
                    self.fetch(&[&format!("{name}:{name}")], Depth::Tip, &lock)?;
                }
                self.lookup(&name)?.with_context(|| format!("{} has no tag {tag}", self.submodule.url))?
            }
            Some(UpstreamRef::Branch(branch)) => {
                let name = branch.as_str();
                self.fetch(
                    &[&format!("+refs/heads/{name}:refs/remotes/origin/{name}"), ALL_TAGS],
                    Depth::History,
                    &lock,
                )?;
                let found = self.lookup(&format!("refs/remotes/origin/{name}"))?;
                found.with_context(|| format!("{} has no branch {name}", self.submodule.url))?
            }
            Some(UpstreamRef::Commit(prefix)) => self.commit(prefix.as_str(), &lock)?,
        };
        let version = match wanted {
            Some(UpstreamRef::Release(tag)) => Version::from(tag),
            _ => self.describe(&commit, &lock)?,
        };
        let r#ref = match (wanted, version.release_tag()) {
            (Some(UpstreamRef::Branch(branch)), _) => branch.as_str().to_owned(),
            (_, Some(tag)) => tag.to_string(),
            (_, None) => commit.to_string(),
        };
        let shown = self.submodule.git(["show", "-s", "--format=%ct", &commit.to_string()]).read()?;
        let source_date_epoch =
            shown.parse().with_context(|| format!("git gave {shown:?} for the date of {commit}"))?;
        let source_date = clock::rfc3339(source_date_epoch).context("the date of the commit cannot be written")?;
        Ok(Source { r#ref, commit, version, package: PACKAGE.to_owned(), source_date, source_date_epoch })
    }

    /// The version of Go that the commit's `go.mod` asks for.
    ///
    /// # Errors
    /// Where there is no such file or line.
    pub fn go_version(&self, commit: &CommitId) -> Result<GoVersion> {
        let go_mod = self.submodule.git(["show", &format!("{commit}:go.mod")]);
        let go_mod = go_mod.read().map_err(|error| self.submodule.explained(error, "go.mod"))?;
        GoVersion::asked_by(&go_mod).map_err(|error| anyhow!("go.mod of {commit}: {error}"))
    }

    /// The version of Go that the pinned commit asks for, where the commit is there.
    ///
    /// # Errors
    /// Where it is not.
    pub fn pinned_go_version(&self) -> Result<GoVersion> {
        let pinned = self.submodule.pinned()?;
        let commit = self.present(&pinned)?.with_context(|| format!("{pinned} is not there yet"))?;
        self.go_version(&commit)
    }

    /// Whether the pinned commit is there, or else its repository answers within `limit`.
    ///
    /// # Errors
    /// Where neither is.
    pub fn at_hand(&self, limit: Duration) -> Result<String> {
        let pinned = self.submodule.pinned()?;
        if self.present(&pinned)?.is_some() {
            return Ok(format!("{} has the pinned commit {}", self.submodule.path, &pinned[..12]));
        }
        let url = &self.submodule.url;
        let asked = git(&self.submodule.root, ["ls-remote", "--quiet", url, "HEAD"]).limit(limit).read();
        asked.map(|_| format!("{url} answers")).with_context(|| format!("{url} does not answer"))
    }

    /// The commit of a name, where there is a submodule and it has it.
    fn present(&self, name: &str) -> Result<Option<CommitId>> {
        if self.submodule.path.join(".git").exists() { self.lookup(name) } else { Ok(None) }
    }

    /// A clean worktree of the commit, and the lock that keeps every other run out of it.
    ///
    /// # Errors
    /// Where files have to be fetched and cannot be, or do not fit on the disk.
    pub fn worktree(&self, commit: &CommitId) -> Result<(Utf8PathBuf, File)> {
        let path = self.worktrees.join(commit.to_string());
        let lock = files::lock(&self.worktrees.join(format!("{commit}.lock")), || {
            note(format_args!("another run is building {commit}; waiting for it"));
        })?;
        if !is_clean(&path, commit) {
            let store_lock = self.store_lock()?;
            print_status("source", format_args!("checking out to {}", relative(&self.submodule.root, &path)));
            if path.exists() {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {path}"))?;
            }
            self.submodule.git(["worktree", "prune"]).effect(&store_lock)?;
            let add = ["worktree", "add", "--force", "--detach", path.as_str(), &commit.to_string()];
            slow_git(&self.submodule.path, add)
                .effect(&store_lock)
                .map_err(|error| self.submodule.explained(error, "files"))?;
        }
        Ok((path, lock))
    }

    fn store_lock(&self) -> Result<File> {
        let wait = || note("another run is fetching upstream; waiting for it");
        files::lock(&self.worktrees.join("store.lock"), wait)
    }

    /// The commit behind a whole or abbreviated name, fetched if it is not there yet.
    fn commit(&self, name: &str, lock: &File) -> Result<CommitId> {
        if let Some(commit) = self.lookup(name)? {
            return Ok(commit);
        }
        self.fetch(&[ALL_BRANCHES, ALL_TAGS], Depth::History, lock)?;
        if self.lookup(name)?.is_none() && name.len() == 40 {
            self.fetch(&[name], Depth::Tip, lock)?;
        }
        self.lookup(name)?
            .with_context(|| format!("{} has no commit {name} (or more than one that begins so)", self.submodule.url))
    }

    /// The commit that a name stands for in the object store, if it is there.
    fn lookup(&self, name: &str) -> Result<Option<CommitId>> {
        // A partial clone would otherwise ask upstream for each object that it lacks.
        let run = self
            .submodule
            .git(["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])
            .env("GIT_NO_LAZY_FETCH", "1");
        let output = run.output()?;
        if !output.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().map(Some).map_err(anyhow::Error::msg)
    }

    fn describe(&self, commit: &CommitId, lock: &File) -> Result<Version> {
        let has_tags = !self.submodule.git(["for-each-ref", "--count=1", "refs/tags/v*"]).read()?.is_empty();
        if !has_tags || self.is_shallow()? {
            self.fetch(&[ALL_BRANCHES, ALL_TAGS], Depth::History, lock)?;
        }
        let described = self.submodule.git(DESCRIBE.into_iter().chain([commit.to_string().as_str()])).read()?;
        described.parse().map_err(anyhow::Error::msg)
    }

    fn is_shallow(&self) -> Result<bool> {
        Ok(self.submodule.git(["rev-parse", "--is-shallow-repository"]).read()? == "true")
    }

    /// Fetches refs. A contributor's whole clone stays whole, and a shallow one is deepened only
    /// where history is needed, and then by commits alone.
    fn fetch(&self, refspecs: &[&str], depth: Depth, lock: &File) -> Result<()> {
        let flags: &[&str] = match (self.is_shallow()?, depth) {
            (false, _) => &[],
            (true, Depth::Tip) => &["--depth=1"],
            (true, Depth::History) => &["--unshallow", "--filter=tree:0"],
        };
        let first = refspecs[0].split(':').next().unwrap_or_default().trim_start_matches('+');
        print_status("source", format_args!("fetching {first} from {}", self.submodule.url));
        let arguments = ["fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules"];
        let arguments = arguments.iter().chain(flags).chain(["origin"].iter()).chain(refspecs);
        let fetched = slow_git(&self.submodule.path, arguments.copied()).effect(lock);
        fetched.map_err(|error| {
            if error.to_string().contains("couldn't find remote ref") {
                return anyhow!(
                    "{} has no {}",
                    self.submodule.url,
                    refspecs[0].split(':').next().unwrap_or_default().trim_start_matches('+')
                );
            }
            self.submodule.explained(error, refspecs[0])
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Tip,
    History,
}

/// Whether a worktree is there, at the commit, with nothing changed, added or missing.
fn is_clean(path: &Utf8Path, commit: &CommitId) -> bool {
    let answer = |arguments: &[&str]| git(path, arguments.iter().copied()).read().ok();
    path.join(".git").is_file()
        && answer(&["rev-parse", "HEAD"]).is_some_and(|head| head == commit.to_string())
        && answer(&["status", "--porcelain", "--untracked-files=all", "--ignored"])
            .is_some_and(|status| status.is_empty())
}

/// A path as seen from the checkout, where it is inside.
pub fn relative<'a>(root: &Utf8Path, path: &'a Utf8Path) -> &'a Utf8Path {
    path.strip_prefix(root).unwrap_or(path)
}
