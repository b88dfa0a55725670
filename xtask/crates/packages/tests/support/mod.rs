//! A small build of a test, the packages that `packager` makes of it, and the tools that read them.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files, starts processes")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use camino::Utf8PathBuf;
use packages::request::{Help, Module, Packages, Request};
use packages::version::{Format, PackageVersion};

pub const PACKAGER: &str = env!("CARGO_BIN_EXE_packager");
pub const DEB: &str = "buildkit_0.32.2-1_riscv64.deb";
pub const RPM: &str = "buildkit-0.32.2-1.riscv64.rpm";
pub const OLDER_DEB: &str = "buildkit_0.31.0-1_riscv64.deb";
pub const OLDER_RPM: &str = "buildkit-0.31.0-1.riscv64.rpm";
pub const REPOSITORY: &str = "octo-riscv/docker-for-riscv64";
const HELP: &str = "NAME:\n   buildctl - build utility\n\nCOMMANDS:\n   build, b  build\n\nGLOBAL OPTIONS:\n   \
                    --addr string  buildkitd address (default: \"unix:///run/buildkit/buildkitd.sock\")\n";
const GO_LICENSE: &str = "Copyright 2009 The Go Authors.\n\nRedistribution and use in source and binary forms\n";

/// A directory of one test, removed at its end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// With a small build, and upstream's sources, in it.
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let scratch = Self(path);
        for command in ["buildctl", "buildkitd"] {
            scratch.write(&format!("dist/{command}"), "#!/bin/sh\nexit 0\n");
        }
        scratch.write("sources/LICENSE", include_str!("../../../../../LICENSE"));
        scratch.write("sources/vendor/golang.org/x/sys/LICENSE", GO_LICENSE);
        scratch.write("sources/vendor/example.com/a/LICENSE.md", "Permission is hereby granted, free of charge\n");
        scratch.write("sources/vendor/example.com/a/NOTICE", "This product has parts of others.\n");
        fs::create_dir_all(scratch.path("out")).expect("is made");
        scratch
    }

    pub fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::try_from(self.0.join(name)).expect("UTF-8")
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("is made");
        fs::write(&path, text).expect("is written");
    }

    pub fn packager(&self) -> Output {
        self.packager_for("v0.32.2", REPOSITORY)
    }

    /// Writes the packages of a version and of an older one.
    pub fn write_two_versions(&self) {
        for version in ["v0.31.0", "v0.32.2"] {
            text(&self.packager_for(version, REPOSITORY));
        }
    }

    pub fn packager_for(&self, version: &str, repository: &str) -> Output {
        let request = self.request(version, repository);
        Command::new(PACKAGER).arg("write").arg(request).output().expect("runs")
    }

    /// Writes a request into a file.
    pub fn request(&self, version: &str, repository: &str) -> Utf8PathBuf {
        let module = |path: &str| Module { path: path.to_owned(), version: "v1.0.0".to_owned() };
        let help = |command: &[&str], text: &str| Help {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            text: text.to_owned(),
        };
        let request = Request {
            version: PackageVersion::of_version(version).expect("a version"),
            upstream_version: version.to_owned(),
            commit: "991535e0973488b6a429096d21fa13f81f2d89d8".to_owned(),
            repository: repository.to_owned(),
            source_date_epoch: 1_785_846_460,
            dist: self.path("dist"),
            packaging: Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../packaging"),
            out: self.path("out"),
            wanted: Packages {
                sources: self.path("sources"),
                modules: vec![module("example.com/a"), module("stdlib")],
                help: vec![
                    help(&["buildctl"], HELP),
                    help(&["buildctl", "build"], "NAME:\n   buildctl build - build\n"),
                    help(&["buildkitd"], "NAME:\n   buildkitd - build daemon\n"),
                ],
                formats: Format::ALL.to_vec(),
            },
        };
        self.write("request.json", &serde_json::to_string(&request).expect("is JSON"));
        self.path("request.json")
    }

    /// What `packager` prints of the package of this scratch, published, and that of `again`.
    pub fn explain(&self, again: &Self, package: &str) -> String {
        let mut packager = Command::new(PACKAGER);
        let packages = [self, again].map(|scratch| scratch.path("out").join(package));
        text(&packager.arg("explain").args(packages).output().expect("runs"))
    }

    pub fn package(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("out").join(name)).expect("is there")
    }

    /// What a tool prints that is asked about a package; `None`, with a line that says so, if it is not installed.
    pub fn tool(&self, test: &str, program: &str, arguments: &[&str], package: &str) -> Option<Output> {
        has(test, program).then(|| {
            Command::new(program).args(arguments).arg(self.path("out").join(package)).output().expect("was there")
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether a program is installed; if not, a line says so.
pub fn has(test: &str, program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        skip(test, &format!("there is no {program} here"));
    }
    is_there
}

fn skip(test: &str, reason: &str) {
    writeln!(std::io::stderr(), "SKIPPED {test}: {reason}").expect("takes a line");
}

/// Whether a process can have mounts of its own; if not, a line says so.
pub fn can_mount(test: &str) -> bool {
    let output = namespaces().args(["mount", "-t", "tmpfs", "tmpfs", "/run"]).output();
    let can = output.is_ok_and(|output| output.status.success());
    if !can {
        skip(test, "there are no namespaces of users and mounts here");
    }
    can
}

/// A script of this directory, run as root with mounts of its own.
pub fn with_own_mounts(script: &str) -> Command {
    let mut command = namespaces();
    command.arg("sh").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script));
    command
}

fn namespaces() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount"]);
    unshare
}

/// What a command printed, which has to succeed.
pub fn text(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    stdout
}
