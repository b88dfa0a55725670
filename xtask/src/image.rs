//! `cargo xtask image`: builds an OCI image layout in `dist/<version>/`, with docker or podman, and writes its SBOM.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::str::FromStr;

use anyhow::{Context, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
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
use crate::engine::{Build, Builder, Choice, Engine, TemporaryImage};
use crate::os::files::{self, Staging};
use crate::os::terminal::{print_status, size};
use crate::registry::ImageRepository;

mod dockerfile;
mod inputs;
mod layout;

/// Name in the engine of an image that is being built; its tag is derived from the directory.
const PARTIAL: &str = "xtask-partial";
/// Where the image is published unless `release` is given another.
const REGISTRY: &str = "ghcr.io";

/// Build the container image of dist/<version>/, as an OCI layout in dist/<version>/image/, and write its SBOM
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask image                           of the only build in dist/
  cargo xtask image --dist dist/v0.32.2       of this build
  cargo xtask image --load                    and load it into the engine, under the names it is published under
  cargo xtask image --base debian@sha256:…    on a base pinned by its digest
  cargo xtask image --emulators none          for one platform only, 100 MB smaller
  cargo xtask image --engine podman --json    with podman, and the result as JSON
  cargo xtask image --repo OWNER/NAME         the image that this repository publishes: its labels name it

Standard output is the path of the layout or, with --json, an object with `layout` (its path),
`unchanged` (true if nothing had to be built) and `image` (the record in metadata.json: digest,
size_bytes, tags, base_name, engine, sbom …). If the inputs have not changed, nothing is built; to build again
with Debian's newest packages, remove the layout. Exit status: 0 built or unchanged, 1 failed,
2 bad arguments.")]
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
    /// Image with the emulators for other platforms, or none [default: the one that upstream's own image takes]
    #[arg(long, value_name = "IMAGE|none")]
    emulators: Option<Emulators>,
    #[command(flatten)]
    repository: RepositoryOption,
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
        Some(Emulators::Of(image)) => Some(image.clone()),
        Some(Emulators::None) => None,
        None => dist.record.emulators.clone(),
    };
    let inputs = Inputs::read(root, &dist, &arguments.base, emulators, arguments.repository.find_or_project(root))?;
    let layout = folder.join(LAYOUT);

    let found = present(&layout, &dist, &inputs);
    let is_old = found.is_some();
    let engine = if is_old && !arguments.load { None } else { Some(Engine::find(arguments.engine)?) };
    let record = match (found, &engine) {
        (None, Some(engine)) => make(&dist, &inputs, engine, &lock)?,
        (found, _) => found.expect("an engine was found for what is not there"),
    };
    let record = with_sbom(&dist, record)?;
    if let Some(engine) = engine.filter(|_| arguments.load) {
        load(&engine, &layout, &record, &inputs)?;
    }
    report(&layout, &record, is_old, arguments.json)
}

/// What `--emulators` says.
#[derive(Clone, Debug)]
enum Emulators {
    Of(ImageName),
    None,
}

impl FromStr for Emulators {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::Of) }
    }
}

/// Held while the image of one directory is built, so that no other run builds it.
struct BuildLock {
    lock: File,
    /// Name of the image in the engine while it is built.
    partial: String,
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
        Ok(Self { lock, partial: format!("{PARTIAL}:{name}"), log: work.join(format!("{name}.log")) })
    }
}

/// The record of a layout that was made from these inputs, if every blob in it is intact.
fn present(layout: &Utf8Path, dist: &Dist, inputs: &Inputs) -> Option<ImageRecord> {
    let record = dist.record.image.clone().filter(|record| record.inputs == inputs.digest)?;
    oci::layout::verify(layout, &record.digest).ok().map(|_| record)
}

/// Builds in the engine, takes the image out of it in canonical form, and records it.
fn make(dist: &Dist, inputs: &Inputs, engine: &Engine, lock: &BuildLock) -> Result<ImageRecord> {
    dist.verify()?;
    let builder = Builder::of(engine)?;
    builder.must_run_riscv64()?;
    let partial = TemporaryImage::new(engine, &lock.partial)?;
    let scratch = Staging::new(&dist.folder.join("image-build"))?;
    let context = scratch.path().join("context");
    let dockerfile = inputs.stage(&context, dist)?;
    print_status(
        "build",
        format_args!("{} on {} with {}", dist.record.source.version, inputs.base, builder.describe()),
    );
    print_status("labels", format_args!("name {} as the repository", inputs.repository.page()));
    let source = &dist.record.source;
    let (version, revision) = (source.version.to_string(), source.commit.to_string());
    let (created, repository) = (source.source_date.to_string(), inputs.repository.to_string());
    let arguments = [
        ("BASE", inputs.base.as_str()),
        ("EMULATORS", inputs.emulators.as_ref().map_or("", ImageName::as_str)),
        ("VERSION", version.as_str()),
        ("REVISION", revision.as_str()),
        ("CREATED", created.as_str()),
        ("REPOSITORY", repository.as_str()),
    ];
    let build = Build {
        context: &context,
        dockerfile: &dockerfile,
        arguments: &arguments,
        base: &inputs.base,
        tag: partial.name,
        log: &lock.log,
    };
    let base_digest = builder.build(&build, &lock.lock)?;
    let archive = scratch.path().join("image.tar");
    engine.save(partial.name, &archive)?;
    drop(partial);

    print_status("layout", "layers in canonical form, compressed");
    let tags = image_tags(source);
    let staging = Staging::new(&dist.folder.join(LAYOUT))?;
    let contents = layout::Contents { source, inputs, base_digest: base_digest.as_deref(), tag: &tags[0].to_string() };
    let (digest, size_bytes) = layout::write(&archive, scratch.path(), staging.path(), &contents)?;
    let record = ImageRecord {
        layout: LAYOUT.to_owned(),
        digest,
        size_bytes,
        tags,
        base_name: inputs.base.to_string(),
        base_digest,
        engine: builder.describe(),
        emulators: inputs.emulators.clone(),
        sbom: None,
        inputs: inputs.digest.clone(),
    };
    oci::layout::verify(staging.path(), &record.digest)?;
    staging.publish()?;
    Dist::update(&dist.folder, |metadata| {
        metadata.image = Some(record.clone());
        metadata.proofs.retain(|proof| proof.image_digest == record.digest);
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
    let images = ImageRepository::of(REGISTRY, inputs.repository.owner()).map_err(Error::msg)?;
    let names: Vec<String> = record.tags.iter().map(|tag| format!("{images}:{tag}")).collect();
    docker_archive::write(&ImageFiles::open(layout)?, &names, &file)?;
    engine.load(&file)?;
    print_status("load", format_args!("{} is in {}", names.join(", "), engine.kind.command()));
    Ok(())
}

fn report(layout: &Utf8Path, record: &ImageRecord, is_old: bool, json: bool) -> Result<()> {
    let done = if is_old { "is up to date; nothing to do" } else { "is ready" };
    print_status(
        "image",
        format_args!("{} {done}: {} ({})", record.tags_text(), record.digest, size(record.size_bytes)),
    );
    if json {
        let report = json!({ "layout": layout, "unchanged": is_old, "image": record });
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{layout}");
    }
    Ok(())
}
