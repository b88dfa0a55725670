//! The submodule `buildkit/` of a contributor's checkout: which commit it pins, where upstream is, and which
//! objects are here already. It is only read.
#![allow(clippy::disallowed_methods, reason = "looks whether files exist")]

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::git::{self, read_only};
use crate::os::process::run;
use crate::upstream::git_ref::CommitId;

const NAME: &str = "buildkit";

/// The submodule of one checkout.
pub struct Submodule {
    /// The checkout.
    pub root: Utf8PathBuf,
    /// Upstream's address as `.gitmodules` has it, before git's `insteadOf`.
    pub url: String,
}

impl Submodule {
    /// The submodule of the checkout at `root`, initialised or not.
    ///
    /// # Errors
    /// If git is missing, or `.gitmodules` has no URL for the submodule.
    pub fn of(root: &Utf8Path) -> Result<Self> {
        let modules = root.join(".gitmodules");
        let key = format!("submodule.{NAME}.url");
        let declared = read_only(root, run!("git config --file {modules} --get {key}")).output();
        let declared = declared?;
        let url = String::from_utf8_lossy(&declared.stdout).trim().to_owned();
        anyhow::ensure!(declared.status.success() && !url.is_empty(), "{modules} has no URL for {NAME}");
        Ok(Self { root: root.to_owned(), url })
    }

    /// The commit that the checkout pins, from its index.
    ///
    /// # Errors
    /// If `root` is not a git checkout, or pins none.
    pub fn pinned(&self) -> Result<CommitId> {
        let entry = git::read(&self.root, run!("git ls-files --stage -- {NAME}"));
        let entry = entry.context("the commit of BuildKit to build is not known; name a version with --ref")?;
        // "160000 991535e… 0\tbuildkit"
        let commit = entry.strip_prefix("160000 ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        commit.with_context(|| format!("{} pins no commit for the submodule {NAME}", self.root))
    }

    /// The submodule's object store, if it is there. Objects are named by their content, so that which of them
    /// are there decides what has to be fetched and nothing else.
    pub fn objects(&self) -> Option<Utf8PathBuf> {
        let path = self.root.join(NAME);
        if !path.join(".git").exists() {
            return None;
        }
        let objects = read_only(&path, run!("git rev-parse --path-format=absolute --git-path objects"));
        let objects = objects.read().ok()?;
        // Git's list of object stores is separated by colons.
        Some(Utf8PathBuf::from(objects)).filter(|path| path.is_dir() && !path.as_str().contains([':', '"', '\n']))
    }
}
