//! `packager write`, from a small build: the same bytes from two paths, and what the tools of Debian and RPM say of them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files, starts processes")]

mod support;

use std::fs;
use std::io::Write;
use std::process::Command;

use support::{DEB, PACKAGER, REPOSITORY, RPM, Scratch, text};

/// Another user, path, umask, home, language and zone, and other modes and times of the files.
#[test]
fn two_users_make_the_same_bytes_on_two_paths_with_two_umasks() {
    let name = "two_users_make_the_same_bytes_on_two_paths_with_two_umasks";
    let (one, two) = (Scratch::new("one"), Scratch::new("another-path"));
    text(&one.packager());
    let request = two.request("v0.32.2", REPOSITORY);
    let script = "touch -d 2001-01-01 dist/* && chmod 600 dist/* && umask 077 && exec \"$0\" write \"$1\"";
    // Without a mapping, nobody's number is what a process in a namespace of users has.
    let mut other = Command::new("unshare");
    other.args(["--user", "sh", "-c", script, PACKAGER]).arg(request).current_dir(two.path(""));
    other.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env("LC_ALL", "tr_TR.UTF-8");
    let output = other.env("TZ", "Asia/Kathmandu").output();
    if output.as_ref().is_ok_and(|output| String::from_utf8_lossy(&output.stderr).starts_with("unshare:")) {
        writeln!(std::io::stderr(), "SKIPPED {name}: there are no namespaces of users here").expect("takes a line");
        return;
    }
    text(&output.expect("util-linux is there"));
    for package in [DEB, RPM] {
        assert!(one.package(package) == two.package(package), "{package} depends on who makes it, where and when");
    }
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
    text(&other.packager_for("v0.32.2", "mallory/docker-for-riscv64"));
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
