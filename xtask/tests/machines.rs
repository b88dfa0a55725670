//! `cargo xtask` on ordinary machines that are not as a contributor's should be: what can work does, and what cannot
//! says why in one line that a person can act on.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use support::{World, failure, text};

/// GitHub's "Download ZIP" and `git archive` have all files, and no repository.
#[test]
fn files_without_a_repository_build_any_ref_that_is_named() {
    let Some(world) = World::new("archive") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    fs::remove_dir_all(checkout.root.join(".git")).expect("is removed");
    checkout.build(&["--ref", "v0.1.1"]);
    assert!(checkout.dist("v0.1.1").is_dir());
    let why = format!("{} has no .git, as after GitHub's \"Download ZIP\"", checkout.root.display());
    let (message, _) = failure(&mut checkout.xtask(&["build"]));
    assert!(message.contains(&why) && message.contains("--ref"), "{message}");
    let (message, _) = failure(&mut checkout.xtask(&["--version"]));
    assert!(message.contains(&why), "{message}");
    // Unpacked in the folder of another repository, as in a home directory that is one.
    world.git("", &["init", "--quiet"]);
    let (message, _) = failure(&mut checkout.xtask(&["build"]));
    assert!(message.contains(&why), "{message}");
    assert!(!world.path("target").exists());
}

#[test]
fn a_repository_elsewhere_is_not_taken_for_the_main_worktree() {
    let Some(world) = World::new("separate") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    fs::create_dir(world.path("other")).expect("is made");
    fs::write(world.path("other/.gitmodules"), "").expect("is written");
    world.git("project", &["init", "--quiet", "--separate-git-dir", "../other/.git"]);
    checkout.build(&[]);
    assert!(checkout.root.join("target/upstream").is_dir() && !world.path("other/target").exists());
}

/// A folder with one program, a script, that comes first on PATH.
fn first_on_path(world: &World, program: &str, script: &str) -> String {
    let folder: PathBuf = world.path("bin");
    fs::create_dir_all(&folder).expect("is made");
    fs::write(folder.join(program), format!("#!/bin/sh\n{script}\n")).expect("is written");
    fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755)).expect("is executable");
    format!("{}:{}", folder.display(), std::env::var("PATH").expect("is set"))
}

#[test]
fn a_git_that_is_missing_or_too_old_is_named() {
    let Some(world) = World::new("git") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let empty = world.only("empty", &[]);
    for task in [&["build"][..], &["--version"], &["clean"]] {
        let (message, _) = failure(checkout.bare_xtask(task).env("PATH", &empty));
        assert!(
            message.contains("git is not on PATH") && message.contains("cargo xtask doctor"),
            "{task:?}: {message}"
        );
    }
    let git = support::on_path("git").expect("git is there");
    let script =
        format!("[ \"$1\" = --version ] && echo 'git version 2.31.8' && exit\nexec '{}' \"$@\"", git.display());
    let path = first_on_path(&world, "git", &script);
    let (message, _) = failure(checkout.xtask(&["build"]).env("PATH", &path));
    assert!(message.contains("git version 2.31.8") && message.contains("2.32 or newer"), "{message}");
}

#[test]
fn a_run_from_outside_of_the_checkout_finds_it() {
    let Some(world) = World::new("outside") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    // As `cargo run --manifest-path` sets it.
    let mut run = checkout.xtask(&["build"]);
    let output = run.current_dir("/").env("CARGO_MANIFEST_DIR", checkout.root.join("xtask")).output();
    text(&output.expect("xtask starts"));
    assert!(checkout.dist("v0.1.0").is_dir());
}
