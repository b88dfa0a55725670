//! `cargo xtask verify`: checks a published release as anyone can, without credentials: its files, its image, and what
//! is attached to it.
#![allow(clippy::disallowed_methods, reason = "writes files")]

use std::fs;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde_json::json;

use crate::cli::Target;
use crate::dist::{ReleaseName, Verdict, check_table};
use crate::github::{GitHub, GitHubStep, Release, Releases, Repository};
use crate::http::Url;
use crate::os::streams::print_json;
use crate::os::terminal::{note, print_error, print_status};
use crate::registry::{ImageRepository, Registry};
use crate::upstream::ReleaseTag;
use crate::verify::assets::{Place, Published};
use crate::verify::findings::Findings;
use crate::verify::image::Attested;
use crate::verify::rebuild::Rebuild;
use crate::verify::repositories::Repositories;

mod all;
mod archive;
mod assets;
mod binaries;
mod findings;
mod image;
mod issue;
mod provenance;
mod rebuild;
mod repositories;

/// What a release can be called.
const NAMES: &str =
    "use a whole version (v0.32.2), a tag of ours (buildkit-v0.32.2-riscv64, buildkit-v20260804-dev), or latest";

/// What could not be read says nothing about what is published.
const UNDETERMINED: u8 = 3;

/// Verify a published release as anyone can, without credentials: its files, its image, its provenance
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask verify                     our newest release
  cargo xtask verify v0.32.2             of this version of upstream's
  cargo xtask verify buildkit-v20260804-dev --json
                                         the release with this tag, as JSON
  cargo xtask verify v0.32.2 --rebuild   does upstream's source, with Debian's
                                         packages, give every byte of it?
  cargo xtask verify --all --execute     everything ever published, and an issue
                                         if any of it has changed
  cargo xtask verify --repo you/fork --registry registry.example

It downloads all files of the release and all blobs of the image (250 MB), keeps none, and prints a line for \
each check. The commands are run under emulation only once they are what the record says. The provenance is \
verified by gh or cosign, whichever is installed. If GitHub limits requests without credentials, GITHUB_TOKEN \
is used to read the same list.

--rebuild compiles for minutes, and needs a checkout of the commit that published the release, qemu-user for \
the packages, and docker or podman for the image.

Exit status: 0 all that was checked is right, 1 something differs, 2 bad arguments, 3 nothing differs, but \
something could not be read.")]
pub struct Verify {
    /// A tag of ours (buildkit-v0.32.2-riscv64), a version of upstream's (v0.32.2), or latest
    #[arg(value_name = "TAG|VERSION|latest", default_value = "latest")]
    what: What,
    #[command(flatten)]
    target: Target,
    /// The registry that the image is in
    #[arg(long, value_name = "HOST", default_value = "ghcr.io")]
    registry: String,
    /// Where the repositories of APT and DNF are [default: GitHub Pages of --repo]
    #[arg(long, value_name = "URL")]
    packages: Option<Url>,
    /// Make the files, the packages and the image again, from upstream's source and Debian's snapshot, and compare every byte
    #[arg(long)]
    rebuild: bool,
    /// Verify everything that was ever published, by digests alone, and plan the issue that says what has changed
    #[arg(long, conflicts_with_all = ["what", "rebuild"])]
    all: bool,
    /// With --all: file that issue, or close it if all is right again; without this, the steps are only printed
    #[arg(long, requires = "all")]
    execute: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Which release.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Latest,
    Release(ReleaseName),
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let tag = text.parse::<ReleaseTag>().map(ReleaseName::Upstream);
        let name = tag.or_else(|_| text.parse()).map_err(|_: String| NAMES.to_owned());
        name.map(Self::Release)
    }
}

/// What is verified where.
struct Verifier {
    /// Reads without credentials.
    anyone: GitHub,
    github: GitHub,
    repository: Repository,
    /// Reads without credentials; what the registry asked for once is sent for all releases.
    registry: Registry,
    /// What clients of APT and DNF find.
    repositories: Result<Option<Repositories>>,
}

/// A directory for what is downloaded, removed at the end.
struct Scratch(Utf8PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is below target/, so that the next `cargo clean` removes what cannot be removed now.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is found.
#[derive(Default)]
struct Found {
    releases: Vec<(ReleaseName, Findings)>,
    /// Releases of BuildKit that were published in another way.
    foreign: Vec<String>,
    /// The changes to the issue that says what differs.
    steps: Vec<GitHubStep>,
}

/// Runs the task in the checkout at `root`. What differs is not an error, but decides the exit status.
pub fn run(root: &Utf8Path, arguments: &Verify) -> Result<ExitCode> {
    let (github, repository) = arguments.target.open(root)?;
    ensure!(!arguments.execute || github.has_token(), "--execute needs a token: set GITHUB_TOKEN (issues: write)");
    let images = ImageRepository::of(&arguments.registry, repository.owner()).map_err(Error::msg)?;
    let registry = Registry::new(images, None);
    let pages = || repository.pages().parse().map_err(Error::msg);
    let repositories = Repositories::read(&arguments.packages.clone().map_or_else(pages, Ok)?);
    let verifier = Verifier { anyone: github.anonymous(), github, repository, registry, repositories };
    let found = if arguments.all { all::verify(&verifier) } else { one(root, &verifier, arguments) };
    let mut found = match found {
        Ok(found) => found,
        Err(error) => {
            print_error(&error);
            return Ok(ExitCode::from(UNDETERMINED));
        }
    };
    if arguments.all {
        found.steps = all::report_changes(&verifier, &found.releases, arguments.execute, arguments.json)?;
    }
    Ok(summary(&verifier, &found, arguments.json))
}

/// Verifies one release, with all that it consists of.
fn one(root: &Utf8Path, verifier: &Verifier, arguments: &Verify) -> Result<Found> {
    let name = verifier.named(&arguments.what)?;
    let scratch = Scratch(root.join("target/verify").join(std::process::id().to_string()));
    fs::create_dir_all(&scratch.0).with_context(|| format!("cannot create {}", scratch.0))?;
    check_table::heading(&format!("{name} of {}, as anyone sees it", verifier.repository));
    let mut findings = Findings::default();
    let read = verifier.verify(&mut findings, &name, None, Some(&scratch.0));
    if let (true, Some((Published { record, .. }, Attested { manifest, .. }))) = (arguments.rebuild, read) {
        let (folder, repository) = (scratch.0.as_path(), &verifier.repository);
        Rebuild { root, folder, record: &record, repository, manifest: &manifest }.check(&mut findings);
    }
    Ok(Found { releases: vec![(name, findings)], ..Found::default() })
}

impl Verifier {
    /// The release that is meant: the newest of a stable version, or else of master.
    fn named(&self, what: &What) -> Result<ReleaseName> {
        if let What::Release(name) = what {
            return Ok(name.clone());
        }
        let releases = self.list()?;
        let names = || releases.iter().filter_map(|release| release.tag_name.parse::<ReleaseName>().ok());
        let newest = names().filter(|name| !name.is_prerelease()).max().or_else(|| names().max());
        newest.with_context(|| format!("nobody can see a release of BuildKit in {}", self.repository))
    }

    /// All releases that anyone can see.
    fn list(&self) -> Result<Vec<Release>> {
        let list = |github| Releases { github, repository: &self.repository }.all();
        let all =
            list(&self.anyone).or_else(|error| if self.github.has_token() { list(&self.github) } else { Err(error) });
        let mut all = all.with_context(|| format!("the releases of {} cannot be listed", self.repository))?;
        all.retain(|release| !release.draft);
        Ok(all)
    }

    /// Makes every check of one release. What is downloaded goes into `folder`; without one, the digests that GitHub
    /// and the registry have are compared. `listed` is the release, if it was listed already.
    fn verify(
        &self,
        findings: &mut Findings,
        name: &ReleaseName,
        listed: Option<Release>,
        folder: Option<&Utf8Path>,
    ) -> Option<(Published, Attested)> {
        let (anyone, github, repository) = (&self.anyone, &self.github, &self.repository);
        let Some(published) = (Place { anyone, github, repository, name, folder }).check(findings, listed) else {
            findings.not_run(
                &["image", "binaries", "provenance", "repositories"],
                "without a record there is nothing to compare with",
            );
            return None;
        };
        let Published { release, record } = &published;
        archive::check(findings, folder, record);
        binaries::check(findings, folder, record);
        let found = image::check(findings, &self.registry, record, release, folder.is_some());
        provenance::check(findings, folder, &found, repository, record);
        repositories::check(findings, &self.repositories, record, folder.is_some());
        Some((published, found))
    }
}

/// Prints how many checks passed, and the result as JSON.
fn summary(verifier: &Verifier, found: &Found, as_json: bool) -> ExitCode {
    let all = || found.releases.iter().map(|(_, findings)| findings);
    let count = |verdict| all().flat_map(|findings| &findings.checks).filter(|check| check.verdict == verdict).count();
    let (passed, failed, not_run) = (count(Verdict::Pass), count(Verdict::Fail), count(Verdict::NotRun));
    print_status("verified", format_args!("{passed} passed, {failed} failed, {not_run} not run"));
    let outcome = Outcome::of(all());
    for (name, findings) in &found.releases {
        let failures: Vec<&str> = findings.failures().map(|check| check.name.as_str()).collect();
        if failures == ["release"] {
            let page = format!("https://github.com/{}/releases", verifier.repository);
            print_error(&anyhow::anyhow!("there is no release {name} that anyone can see; {page} lists them"));
        } else if !failures.is_empty() {
            print_error(&anyhow::anyhow!("{name} is not what its record says: {}", failures.join(", ")));
        }
        if !findings.undetermined.is_empty() {
            note(format_args!("{name} is to be verified again later: {}", findings.undetermined.join(", ")));
        }
    }
    if as_json {
        let of = |(name, findings): &(ReleaseName, Findings)| json!({ "release": name, "checks": findings.checks, "undetermined": findings.undetermined });
        let report = json!({
            "repository": verifier.repository.to_string(), "image": verifier.registry.repository().to_string(),
            "outcome": outcome.word(), "releases": found.releases.iter().map(of).collect::<Vec<_>>(),
            "foreign": found.foreign, "steps": found.steps,
        });
        print_json(&report);
    }
    outcome.code()
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Right,
    Differs,
    Undetermined,
}

impl Outcome {
    fn of<'a>(all: impl IntoIterator<Item = &'a Findings> + Clone) -> Self {
        let mut each = all.clone().into_iter();
        if each.any(|findings| findings.failures().next().is_some()) {
            return Self::Differs;
        }
        let is_open = all.into_iter().any(|findings| !findings.undetermined.is_empty());
        if is_open { Self::Undetermined } else { Self::Right }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Differs => "differs",
            Self::Undetermined => "undetermined",
        }
    }

    fn code(self) -> ExitCode {
        match self {
            Self::Right => ExitCode::SUCCESS,
            Self::Differs => ExitCode::FAILURE,
            Self::Undetermined => ExitCode::from(UNDETERMINED),
        }
    }
}

#[cfg(test)]
mod tests;
