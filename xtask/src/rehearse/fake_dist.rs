//! A fake `dist/<version>/`, made in milliseconds: every file that `build`, `image` and `package` write, small, with
//! its real name and written by the same code, and a record whose proofs state that nothing was proved.
//! The same source gives the same bytes.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use anyhow::{Context, Error, Result};
use camino::Utf8Path;
use flate2::{Compression, GzBuilder};
use oci::digest::{Digest, sha256};
use oci::documents::{Descriptor, INDEX, Index, Manifest, OCI_LAYOUT};
use serde::Serialize;
use serde_json::json;

use crate::dist::image_config::{self, BuiltConfig, Facts};
use crate::dist::names::{COMMANDS, LAYOUT};
use crate::dist::proofs::{self, Required};
use crate::dist::{Check, Dist, ImageRecord, Metadata, Proof, Subject, assemble, image_sbom, image_tags, recipe};
use crate::go::{BuildInfo, GoRecord, Module};
use crate::os::clock::Timestamp;
use crate::os::files;
use crate::rehearse::checkout::OUR_COMMIT;
use crate::upstream::{PACKAGE, ReleaseTag, Source};

mod packages;
mod program;

const GO: &str = "1.26.3";
/// The release on which master is based.
const AFTER: &str = "v0.33.0";
const BASE: &str = "fake-base";
/// The database of Debian's packages.
const STATUS: &str = "var/lib/dpkg/status";
const BLOBS: &str = "blobs/sha256";

/// The source of a release tag or of `master`, with a made-up commit.
pub fn source(r#ref: &str, source_date_epoch: i64) -> Result<Source> {
    let commit = sha256(format!("fake dist for {ref} {source_date_epoch}").as_bytes()).to_string();
    let version = match r#ref.parse::<ReleaseTag>() {
        Ok(tag) => tag.to_string(),
        Err(_) => format!("{AFTER}-12-g{}", &commit[..9]),
    };
    Ok(Source {
        r#ref: r#ref.parse().map_err(Error::msg)?,
        commit: commit[..40].parse().map_err(Error::msg)?,
        version: version.parse().map_err(Error::msg)?,
        package: PACKAGE.to_owned(),
        source_date: Timestamp::of_epoch(source_date_epoch)?,
        source_date_epoch,
    })
}

/// Creates the dist in `folder`.
pub fn make(folder: &Utf8Path, source: &Source) -> Result<()> {
    fs::create_dir_all(folder.join(LAYOUT).join(BLOBS)).with_context(|| format!("cannot create {folder}"))?;
    for command in COMMANDS {
        let line = recipe::version_line(command, &source.version, &source.commit);
        let program = program::program(&format!("{PACKAGE}/cmd/{command}"), &line);
        fs::write(folder.join(command), program).with_context(|| format!("cannot write to {folder}"))?;
    }
    let go = GoRecord {
        version: GO.parse().map_err(Error::msg)?,
        origin: "a rehearsal".to_owned(),
        sha256: sha256(GO.as_bytes()),
    };
    let mut record = Metadata::new(source.clone(), go);
    record.workflow_commit = Some(OUR_COMMIT.parse().map_err(Error::msg)?);
    assemble::archive(folder, &record)?;
    assemble::assemble(folder, &mut record, COMMANDS.map(build_info))?;
    let mut image = image(&folder.join(LAYOUT), source)?;
    image.sbom = Some(image_sbom::write(folder, source, &image)?);
    record.image = Some(image);
    record.packages = packages::write(folder, source)?;
    record.proofs = proofs::required(&record).map(|required| proof(required, &record)).collect();
    Dist::create(folder, record)
}

fn build_info(command: &str) -> BuildInfo {
    let main = Module { path: PACKAGE.to_owned(), version: "(devel)".to_owned() };
    BuildInfo {
        go_version: GO.parse().expect("a version of Go"),
        path: format!("{PACKAGE}/cmd/{command}"),
        main,
        dependencies: Vec::new(),
        settings: Vec::new(),
    }
}

fn proof(required: Required, record: &Metadata) -> Proof {
    let nothing = "nothing was proved: this is a fake dist, made for a rehearsal";
    let image_digest = record.image_digest().expect("the image was made").clone();
    Proof {
        name: required.name.to_owned(),
        subject: match required.name {
            proofs::PACKAGES => Subject::Packages { packages: record.packages.clone() },
            _ => Subject::Image { image_digest },
        },
        began: record.source.source_date,
        seconds: 0,
        tools: vec![("fake dist".to_owned(), "no tool was used".to_owned())],
        checks: required.checks.iter().map(|name| Check::pass(name, nothing)).collect(),
    }
}

/// An image of two layers: one that all versions share, as real ones share Debian, and one of its own.
fn image(layout: &Utf8Path, source: &Source) -> Result<ImageRecord> {
    let status = format!("Package: {BASE}\nStatus: install ok installed\nArchitecture: riscv64\nVersion: 1\n");
    let base = layer(layout, &[("usr/lib/os-release", "ID=debian\n"), (STATUS, &status)], 0)?;
    let text = format!("fake dist for buildkitd {}\n", source.version);
    let ours = layer(layout, &[("usr/bin/buildkitd", &text)], source.source_date_epoch)?;
    let built: BuiltConfig = serde_json::from_value(json!({
        "architecture": "riscv64",
        "config": {
            "Entrypoint": ["/usr/bin/tini", "--", "/usr/bin/buildkitd-entrypoint"],
            "Cmd": ["buildkitd", "--addr", "tcp://0.0.0.0:1234"],
            "Labels": labels(source),
        },
    }))?;
    let facts = Facts {
        created: source.source_date,
        base_name: &BASE.parse().map_err(Error::msg)?,
        base_digest: None,
        diff_ids: &[base.0, ours.0],
        instructions: &["COPY dist/buildkitd /usr/bin/".to_owned()],
    };
    let (config, config_bytes) = put_json(layout, &image_config::config(&built, &facts))?;
    let manifest = Manifest::new(
        Descriptor::config(&config, config_bytes),
        vec![base.1, ours.1],
        image_config::labels(&built, &facts),
    );
    let (digest, manifest_bytes) = put_json(layout, &manifest)?;
    let tags = image_tags(source);
    let index = serde_json::to_vec(&Index::new(&digest, manifest_bytes, &tags[0].to_string()))?;
    for (name, content) in [(INDEX, index.as_slice()), ("oci-layout", OCI_LAYOUT.as_bytes())] {
        fs::write(layout.join(name), content).with_context(|| format!("cannot write {layout}/{name}"))?;
    }
    Ok(ImageRecord {
        layout: LAYOUT.to_owned(),
        size_bytes: manifest_bytes + manifest.blobs().map(|blob| blob.size).sum::<u64>(),
        digest,
        tags,
        base_name: BASE.to_owned(),
        base_digest: None,
        engine: "fake dist, no engine".to_owned(),
        emulators: None,
        snapshot: None,
        sbom: None,
        inputs: sha256(source.commit.to_string().as_bytes()),
    })
}

/// The labels that the Dockerfile gives a real image, except the repository: any may publish it.
fn labels(source: &Source) -> BTreeMap<String, String> {
    let version = source.version.to_string();
    let labels = [
        ("title", "BuildKit for RISC-V"),
        ("description", "fake dist, made for a rehearsal"),
        ("version", version.as_str()),
        ("revision", &source.commit.to_string()),
        ("source", "https://github.com/moby/buildkit"),
    ]
    .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.to_owned()));
    labels.into()
}

/// A layer with these files. Returns the digest of its archive, and its descriptor.
fn layer(layout: &Utf8Path, contents: &[(&str, &str)], modified_epoch: i64) -> Result<(Digest, Descriptor)> {
    let archive = archive(contents, modified_epoch)?;
    let (digest, size_bytes) = put(layout, &gzip(&archive)?)?;
    Ok((Digest::from(sha256(&archive)), Descriptor::layer(&digest, size_bytes)))
}

/// A tar archive with these files.
fn archive(contents: &[(&str, &str)], modified_epoch: i64) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(files::MODE_PROGRAM);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(modified_epoch).context("the commit is dated before 1970")?);
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in contents {
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    Ok(tar.into_inner()?)
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::fast());
    gzip.write_all(content)?;
    Ok(gzip.finish()?)
}

fn put_json(layout: &Utf8Path, document: &impl Serialize) -> Result<(Digest, u64)> {
    put(layout, &serde_json::to_vec(document)?)
}

/// Writes a blob. Returns its digest and size.
fn put(layout: &Utf8Path, content: &[u8]) -> Result<(Digest, u64)> {
    let digest = Digest::from(sha256(content));
    let path = layout.join(digest.blob());
    fs::write(&path, content).with_context(|| format!("cannot write {path}"))?;
    Ok((digest, content.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::names;
    use oci::layout::Image;

    #[test]
    fn it_is_a_complete_dist_and_reproducible() {
        let scratch = std::env::temp_dir().join(format!("xtask-fake-dist-{}", std::process::id()));
        let scratch = camino::Utf8PathBuf::try_from(scratch).expect("UTF-8");
        let source = source("v0.33.0", 1_788_000_000).expect("a source");
        let folders = ["one", "two"].map(|name| scratch.join(name));
        for folder in &folders {
            make(folder, &source).expect("is made");
        }
        let [one, two] = folders.each_ref().map(|folder| {
            let sums = fs::read_to_string(folder.join(names::SHA256SUMS)).expect("is there");
            (sums, fs::read(folder.join(LAYOUT).join(INDEX)).expect("is there"))
        });
        assert_eq!(one, two);
        let dist = Dist::open(&folders[0], Some(&folders[0])).expect("a dist");
        dist.verify().expect("is whole");
        dist.verify_packages().expect("the packages are whole");
        for name in dist.record.published() {
            assert!(folders[0].join(&name).is_file(), "{name}");
        }
        let image = Image::open(&folders[0].join(LAYOUT)).expect("an image");
        assert_eq!(Some(&image.digest), dist.record.image.as_ref().map(|image| &image.digest));
        assert!(image.config.platform == oci::documents::Platform::riscv64());
        image.files().expect("valid layers");
        fs::remove_dir_all(&scratch).expect("is removed");
    }
}
