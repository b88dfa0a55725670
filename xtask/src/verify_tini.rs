//! `cargo xtask verify-tini`: proves the init path of an image, and diagnoses the host's side of it.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and asks the clock")]

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use container::Containers;
use oci::docker_archive;
use oci::file_tree::FileTree;
use oci::layout::Image;
use serde_json::json;

use crate::dist::check::{Check, Verdict};
use crate::dist::record::Proof;
use crate::dist::{Dist, check_table};
use crate::engine::{Choice, Engine, Kind};
use crate::os::{checkout, clock, files, host, terminal};
use crate::verify_tini::host_init::{Found, HostInit, Source};

mod container;
mod host_init;
mod host_init_checks;
mod image_checks;

/// Prove the init path of an image: tini, docker-init, entrypoint, and the host's own init
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask verify-tini                            the image in dist/
  cargo xtask verify-tini alpine:3.22                an image that the engine has
  cargo xtask verify-tini image.tar                  an OCI archive, or what `docker save` wrote
  cargo xtask verify-tini --engine none              from the files alone, without an engine
  cargo xtask verify-tini --host-init ./docker-init  would the init of another host start in it?

Each check has a name, a verdict and its evidence, on standard error; with --json on standard output.
Exit status: 0 nothing failed, 1 a check failed or could not be begun, 2 bad arguments.")]
pub struct VerifyTini {
    /// An OCI image layout, an archive, or the name of an image that the engine has [default: the image in dist]
    #[arg(value_name = "IMAGE|LAYOUT|ARCHIVE", conflicts_with = "dist")]
    image: Option<String>,
    /// The folder that `build` and `image` made [default: the only one in dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    dist: Option<Utf8PathBuf>,
    /// The engine that runs containers of it: auto, docker, podman or none
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: Choice,
    /// Diagnose this file in place of the init of this machine's engine
    #[arg(long, value_name = "FILE")]
    host_init: Option<Utf8PathBuf>,
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
}

/// An image that is to be looked at.
struct Subject {
    image: Image,
    shown: String,
    /// Its name in the engine, where it came from there.
    reference: Option<String>,
    dist: Option<Utf8PathBuf>,
    _saved: Option<Scratch>,
}

/// A file of hundreds of megabytes that is gone when this is.
struct Scratch(Utf8PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next run writes over what cannot be removed now.
        let _ = fs::remove_file(&self.0);
    }
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// Where the image cannot be found or read, or an engine that was named does not answer. A check
/// that fails is no error, but an exit status.
pub fn run(root: &Utf8Path, arguments: &VerifyTini) -> Result<ExitCode> {
    let (began, started) = (clock::now()?, Instant::now());
    let scratch = root.join("target/verify-tini");
    let _lock =
        files::lock(&scratch.join("lock"), || terminal::note("another run of verify-tini is at work; waiting"))?;
    let engine = Engine::find(arguments.engine);
    if let (Choice::Only(_), Err(error)) = (arguments.engine, &engine) {
        bail!("{error:#}; start it, or leave --engine out");
    }
    let subject = open(root, &scratch, arguments, &engine)?;
    let tree = subject.image.files()?;

    check_table::heading(&format!("{}, {} {}", subject.shown, subject.image.form, subject.image.digest));
    let mut checks = image_checks::checks(&subject.image.config, &tree);
    checks.iter().for_each(check_table::row);

    check_table::heading("the init of the host's engine");
    let of_host = host_checks(arguments.host_init.as_deref(), &engine, &tree)?;
    check_table::rows("host-init", &of_host);
    checks.extend(of_host);

    match &engine {
        Ok(engine) => {
            check_table::heading(&format!("containers, {} {}", engine.kind.command(), engine.version));
            checks.extend(container_checks(engine, &subject, root, &scratch)?);
        }
        Err(error) => {
            check_table::heading("containers");
            let skipped = container::not_run(&format!("no engine: {error:#}"));
            check_table::rows("containers", &skipped);
            checks.extend(skipped);
        }
    }

    let proof = Proof {
        name: "verify-tini".to_owned(),
        image_digest: subject.image.digest.clone(),
        began,
        seconds: started.elapsed().as_secs(),
        tools: tools(engine.as_ref().ok()),
        checks,
    };
    report(&subject, proof, arguments.json)
}

/// The image that was named, or the one in dist.
fn open(root: &Utf8Path, scratch: &Utf8Path, arguments: &VerifyTini, engine: &Result<Engine>) -> Result<Subject> {
    let Some(named) = &arguments.image else {
        let dist = Dist::open(root, arguments.dist.as_deref())?;
        let Some(record) = &dist.record.image else {
            bail!("{} has no image yet; `cargo xtask image` makes it", dist.folder)
        };
        let path = dist.folder.join(&record.layout);
        let image = Image::open(&path)?;
        if image.digest != record.digest {
            bail!(
                "{path} holds {}, and metadata.json says {}; `cargo xtask image` mends it",
                image.digest,
                record.digest
            );
        }
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
            bail!("there is no folder or file {named}, and no engine that could have an image of that name: {error:#}")
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
            let why = format!("no engine: {error:#}; a file can be given with --host-init FILE");
            return Ok(host_init_checks::NAMES.map(|name| Check::not_run(name, &why)).to_vec());
        }
    };
    Ok(host_init_checks::checks(kind, &found, tree).to_vec())
}

/// Puts the image into the engine under a name of this checkout, where it does not have it, and
/// takes it out again.
fn container_checks(engine: &Engine, subject: &Subject, root: &Utf8Path, scratch: &Utf8Path) -> Result<Vec<Check>> {
    let owner = checkout::owner(root)?;
    let tag = format!("localhost/xtask-verify-tini:{owner}");
    let reference = subject.reference.as_deref().unwrap_or(&tag);
    let platform = subject.image.config.platform.to_string();
    let containers = Containers::new(engine, reference, platform, &owner);
    containers.remove_leftovers()?;
    let loaded = subject.reference.is_none().then(|| Loaded { engine, tag: &tag });
    if loaded.is_some() {
        let archive = Scratch(scratch.join("image.tar"));
        docker_archive::write(&subject.image, std::slice::from_ref(&tag), &archive.0)?;
        engine.load(&archive.0).with_context(|| format!("{} cannot load the image", engine.kind.command()))?;
    }
    Ok(containers.checks(|done| check_table::rows("containers with --init", done)))
}

/// The image under its temporary name, until this goes.
struct Loaded<'a> {
    engine: &'a Engine,
    tag: &'a str,
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        // What cannot be removed now has the same name at the next run, which removes it.
        let _ = self.engine.run(["rmi", "--force", self.tag]).output();
    }
}

fn tools(engine: Option<&Engine>) -> Vec<(String, String)> {
    let riscv64 = ("riscv64 programs".to_owned(), host::Riscv64::here().describe());
    let engine = engine.map(|engine| (engine.kind.command().to_owned(), engine.version.clone()));
    engine.into_iter().chain([riscv64]).collect()
}

/// Keeps the proof where the image is one of dist, and sums up.
fn report(subject: &Subject, proof: Proof, as_json: bool) -> Result<ExitCode> {
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
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    if let Some(folder) = &subject.dist {
        Dist::add_proof(folder, proof)?;
    }
    Ok(code)
}
