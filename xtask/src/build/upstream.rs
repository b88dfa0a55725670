//! From an upstream ref to source on disk: the submodule's object store, filled with no more than
//! the ref needs, and a worktree under `target/` for each commit that is built.
//!
//! The contributor's own checkout in `buildkit/` is never read or changed; only its object store
//! gains objects and upstream's own refs. A submodule that is missing is cloned without trees
//! (`--filter=tree:0`): all commits and tags, so that every version can be told, and of the files
//! only those of the commits that are checked out.

use std::fs::{self, File};

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::model::go_version::GoVersion;
use crate::model::metadata::Source;
use crate::model::recipe::PACKAGE;
use crate::model::upstream_ref::{CommitId, UpstreamRef};
use crate::model::version::Version;
use crate::sys::files::{self, Staging};
use crate::sys::git::{git, slow_git};
use crate::sys::narrate::{note, say};
use crate::sys::process::Run;

const SUBMODULE: &str = "buildkit";
/// Upstream's rule for a version, with the length of abbreviation that git chooses in a whole
/// clone of upstream (135,000 objects): a partial clone has fewer objects and would choose less.
/// Source: the `buildkit-version` stage of upstream's Dockerfile.
const DESCRIBE: [&str; 6] = ["describe", "--match", "v[0-9]*", "--always", "--tags", "--abbrev=9"];
const ALL_TAGS: &str = "refs/tags/v*:refs/tags/v*";
const ALL_BRANCHES: &str = "+refs/heads/*:refs/remotes/origin/*";

/// Upstream as this checkout has it.
pub struct Upstream {
    root: Utf8PathBuf,
    submodule: Utf8PathBuf,
    worktrees: Utf8PathBuf,
    url: String,
}

impl Upstream {
    /// The upstream of the checkout at `root`; nothing is fetched yet.
    ///
    /// # Errors
    /// Where `root` is no git checkout or has no URL for the submodule.
    pub fn of(root: &Utf8Path) -> Result<Self> {
        let key = format!("submodule.{SUBMODULE}.url");
        let configured = git(root, ["config", "--get", &key])
            .output()
            .context("git is needed; `cargo xtask doctor` says how to get it")?;
        let url = if configured.status.success() {
            String::from_utf8_lossy(&configured.stdout).trim().to_owned()
        } else {
            git(root, ["config", "--file", ".gitmodules", "--get", &key])
                .read()
                .with_context(|| format!("{root}/.gitmodules names no URL for {SUBMODULE}"))?
        };
        Ok(Self {
            root: root.to_owned(),
            submodule: root.join(SUBMODULE),
            worktrees: root.join("target/upstream"),
            url,
        })
    }

    /// Finds the commit of a ref, or the pinned one, and all that its build is stamped with.
    ///
    /// # Errors
    /// Where upstream has no such ref, or cannot be reached although it has to be.
    pub fn resolve(&self, wanted: Option<&UpstreamRef>) -> Result<Source> {
        let lock = files::lock(&self.worktrees.join("store.lock"), || {
            note("another run is fetching upstream; waiting for it")
        })?;
        let pinned = self.pinned()?;
        self.ensure_submodule(&lock)?;
        self.remove_stale_locks()?;
        let commit = match wanted {
            None => self.commit(&pinned, &lock)?,
            Some(UpstreamRef::Release(tag)) => {
                let name = format!("refs/tags/{tag}");
                if self.lookup(&name)?.is_none() {
                    self.fetch(&[&format!("{name}:{name}")], Depth::Tip, &lock)?;
                }
                self.lookup(&name)?.with_context(|| format!("{} has no tag {tag}", self.url))?
            }
            Some(UpstreamRef::Branch(branch)) => {
                let name = branch.as_str();
                self.fetch(
                    &[&format!("+refs/heads/{name}:refs/remotes/origin/{name}"), ALL_TAGS],
                    Depth::History,
                    &lock,
                )?;
                let found = self.lookup(&format!("refs/remotes/origin/{name}"))?;
                found.with_context(|| format!("{} has no branch {name}", self.url))?
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
        let shown = self.store(["show", "-s", "--format=%ct", &commit.to_string()]).read()?;
        let source_date_epoch =
            shown.parse().with_context(|| format!("git gave {shown:?} for the date of {commit}"))?;
        let source_date = rfc3339(source_date_epoch)?;
        Ok(Source { r#ref, commit, version, package: PACKAGE.to_owned(), source_date, source_date_epoch })
    }

    /// The version of Go that the commit's `go.mod` asks for.
    ///
    /// # Errors
    /// Where there is no such file or line.
    pub fn go_version(&self, commit: &CommitId) -> Result<GoVersion> {
        let go_mod = self.store(["show", &format!("{commit}:go.mod")]);
        let go_mod = go_mod.read().map_err(|error| self.explained(error, "go.mod"))?;
        GoVersion::asked_by(&go_mod).map_err(|error| anyhow!("go.mod of {commit}: {error}"))
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
            let store_lock = files::lock(&self.worktrees.join("store.lock"), || {
                note("another run is fetching upstream; waiting for it")
            })?;
            say("source", format_args!("checking {commit} out to {}", relative(&self.root, &path)));
            if path.exists() {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {path}"))?;
            }
            self.store(["worktree", "prune"]).effect(&store_lock)?;
            let add = ["worktree", "add", "--force", "--detach", path.as_str(), &commit.to_string()];
            slow_git(&self.submodule, add).effect(&store_lock).map_err(|error| self.explained(error, "files"))?;
        }
        Ok((path, lock))
    }

    fn store<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Run {
        git(&self.submodule, arguments)
    }

    /// The commit that this checkout pins, from its index.
    fn pinned(&self) -> Result<String> {
        let entry = git(&self.root, ["ls-files", "--stage", "--", SUBMODULE]).read()?;
        // "160000 991535e… 0\tbuildkit"
        let commit = entry.strip_prefix("160000 ").and_then(|rest| rest.split(' ').next());
        let commit = commit.with_context(|| format!("{} pins no commit for the submodule {SUBMODULE}", self.root))?;
        Ok(commit.to_owned())
    }

    /// Initialises a submodule that is missing, whole or not at all, and finishes a checkout that
    /// a killed run began: such a one has no index yet.
    fn ensure_submodule(&self, lock: &File) -> Result<()> {
        let is_there = self.submodule.join(".git").exists();
        if is_there {
            let index = self.store(["rev-parse", "--path-format=absolute", "--git-path", "index"]).read()?;
            if Utf8Path::new(&index).exists() {
                return Ok(());
            }
            remove_if_there(Utf8Path::new(&format!("{index}.lock")))?;
        } else if self.submodule.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{} holds files but is no git repository; move them away and run this again", self.submodule);
        }
        let path = ["rev-parse", "--path-format=absolute", "--git-path", &format!("modules/{SUBMODULE}")];
        let modules = Utf8PathBuf::from(git(&self.root, path).read()?);
        if !is_there && !modules.exists() {
            say("source", format_args!("cloning {}", self.url));
            let staging = Staging::new(&modules)?;
            let clone = ["clone", "--quiet", "--no-checkout", "--filter=tree:0", &self.url, "clone"];
            slow_git(staging.path(), clone).effect(lock).map_err(|error| self.explained(error, "the repository"))?;
            fs::rename(staging.path().join("clone/.git"), &modules)
                .with_context(|| format!("cannot make {modules}"))?;
        }
        let update = ["submodule", "update", "--init", "--force", "--no-fetch", "--", SUBMODULE];
        slow_git(&self.root, update).effect(lock).map_err(|error| self.explained(error, "files"))
    }

    /// Removes lock files that a fetch left when it was killed. Ours cannot be at work: each holds
    /// the store's lock for as long as it lives.
    fn remove_stale_locks(&self) -> Result<()> {
        let common = self.store(["rev-parse", "--path-format=absolute", "--git-common-dir"]).read()?;
        for name in ["shallow.lock", "config.lock", "packed-refs.lock"] {
            remove_if_there(&Utf8Path::new(&common).join(name))?;
        }
        Ok(())
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
            .with_context(|| format!("{} has no commit {name} (or more than one that begins so)", self.url))
    }

    /// The commit that a name stands for in the object store, if it is there.
    fn lookup(&self, name: &str) -> Result<Option<CommitId>> {
        // A partial clone would otherwise ask upstream for each object that it lacks.
        let run = self
            .store(["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])
            .env("GIT_NO_LAZY_FETCH", "1");
        let output = run.output()?;
        if !output.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().map(Some).map_err(anyhow::Error::msg)
    }

    fn describe(&self, commit: &CommitId, lock: &File) -> Result<Version> {
        let has_tags = !self.store(["for-each-ref", "--count=1", "refs/tags/v*"]).read()?.is_empty();
        if !has_tags || self.is_shallow()? {
            self.fetch(&[ALL_BRANCHES, ALL_TAGS], Depth::History, lock)?;
        }
        let described = self.store(DESCRIBE.into_iter().chain([commit.to_string().as_str()])).read()?;
        described.parse().map_err(anyhow::Error::msg)
    }

    fn is_shallow(&self) -> Result<bool> {
        Ok(self.store(["rev-parse", "--is-shallow-repository"]).read()? == "true")
    }

    /// Fetches refs. A contributor's whole clone stays whole, and a shallow one is deepened only
    /// where history is needed, and then by commits alone.
    fn fetch(&self, refspecs: &[&str], depth: Depth, lock: &File) -> Result<()> {
        let flags: &[&str] = match (self.is_shallow()?, depth) {
            (false, _) => &[],
            (true, Depth::Tip) => &["--depth=1"],
            (true, Depth::History) => &["--unshallow", "--filter=tree:0"],
        };
        say("source", format_args!("fetching {} from {}", refspecs[0].split(':').next().unwrap_or_default(), self.url));
        let arguments = ["fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules"];
        let arguments = arguments.iter().chain(flags).chain(["origin"].iter()).chain(refspecs);
        let fetched = slow_git(&self.submodule, arguments.copied()).effect(lock);
        fetched.map_err(|error| {
            if error.to_string().contains("couldn't find remote ref") {
                return anyhow!(
                    "{} has no {}",
                    self.url,
                    refspecs[0].split(':').next().unwrap_or_default().trim_start_matches('+')
                );
            }
            self.explained(error, refspecs[0])
        })
    }

    /// What to do when upstream does not answer; any other failure of git speaks for itself.
    fn explained(&self, error: anyhow::Error, what: &str) -> anyhow::Error {
        let (url, root) = (&self.url, &self.root);
        let said = error.to_string();
        if !UNREACHABLE.iter().any(|sign| said.contains(sign)) {
            return error.context(format!("cannot get {what} of upstream"));
        }
        error.context(format!(
            "cannot fetch {what} from {url}\n  \
             If it cannot be reached from here, there are two ways out:\n    \
             a mirror:      git config --global url.MIRROR.insteadOf {url}\n    \
             a local clone: git clone MIRROR {root}/{SUBMODULE}"
        ))
    }
}

/// What git says when the other side does not answer, by transport.
const UNREACHABLE: [&str; 6] = [
    "unable to access",
    "Could not read from remote repository",
    "does not appear to be a git repository",
    "unable to connect",
    "promisor remote",
    "hung up",
];

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

fn remove_if_there(path: &Utf8Path) -> Result<()> {
    if path.exists() {
        note(format_args!("removing {path}, which a killed run left"));
        fs::remove_file(path).with_context(|| format!("cannot remove {path}"))?;
    }
    Ok(())
}

/// A path as seen from the checkout, where it is inside.
pub fn relative<'a>(root: &Utf8Path, path: &'a Utf8Path) -> &'a Utf8Path {
    path.strip_prefix(root).unwrap_or(path)
}

fn rfc3339(epoch_seconds: i64) -> Result<String> {
    let date =
        time::OffsetDateTime::from_unix_timestamp(epoch_seconds).context("the date of the commit is out of range")?;
    date.format(&time::format_description::well_known::Rfc3339).context("the date of the commit cannot be written")
}
