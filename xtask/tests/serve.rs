//! `cargo xtask rehearse --serve`: what is published stays there, and the printed command verifies it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::page::sha256;
use support::served::Served;
use support::{Scratch, empty_checkout};

mod support;

#[test]
fn what_is_served_can_be_verified_with_the_printed_command() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
    let mut served = Served::start(root);
    let (is_right, stderr) = served.verify(root, ("", ""));
    assert!(is_right && stderr.contains("pass  image-blobs"), "{}: {stderr}", served.command);
    // A version that was never published is not one that was changed.
    let (_, stderr) = served.verify(root, ("verify v0.32.2", "verify v0.31.9"));
    assert!(stderr.contains("error there is no release buildkit-v0.31.9-riscv64 that anyone can see; "), "{stderr}");
    let files = served.files(root);
    assert!(files.is_dir(), "{}", files.display());
    let killed = Command::new("kill").arg(served.process.id().to_string()).status().expect("kill starts");
    assert!(killed.success() && served.process.wait().expect("ends").signal() == Some(15));
    served.after.take().expect("is started once").join().expect("the last lines are read");
    assert!(!files.exists(), "{} is left", files.display());
}

/// What is made again for another repository has other labels, and other packages.
#[test]
fn a_build_is_served_in_the_repository_that_it_was_made_for() {
    let scratch = Scratch::new("a_build_is_served_in_the_repository_that_it_was_made_for");
    let root = scratch.path();
    empty_checkout(root);
    let served = Served::start(root);
    assert!(served.command.ends_with(" --repo octo-riscv/docker-for-riscv64"), "{}", served.command);
    let note = "v0.32.2 is a fake dist, of which --rebuild can make nothing again";
    assert!(served.before.iter().any(|line| line.contains(note)), "{:#?}", served.before);

    fs::create_dir_all(root.join("dist")).expect("is made");
    let dist = root.join("dist/v0.32.2");
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(served.files(root).join("dist/v0.32.2")).arg(&dist);
    assert!(copy.status().expect("cp starts").success());
    drop(served);
    name_repository(&dist, "someone/else");
    let served = Served::start(root);
    assert!(served.command.ends_with(" --repo someone/else"), "{}", served.command);
    let is_real = |line: &String| line.contains("the workflow builds v0.32.2: the real build in dist/");
    assert!(served.before.iter().any(is_real), "{:#?}", served.before);
    assert!(!served.before.iter().any(|line| line.contains(note)), "{:#?}", served.before);
    let (is_right, stderr) = served.verify(root, ("", ""));
    assert!(is_right && stderr.contains("buildkit-v0.32.2-riscv64 of someone/else"), "{stderr}");
}

/// Adds the label with the repository to the image of a fake dist, and makes all that has its digest fit.
fn name_repository(dist: &Path, repository: &str) {
    let [record, index, sums] = ["metadata.json", "image/index.json", "SHA256SUMS"].map(|name| dist.join(name));
    let text = |path: &Path| fs::read_to_string(path).expect("is read");
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("is JSON");
    let old_record = text(&record);
    let digest =
        json(&old_record)["image"]["digest"].as_str().expect("an image").trim_start_matches("sha256:").to_owned();
    let blobs = dist.join("image/blobs/sha256");
    let mut manifest = json(&text(&blobs.join(&digest)));
    let url = format!("https://github.com/{repository}/pkgs/container/buildkit-riscv64");
    manifest["annotations"]["org.opencontainers.image.url"] = url.into();
    let manifest = manifest.to_string();
    let new_digest = sha256(manifest.as_bytes());
    fs::rename(blobs.join(&digest), blobs.join(&new_digest)).expect("is renamed");
    fs::write(blobs.join(&new_digest), &manifest).expect("is written");
    let mut listed = json(&text(&index).replace(&digest, &new_digest));
    listed["manifests"][0]["size"] = manifest.len().into();
    fs::write(&index, listed.to_string()).expect("is written");
    let new_record = old_record.replace(&digest, &new_digest);
    fs::write(&record, &new_record).expect("is written");
    let [old, new] = [&old_record, &new_record].map(|record| sha256(record.as_bytes()));
    fs::write(&sums, text(&sums).replace(&old, &new)).expect("is written");
}
