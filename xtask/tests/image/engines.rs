//! With a real engine and a real build, in minutes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{root, support, xtask};

/// Names the build to use and allows the minutes that a real image takes: the path of a `dist/<version>`.
const DIST: &str = "XTASK_TEST_DIST";

/// Takes minutes: twice the packages of Debian under emulation.
#[test]
fn a_real_engine_makes_the_same_image_twice_and_then_nothing() {
    let Some(dist) = real_dist() else { return };
    let folder = std::env::temp_dir().join(format!("xtask-image-real-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let dist_copy = folder.join("v");
    fs::create_dir_all(&dist_copy).expect("can be made");
    support::copy_files(&dist, &dist_copy);
    let make = |unchanged: bool| {
        let arguments = ["--json", "--no-cache", "--dist", dist_copy.to_str().expect("is text")];
        let output = xtask(root(), &arguments).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        assert_eq!(report["unchanged"], unchanged);
        report["image"]["digest"].as_str().expect("has a digest").to_owned()
    };
    let first = make(false);
    assert_eq!(make(true), first);
    let layout = dist_copy.join("image");
    let blob = fs::read_dir(layout.join("blobs/sha256")).expect("lists").flatten().next().expect("has a blob").path();
    fs::write(&blob, "damaged").expect("can be written");
    assert_eq!(make(false), first, "a layout that is damaged is made again, the same");
    let left: Vec<_> = fs::read_dir(&dist_copy).expect("lists").flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "leaves {left:?}");
    fs::remove_dir_all(&folder).expect("can be removed");
}

/// The image of another ref: its programs are others, and Debian's packages are those of the image before. Takes a
/// minute if the engine has had no image yet.
#[test]
fn the_image_of_another_ref_costs_its_own_files_alone() {
    let Some(dist) = real_dist() else { return };
    let buildx = |arguments: &[&str]| {
        let output = Command::new("docker").arg("buildx").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    if buildx(&["version"]).is_none() {
        return support::skip("image", "docker has no buildx here");
    }
    let folder = support::Scratch::new("another-ref");
    let image_of = |name: &str, tail: &[u8]| {
        let copy = folder.path().join(name);
        fs::create_dir(&copy).expect("can be made");
        support::copy_files(&dist, &copy);
        let program = [fs::read(copy.join("buildctl")).expect("is there"), tail.to_vec()].concat();
        fs::write(copy.join("buildctl"), &program).expect("can be written");
        let record = copy.join("metadata.json");
        let mut metadata: Value = serde_json::from_slice(&fs::read(&record).expect("is there")).expect("is JSON");
        let files = metadata["files"].as_array_mut().expect("a list");
        let recorded = files.iter_mut().find(|file| file["name"] == "buildctl").expect("is recorded");
        (recorded["sha256"], recorded["size_bytes"]) = (support::image::hex(&program).into(), program.len().into());
        fs::write(&record, metadata.to_string()).expect("can be written");
        let arguments = ["--json", "--engine", "docker", "--dist", copy.to_str().expect("is text")];
        let output = xtask(root(), &arguments).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        let digest = report["image"]["digest"].as_str().expect("has a digest").trim_start_matches("sha256:");
        let manifest = fs::read(copy.join("image/blobs/sha256").join(digest)).expect("is there");
        let manifest: Value = serde_json::from_slice(&manifest).expect("is JSON");
        manifest["layers"].as_array().expect("layers").clone()
    };
    // A step that is done, and not taken from the cache, makes a record of its own.
    let installations = || {
        let records = buildx(&["du", "--verbose"]).expect("buildx answers");
        records.lines().filter(|line| line.starts_with("Description:") && line.contains("apt-get")).count()
    };
    let one = image_of("one", &[]);
    let before = installations();
    let other = image_of("other", b"\n");
    assert_eq!((before > 0, installations()), (true, before), "apt ran again");
    let (last, same) = one.split_last().expect("has layers");
    assert_eq!(other[..same.len()], *same);
    assert_ne!(other.last(), Some(last));
}

/// The build to make an image of, or the reason why there is none, on standard error.
fn real_dist() -> Option<PathBuf> {
    let skip = |reason: &str| support::skip("image", reason);
    let Some(dist) = std::env::var_os(DIST).map(PathBuf::from) else {
        skip(&format!("{DIST} names no dist/<version> (it takes minutes, and an engine)"));
        return None;
    };
    let answers = |engine: &str| Command::new(engine).arg("info").output().is_ok_and(|told| told.status.success());
    if !["docker", "podman"].iter().any(|engine| answers(engine)) {
        skip("neither docker nor podman answers here");
        return None;
    }
    Some(dist)
}
