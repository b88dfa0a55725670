//! `package --repository` by its front door, and what gpgv, apt in a riscv64 Debian and dnf make of its work.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fakes::script::{Script, response};
use flate2::Compression;
use flate2::write::GzEncoder;
use support::served::Served;
use support::{Scratch, empty_checkout, skip};

const DEBIAN: &str = "debian:trixie-slim";
/// The name of a key is no secret, and neither is its public part.
const SECRET: &str = "BEGIN PGP PRIVATE KEY";

/// A directory with packages and the repository that they are added to.
struct Stage {
    scratch: Scratch,
    key: Option<String>,
}

impl Stage {
    /// None, and a line that says so, if gpg is missing.
    fn new(name: &str) -> Option<Self> {
        let scratch = Scratch::new(name);
        let key = secret_key(scratch.path(), "one");
        if key.is_none() {
            skip(name, "gpg is not installed (Debian: gpg, gpg-agent)");
        }
        fs::create_dir_all(scratch.path().join("new")).expect("is made");
        Some(Self { scratch, key: Some(key?) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The task in this checkout. What it prints never has the secret key.
    fn package(&self, arguments: &[&str]) -> Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("is in a checkout");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.current_dir(root).args(["package", "--repository"]).arg(self.path("pages"));
        command.arg("--from").arg(self.path("new")).args(arguments).env_remove("XTASK_SIGNING_KEY");
        if let Some(key) = &self.key {
            command.env("XTASK_SIGNING_KEY", key);
        }
        let output = command.output().expect("xtask starts");
        assert!(!text(&output).contains(SECRET), "the key was printed");
        output
    }

    fn must_package(&self, arguments: &[&str]) -> Output {
        let output = self.package(arguments);
        assert!(output.status.success(), "{}", text(&output));
        output
    }

    fn must_refuse(&self, arguments: &[&str], reason: &str) {
        let output = self.package(arguments);
        assert!(!output.status.success() && text(&output).contains(reason), "{reason}: {}", text(&output));
    }

    /// Adds a Debian package with a program that prints its version.
    fn deb(&self, version: &str, more: &str) {
        let control = format!(
            "Package: buildkit\nVersion: {version}\nArchitecture: riscv64\nMaintainer: A <a@example.org>\nDescription: x\n"
        );
        let program = format!("#!/bin/sh\necho {version} {more}\n");
        let members = [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", tar_gz("./control", 0o644, &control)),
            ("data.tar.gz", tar_gz("./usr/bin/buildctl", 0o755, &program)),
        ];
        let mut archive = b"!<arch>\n".to_vec();
        for (name, content) in members {
            let header =
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 1_780_000_000, 0, 0, 100_644, content.len());
            archive.extend(header.bytes().chain(content));
            archive.resize(archive.len().next_multiple_of(2), b'\n');
        }
        fs::write(self.path("new").join(format!("{version}.deb")), archive).expect("is written");
    }

    /// Every file of the repository, with its content.
    fn published(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![self.path("pages")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let content = fs::read(&path).expect("is read");
                    files.push((path, content));
                }
            }
        }
        files.sort();
        files
    }

    /// Serves the repository as it is at each request.
    fn serve(&self) -> Script {
        let pages = self.path("pages");
        Script::start(move |request| {
            let path = pages.join(request.uri().path().trim_start_matches('/'));
            fs::read(path).map_or_else(|_| response(404, &[], ""), |content| response(200, &[], content))
        })
    }
}

/// Removed at the end of the test.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.0]).output();
    }
}

fn tar_gz(name: &str, mode: u32, content: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, name, content.as_bytes()).expect("is added");
    archive.into_inner().and_then(GzEncoder::finish).expect("is packed")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A new secret key in ASCII armor, or none without gpg.
fn secret_key(scratch: &Path, name: &str) -> Option<String> {
    // A socket of gpg's agent is in it, so that its path has to be short.
    let hash = support::page::sha256(scratch.display().to_string().as_bytes());
    let home = std::env::temp_dir().join(format!("xtask-{name}-{}", &hash[..12]));
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).expect("is made");
    let gpg = |arguments: &[&str]| {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(&home).args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]);
        gpg.args(arguments).output().ok().filter(|output| output.status.success())
    };
    let made = gpg(&["--quick-generate-key", "A key of a test", "ed25519", "sign", "never"]);
    let exported = made.and_then(|_| gpg(&["--armor", "--export-secret-keys"]));
    let _ = Command::new("gpgconf").arg("--homedir").arg(&home).args(["--kill", "all"]).output();
    let _ = fs::remove_dir_all(&home);
    exported.map(|output| String::from_utf8(output.stdout).expect("is armored"))
}

#[test]
fn packages_are_added_and_nothing_that_was_published_changes() {
    let Some(mut stage) = Stage::new("packages_are_added_and_nothing_that_was_published_changes") else { return };
    stage.deb("0.31.0-1", "");
    let planned = stage.must_package(&[]);
    assert!(text(&planned).contains("buildkit_0.31.0-1_riscv64.deb"), "{}", text(&planned));
    assert_eq!(stage.published(), [], "a plan wrote something");
    let planned = stage.must_package(&["--json"]);
    support::schema::must_match(
        "packages_are_added_and_nothing_that_was_published_changes",
        "package-repository",
        &planned.stdout,
    );
    stage.must_package(&["--execute"]);
    let first = stage.published();
    let again = stage.must_package(&["--execute"]);
    assert!(again.stdout.is_empty() && stage.published() == first, "{}", text(&again));

    stage.deb("0.32.2-1", "");
    stage.must_package(&["--execute"]);
    let replaced = |(path, _): &&(PathBuf, Vec<u8>)| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !["Packages", "Packages.gz", "Release", "Release.gpg", "InRelease", "SHA256SUMS"].contains(&name)
    };
    let second = stage.published();
    for (path, content) in first.iter().filter(replaced) {
        let kept = second.iter().any(|(kept, same)| kept == path && same == content);
        assert!(kept, "{} changed", path.display());
    }

    stage.deb("0.31.0-1", "again");
    stage.must_refuse(&["--execute"], "give the new one a higher revision");
    fs::remove_file(stage.path("new/0.31.0-1.deb")).expect("is removed");
    let pool = stage.path("pages/apt/pool/main/b/buildkit");
    fs::rename(pool.join("buildkit_0.31.0-1_riscv64.deb"), stage.path("kept")).expect("is moved");
    stage.must_refuse(&["--execute"], "was published and is gone");
    fs::rename(stage.path("kept"), pool.join("buildkit_0.31.0-1_riscv64.deb")).expect("is moved back");

    stage.must_refuse(&["--unsigned"], "XTASK_SIGNING_KEY is set");
    let right = stage.key.replace(secret_key(stage.scratch.path(), "two").expect("gpg is there"));
    stage.must_refuse(&["--execute"], "is another key than that of XTASK_SIGNING_KEY");
    stage.key = Some("no key".to_owned());
    stage.must_refuse(&["--execute"], "XTASK_SIGNING_KEY is not a key");
    stage.key = None;
    stage.must_refuse(&["--execute"], "XTASK_SIGNING_KEY is not set");
    let skipped = text(&stage.must_package(&["--execute", "--skip-without-key"]));
    assert!(skipped.contains("skipped: XTASK_SIGNING_KEY is not set"), "{skipped}");
    stage.must_refuse(&["--execute", "--unsigned"], "is signed, and its users expect it");
    stage.must_package(&[]);
    stage.key = right;
    assert_eq!(stage.published(), second, "a refused run wrote something");

    // A witness that shares nothing with gpg's keyrings: what apt checked signatures with.
    let keyring = stage.path("keyring.gpg");
    let mut dearmor = Command::new("gpg");
    dearmor.args(["--batch", "--dearmor", "--output"]).arg(&keyring).arg(stage.path("pages/buildkit.asc"));
    assert!(dearmor.output().expect("gpg starts").status.success());
    let dists = stage.path("pages/apt/dists/stable");
    for files in [&["InRelease"][..], &["Release.gpg", "Release"]] {
        let files = files.iter().map(|file| dists.join(file));
        let checked = Command::new("gpgv").arg("--keyring").arg(&keyring).args(files).output().expect("gpgv starts");
        assert!(checked.status.success(), "{}", text(&checked));
    }
    let sums =
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(stage.path("pages")).output();
    assert!(sums.expect("sha256sum starts").status.success());
    let left = Command::new("grep").args(["-r", "-l", SECRET]).arg(stage.scratch.path()).output().expect("grep starts");
    assert!(left.stdout.is_empty(), "the key was left in {}", text(&left));
}

/// The job of the workflow starts on a new machine each time: what was published is at the pages alone.
#[test]
fn the_repositories_of_all_releases_are_signed_with_the_published_key_or_not_at_all() {
    let name = "the_repositories_of_all_releases_are_signed_with_the_published_key_or_not_at_all";
    let Some(stage) = Stage::new(name) else { return };
    let root = stage.path("checkout");
    empty_checkout(&root);
    let released = Served::start(&root);
    let github = released.command.split(' ').next().and_then(|word| word.split_once('=')).expect("names GitHub").1;
    let pages = stage.serve();
    let packager = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("packager");
    let package = |key: Option<&str>, folder: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.current_dir(&root).args(["package", "--from-releases", "--repo", "octo-riscv/docker-for-riscv64"]);
        command.args(["--execute", "--url", &pages.url(), "--packager"]).arg(&packager).args(more);
        command.arg("--repository").arg(stage.path(folder)).env("GITHUB_API_URL", github);
        let variables = ["XTASK_SIGNING_KEY", "GITHUB_TOKEN", "GH_TOKEN"];
        let command = variables.iter().fold(&mut command, |command, name| command.env_remove(name));
        let output = key.iter().fold(command, |command, key| command.env("XTASK_SIGNING_KEY", key)).output();
        let output = output.expect("xtask starts");
        assert!(!text(&output).contains(SECRET), "the key was printed");
        (output.status.success(), text(&output))
    };
    let ours = stage.key.as_deref();
    let another = secret_key(stage.scratch.path(), "another").expect("gpg is there");
    let (is_done, printed) = package(ours, "pages", &[]);
    assert!(
        is_done && stage.path("pages/apt/pool/main/b/buildkit/buildkit_0.32.2-1_riscv64.deb").is_file(),
        "{printed}"
    );

    for (key, more, why) in [
        (Some(another.as_str()), &[][..], &*format!("{}/buildkit.asc is another key than that", pages.url())),
        (None, &["--unsigned"], "is signed, and its users expect it"),
        (None, &[], "XTASK_SIGNING_KEY is not set"),
    ] {
        let (is_done, printed) = package(key, "new", more);
        assert!(!is_done && printed.contains(why) && !stage.path("new/SHA256SUMS").exists(), "{why}: {printed}");
    }
    let (is_done, printed) = package(None, "new", &["--skip-without-key"]);
    assert!(is_done && !stage.path("new/SHA256SUMS").exists(), "{printed}");
    let (is_done, printed) = package(ours, "new", &[]);
    let of = |folder: &str| fs::read(stage.path(folder)).expect("is read");
    assert!(is_done && of("new/SHA256SUMS") == of("pages/SHA256SUMS"), "{printed}");
    assert_eq!(of("new/buildkit.asc"), of("pages/buildkit.asc"));

    // The indexes of a signed repository are verified as those of one that is not.
    let of_rehearsal = released.command.split(' ').skip_while(|word| *word != "--packages").nth(1).expect("an address");
    let (is_right, stderr) = released.verify(&root, (of_rehearsal, &pages.url()));
    assert!(is_right && stderr.contains("pass  repositories"), "{stderr}");
}

#[test]
fn without_gpg_the_key_is_not_called_wrong() {
    let scratch = Scratch::new("without_gpg_the_key_is_not_called_wrong");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("is in a checkout");
    let mut package = Command::new(env!("CARGO_BIN_EXE_xtask"));
    package.current_dir(root).args(["package", "--repository"]).arg(scratch.path().join("pages"));
    let output = package.env("XTASK_SIGNING_KEY", "a key").env("PATH", scratch.path()).output().expect("xtask starts");
    assert!(
        !output.status.success() && text(&output).contains("gpg is not installed; `cargo xtask doctor`"),
        "{}",
        text(&output)
    );
}

#[test]
fn apt_in_a_riscv64_debian_installs_and_upgrades() {
    let name = "apt_in_a_riscv64_debian_installs_and_upgrades";
    let container = format!("xtask-apt-{}", std::process::id());
    let docker = |arguments: &[&str]| Command::new("docker").args(arguments).output();
    let start = ["run", "--detach", "--rm", "--platform", "linux/riscv64", "--network", "host", "--name", &container];
    let started = docker(&[&start[..], &[DEBIAN, "sleep", "600"]].concat());
    if !started.is_ok_and(|output| output.status.success()) {
        return skip(name, "docker cannot run a riscv64 Debian here");
    }
    let Some(stage) = Stage::new(name) else { return };
    let _container = Container(container.clone());
    let exec = |command: &str| text(&docker(&["exec", &container, "sh", "-c", command]).expect("docker starts"));
    // Only ours: Debian's own archive is not asked.
    exec("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*");
    let server = stage.serve();
    let publish = || stage.must_package(&["--execute", "--url", &server.url()]);
    let update = || {
        let source = stage.path("pages/buildkit.sources").display().to_string();
        let copied = docker(&["cp", &source, &format!("{container}:/etc/apt/sources.list.d/buildkit.sources")]);
        assert!(copied.expect("docker starts").status.success());
        exec("apt-get update")
    };

    stage.deb("0.31.0-1", "");
    publish();
    let updated = update();
    assert!(!updated.contains("W:") && !updated.contains("E:"), "{updated}");
    exec("apt-get install --yes buildkit");
    assert_eq!(exec("buildctl"), "0.31.0-1\n");
    // Debian's order: the candidate is newer than the release before, and in another suite.
    stage.deb("0.32.2-1", "");
    stage.deb("0.33.0~rc1-1", "");
    publish();
    update();
    let upgraded = exec("apt-get upgrade --yes");
    assert_eq!(exec("buildctl"), "0.32.2-1\n", "{upgraded}");

    // A source that was changed on its way is refused.
    let path = stage.path("pages/apt/dists/stable/InRelease");
    let changed = fs::read_to_string(&path).expect("is read").replace("Label: BuildKit", "Label: Buildkit");
    fs::write(&path, changed).expect("is written");
    let refused = exec("rm -rf /var/lib/apt/lists; apt-get update");
    assert!(refused.contains("is not signed") || refused.contains("invalid signature"), "{refused}");
}

#[test]
fn dnf_reads_the_signed_repository() {
    let name = "dnf_reads_the_signed_repository";
    let works =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !works("dnf") || !works("rpmbuild") {
        return skip(name, "dnf or rpmbuild is not installed (Debian: dnf, rpm)");
    }
    let Some(stage) = Stage::new(name) else { return };
    let spec = stage.path("buildkit.spec");
    let text_of_spec = "Name: buildkit\nVersion: %{of}\nRelease: 1\nSummary: x\nLicense: x\n%description\nx\n%files\n";
    fs::write(&spec, text_of_spec).expect("is written");
    for version in ["0.31.0", "0.32.2", "0.33.0~rc1"] {
        let mut build = Command::new("rpmbuild");
        build.args(["-bb", "--target", "riscv64", "--define", &format!("of {version}")]);
        build.arg("--define").arg(format!("_topdir {}", stage.path("rpmbuild").display()));
        build.arg("--define").arg(format!("_rpmdir {}", stage.path("new").display())).arg(&spec);
        assert!(build.output().expect("rpmbuild starts").status.success());
    }
    let server = stage.serve();
    stage.must_package(&["--execute", "--url", &server.url()]);
    let query = || {
        let root = stage.path("root");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("var/log")).expect("is made");
        let mut dnf = Command::new("dnf");
        dnf.args(["--assumeyes", "--releasever=41", "--forcearch=riscv64", "--installroot"]).arg(&root);
        dnf.arg(format!("--setopt=reposdir={}", stage.path("pages").display()));
        text(&dnf.args(["repoquery", "buildkit"]).output().expect("dnf starts"))
    };
    let found = query();
    let packages: Vec<&str> = found.lines().filter(|line| line.starts_with("buildkit-")).collect();
    assert_eq!(packages, ["buildkit-0:0.31.0-1.riscv64", "buildkit-0:0.32.2-1.riscv64"], "{found}");

    let repomd = stage.path("pages/rpm/stable/repodata/repomd.xml");
    let changed = fs::read_to_string(&repomd).expect("is read").replace("<revision>", "<revision>1");
    fs::write(&repomd, changed).expect("is written");
    let refused = query();
    assert!(refused.contains("Bad GPG signature") && !refused.contains("buildkit-0:"), "{refused}");
}
