//! `cargo xtask smoke`: runs the image at three levels, each of which proves what the one before it cannot, and the
//! packages at a fourth.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, ValueEnum};
use oci::file_tree::FileTree;
use oci::layout::Image;
use serde_json::json;

use crate::dist::{Check, Dist, FileRecord, Proof, Subject as Tested, Verdict, check_table};
use crate::http::Endpoint;
use crate::os::clock::Timestamp;
use crate::os::streams::print_json;
use crate::os::terminal;

mod build_results;
mod builder;
mod exec;
mod machine;
mod packages;

/// In seconds: seven times what an idle x86-64 machine takes.
const MACHINE_LIMIT: &str = "300";
/// The limits that are accepted, in seconds.
const MACHINE_LIMITS: RangeInclusive<u64> = 10..=24 * 60 * 60;

/// Run the image and the packages: commands, a buildx builder, and real builds in an emulated riscv64 machine
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask smoke                     all levels that dist/ has something for
  cargo xtask smoke --level machine     build images under a riscv64 kernel
  cargo xtask smoke --level exec x.tar  an OCI layout or archive, not dist/
  cargo xtask smoke --json              print the checks as JSON

Levels:
  exec      runs the image's commands, natively or under qemu-user
  builder   creates a buildx builder from the image and builds with it;
            needs Docker Engine, buildx, binfmt_misc
  machine   builds for linux/riscv64 and linux/amd64 in a virtual machine;
            needs qemu-system, but no root
  packages  installs, upgrades and removes the packages of dist/ in a riscv64
            Debian container, and boots it with systemd; needs docker or podman,
            binfmt_misc, qemu-system. Part of `all` if dist/ has packages

Exit status: 0 no check failed, 1 a check failed or could not start, 2 invalid arguments.")]
pub struct Smoke {
    /// OCI image layout or archive to test [default: the image in dist]
    #[arg(value_name = "LAYOUT|ARCHIVE", conflicts_with = "dist", value_parser = image_path)]
    image: Option<Utf8PathBuf>,
    /// Level to run
    #[arg(long, value_name = "LEVEL", default_value = "all")]
    level: Choice,
    /// Directory created by `build` and `image` [default: the only one in dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    dist: Option<Utf8PathBuf>,
    /// Debian archive or mirror to fetch the machine's kernel from [default: the one that apt uses here, over TLS]
    #[arg(long, value_name = "URL", env = "XTASK_DEBIAN_ARCHIVE")]
    debian_archive: Option<Endpoint>,
    /// Time limit for the machine; a slow board needs more
    #[arg(long, value_name = "SECONDS", env = "XTASK_MACHINE_LIMIT", default_value = MACHINE_LIMIT, value_parser = machine_limit)]
    machine_limit: Duration,
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
}

/// An image's path, and not the name of a level.
fn image_path(text: &str) -> Result<Utf8PathBuf, String> {
    match Choice::from_str(text, false) {
        Ok(_) => Err(format!("use --level {text}, or ./{text} for an image of that name")),
        Err(_) => Ok(Utf8PathBuf::from(text)),
    }
}

/// The value of `--machine-limit`.
fn machine_limit(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| MACHINE_LIMITS.contains(seconds));
    let (least, most) = (MACHINE_LIMITS.start(), MACHINE_LIMITS.end());
    seconds.map(Duration::from_secs).ok_or_else(|| format!("a limit is between {least} and {most} seconds"))
}

/// The value of `--level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// Run the image's commands
    Exec,
    /// Create a buildx builder and build with it
    Builder,
    /// Build images in a riscv64 machine
    Machine,
    /// Install the packages, and boot what they are installed in
    Packages,
    /// All of them that dist/ has something for, in this order
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Exec,
    Builder,
    Machine,
    Packages,
}

/// The result of one level.
pub struct Outcome {
    pub checks: Vec<Check>,
    /// Name and version of each tool that was used.
    pub tools: Vec<(String, String)>,
}

impl Choice {
    fn levels(self, has_packages: bool) -> &'static [Level] {
        match self {
            Self::Exec => &[Level::Exec],
            Self::Builder => &[Level::Builder],
            Self::Machine => &[Level::Machine],
            Self::Packages => &[Level::Packages],
            Self::All if has_packages => &[Level::Exec, Level::Builder, Level::Machine, Level::Packages],
            Self::All => &[Level::Exec, Level::Builder, Level::Machine],
        }
    }
}

impl Level {
    /// The name in `metadata.json` and on the terminal.
    fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Builder => "builder",
            Self::Machine => "machine",
            Self::Packages => "packages",
        }
    }

    /// What this host is missing, each with the command that installs it.
    fn missing(self) -> Vec<String> {
        match self {
            Self::Exec => exec::missing(),
            Self::Builder => builder::missing(),
            Self::Machine => machine::Level::missing(),
            Self::Packages => packages::missing(),
        }
    }
}

/// The image under test.
struct Subject {
    image: Image,
    tree: FileTree,
    /// Its path, for messages.
    shown: String,
    dist: Option<Dist>,
}

impl Subject {
    /// What a level tests, for people and for the record.
    fn of(&self, level: Level) -> (String, Tested) {
        match &self.dist {
            Some(dist) if level == Level::Packages => {
                let packages = dist.record.packages.clone();
                let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
                (names.join(", "), Tested::Packages { packages })
            }
            _ => {
                let image_digest = self.image.digest.clone();
                (format!("{} {image_digest}", self.shown), Tested::Image { image_digest })
            }
        }
    }
}

/// Whether there are packages to test.
///
/// # Errors
/// If there are none, and they were asked for.
fn has_packages(root: &Utf8Path, arguments: &Smoke) -> Result<bool> {
    let dist = match &arguments.image {
        Some(_) => None,
        None => Some(Dist::open(root, arguments.dist.as_deref())?),
    };
    let has_packages = dist.as_ref().is_some_and(|dist| !dist.record.packages.is_empty());
    if arguments.level == Choice::Packages && !has_packages {
        let place = dist.map_or_else(|| "an image".to_owned(), |dist| dist.folder.to_string());
        bail!("{place} has no packages to test; run `cargo xtask package`, and leave out the argument");
    }
    Ok(has_packages)
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// If the image cannot be read or a tool is missing. A failed check is not an error; it sets the exit status.
pub fn run(root: &Utf8Path, arguments: &Smoke) -> Result<ExitCode> {
    let has_packages = has_packages(root, arguments)?;
    let levels = arguments.level.levels(has_packages);
    let missing: Vec<String> = levels.iter().flat_map(|level| level.missing()).collect();
    if !missing.is_empty() {
        bail!("no level was run, because this host is not ready:\n  {}", missing.join("\n  "));
    }
    let subject = open(root, arguments)?;
    let mut proofs = Vec::new();
    for level in levels {
        let (began, started) = (Timestamp::now()?, Instant::now());
        let (heading, tested) = subject.of(*level);
        check_table::heading(&format!("{}: {heading}", level.name()));
        let source = subject.dist.as_ref().map(|dist| &dist.record.source);
        let outcome = match level {
            Level::Exec => exec::run(root, &subject.image, &subject.tree, source)?,
            Level::Builder => builder::run(root, &subject.image, source)?,
            Level::Machine => {
                let (archive, limit) = (arguments.debian_archive.as_ref(), arguments.machine_limit);
                let level = machine::Level::prepare(root, archive, limit)?;
                level.run(root, &subject.image, &subject.tree)?
            }
            Level::Packages => {
                let dist = subject.dist.as_ref().context("packages are in a dist, and an image has none")?;
                let (archive, limit) = (arguments.debian_archive.as_ref(), arguments.machine_limit);
                packages::run(root, dist, &machine::Level::prepare(root, archive, limit)?)?
            }
        };
        outcome.checks.iter().for_each(check_table::row);
        let proof = Proof {
            name: format!("smoke {}", level.name()),
            subject: tested,
            began,
            seconds: started.elapsed().as_secs(),
            tools: outcome.tools,
            checks: outcome.checks,
        };
        if let Some(dist) = &subject.dist {
            Dist::add_proof(&dist.folder, &proof)?;
        }
        proofs.push(proof);
    }
    Ok(report(&subject, &proofs, arguments.json))
}

/// The image given as an argument, or the one in dist.
fn open(root: &Utf8Path, arguments: &Smoke) -> Result<Subject> {
    let (path, image, dist) = if let Some(path) = &arguments.image {
        (path.clone(), Image::open(path)?, None)
    } else {
        let dist = Dist::open(root, arguments.dist.as_deref())?;
        let (path, image) = dist.open_image()?;
        (path, image, Some(dist))
    };
    let tree = image.files()?;
    Ok(Subject { image, tree, shown: path.to_string(), dist })
}

fn report(subject: &Subject, proofs: &[Proof], as_json: bool) -> ExitCode {
    let checks: Vec<&Check> = proofs.iter().flat_map(|proof| &proof.checks).collect();
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (passed, failed, not_run) = (count(Verdict::Pass), count(Verdict::Fail), count(Verdict::NotRun));
    let times: Vec<String> = proofs.iter().map(|proof| format!("{} {} s", proof.name, proof.seconds)).collect();
    terminal::print_status(
        "smoke",
        format_args!("{passed} passed, {failed} failed, {not_run} not run; {}", times.join(", ")),
    );
    for proof in proofs {
        if let Some(failure) = failure(&subject.shown, proof) {
            terminal::print_error(&anyhow!(failure));
        }
    }
    if as_json {
        let report = json!({ "image": subject.shown, "passed": failed == 0, "proofs": proofs });
        print_json(&report);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What failed at one level, and at which of its checks: the packages, or the image at the path `image`.
fn failure(image: &str, proof: &Proof) -> Option<String> {
    let failed: Vec<&str> =
        proof.checks.iter().filter(|check| check.is_failure()).map(|check| check.name.as_str()).collect();
    // The checks of a package begin with its format.
    let has_failed = |package: &&FileRecord| {
        let format = Utf8Path::new(&package.name).extension().unwrap_or_default();
        failed.iter().any(|name| name.split_once('-').is_some_and(|(of, _)| of == format))
    };
    let tested = match &proof.subject {
        Tested::Image { .. } => image.to_owned(),
        Tested::Packages { packages } => {
            packages.iter().filter(has_failed).map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ")
        }
    };
    (!failed.is_empty()).then(|| format!("{tested} failed `{}` at {}", proof.name, failed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::samples;

    #[test]
    fn what_failed_is_named_and_not_the_image_beside_it() {
        let image = samples::proved_record().proofs[0].clone();
        assert_eq!(failure("dist/x/image", &image), None);
        let failed = |proof: Proof, names: &[&str]| {
            let checks = names.iter().map(|name| Check::fail(name, "it said no")).collect();
            failure("dist/x/image", &Proof { checks, ..proof }).expect("has failed")
        };
        assert_eq!(failed(image.clone(), &["a", "b"]), "dist/x/image failed `verify-tini` at a, b");
        let file = |name: &str| FileRecord { name: name.to_owned(), ..samples::proved_record().files[0].clone() };
        let subject = Tested::Packages { packages: vec![file("a.rpm"), file("b.deb")] };
        let packages = Proof { name: "smoke packages".to_owned(), subject, ..image };
        assert_eq!(failed(packages.clone(), &["deb-purges"]), "b.deb failed `smoke packages` at deb-purges");
        let both = failed(packages, &["deb-purges", "rpm-installs"]);
        assert_eq!(both, "a.rpm, b.deb failed `smoke packages` at deb-purges, rpm-installs");
    }
}
