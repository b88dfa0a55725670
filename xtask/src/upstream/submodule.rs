//! The submodule `buildkit/`: its URL, the commit that is pinned, and its object store, which is
//! made whole or not at all.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::{self, File};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::git::{git, slow_git};
use crate::os::files::Staging;
use crate::os::process::Run;
use crate::os::terminal::{note, print_status};

const NAME: &str = "buildkit";

/// The submodule of one checkout.
pub struct Submodule {
    /// The checkout.
    pub root: Utf8PathBuf,
    /// The submodule's folder.
    pub path: Utf8PathBuf,
    /// Where it is cloned from, before git's `insteadOf`.
    pub url: String,
}

impl Submodule {
    /// The submodule of the checkout at `root`, there or not.
    ///
    /// # Errors
    /// Where `root` is no git checkout or has no URL for it.
    pub fn of(root: &Utf8Path) -> Result<Self> {
        let key = format!("submodule.{NAME}.url");
        let configured = git(root, ["config", "--get", &key]);
        let configured = configured.output().context("git is needed; `cargo xtask doctor` says how to get it")?;
        let url = if configured.status.success() {
            String::from_utf8_lossy(&configured.stdout).trim().to_owned()
        } else {
            let declared = git(root, ["config", "--file", ".gitmodules", "--get", &key]).read();
            declared.with_context(|| format!("{root}/.gitmodules names no URL for {NAME}"))?
        };
        Ok(Self { root: root.to_owned(), path: root.join(NAME), url })
    }

    /// A git command in it.
    pub fn git<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Run {
        git(&self.path, arguments)
    }

    /// The commit that this checkout pins, from its index.
    ///
    /// # Errors
    /// Where it pins none.
    pub fn pinned(&self) -> Result<String> {
        let entry = git(&self.root, ["ls-files", "--stage", "--", NAME]).read()?;
        // "160000 991535e… 0\tbuildkit"
        let commit = entry.strip_prefix("160000 ").and_then(|rest| rest.split(' ').next());
        let commit = commit.with_context(|| format!("{} pins no commit for the submodule {NAME}", self.root))?;
        Ok(commit.to_owned())
    }

    /// Initialises a submodule that is missing, and mends what a killed run left of one.
    ///
    /// # Errors
    /// Where it cannot be fetched, or its folder holds something else.
    pub fn ensure(&self, lock: &File) -> Result<()> {
        self.populate(lock)?;
        self.remove_stale_locks()
    }

    /// The clone appears whole or not at all; a checkout that was begun and not ended has no index.
    fn populate(&self, lock: &File) -> Result<()> {
        let is_there = self.path.join(".git").exists();
        if is_there {
            let index = self.git(["rev-parse", "--path-format=absolute", "--git-path", "index"]).read()?;
            if Utf8Path::new(&index).exists() {
                return Ok(());
            }
            remove_if_there(Utf8Path::new(&format!("{index}.lock")))?;
        } else if self.path.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{} holds files but is no git repository; move them away and run this again", self.path);
        }
        let path = ["rev-parse", "--path-format=absolute", "--git-path", &format!("modules/{NAME}")];
        let modules = Utf8PathBuf::from(git(&self.root, path).read()?);
        if !is_there && !modules.exists() {
            print_status("source", format_args!("cloning {}", self.url));
            let staging = Staging::new(&modules)?;
            let clone = ["clone", "--quiet", "--no-checkout", "--filter=tree:0", &self.url, "clone"];
            slow_git(staging.path(), clone).effect(lock).map_err(|error| self.explained(error, "the repository"))?;
            fs::rename(staging.path().join("clone/.git"), &modules)
                .with_context(|| format!("cannot make {modules}"))?;
        }
        let update = ["submodule", "update", "--init", "--force", "--no-fetch", "--", NAME];
        slow_git(&self.root, update).effect(lock).map_err(|error| self.explained(error, "files"))
    }

    /// Removes lock files that a fetch left when it was killed. Ours cannot be at work: each holds
    /// the store's lock for as long as it lives.
    fn remove_stale_locks(&self) -> Result<()> {
        let common = self.git(["rev-parse", "--path-format=absolute", "--git-common-dir"]).read()?;
        for name in ["shallow.lock", "config.lock", "packed-refs.lock"] {
            remove_if_there(&Utf8Path::new(&common).join(name))?;
        }
        Ok(())
    }

    /// What to do when upstream does not answer; any other failure of git speaks for itself.
    pub fn explained(&self, error: anyhow::Error, what: &str) -> anyhow::Error {
        let (url, root) = (&self.url, &self.root);
        let said = error.to_string();
        if !UNREACHABLE.iter().any(|sign| said.contains(sign)) {
            return error.context(format!("cannot get {what} of upstream"));
        }
        error.context(format!(
            "cannot fetch {what} from {url}\n  \
             If it cannot be reached from here, there are two ways out:\n    \
             a mirror:      git config --global url.MIRROR.insteadOf {url}\n    \
             a local clone: git clone MIRROR {root}/{NAME}"
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

fn remove_if_there(path: &Utf8Path) -> Result<()> {
    if path.exists() {
        note(format_args!("removing {path}, which a killed run left"));
        fs::remove_file(path).with_context(|| format!("cannot remove {path}"))?;
    }
    Ok(())
}
