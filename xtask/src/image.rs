//! `cargo xtask image`: builds an OCI image layout in `dist/<version>/`, with docker or podman, and writes its SBOM.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files and reads the environment"
)]

use std::fs::File;

use anyhow::{Context, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
use choices::{Choices, EmulatorsOption, SnapshotOption};
use clap::Args;
use inputs::Inputs;
use oci::digest::sha256;
use oci::docker_archive;
use oci::image_name::ImageName;
use oci::layout::Image as ImageFiles;
use serde_json::json;

use crate::cli::RepositoryOption;
use crate::dist::names::LAYOUT;
use crate::dist::{Dist, ImageRecord, image_sbom, image_tags};
use crate::engine::{Build, Builder, Choice, Engine, Session};
use crate::image::base::Base;
use crate::image::previous::Previous;
use crate::os::files::{self, Staging};
use crate::os::streams::{print_json, print_stdout};
use crate::os::terminal::{note, print_status, size};
use crate::registry::ImageRepository;

mod base;
mod choices;
mod dockerfile;
mod inputs;
mod layout;
mod previous;

/// Names the archive of snapshots, if it is not Debian's own: an address below which there is `debian/20260804T122740Z/`.
const SNAPSHOTS: &str = "XTASK_DEBIAN_SNAPSHOTS";
const DEFAULT_SNAPSHOTS: &str = "http://snapshot.debian.org/archive";

/// Where the image is published unless `release` is given another.
const REGISTRY: &str = "ghcr.io";

/// Build the container image of dist/<version>/, as an OCI layout in dist/<version>/image/, and write its SBOM
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask image                          of the only build in dist/
  cargo xtask image --dist dist/v0.32.2      of this build
  cargo xtask image --load                   and load it into the engine
  cargo xtask image --base debian@sha256:…   on a base pinned by its digest
  cargo xtask image --snapshot 2026-08-04    with Debian's packages of that day
  cargo xtask image --emulators none         for one platform only, and smaller
  cargo xtask image --repo OWNER/NAME        its labels name this repository

Standard output is the path of the layout or, with --json, an object with `layout` (its path), `unchanged` \
(true if nothing had to be built) and `image` (the record in metadata.json: digest, size_bytes, tags, \
base_name, engine, sbom …).

If the inputs have not changed, nothing is built; to build again on a newer base, remove the layout. Exit \
status: 0 built or unchanged, 1 failed, 2 bad arguments.")]
pub struct Image {
    /// Directory created by `cargo xtask build` [default: the only one in dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    dist: Option<Utf8PathBuf>,
    /// Engine to build with: auto, docker (with or without buildx) or podman
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: Choice,
    /// Base image: Debian trixie or newer
    #[arg(long, value_name = "IMAGE", default_value = "debian:trixie-slim")]
    base: ImageName,
    /// Time of Debian's packages, 2026-08-04T12:27:40Z or its day, or none for today's [default: when the base was made]
    #[arg(long, value_name = "DATE|none")]
    snapshot: Option<SnapshotOption>,
    /// Image with the emulators for other platforms, or none [default: the one that upstream's own image takes]
    #[arg(long, value_name = "IMAGE|none", env = "XTASK_EMULATORS")]
    emulators: Option<EmulatorsOption>,
    #[command(flatten)]
    repository: RepositoryOption,
    /// Install Debian's packages again, even if buildx has them in its cache from the same snapshot
    #[arg(long)]
    no_cache: bool,
    /// Load the image into the engine too
    #[arg(long)]
    load: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task in the checkout at `root`.
pub fn run(root: &Utf8Path, arguments: &Image) -> Result<()> {
    let dist = Dist::open(root, arguments.dist.as_deref())?;
    let folder = dist.folder.canonicalize_utf8().with_context(|| format!("{} is gone", dist.folder))?;
    let lock = BuildLock::take(root, &folder)?;
    // Another run may have built it while this one waited.
    let dist = Dist::open(root, Some(&folder))?;
    let emulators = match &arguments.emulators {
        Some(EmulatorsOption::Of(image)) => Some(image.clone()),
        Some(EmulatorsOption::None) => None,
        None => dist.record.emulators.clone(),
    };
    let repository = arguments.repository.find_or_project(root);
    let inputs = Inputs::read(
        root,
        &dist,
        Choices { base: arguments.base.clone(), snapshot: arguments.snapshot, emulators, repository },
    )?;
    let layout = folder.join(LAYOUT);
    let found = present(&layout, &dist, &inputs);
    let is_old = found.is_some();
    let previous = Previous::of(&dist);
    let engine = if is_old && !arguments.load { None } else { Some(Engine::find(arguments.engine)?) };
    let record = match (found, &engine) {
        (None, Some(engine)) => make(&dist, &inputs, Session::begin(engine, root)?, &lock, arguments.no_cache)?,
        (found, _) => found.expect("an engine was found for what is not there"),
    };
    let record = with_sbom(&dist, record)?;
    if let Some(why) = previous.and_then(|previous| previous.differs_from(&folder, &record)) {
        note(why);
    }
    if let Some(engine) = engine.filter(|_| arguments.load) {
        load(&engine, &layout, &record, &inputs)?;
    }
    report(&layout, &record, is_old, arguments.json);
    Ok(())
}

/// The base in its registry; `None`, with a note, if it cannot be read there.
fn base(engine: &Engine, inputs: &Inputs) -> Option<Base> {
    match Base::find(engine, &inputs.choices.base) {
        Ok(base) => Some(base),
        Err(error) => {
            note(format_args!(
                "{error:#}; the image is built on what the engine has under that name, and with today's packages \
                 unless --snapshot DATE is given, so it cannot be made again later"
            ));
            None
        }
    }
}

/// Held while the image of one directory is built, so that no other run builds it.
struct BuildLock {
    _lock: File,
    /// File for the output of a failed build.
    log: Utf8PathBuf,
}

impl BuildLock {
    fn take(root: &Utf8Path, folder: &Utf8Path) -> Result<Self> {
        let name = &sha256(folder.as_str().as_bytes()).to_string()[..12];
        let work = root.join("target/image");
        let lock = files::lock(&work.join(format!("{name}.lock")), || {
            print_status("image", "another run is building this image; waiting for it");
        })?;
        Ok(Self { _lock: lock, log: work.join(format!("{name}.log")) })
    }
}

/// The record of a layout that was made from these inputs, if every blob in it is intact.
fn present(layout: &Utf8Path, dist: &Dist, inputs: &Inputs) -> Option<ImageRecord> {
    let record = dist.record.image.clone().filter(|record| record.inputs == inputs.digest)?;
    oci::layout::verify(layout, &record.digest).ok().map(|_| record)
}

/// Builds in the engine, takes the image out of it in canonical form, and records it.
fn make(dist: &Dist, inputs: &Inputs, session: Session, lock: &BuildLock, no_cache: bool) -> Result<ImageRecord> {
    dist.verify()?;
    let engine = &session.engine;
    let builder = Builder::of(engine)?;
    builder.must_run_riscv64()?;
    let partial = session.image("image");
    let scratch = Staging::new(&dist.folder.join("image-build"))?;
    let context = scratch.path().join("context");
    let dockerfile = inputs.stage(&context, dist, &session.label())?;
    let base = base(engine, inputs);
    let (pinned, snapshot) = match &base {
        Some(base) => (&base.pinned, inputs.choices.snapshot.unwrap_or(SnapshotOption::At(base.created))),
        None => (&inputs.choices.base, inputs.choices.snapshot.unwrap_or(SnapshotOption::None)),
    };
    let snapshot = snapshot.name();
    let snapshots = std::env::var(SNAPSHOTS).unwrap_or_else(|_| DEFAULT_SNAPSHOTS.to_owned());
    print_status(
        "build",
        format_args!(
            "{} on {pinned}, Debian's packages {}, with {}",
            dist.record.source.version,
            snapshot.as_ref().map_or_else(|| "of now".to_owned(), |snapshot| format!("of {snapshot}")),
            builder.describe()
        ),
    );
    print_status("labels", format_args!("name {} as the repository", inputs.choices.repository.page()));
    let source = &dist.record.source;
    let (version, revision) = (source.version.to_string(), source.commit.to_string());
    // The digest beside a tag pins the base, and is no part of its name: the image is the same without it.
    let base_name = inputs.choices.base.by_tag();
    let (created, repository) = (source.source_date.to_string(), inputs.choices.repository.to_string());
    let arguments = [
        ("BASE", pinned.as_str()),
        ("BASE_NAME", base_name.as_str()),
        ("SNAPSHOT", snapshot.as_deref().unwrap_or_default()),
        ("SNAPSHOTS", snapshots.trim_end_matches('/')),
        ("EMULATORS", inputs.choices.emulators.as_ref().map_or("", ImageName::as_str)),
        ("VERSION", version.as_str()),
        ("REVISION", revision.as_str()),
        ("CREATED", created.as_str()),
        ("REPOSITORY", repository.as_str()),
    ];
    let build = Build {
        context: &context,
        dockerfile: &dockerfile,
        arguments: &arguments,
        base: pinned,
        tag: &partial,
        // Packages of today are others tomorrow.
        may_use_cache: snapshot.is_some() && !no_cache,
        log: &lock.log,
    };
    let base_digest = builder.build(&build)?;
    let archive = scratch.path().join("image.tar");
    engine.save(&partial, &archive)?;
    let built_by = builder.describe();
    drop(session);

    print_status("layout", "layers in canonical form, compressed");
    let tags = image_tags(source);
    let staging = Staging::new(&dist.folder.join(LAYOUT))?;
    let contents = layout::Contents {
        source,
        inputs,
        files: &dist.record.files,
        base: base.as_ref(),
        base_digest: base_digest.as_deref(),
        tag: &tags[0].to_string(),
    };
    let (digest, size_bytes) = layout::write(&archive, scratch.path(), staging.path(), &contents)?;
    let record = ImageRecord {
        layout: LAYOUT.to_owned(),
        digest,
        size_bytes,
        tags,
        base_name: base_name.to_string(),
        base_digest,
        snapshot,
        engine: built_by,
        emulators: inputs.choices.emulators.clone(),
        sbom: None,
        inputs: inputs.digest.clone(),
    };
    oci::layout::verify(staging.path(), &record.digest)?;
    staging.publish()?;
    Dist::update(&dist.folder, |metadata| {
        metadata.image = Some(record.clone());
        let mut proofs = std::mem::take(&mut metadata.proofs);
        proofs.retain(|proof| proof.subject.is_in(metadata));
        metadata.proofs = proofs;
    })?;
    Ok(record)
}

/// The record with the SBOM of the image, which is written unless it is there.
fn with_sbom(dist: &Dist, record: ImageRecord) -> Result<ImageRecord> {
    if image_sbom::is_intact(&dist.folder, &record) {
        return Ok(record);
    }
    dist.verify()?;
    let sbom = image_sbom::write(&dist.folder, &dist.record.source, &record)?;
    print_status("sbom", format_args!("{} ({})", sbom.name, size(sbom.size_bytes)));
    let record = ImageRecord { sbom: Some(sbom), ..record };
    Dist::update(&dist.folder, |metadata| metadata.image = Some(record.clone()))?;
    Ok(record)
}

/// Puts the layout into the engine under the names that it is published under.
fn load(engine: &Engine, layout: &Utf8Path, record: &ImageRecord, inputs: &Inputs) -> Result<()> {
    let scratch = Staging::new(&layout.with_file_name("image-load"))?;
    let file = scratch.path().join("image.tar");
    let images = ImageRepository::of(REGISTRY, inputs.choices.repository.owner()).map_err(Error::msg)?;
    let names: Vec<String> = record.tags.iter().map(|tag| format!("{images}:{tag}")).collect();
    docker_archive::write(&ImageFiles::open(layout)?, &names, &file)?;
    engine.load(&file)?;
    print_status("load", format_args!("{} is in {}", names.join(", "), engine.kind.command()));
    Ok(())
}

fn report(layout: &Utf8Path, record: &ImageRecord, is_old: bool, json: bool) {
    let done = if is_old { "is up to date; nothing to do" } else { "is ready" };
    print_status(
        "image",
        format_args!("{} {done}: {} ({})", record.tags_text(), record.digest, size(record.size_bytes)),
    );
    if json {
        print_json(&json!({ "layout": layout, "unchanged": is_old, "image": record }));
    } else {
        print_stdout(layout);
    }
}
