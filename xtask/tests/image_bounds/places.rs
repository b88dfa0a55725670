//! Where the blobs are: what is in a directory in place of a file, and archives that name parts of themselves.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use fakes::sample_image::{ENTRYPOINT, config, good, layer};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::support::Scratch;
use crate::support::image::hex;
use crate::verify_image;
use crate::written::image;

/// Runs the task on a good layout that `change` alters, and asserts that it is refused.
fn refused_layout(name: &str, why: &str, change: impl FnOnce(&Path)) {
    crate::assert_refused(name, why, |folder| {
        image(folder, |_| {});
        change(folder);
    });
}

/// The first blob of a layout, whose place something else takes.
fn a_blob(folder: &Path) -> std::path::PathBuf {
    let blobs = fs::read_dir(folder.join("blobs/sha256")).expect("lists").flatten();
    let blob = blobs.map(|blob| blob.path()).min().expect("has blobs");
    fs::remove_file(&blob).expect("is removed");
    blob
}

#[test]
fn what_is_no_file() {
    // Opened, a pipe without a writer waits for ever.
    refused_layout("a pipe as a blob", "is missing", |folder| {
        assert!(Command::new("mkfifo").arg(a_blob(folder)).status().expect("mkfifo runs").success());
    });
    refused_layout("an endless device as a blob", "is missing", |folder| {
        symlink("/dev/zero", a_blob(folder)).expect("is made");
    });
    refused_layout("a directory as a blob", "is missing", |folder| fs::create_dir(a_blob(folder)).expect("is made"));
    refused_layout("a blob that is a link to itself", "is missing", |folder| {
        let blob = a_blob(folder);
        symlink(&blob, &blob).expect("is made");
    });
    refused_layout("an endless device as the index", "neither index.json", |folder| {
        fs::remove_file(folder.join("index.json")).expect("is removed");
        symlink("/dev/zero", folder.join("index.json")).expect("is made");
    });
    refused_layout("a file of another as a blob", "bytes", |folder| {
        symlink("/etc/passwd", a_blob(folder)).expect("is made");
    });
}

/// A member of an archive: its name, its type, where it leads, and its content.
type Member<'a> = (&'a str, EntryType, &'a str, &'a [u8]);

fn file<'a>(name: &'a str, content: &'a [u8]) -> Member<'a> {
    (name, EntryType::Regular, "", content)
}

fn link<'a>(name: &'a str, target: &'a str) -> Member<'a> {
    (name, EntryType::Symlink, target, &[])
}

/// Writes what `docker save` writes, with these members before the documents, and these layers.
fn saved(archive: &Path, members: &[Member<'_>], layers: &[&str], count: usize) {
    let diff_ids = vec![format!("sha256:{}", hex(&layer(&good()))); count];
    let config = config(&ENTRYPOINT, &diff_ids).to_string();
    let manifest = json!([{ "Config": "c.json", "Layers": layers }]).to_string();
    let mut tar = Builder::new(File::create(archive).expect("is made"));
    let documents = [file("c.json", config.as_bytes()), file("manifest.json", manifest.as_bytes())];
    for (name, kind, link, content) in members.iter().chain(&documents) {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        tar.append(&header, *content).expect("is appended");
    }
    tar.finish().expect("is written");
}

/// Runs the task on such an archive; it is refused for a reason, or, if that is empty, judged.
fn verify_saved(name: &str, why: &str, write: impl FnOnce(&Path)) {
    let scratch = Scratch::new("bounds");
    let archive = scratch.path().join("image.tar");
    write(&archive);
    let messages = verify_image(name, scratch.path(), &archive);
    let expected = if why.is_empty() { " passed, " } else { why };
    assert!(messages.contains(expected) && (why.is_empty() || messages.contains("error")), "{name}: {messages:.2000}");
}

#[test]
fn archives() {
    let good = layer(&good());
    verify_saved("an archive", "", |at| saved(at, &[file("l", &good)], &["l"], 1));
    verify_saved("a member twice, and the last is good", "", |at| {
        saved(at, &[file("l", b"x"), file("l", &good)], &["l"], 1);
    });
    verify_saved("a member twice, and the last is not", "layer 1 of 1", |at| {
        saved(at, &[file("l", &good), file("l", b"x")], &["l"], 1);
    });
    verify_saved("a layer outside", "leads out of the image", |at| saved(at, &[], &["../../../../etc/passwd"], 1));
    verify_saved("a layer of this host", "leads out of the image", |at| saved(at, &[], &["/etc/passwd"], 1));
    verify_saved("a member that is a link to itself", "is missing", |at| saved(at, &[link("l", "l")], &["l"], 1));
    verify_saved("members that are links to each other", "is missing", |at| {
        saved(at, &[link("l", "m"), link("m", "l")], &["l"], 1);
    });
    verify_saved("a member that is a link to this host", "is missing", |at| {
        saved(at, &[link("l", "/etc/passwd")], &["l"], 1);
    });
    verify_saved("the archive's own list as a layer", "layer 1 of 1", |at| saved(at, &[], &["manifest.json"], 1));
    let many: Vec<String> = (0..10_001).map(|number| format!("m{number}")).collect();
    verify_saved("too many members", "the limit", |at| {
        let members: Vec<_> = many.iter().map(|name| file(name, &[])).collect();
        saved(at, &members, &["m0"], 1);
    });
    verify_saved("a layer named 513 times", "the limit is 512", |at| saved(at, &[file("l", &good)], &["l"; 513], 513));
    verify_saved("an archive cut short", "error", |at| {
        saved(at, &[file("l", &good)], &["l"], 1);
        let length = fs::metadata(at).expect("is there").len();
        File::options().write(true).open(at).and_then(|file| file.set_len(length / 2)).expect("is cut");
    });
    verify_saved("a member of 2^62 bytes", "error", |at| {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..1].copy_from_slice(b"l");
        header.set_size(1 << 62);
        header.set_cksum();
        fs::write(at, header.as_bytes()).expect("is written");
    });
}
