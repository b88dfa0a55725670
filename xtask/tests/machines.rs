//! `cargo xtask` on ordinary machines that are not as a contributor's should be: what can work does, and what cannot
//! says why in one line that a person can act on.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use support::{World, contents, failure, text};

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

/// The same run, after a line of shell.
fn after(shell: &str, run: &Command) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{shell}\nexec \"$0\" \"$@\"")).arg(run.get_program()).args(run.get_args());
    command.current_dir(run.get_current_dir().expect("is set"));
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// What a person or a machine may have set, as a line of shell before the run. `$TOP` is the folder of the checkout.
const MACHINES: [(&str, &str); 20] = [
    ("a umask of 077", "umask 077"),
    ("a umask of 000", "umask 000"),
    ("no HOME", "unset HOME"),
    ("an empty HOME", "export HOME="),
    ("a HOME that takes no files", "export HOME=/proc/nowhere"),
    ("no temporary folder", "export TMPDIR=/nonexistent"),
    ("a language with another capital i", "export LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 LANGUAGE=tr"),
    ("a language that is not installed", "export LANG=xx_XX.KOI8-R LC_ALL=xx_XX.KOI8-R"),
    ("a time zone", "export TZ=Asia/Kathmandu"),
    ("a time zone that is wrong", "export TZ=:/nonexistent"),
    (
        "settings of cargo",
        "export RUSTFLAGS=--cfg=x RUSTC_WRAPPER=false CARGO_BUILD_TARGET=riscv64gc-unknown-linux-gnu",
    ),
    ("another target directory", "export CARGO_TARGET_DIR=/nonexistent"),
    ("a workspace of Go above", "echo 'go 1.21' > \"$TOP/go.work\""),
    ("a module of Go above", "echo 'module above' > \"$TOP/go.mod\""),
    (
        "settings of Go",
        "printf 'GOFLAGS=-mod=mod\\nGOPROXY=off\\nGOEXPERIMENT=nope\\n' > \"$TOP/go.env\"; export GOENV=\"$TOP/go.env\"",
    ),
    ("settings of Go in HOME", "mkdir -p \"$HOME/.config/go\" && echo 'GOFLAGS=-race' > \"$HOME/.config/go/env\""),
    ("a netrc for upstream's host", "echo 'machine upstream.example login a password b' > \"$HOME/.netrc\""),
    ("closed standard input", "exec <&-"),
    ("few open files", "ulimit -n 64"),
    ("a PATH with empty and relative parts", "export PATH=\":.:nowhere:$PATH:\""),
];

#[test]
fn what_is_set_on_a_machine_changes_no_byte() {
    let Some(world) = World::new("machines") else { return };
    let checkout = world.checkout("project", "v0.2.0");
    checkout.build(&[]);
    let whole = contents(&checkout.dist("v0.2.0"));
    for (what, shell) in MACHINES {
        for made in ["dist", "target/upstream"] {
            fs::remove_dir_all(checkout.root.join(made)).expect("is removed");
        }
        let mut run = after(shell, &checkout.xtask(&["build"]));
        let output = run.env("TOP", world.path("")).output().expect("sh starts");
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(contents(&checkout.dist("v0.2.0")) == whole, "{what} changes the bytes");
    }
}

#[test]
fn a_checkout_may_have_any_name() {
    let Some(world) = World::new("names") else { return };
    let plain = world.checkout("plain", "v0.2.0");
    plain.build(&[]);
    let whole = contents(&plain.dist("v0.2.0"));
    for name in ["with spaces", "ünïcødé-源", "it's \"quoted\"", "a:b", "$HOME `x` %2F", "-dash", "#;&|*?[x]"] {
        let checkout = world.checkout(name, "v0.2.0");
        world.git(name, &["submodule", "update", "--quiet", "--init", "buildkit"]);
        checkout.build(&[]);
        assert!(contents(&checkout.dist("v0.2.0")) == whole, "{name:?} changes the bytes");
    }
    let (message, _) = failure(&mut world.checkout("two\nlines", "v0.2.0").xtask(&["build"]));
    assert!(message.contains("there is a line break in the path"), "{message}");
}
