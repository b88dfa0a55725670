//! `packager write`, from a small build: the same bytes from two paths, and what the tools of Debian and RPM say of them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files, starts processes")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use camino::Utf8PathBuf;
use packages::request::{Help, Module, Packages, Request};
use packages::version::{Format, PackageVersion};

const DEB: &str = "buildkit_0.32.2-1_riscv64.deb";
const RPM: &str = "buildkit-0.32.2-1.riscv64.rpm";
const HELP: &str = "NAME:\n   buildctl - build utility\n\nCOMMANDS:\n   build, b  build\n\nGLOBAL OPTIONS:\n   \
                    --addr string  buildkitd address (default: \"unix:///run/buildkit/buildkitd.sock\")\n";
const GO_LICENSE: &str = "Copyright 2009 The Go Authors.\n\nRedistribution and use in source and binary forms\n";

/// A directory of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    /// With a small build, and upstream's sources, in it.
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let scratch = Self(path);
        for command in ["buildctl", "buildkitd"] {
            scratch.write(&format!("dist/{command}"), "#!/bin/sh\nexit 0\n");
        }
        scratch.write("sources/LICENSE", include_str!("../../../../LICENSE"));
        scratch.write("sources/vendor/golang.org/x/sys/LICENSE", GO_LICENSE);
        scratch.write("sources/vendor/example.com/a/LICENSE.md", "Permission is hereby granted, free of charge\n");
        scratch.write("sources/vendor/example.com/a/NOTICE", "This product has parts of others.\n");
        fs::create_dir_all(scratch.path("out")).expect("is made");
        scratch
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::try_from(self.0.join(name)).expect("UTF-8")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("is made");
        fs::write(&path, text).expect("is written");
    }

    fn packager(&self) -> Output {
        self.packager_for("octo-riscv/docker-for-riscv64")
    }

    fn packager_for(&self, repository: &str) -> Output {
        let module = |path: &str| Module { path: path.to_owned(), version: "v1.0.0".to_owned() };
        let help = |command: &[&str], text: &str| Help {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            text: text.to_owned(),
        };
        let request = Request {
            version: PackageVersion::of_version("v0.32.2").expect("a version"),
            upstream_version: "v0.32.2".to_owned(),
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
        let mut packager = Command::new(env!("CARGO_BIN_EXE_packager"));
        packager.arg("write").arg(self.path("request.json")).output().expect("runs")
    }

    /// What `packager` prints of the package of this scratch, published, and that of `again`.
    fn explain(&self, again: &Self, package: &str) -> String {
        let mut packager = Command::new(env!("CARGO_BIN_EXE_packager"));
        let packages = [self, again].map(|scratch| scratch.path("out").join(package));
        text(&packager.arg("explain").args(packages).output().expect("runs"))
    }

    fn package(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("out").join(name)).expect("is there")
    }

    /// What a tool prints that is asked about a package; `None`, with a line that says so, if it is not installed.
    fn tool(&self, test: &str, program: &str, arguments: &[&str], package: &str) -> Option<Output> {
        let output = Command::new(program).args(arguments).arg(self.path("out").join(package)).output();
        if output.is_err() {
            writeln!(std::io::stderr(), "SKIPPED {test}: there is no {program} here").expect("takes a line");
        }
        output.ok()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    stdout
}

#[test]
fn the_same_build_gives_the_same_bytes_from_two_paths() {
    let [one, two] = ["one", "another-path"].map(|name| {
        let scratch = Scratch::new(name);
        text(&scratch.packager());
        (scratch.package(DEB), scratch.package(RPM))
    });
    assert!(one == two, "a package depends on its path or on the clock");
}

#[test]
fn dpkg_and_lintian_take_the_debian_package() {
    let name = "dpkg_and_lintian_take_the_debian_package";
    let scratch = Scratch::new("deb");
    text(&scratch.packager());
    let Some(fields) = scratch.tool(name, "dpkg-deb", &["--info"], DEB) else { return };
    for field in ["Version: 0.32.2-1", "Architecture: riscv64", "Depends: runc", "Section: admin"] {
        assert!(text(&fields).contains(field), "{field}");
    }
    let contents = scratch.tool(name, "dpkg-deb", &["--contents"], DEB).expect("was there");
    for line in [
        "-rwxr-xr-x root/root        17 2026-08-04 12:27 ./usr/bin/buildkitd",
        "./usr/lib/systemd/system/buildkit.socket",
        "./usr/share/man/man1/buildctl-build.1.gz",
        "./usr/share/bash-completion/completions/buildctl",
        "./usr/share/doc/buildkit/NOTICE.gz",
    ] {
        assert!(text(&contents).contains(line), "{line} is not in\n{}", text(&contents));
    }
    let arguments = ["--profile", "debian", "--fail-on", "error,warning", "--allow-root"];
    if let Some(found) = scratch.tool(name, "lintian", &arguments, DEB) {
        text(&found);
    }
}

#[test]
fn rpm_takes_the_rpm() {
    let name = "rpm_takes_the_rpm";
    let scratch = Scratch::new("rpm");
    text(&scratch.packager());
    let Some(checked) = scratch.tool(name, "rpm", &["--checksig", "--nosignature"], RPM) else { return };
    assert!(text(&checked).contains("digests OK"), "{}", text(&checked));
    let format = "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]";
    let files = text(&scratch.tool(name, "rpm", &["-qp", "--nosignature", "--qf", format], RPM).expect("was there"));
    for line in [
        "-rwxr-xr-x root /usr/bin/buildkitd",
        "-rw-r--r-- root /etc/buildkit/buildkitd.toml",
        "-rw-r--r-- root /usr/share/licenses/buildkit/THIRD-PARTY",
    ] {
        assert!(files.contains(line), "{line} is not in\n{files}");
    }
}

#[test]
fn a_module_without_a_license_is_named() {
    let scratch = Scratch::new("unlicensed");
    fs::remove_file(scratch.path("sources/vendor/example.com/a/LICENSE.md")).expect("is removed");
    let output = scratch.packager();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("vendor/example.com/a has no license"), "{stderr}");
}

#[test]
fn where_packages_differ_is_found_in_both_formats() {
    let again = Scratch::new("difference-again");
    text(&again.packager());
    let other = Scratch::new("difference-repository");
    text(&other.packager_for("mallory/docker-for-riscv64"));
    let found = other.explain(&again, DEB);
    let line = "control.tar.xz: ./control has `Maintainer: mallory";
    assert!(found.starts_with(line) && found.contains("or with another --repo"), "{found}");
    let found = other.explain(&again, RPM);
    assert!(found.contains("header: Packager has `mallory") && found.contains("header: URL has"), "{found}");

    let other = Scratch::new("difference-command");
    other.write("dist/buildctl", "#!/bin/sh\nexit 1\n");
    text(&other.packager());
    let why = "(likely the commands in it are others than those beside it)";
    let line = "./usr/bin/buildctl has `exit 0` in line 2, and made again `exit 1`";
    let found = again.explain(&other, DEB);
    assert!(found.contains(line) && found.trim_end().ends_with(why), "{found}");
    let found = again.explain(&other, RPM);
    let line = "payload: /usr/bin/buildctl has other content (17 bytes, and made again 17)";
    assert!(found.contains(line) && found.trim_end().ends_with(why), "{found}");
}

/// Another program than ours adds a file, and packs the same files in another way.
#[test]
fn what_dpkg_deb_put_into_a_package_is_found() {
    let name = "what_dpkg_deb_put_into_a_package_is_found";
    let (published, again) = (Scratch::new("dpkg-published"), Scratch::new("dpkg-again"));
    text(&again.packager());
    text(&published.packager());
    let unpacked = published.path("unpacked");
    let deb = published.path("out").join(DEB);
    let Ok(output) = Command::new("dpkg-deb").arg("-R").args([&deb, &unpacked]).output() else {
        writeln!(std::io::stderr(), "SKIPPED {name}: there is no dpkg-deb here").expect("takes a line");
        return;
    };
    text(&output);
    published.write("unpacked/etc/cron.d/evil", "* * * * * root id\n");
    let pack = ["-Zxz", "--root-owner-group", "-b"];
    text(&Command::new("dpkg-deb").args(pack).args([&unpacked, &deb]).output().expect("was there"));
    let found = published.explain(&again, DEB);
    let added = "data.tar.xz: ./etc/cron.d/evil is only in the published one";
    assert!(found.contains(added) && found.contains("(likely somebody added to it"), "{found}");
}

/// A damaged package is explained or refused, and never takes longer than its size.
#[test]
fn any_two_packages_have_a_short_explanation() {
    let scratch = Scratch::new("explain-any");
    text(&scratch.packager());
    arbtest::arbtest(|source| {
        let name = *source.choose(&[DEB, RPM])?;
        let mut bytes = scratch.package(name);
        for _ in 0..source.int_in_range(1..=8)? {
            // The headers are in front.
            let most = if source.ratio(1, 2)? { 4000 } else { bytes.len() };
            let at = source.int_in_range(0..=most.min(bytes.len()) - 1)?;
            bytes[at] = source.arbitrary()?;
        }
        let other = scratch.path(name);
        fs::write(&other, bytes).expect("is written");
        if let Ok(found) = packages::difference::explain(&other, &scratch.path("out").join(name)) {
            assert!(found.chars().count() < 2000 && !found.contains(['\n', '\u{1b}']), "{found}");
        }
        Ok(())
    })
    .budget_ms(4000);
}
