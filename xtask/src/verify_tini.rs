//! `cargo xtask verify-tini`: checks how an image starts (tini, entrypoint, command), and whether the init of
//! this host's engine can start in it.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and asks the clock")]

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use container::Containers;
use oci::docker_archive;
use oci::file_tree::{FileTree, Node};
use oci::layout::Image;
use serde_json::json;

use crate::dist::{self, Check, Dist, Proof, Verdict, check_table};
use crate::engine::{Choice, Engine, Kind, Session};
use crate::os::clock::Timestamp;
use crate::os::streams::print_json;
use crate::os::{files, host, terminal};
use crate::verify_tini::host_init::{Found, HostInit, Source};

mod container;
mod host_init;
mod host_init_checks;
mod image_checks;

/// Check how an image starts: tini, docker-init, entrypoint, and the engine's own init (`--init`)
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask verify-tini                the image in dist/
  cargo xtask verify-tini alpine:3.22    an image in the engine's store
  cargo xtask verify-tini image.tar      an OCI archive, or a `docker save`
  cargo xtask verify-tini --engine none  check the files only
  cargo xtask verify-tini --host-init ./docker-init
                                         would another host's init start in it?

Prints each check with its verdict and evidence to standard error, or with --json to standard output.

Exit status: 0 no check failed, 1 a check failed or could not start, 2 invalid arguments.")]
pub struct VerifyTini {
    /// OCI image layout, archive, or name of an image in the engine [default: the image in dist]
    #[arg(value_name = "IMAGE|LAYOUT|ARCHIVE", conflicts_with = "dist")]
    image: Option<String>,
    /// Directory created by `build` and `image` [default: the only one in dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    dist: Option<Utf8PathBuf>,
    /// Engine that runs the containers: auto, docker, podman or none
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: Choice,
    /// Check this file instead of the init of this host's engine
    #[arg(long, value_name = "FILE")]
    host_init: Option<Utf8PathBuf>,
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
}

/// The image under test.
struct Subject {
    image: Image,
    /// Its path or name, for messages.
    shown: String,
    /// Its name in the engine, if it came from there.
    reference: Option<String>,
    dist: Option<Utf8PathBuf>,
    _saved: Option<Scratch>,
}

/// A file of hundreds of megabytes, removed on drop.
struct Scratch(Utf8PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next run overwrites what cannot be removed now.
        let _ = fs::remove_file(&self.0);
    }
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// If the image cannot be found or read, or the engine given with `--engine` does not answer. A failed check
/// is not an error; it sets the exit status.
pub fn run(root: &Utf8Path, arguments: &VerifyTini) -> Result<ExitCode> {
    let (began, started) = (Timestamp::now()?, Instant::now());
    let scratch = root.join("target/verify-tini");
    let _lock = files::lock(&scratch.join("lock"), || terminal::note("waiting for another run of verify-tini"))?;
    let engine = Engine::find(arguments.engine);
    if let (Choice::Only(_), Err(error)) = (arguments.engine, &engine) {
        bail!("{error:#}; start it, or omit --engine");
    }
    let subject = open(root, &scratch, arguments, &engine)?;
    let tree = subject.image.files()?;

    check_table::heading(&format!("{}, {} {}", subject.shown, subject.image.form, subject.image.digest));
    let is_copy = |one: &Node, other: &Node| subject.image.have_same_content(&tree, one, other);
    let mut checks = image_checks::checks(&subject.image.config, &tree, &is_copy);
    checks.iter().for_each(check_table::row);

    let in_containers = match &engine {
        Ok(engine) => {
            check_table::heading(&format!("containers, run by {} {}", engine.kind.command(), engine.version));
            container_checks(engine, &subject, root, &scratch)?
        }
        Err(error) => {
            check_table::heading("containers");
            let skipped = container::not_run(&format!("no engine: {error:#}"));
            check_table::rows("containers", &skipped);
            skipped
        }
    };

    // After the containers, whose result explains this one or is explained by it.
    check_table::heading("init of the engine on this host (--init)");
    let mut of_host = host_checks(arguments.host_init.as_deref(), &engine, &tree)?;
    if let (None, Some(passed)) = (&arguments.host_init, container::passed_with_init(&in_containers)) {
        of_host = host_init_checks::outdone(of_host, passed);
    }
    check_table::rows("host-init", &of_host);
    checks.extend(of_host);
    checks.extend(in_containers);

    let proof = Proof {
        name: "verify-tini".to_owned(),
        subject: dist::Subject::Image { image_digest: subject.image.digest.clone() },
        began,
        seconds: started.elapsed().as_secs(),
        tools: tools(engine.as_ref().ok()),
        checks,
    };
    report(&subject, &proof, arguments.json)
}

/// The image given as an argument, or the one in dist.
fn open(root: &Utf8Path, scratch: &Utf8Path, arguments: &VerifyTini, engine: &Result<Engine>) -> Result<Subject> {
    let Some(named) = &arguments.image else {
        let dist = Dist::open(root, arguments.dist.as_deref())?;
        let (path, image) = dist.open_image()?;
        return Ok(Subject { image, shown: path.to_string(), reference: None, dist: Some(dist.folder), _saved: None });
    };
    let path = Utf8Path::new(named);
    if path.exists() {
        return Ok(Subject {
            image: Image::open(path)?,
            shown: named.clone(),
            reference: None,
            dist: None,
            _saved: None,
        });
    }
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) => {
            bail!(
                "{named} is not a file or directory here, and there is no engine to search for an image of that name: \
                 {error:#}"
            )
        }
    };
    let saved = Scratch(scratch.join("saved.tar"));
    engine.save(named, &saved.0)?;
    let image = Image::open(&saved.0)?;
    Ok(Subject { image, shown: named.clone(), reference: Some(named.clone()), dist: None, _saved: Some(saved) })
}

fn host_checks(named: Option<&Utf8Path>, engine: &Result<Engine>, tree: &FileTree) -> Result<Vec<Check>> {
    let kind = engine.as_ref().map_or(Kind::Docker, |engine| engine.kind);
    let found = match (named, engine) {
        (Some(file), _) => HostInit::of_file(file, "named by --host-init", Source::Given).map(Found::Here)?,
        (None, Ok(engine)) => HostInit::of_engine(engine)?,
        (None, Err(error)) => {
            let why = format!("no engine: {error:#}; to check an init without one: --host-init FILE");
            return Ok(host_init_checks::NAMES.map(|name| Check::not_run(name, &why)).to_vec());
        }
    };
    Ok(host_init_checks::checks(kind, &found, tree).to_vec())
}

/// Runs the checks on containers. Loads the image into the engine for that, if it is not there.
fn container_checks(engine: &Engine, subject: &Subject, root: &Utf8Path, scratch: &Utf8Path) -> Result<Vec<Check>> {
    let session = Session::begin(engine, root)?;
    let tag = session.image("verify-tini");
    if subject.reference.is_none() {
        let archive = Scratch(scratch.join("image.tar"));
        docker_archive::write(&subject.image, std::slice::from_ref(&tag), &archive.0)?;
        session.engine.load(&archive.0).with_context(|| format!("{} cannot load the image", engine.kind.command()))?;
    }
    let reference = subject.reference.as_deref().unwrap_or(&tag);
    let platform = subject.image.config.platform.to_string();
    let containers = Containers::new(&session, reference, platform);
    Ok(containers.checks(|done| check_table::rows("containers with --init", done)))
}

fn tools(engine: Option<&Engine>) -> Vec<(String, String)> {
    let riscv64 = ("riscv64 programs".to_owned(), host::Riscv64::here().describe());
    let engine = engine.map(|engine| (engine.kind.command().to_owned(), engine.version.clone()));
    engine.into_iter().chain([riscv64]).collect()
}

/// Prints the summary, and records the proof if the image is in dist.
fn report(subject: &Subject, proof: &Proof, as_json: bool) -> Result<ExitCode> {
    let count = |verdict| proof.checks.iter().filter(|check| check.verdict == verdict).count();
    let failed: Vec<&str> =
        proof.checks.iter().filter(|check| check.verdict == Verdict::Fail).map(|check| check.name.as_str()).collect();
    let (passed, skipped) = (count(Verdict::Pass), count(Verdict::NotRun));
    terminal::print_status(
        "verified",
        format_args!("{passed} passed, {} failed, {skipped} not run, in {} s", failed.len(), proof.seconds),
    );
    let code = if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if !failed.is_empty() {
        terminal::print_error(&anyhow::anyhow!("{}: {}", subject.shown, failed.join(", ")));
    }
    if as_json {
        let report = json!({ "image": subject.shown, "passed": failed.is_empty(), "proof": proof });
        print_json(&report);
    }
    if let Some(folder) = &subject.dist {
        Dist::add_proof(folder, proof)?;
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use fakes::sample_image::{ENTRYPOINT, config};

    use super::*;
    use crate::dist::proofs::REQUIRED;

    #[test]
    fn every_check_is_required_except_those_of_the_host() {
        let config = serde_json::from_value(config(&ENTRYPOINT, &[])).expect("a configuration");
        let of_image = image_checks::checks(&config, &FileTree::default(), &|_, _| Ok(false)).into_iter();
        let names: Vec<String> = of_image.chain(container::not_run("")).map(|check| check.name).collect();
        assert_eq!(names, REQUIRED[0].checks);
        assert!(host_init_checks::NAMES.iter().all(|name| !REQUIRED[0].checks.contains(name)));
    }
}
