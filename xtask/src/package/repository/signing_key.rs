//! The `OpenPGP` key that signs a repository, in a home of gpg's own that lasts as long as the task.
//!
//! gpg and not a library: the one in Rust needs more than a hundred crates, several of them twice, and only the job that
//! publishes signs. The machine that it runs on has gpg, as APT's users have gpgv.
#![allow(
    clippy::disallowed_methods,
    reason = "reads the environment, and writes the key into a directory that only this user can read"
)]

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::os::host;
use crate::os::process::{Run, run};
use crate::package::repository::plan::Form;

/// The variable that has the key: its secret part, in ASCII armor, without a passphrase.
pub const VARIABLE: &str = "XTASK_SIGNING_KEY";

/// A key.
pub struct SigningKey {
    home: Utf8PathBuf,
    /// Of the primary key, 40 hexadecimal digits or more.
    pub fingerprint: String,
}

impl SigningKey {
    /// The key in the environment, if there is one.
    ///
    /// # Errors
    /// If it is not exactly one secret key, or if there is no gpg.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(armored) = std::env::var(VARIABLE).ok().filter(|value| !value.trim().is_empty()) else {
            return Ok(None);
        };
        ensure!(host::on_path("gpg").is_some(), "gpg is not installed; `cargo xtask doctor` prints how to install it");
        let home = home()?;
        let mut key = Self { home, fingerprint: String::new() };
        // gpg reads a key from a file or from its standard input, and keeps it in its home either way.
        let file = key.home.join("key.asc");
        fs::write(&file, armored).and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o600)))?;
        let imported = key.gpg().args(["--import", file.as_str()]).read();
        fs::remove_file(&file)?;
        imported.with_context(|| format!("{VARIABLE} is not a key that gpg can import"))?;
        let listed = key.gpg().args(["--with-colons", "--list-secret-keys"]).read()?;
        key.fingerprint = match primary_fingerprints(&listed).as_slice() {
            [fingerprint] => fingerprint.clone(),
            [] => bail!("{VARIABLE} has no secret key; export it with `gpg --armor --export-secret-keys KEY`"),
            several => bail!("{VARIABLE} has {} secret keys; export only the one that signs", several.len()),
        };
        Ok(Some(key))
    }

    /// The public key, in ASCII armor.
    pub fn public(&self) -> Result<String> {
        let fingerprint = &self.fingerprint;
        let exported =
            self.gpg().args(["--armor", "--export-options", "export-minimal", "--export", fingerprint]).read();
        Ok(exported? + "\n")
    }

    /// The fingerprints of the keys in a file.
    pub fn fingerprints_in(&self, file: &Utf8Path) -> Result<Vec<String>> {
        let listed = self.gpg().args(["--with-colons", "--show-keys", file.as_str()]).read();
        listed.map(|listed| primary_fingerprints(&listed)).with_context(|| format!("{file} is not a public key"))
    }

    /// Signs a file.
    pub fn sign(&self, document: &Utf8Path, signature: &Utf8Path, form: Form) -> Result<()> {
        let sign = self.gpg().args(["--yes", "--digest-algo", "SHA512", "--local-user", &self.fingerprint]);
        let sign = sign.args(["--output", signature.as_str()]).args(form.options().iter().copied());
        sign.arg(document.as_str()).read().map(drop).with_context(|| {
            format!("the key of {VARIABLE} cannot sign {document}; it needs a part that signs, and no passphrase")
        })
    }

    /// Checks a signature by this key.
    pub fn verify(&self, document: &Utf8Path, signature: &Utf8Path, form: Form) -> Result<()> {
        let verify = self.gpg().args(["--verify", signature.as_str()]);
        let verify = if form == Form::Detached { verify.arg(document.as_str()) } else { verify };
        verify.read().map(drop).with_context(|| format!("{signature} is not this key's signature of {document}"))
    }

    fn gpg(&self) -> Run {
        let home = &self.home;
        // Nobody is there to be asked.
        run!("gpg --homedir {home} --batch --no-tty --quiet --trust-model always --pinentry-mode error")
            .env("LC_ALL", "C")
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        let home = &self.home;
        // The agent, which holds the key, would outlive us. It ends by itself, too, once its home is gone.
        let _ = run!("gpgconf --homedir {home} --kill all").cleans_up().output();
        let _ = fs::remove_dir_all(home);
    }
}

/// A new directory that only this user can read: in memory where the system has such a place, for a run that is
/// killed cannot remove it. Its path is short, as that of the agent's socket has to be.
fn home() -> Result<Utf8PathBuf> {
    let parent = std::env::var("XDG_RUNTIME_DIR").ok().map(Utf8PathBuf::from).filter(|folder| folder.is_dir());
    let parent = parent.map_or_else(|| Utf8PathBuf::try_from(std::env::temp_dir()), Ok)?;
    let home = parent.join(format!("xtask-key-{}", std::process::id()));
    // Fails if somebody else has made it.
    DirBuilder::new().mode(0o700).create(&home).with_context(|| format!("cannot create {home}"))?;
    Ok(home)
}

/// The fingerprints of primary keys in the output of `--with-colons` (`GnuPG`, doc/DETAILS): a record `pub` or `sec`, and
/// its `fpr` after it. Those of subkeys follow a `sub` or `ssb`.
fn primary_fingerprints(listed: &str) -> Vec<String> {
    let mut is_primary = false;
    let mut found = Vec::new();
    for line in listed.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            ["pub" | "sec", ..] => is_primary = true,
            ["sub" | "ssb", ..] => is_primary = false,
            ["fpr", _, _, _, _, _, _, _, _, fingerprint, ..] if is_primary => {
                found.push((*fingerprint).to_owned());
                is_primary = false;
            }
            _ => {}
        }
    }
    found
}
