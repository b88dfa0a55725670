//! What a repository should have, what it has, and the steps from one to the other.
//!
//! Packages are only added. They are copied first, then the indexes under the names of their digests, then those that
//! are replaced. `Release` and `repomd.xml`, which lead to all others, come last, each after its signatures: a client
//! that finds one finds all that it names, and if a run is killed, the next one finds that it is old and signs again.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::Sha256;
use serde::Serialize;

use crate::os::shell::quoted;

/// The public key, as users get it.
pub const PUBLIC_KEY: &str = "buildkit.asc";

/// A file that the repository should have.
#[derive(Clone, Debug)]
pub struct File {
    /// In the repository.
    pub path: Utf8PathBuf,
    /// Where it is now.
    pub from: Utf8PathBuf,
    pub sha256: Sha256,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Never changes.
    Package,
    /// Its name is its digest.
    IndexByDigest,
    Index,
    /// `Release` or `repomd.xml`: what is signed.
    Document,
}

impl Kind {
    /// That of the index at `path`.
    pub fn of_index(path: &Utf8Path) -> Self {
        match path.file_name() {
            Some("Release" | "repomd.xml") => Self::Document,
            _ if path.as_str().contains("/by-hash/") || path.as_str().contains("/repodata/") => Self::IndexByDigest,
            _ => Self::Index,
        }
    }
}

/// The desired state of the directory `folder`.
#[derive(Debug)]
pub struct Desired {
    pub folder: Utf8PathBuf,
    /// Where signatures are written before they are copied.
    pub stage: Utf8PathBuf,
    pub files: Vec<File>,
    pub is_signed: bool,
}

/// What the directory has.
#[derive(Debug, Default)]
pub struct Observed {
    /// The packages of its `SHA256SUMS`.
    pub published: BTreeMap<Utf8PathBuf, Sha256>,
    /// Every file.
    pub files: BTreeMap<Utf8PathBuf, Sha256>,
}

/// One change. Its `Display` is a command that makes the same change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Step {
    /// Signs a document that is not in the repository yet.
    Sign { document: Utf8PathBuf, signature: Utf8PathBuf, form: Form },
    /// Adds a file, or replaces one.
    Copy { from: Utf8PathBuf, to: Utf8PathBuf },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The document and its signature in one file.
    Clear,
    Detached,
}

impl Form {
    /// The options of gpg.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Self::Clear => &["--clear-sign"],
            Self::Detached => &["--armor", "--detach-sign"],
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sign { document, signature, form } => {
                let (options, signature) = (form.options().join(" "), quoted(signature.as_str()));
                write!(out, "gpg --yes --output {signature} {options} {}", quoted(document.as_str()))
            }
            Self::Copy { from, to } => {
                write!(out, "install -D -m 644 {} {}", quoted(from.as_str()), quoted(to.as_str()))
            }
        }
    }
}

/// The signatures of the document at `path`, in the order in which they are copied.
pub fn signatures(path: &Utf8Path) -> Vec<(Utf8PathBuf, Form)> {
    match path.file_name() {
        Some("Release") => {
            vec![(path.with_file_name("Release.gpg"), Form::Detached), (path.with_file_name("InRelease"), Form::Clear)]
        }
        _ => vec![(Utf8PathBuf::from(format!("{path}.asc")), Form::Detached)],
    }
}

/// The steps.
///
/// # Errors
/// If a published package is gone or would change, or if a signed repository would lose its signatures.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Vec<Step>> {
    require_published(desired, observed)?;
    let copy = |from: &Utf8Path, path: &Utf8Path| Step::Copy { from: from.to_owned(), to: desired.folder.join(path) };
    let mut files: Vec<&File> = desired.files.iter().collect();
    files.sort_by_key(|file| (file.kind, &file.path));
    let (mut signing, mut copying) = (Vec::new(), Vec::new());
    for File { path, from, sha256, kind } in files {
        let signatures = if *kind == Kind::Document { signatures(path) } else { Vec::new() };
        let signed = signatures.iter().filter(|(signature, _)| observed.files.contains_key(signature)).count();
        if !desired.is_signed && signed > 0 {
            bail!(
                "{} is signed, and its users expect it; set XTASK_SIGNING_KEY instead of --unsigned",
                desired.folder.join(path)
            );
        }
        let is_there = observed.files.get(path) == Some(sha256);
        if desired.is_signed && (!is_there || signed < signatures.len()) {
            for (signature, form) in signatures {
                let staged = desired.stage.join(&signature);
                copying.push(copy(&staged, &signature));
                signing.push(Step::Sign { document: from.clone(), signature: staged, form });
            }
        }
        if !is_there {
            copying.push(copy(from, path));
        }
    }
    signing.extend(copying);
    Ok(signing)
}

/// Checks that every published package stays what it is.
fn require_published(desired: &Desired, observed: &Observed) -> Result<()> {
    let packages = desired.files.iter().filter(|file| file.kind == Kind::Package);
    let packages: BTreeMap<&Utf8PathBuf, &Sha256> = packages.map(|file| (&file.path, &file.sha256)).collect();
    for (path, sha256) in &observed.published {
        let path_in = desired.folder.join(path);
        match packages.get(path) {
            Some(found) if *found == sha256 => {}
            Some(found) => bail!(
                "{path_in} was published with the SHA-256 {sha256}, and is {found} now; a published package never changes: \
                 restore it, or give the new one a higher revision"
            ),
            None => bail!("{path_in} was published and is gone; restore it"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn sha256(content: &str) -> Sha256 {
        oci::digest::sha256(content.as_bytes())
    }

    fn desired() -> Desired {
        let package = "apt/pool/main/b/buildkit/buildkit_0.32.2-1_riscv64.deb";
        let file = |path: &str, from: &str| File {
            path: path.into(),
            from: from.into(),
            sha256: sha256(path),
            kind: if path == package { Kind::Package } else { Kind::of_index(path.into()) },
        };
        let indexes = [
            "SHA256SUMS",
            "apt/dists/stable/Release",
            "apt/dists/stable/main/binary-riscv64/Packages",
            "apt/dists/stable/main/binary-riscv64/by-hash/SHA256/0a",
            "rpm/stable/repodata/0b-primary.xml.gz",
            "rpm/stable/repodata/repomd.xml",
        ];
        let mut files: Vec<File> = indexes.iter().map(|path| file(path, &format!("stage/{path}"))).collect();
        files.push(file(package, "dist/v0.32.2/a.deb"));
        Desired { folder: "pages".into(), stage: "stage".into(), files, is_signed: true }
    }

    fn text(steps: &[Step]) -> String {
        steps.iter().map(|step| format!("{step}\n")).collect()
    }

    /// What the directory has after these steps.
    fn after(desired: &Desired, steps: &[Step], observed: &mut Observed) {
        for step in steps {
            let Step::Copy { to, .. } = step else { continue };
            let path = to.strip_prefix(&desired.folder).expect("is in the directory");
            let file = desired.files.iter().find(|file| file.path == path);
            let sha256 = file.map_or_else(|| sha256("a signature"), |file| file.sha256.clone());
            observed.files.insert(path.to_owned(), sha256);
        }
    }

    #[test]
    fn a_first_run_signs_and_then_copies_what_leads_to_others_last() {
        expect![[r"
            gpg --yes --output stage/apt/dists/stable/Release.gpg --armor --detach-sign stage/apt/dists/stable/Release
            gpg --yes --output stage/apt/dists/stable/InRelease --clear-sign stage/apt/dists/stable/Release
            gpg --yes --output stage/rpm/stable/repodata/repomd.xml.asc --armor --detach-sign stage/rpm/stable/repodata/repomd.xml
            install -D -m 644 dist/v0.32.2/a.deb pages/apt/pool/main/b/buildkit/buildkit_0.32.2-1_riscv64.deb
            install -D -m 644 stage/apt/dists/stable/main/binary-riscv64/by-hash/SHA256/0a pages/apt/dists/stable/main/binary-riscv64/by-hash/SHA256/0a
            install -D -m 644 stage/rpm/stable/repodata/0b-primary.xml.gz pages/rpm/stable/repodata/0b-primary.xml.gz
            install -D -m 644 stage/SHA256SUMS pages/SHA256SUMS
            install -D -m 644 stage/apt/dists/stable/main/binary-riscv64/Packages pages/apt/dists/stable/main/binary-riscv64/Packages
            install -D -m 644 stage/apt/dists/stable/Release.gpg pages/apt/dists/stable/Release.gpg
            install -D -m 644 stage/apt/dists/stable/InRelease pages/apt/dists/stable/InRelease
            install -D -m 644 stage/apt/dists/stable/Release pages/apt/dists/stable/Release
            install -D -m 644 stage/rpm/stable/repodata/repomd.xml.asc pages/rpm/stable/repodata/repomd.xml.asc
            install -D -m 644 stage/rpm/stable/repodata/repomd.xml pages/rpm/stable/repodata/repomd.xml
        "]]
        .assert_eq(&text(&plan(&desired(), &Observed::default()).expect("plans")));
    }

    #[test]
    fn a_run_that_is_killed_anywhere_is_completed_by_the_next() {
        let desired = desired();
        let old = || {
            let mut old = Observed::default();
            for File { path, kind, .. } in desired.files.iter().filter(|file| file.kind >= Kind::Index) {
                old.files.insert(path.clone(), sha256("old"));
                let signatures = if *kind == Kind::Document { signatures(path) } else { Vec::new() };
                old.files.extend(signatures.into_iter().map(|(path, _)| (path, sha256("old signature"))));
            }
            old
        };
        let steps = plan(&desired, &old()).expect("plans");
        for killed_after in 0..=steps.len() {
            let mut observed = old();
            after(&desired, &steps[..killed_after], &mut observed);
            let rest = plan(&desired, &observed).expect("plans");
            after(&desired, &rest, &mut observed);
            let stale: Vec<_> = observed.files.values().filter(|digest| **digest == sha256("old signature")).collect();
            assert!(stale.is_empty(), "after {killed_after} steps: {observed:?}");
            assert_eq!(plan(&desired, &observed).expect("plans"), [], "after {killed_after} steps");
        }
    }

    #[test]
    fn what_was_published_neither_changes_nor_goes() {
        let path = "apt/pool/main/b/buildkit/buildkit_0.32.2-1_riscv64.deb";
        for (path, content, said) in [
            (path, "other", "never changes"),
            ("apt/pool/main/b/buildkit/buildkit_0.31.0-1_riscv64.deb", "x", "was published and is gone"),
        ] {
            let published = BTreeMap::from([(path.into(), sha256(content))]);
            let observed = Observed { published, ..Observed::default() };
            let message = plan(&desired(), &observed).expect_err("is refused").to_string();
            assert!(message.contains(said) && message.contains(path), "{message}");
        }
    }

    #[test]
    fn a_signed_repository_is_not_made_unsigned() {
        let mut observed = Observed::default();
        after(&desired(), &plan(&desired(), &observed).expect("plans"), &mut observed);
        let unsigned = Desired { is_signed: false, ..desired() };
        let message = plan(&unsigned, &observed).expect_err("is refused").to_string();
        assert!(message.contains("pages/apt/dists/stable/Release is signed"), "{message}");
        assert!(!text(&plan(&unsigned, &Observed::default()).expect("plans")).contains("gpg"));
    }
}
