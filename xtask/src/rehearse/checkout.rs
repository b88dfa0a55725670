//! The small checkout in which the tasks of a pipeline run, their environment, and the search for secrets
//! in everything that they leave behind.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fakes::registry::TOKEN_PREFIX;
use memchr::memmem;

use crate::http::Authorization;
use crate::os::clock::Timestamp;

const REPOSITORY: &str = "octo-riscv/docker-for-riscv64";
/// The commit of our repository that the workflow runs on.
pub const OUR_COMMIT: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";
/// A later commit of our repository, which changes a workflow file.
pub const LATER_COMMIT: &str = "1a7e51a7e51a7e51a7e51a7e51a7e51a7e51a7e5";
/// The user that started the run.
const ACTOR: &str = "octo-riscv";

/// Where the tasks find GitHub and the registry.
pub enum Services {
    /// At addresses on loopback, in plain HTTP.
    Loopback { github: String },
    /// Under their real names, which need no variable, over TLS with certificates of this authority.
    RealNames { authority: Utf8PathBuf },
}

/// What a workflow gives to a task and nobody else may see.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The token of the daily workflow, which may create issues and start runs.
    pub tracking: String,
    /// The token of the weekly workflow, which may publish releases and comment on issues.
    pub release: String,
    pub username: String,
    /// The password for the registry.
    pub password: String,
}

impl Secrets {
    /// Made-up values in the form of real ones.
    pub fn made_up() -> Self {
        Self {
            tracking: "ghs_rehearsal0tracking0000000000000000001".to_owned(),
            release: "ghs_rehearsal0release00000000000000000002".to_owned(),
            username: ACTOR.to_owned(),
            password: "rehearsal0password0of0a0registry".to_owned(),
        }
    }

    /// The same, but with the registry credentials from this process's environment.
    pub fn for_a_real_registry() -> Self {
        let given = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let made_up = Self::made_up();
        let username = given("REGISTRY_USERNAME").unwrap_or_else(|| made_up.username.clone());
        let password = given("REGISTRY_PASSWORD").unwrap_or_else(|| made_up.password.clone());
        Self { username, password, ..made_up }
    }

    /// The same, but the registry is GitHub's: it takes the token of the workflow that pushes, and no password.
    pub fn for_github() -> Self {
        let made_up = Self::made_up();
        Self { password: made_up.release.clone(), ..made_up }
    }

    /// Every form in which a secret could appear.
    pub fn forms(&self) -> [String; 5] {
        let pair = Authorization::basic(&self.username, &self.password);
        let encoded = pair.header().trim_start_matches("Basic ").to_owned();
        [self.tracking.clone(), self.release.clone(), self.password.clone(), encoded, TOKEN_PREFIX.to_owned()]
    }

    /// Whether any secret occurs in these bytes.
    pub fn occur_in(&self, bytes: &[u8]) -> bool {
        self.forms().iter().any(|form| memmem::find(bytes, form.as_bytes()).is_some())
    }
}

/// The repository of a rehearsal. A real registry keeps what is pushed, so each rehearsal with one uses a
/// new owner.
pub fn repository(has_real_registry: bool) -> Result<String> {
    if !has_real_registry {
        return Ok(REPOSITORY.to_owned());
    }
    let now: String = Timestamp::now()?.to_string().chars().filter(char::is_ascii_digit).collect();
    Ok(REPOSITORY.replace('/', &format!("-{now}-{}/", std::process::id())))
}

/// What an empty checkout has: just what `root()` looks for.
const EMPTY: [&str; 2] = ["xtask", ".gitmodules"];

/// Creates an empty checkout, unless it is there.
pub fn make(root: &Utf8Path) -> Result<()> {
    let make = || {
        fs::create_dir_all(root.join(EMPTY[0]))?;
        fs::write(root.join(EMPTY[1]), "")
    };
    make().with_context(|| format!("cannot create {root}"))
}

/// Empties a checkout. To remove and create it again would take longer: a file system may not use an inode again for
/// minutes, and look for another among thousands of such.
pub fn clear(root: &Utf8Path) -> Result<()> {
    for entry in root.read_dir_utf8().with_context(|| format!("cannot list {root}"))? {
        let entry = entry.with_context(|| format!("cannot list {root}"))?;
        let path = entry.path();
        let removed = match EMPTY.contains(&entry.file_name()) {
            true => Ok(()),
            false if path.is_dir() => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        };
        removed.with_context(|| format!("cannot remove {path}"))?;
    }
    Ok(())
}

/// The files in a directory and below.
pub fn files_below(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir_utf8().with_context(|| format!("cannot list {folder}"))? {
        let path = entry.with_context(|| format!("cannot list {folder}"))?.into_path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Finds the files below `folder` that contain a secret.
pub fn leaks(folder: &Utf8Path, secrets: &Secrets) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in files_below(folder)? {
        let content = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
        if secrets.occur_in(&content) {
            found.push(format!("{path} contains a secret"));
        }
    }
    Ok(found)
}

/// The environment of a workflow step as the tasks use it, and nothing from this process but PATH.
/// `GITHUB_ACTIONS` is left out, because with it the output is written for a web page. Source: GitHub
/// Docs, "Default environment variables".
pub fn environment(
    root: &Utf8Path,
    (services, repository): (&Services, &str),
    token: &str,
    secrets: &Secrets,
) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("PATH", std::env::var("PATH").unwrap_or_default()),
        ("GITHUB_REPOSITORY", repository.to_owned()),
        ("GITHUB_TOKEN", token.to_owned()),
        ("GITHUB_ACTOR", ACTOR.to_owned()),
        ("GITHUB_SHA", OUR_COMMIT.to_owned()),
        ("GITHUB_OUTPUT", root.join("github-output").into_string()),
        ("GITHUB_STEP_SUMMARY", root.join("github-summary").into_string()),
    ];
    match services {
        Services::Loopback { github } => variables.extend([
            ("GITHUB_API_URL", github.clone()),
            ("REGISTRY_USERNAME", secrets.username.clone()),
            ("REGISTRY_PASSWORD", secrets.password.clone()),
        ]),
        // The convention of OpenSSL, which the client's library follows in every run.
        Services::RealNames { authority } => variables.push(("SSL_CERT_FILE", authority.to_string())),
    }
    variables
}
