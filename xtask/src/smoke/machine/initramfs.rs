//! The initramfs of the machine: the image's files below `image/`, with the owners and modes that its layers
//! give them, and beside them the files that boot the machine and run the builds.
#![allow(clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use camino::Utf8Path;
use oci::file_tree::{FileTree, Node};
use oci::layer::members::Kind;
use oci::layout::Image;

use crate::smoke::machine::Guest;
use crate::smoke::machine::cpio::{Attributes, Special, Writer};
use crate::smoke::machine::kernel::{BUSYBOX_AMD64, BUSYBOX_RISCV64, GuestFiles};

const DOCKERFILE: &str = include_str!("Dockerfile");
const SCRIPT: &str = include_str!("script.sh");
const FOLDER: Attributes = Attributes { mode: 0o755, uid: 0, gid: 0, modified_epoch: 0 };
const PROGRAM: Attributes = FOLDER;
const DATA: Attributes = Attributes { mode: 0o644, ..FOLDER };

/// Writes the initramfs to `path`.
pub fn write(path: &Utf8Path, guest: &Guest<'_>, guest_files: &GuestFiles) -> Result<()> {
    let fill = || -> Result<()> {
        let mut archive = Writer::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
        boot_files(&mut archive, guest, guest_files)?;
        image_files(&mut archive, guest.image, guest.tree)?;
        archive.finish()?;
        Ok(())
    };
    fill().with_context(|| format!("cannot write {path}"))
}

fn boot_files(archive: &mut Writer<impl Write>, guest: &Guest<'_>, guest_files: &GuestFiles) -> Result<()> {
    for folder in ["bin", "proc", "sys", "dev", "modules", "context", "context/riscv64", "context/amd64"] {
        archive.special(folder, FOLDER, Special::Directory)?;
    }
    // Without it the first process has no standard output.
    archive.special("dev/console", Attributes { mode: 0o600, ..FOLDER }, Special::CharacterDevice(5, 1))?;
    let mut text =
        |path: &str, attributes, text: &str| archive.file(&[path], attributes, text.len() as u64, &mut text.as_bytes());
    text("init", PROGRAM, guest.init)?;
    text("settings", DATA, guest.settings)?;
    if let Some(script) = guest.script {
        text("test.sh", DATA, script)?;
    }
    text("context/Dockerfile", DATA, DOCKERFILE)?;
    text("context/script", PROGRAM, SCRIPT)?;
    let mut copy = |paths: &[&str], attributes, from: &Utf8Path| -> Result<()> {
        let mut file = File::open(from).with_context(|| format!("cannot open {from}"))?;
        let size_bytes = file.metadata()?.len();
        Ok(archive.file(paths, attributes, size_bytes, &mut file)?)
    };
    copy(&["bin/busybox", "context/riscv64/busybox"], PROGRAM, &guest_files.path(BUSYBOX_RISCV64))?;
    copy(&["context/amd64/busybox"], PROGRAM, &guest_files.path(BUSYBOX_AMD64))?;
    for module in guest_files.modules() {
        copy(&[&format!("modules/{module}.ko.xz")], DATA, &guest_files.module(module))?;
    }
    Ok(())
}

/// Directories and other special entries first, then the files in the order of the layers.
fn image_files(archive: &mut Writer<impl Write>, image: &Image, tree: &FileTree) -> Result<()> {
    if tree.entries().all(|(path, _)| !path.is_empty()) {
        archive.special("image", FOLDER, Special::Directory)?;
    }
    for (path, node) in tree.entries() {
        let special = match &node.kind {
            Kind::Directory => Special::Directory,
            Kind::Symlink(target) => Special::Symlink(target),
            Kind::CharacterDevice(major, minor) => Special::CharacterDevice(*major, *minor),
            Kind::BlockDevice(major, minor) => Special::BlockDevice(*major, *minor),
            Kind::Fifo => Special::Fifo,
            Kind::File | Kind::HardLink(_) => continue,
        };
        archive.special(&place(path), attributes(node), special)?;
    }
    image.contents(
        tree,
        |_, _| true,
        |paths, node, content| {
            let places: Vec<String> = paths.iter().map(|path| place(path)).collect();
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            Ok(archive.file(&places, attributes(node), node.size_bytes, content)?)
        },
    )
}

fn place(path: &str) -> String {
    if path.is_empty() { "image".to_owned() } else { format!("image/{path}") }
}

fn attributes(node: &Node) -> Attributes {
    Attributes { mode: node.mode, uid: node.uid, gid: node.gid, modified_epoch: node.modified_epoch }
}
