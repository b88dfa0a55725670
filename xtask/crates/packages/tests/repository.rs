//! A repository of packages that are made here, and what `createrepo_c` makes of the same.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts a process and asks for a folder"
)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use expect_test::expect;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use packages::index::{Index, SHA256SUMS};
use packages::repository::index;
use rpm::{BuildConfig, Dependency, FileOptions, PackageBuilder, Scriptlet};

/// Of version 0.32.2; others are a day older.
const BUILT: u32 = 1_780_000_000;

/// A folder of one test, removed at its end.
struct Scratch(Utf8PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("is made");
        Self(folder)
    }

    fn join(&self, name: &str) -> Utf8PathBuf {
        self.0.join(name)
    }

    /// Indexes the packages into a folder, and reads them back.
    fn index(&self, folder: &str, packages: &[Utf8PathBuf]) -> (Index, Vec<(Utf8PathBuf, Vec<u8>)>) {
        let folder = self.join(folder);
        let index = index(packages, &folder).expect("indexes");
        let read = |path: &Utf8PathBuf| (path.clone(), fs::read(folder.join(path)).expect("is there"));
        let files = index.indexes.iter().map(read).collect();
        (index, files)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn built(version: &str) -> u32 {
    if version == "0.32.2" { BUILT } else { BUILT - 86400 }
}

/// A Debian package with a control file alone.
fn deb(scratch: &Scratch, version: &str, content: &str) -> Utf8PathBuf {
    let control = format!(
        "Package: buildkit\nVersion: {version}-1\nArchitecture: riscv64\nMaintainer: A <a@example.org>\nDescription: x\n \
         {content}\n"
    );
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_size(control.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "./control", control.as_bytes()).expect("is added");
    let control = archive.into_inner().and_then(GzEncoder::finish).expect("is packed");
    let path = scratch.join(&format!("{version}-{content}.deb"));
    let mut package = ar::Builder::new(File::create(&path).expect("is made"));
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar.gz", &control), ("data.tar.xz", b"")] {
        let mut header = ar::Header::new(name.into(), content.len() as u64);
        header.set_mtime(built(version).into());
        package.append(&header, content).expect("is added");
    }
    path
}

/// An RPM with what an index can have.
fn rpm(scratch: &Scratch, version: &str) -> Utf8PathBuf {
    let mut builder = PackageBuilder::new("buildkit", version, "Apache-2.0", "riscv64", "Builds <images> & \"more\"");
    let config = BuildConfig::default().source_date(built(version)).compression(rpm::CompressionType::Xz);
    builder
        .using_config(config)
        .release("1")
        .description("Two\nlines.")
        .requires(Dependency::greater_eq("runc", "1.1"))
        .requires(Dependency::eq("config(buildkit)", format!("{version}-1")))
        .provides(Dependency::eq("config(buildkit)", format!("{version}-1")))
        .recommends(Dependency::any("git"))
        .conflicts(Dependency::less("podman", "2:4-1"))
        .post_install_script(Scriptlet::new("true"))
        .pre_uninstall_script(Scriptlet::new("true"))
        .post_uninstall_script(Scriptlet::new("true"))
        .add_changelog_entry("A <a@example.org> - 1", "- first & only", BUILT)
        .with_file_contents("echo", FileOptions::new("/usr/bin/buildctl").permissions(0o755))
        .expect("is added")
        .with_file_contents("#", FileOptions::new("/etc/buildkit/buildkitd.toml").config())
        .expect("is added")
        .with_file_contents("Apache", FileOptions::new("/usr/share/licenses/buildkit/LICENSE").doc())
        .expect("is added");
    let path = scratch.join(&format!("{version}.rpm"));
    builder.build().and_then(|package| package.write_file(&path)).expect("is written");
    path
}

fn text(files: &[(Utf8PathBuf, Vec<u8>)], end: &str) -> String {
    let (_, content) = files.iter().find(|(path, _)| path.as_str().ends_with(end)).expect(end);
    String::from_utf8(content.clone()).expect("UTF-8")
}

#[test]
fn a_suite_has_the_packages_of_its_channel_and_its_date_is_that_of_the_newest() {
    let scratch = Scratch::new("suite");
    let packages = [deb(&scratch, "0.32.2", "x"), deb(&scratch, "0.31.0", "x"), deb(&scratch, "0.33.0~rc1", "x")];
    let (_, files) = scratch.index("out", &packages);
    expect![[r#"
        Package: buildkit
        Version: 0.33.0~rc1-1
        Architecture: riscv64
        Maintainer: A <a@example.org>
        Description: x
         x
        Filename: pool/main/b/buildkit/buildkit_0.33.0~rc1-1_riscv64.deb
    "#]]
    .assert_eq(
        &text(&files, "prerelease/main/binary-riscv64/Packages").split_inclusive('\n').take(7).collect::<String>(),
    );
    let stable = text(&files, "stable/main/binary-riscv64/Packages");
    let versions: Vec<&str> = stable.lines().filter_map(|line| line.strip_prefix("Version: ")).collect();
    assert_eq!(versions, ["0.31.0-1", "0.32.2-1"]);
    let release = text(&files, "apt/dists/stable/Release");
    assert!(release.contains("\nDate: Thu, 28 May 2026 20:26:40 UTC\n"), "{release}");
    let sums = text(&files, SHA256SUMS);
    assert_eq!(sums.lines().count(), 3, "{sums}");
}

#[test]
fn the_same_packages_give_the_same_bytes_in_any_order_and_place() {
    let scratch = Scratch::new("same");
    let packages = [deb(&scratch, "0.32.2", "x"), deb(&scratch, "0.31.0", "x"), rpm(&scratch, "0.32.2")];
    let elsewhere = scratch.join("copy.deb");
    fs::copy(&packages[0], &elsewhere).expect("is copied");
    let mut reversed: Vec<_> = packages.iter().rev().cloned().collect();
    reversed.push(elsewhere);
    assert_eq!(scratch.index("one", &packages).1, scratch.index("two", &reversed).1);
}

#[test]
fn a_package_with_the_name_of_another_and_other_bytes_is_refused() {
    let scratch = Scratch::new("other");
    let packages = [deb(&scratch, "0.32.2", "x"), deb(&scratch, "0.32.2", "y")];
    let message = index(&packages, &scratch.join("out")).expect_err("is refused").to_string();
    assert!(message.contains("buildkit_0.32.2-1_riscv64.deb, and differ"), "{message}");
    assert!(message.contains("higher revision"), "{message}");
}

#[test]
fn what_is_no_package_is_refused_by_name() {
    let scratch = Scratch::new("none");
    for (name, content) in [("a.deb", &b"!<arch>\n"[..]), ("b.deb", b"x"), ("c.rpm", b"x"), ("d.txt", b"x")] {
        let file = scratch.join(name);
        fs::write(&file, content).expect("is written");
        let message = format!("{:#}", index(&[file], &scratch.join("out")).expect_err(name));
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn damage_is_no_panic_and_leads_nowhere_else() {
    let scratch = Scratch::new("damage");
    let files = [deb(&scratch, "0.32.2", "x"), rpm(&scratch, "0.32.2")];
    let originals = files.clone().map(|file| fs::read(file).expect("is there"));
    arbtest::arbtest(|source| {
        let which = source.int_in_range(0..=1)?;
        let mut bytes = originals[which].clone();
        for _ in 0..source.int_in_range(1..=8)? {
            let (at, byte): (usize, u8) = (source.int_in_range(0..=bytes.len() - 1)?, source.arbitrary()?);
            bytes[at] = byte;
        }
        fs::write(&files[which], &bytes).expect("is written");
        if let Ok(index) = index(&files[which..=which], &scratch.join("out")) {
            let path = &index.packages[0].path;
            assert!(!path.as_str().contains("..") && !path.as_str().contains("//") && path.is_relative(), "{path}");
        }
        Ok(())
    })
    .budget_ms(1000);
}

#[test]
fn the_indexes_of_dnf_are_those_of_createrepo() {
    let scratch = Scratch::new("createrepo");
    let packages = [rpm(&scratch, "0.32.2"), rpm(&scratch, "0.31.0")];
    let (index, files) = scratch.index("out", &packages);
    let theirs = scratch.join("theirs");
    for package in &index.packages {
        let path = theirs.join(package.path.strip_prefix("rpm/stable").expect("is stable"));
        fs::create_dir_all(path.parent().expect("has a parent")).expect("is made");
        fs::copy(&package.file, &path).expect("is copied");
        let version = if path.as_str().contains("0.32.2") { "0.32.2" } else { "0.31.0" };
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(built(version).into());
        File::options().write(true).open(&path).and_then(|file| file.set_modified(time)).expect("is dated");
    }
    let output = Command::new("createrepo_c").args(["--quiet", "--general-compress-type=gz", theirs.as_str()]).output();
    let Ok(output) = output else {
        let reason = "createrepo_c is not installed (Debian: createrepo-c)";
        writeln!(std::io::stderr(), "SKIPPED the_indexes_of_dnf_are_those_of_createrepo: {reason}").expect("is said");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for kind in ["primary", "filelists", "other"] {
        let end = format!("{kind}.xml.gz");
        let (_, ours) = files.iter().find(|(path, _)| path.as_str().ends_with(&end)).expect("is written");
        let entries = theirs.join("repodata").read_dir_utf8().expect("lists").flatten();
        let their = entries.map(|entry| entry.path().to_owned()).find(|path| path.as_str().ends_with(&end));
        let their = fs::read(their.expect("is there")).expect("is read");
        assert_eq!(unpacked(ours), unpacked(&their), "{kind}");
    }
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("is gzip");
    text
}
