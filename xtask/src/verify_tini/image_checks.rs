//! The checks that need no engine: what the image's layers and configuration show of how it starts.

use anyhow::Result;
use oci::documents::{Config, Execution, Platform};
use oci::file_tree::{FileTree, Node};

use crate::dist::Check;
use crate::verify_tini::image_checks::elf::tini_runs;
use crate::verify_tini::image_checks::entrypoint::{entrypoint, entrypoint_script};
use crate::verify_tini::image_checks::start::{Start, Unknown};

mod elf;
mod entrypoint;
mod start;

pub use elf::TINI;

/// The path over which engines mount their own init, and by which users and tools call it.
pub const DOCKER_INIT: &str = "/sbin/docker-init";
/// The only argument with which buildx starts the container.
pub const BUILDX_FLAGS: &str = "--allow-insecure-entitlement=network.host";

const CMD: [&str; 3] = ["buildkitd", "--addr", "tcp://0.0.0.0:1234"];
/// Words of an image's configuration that are shown of each list.
const SHOWN_WORDS: usize = 8;
const SHOWN_CHARACTERS: usize = 80;
/// PATH of a container if the image sets none. Source: moby, `oci.DefaultPathEnv`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether two files of the image have the same content; an error if they cannot be compared.
pub type IsCopy<'a> = dyn Fn(&Node, &Node) -> Result<bool> + 'a;

/// All checks; the first that fails often explains the later ones.
pub fn checks(config: &Config, tree: &FileTree, is_copy: &IsCopy<'_>) -> Vec<Check> {
    let execution = &config.config;
    let start = Start { tree, search: search_path(execution) };
    let mut checks = vec![platform(config), tini_present(tree)];
    checks.extend(tini_runs(tree));
    checks.extend([
        docker_init(tree, is_copy),
        entrypoint(execution, &start),
        entrypoint_script(execution, &start),
        command(execution, &start),
        environment(execution),
        user(execution),
        runc(&start),
    ]);
    checks
}

fn platform(config: &Config) -> Check {
    let name = "platform";
    if config.platform == Platform::riscv64() {
        Check::pass(name, format!("the image is for {}", config.platform))
    } else {
        Check::fail(
            name,
            format!("the image is for {}, not linux/riscv64; build it with --platform linux/riscv64", config.platform),
        )
    }
}

fn tini_present(tree: &FileTree) -> Check {
    let name = "tini-present";
    match tree.resolve(TINI) {
        Err(error) => Check::fail(name, format!("{error}; install Debian's package tini in the image")),
        Ok((place, node)) if node.is_executable() => {
            Check::pass(name, format!("{place} is an executable file, mode {:04o}", node.mode))
        }
        Ok((place, node)) => {
            Check::fail(name, format!("{place} is not an executable file (mode {:04o}); set mode 0755", node.mode))
        }
    }
}

fn docker_init(tree: &FileTree, is_copy: &IsCopy<'_>) -> Check {
    let name = "docker-init-link";
    let fix = format!("in the Dockerfile: RUN ln -sf {TINI} {DOCKER_INIT}");
    let (place, node, tini) = match (tree.resolve(DOCKER_INIT), tree.resolve(TINI)) {
        (Err(error), _) => return Check::fail(name, format!("{error}; {fix}")),
        (Ok((place, _)), Ok((tini, _))) if place == tini => {
            return Check::pass(name, format!("{DOCKER_INIT} leads to {place}"));
        }
        (Ok((place, node)), Ok((_, tini))) => (place, node, tini),
        (Ok((place, _)), Err(_)) => {
            return Check::fail(name, format!("{DOCKER_INIT} leads to {place}, not to {TINI}; {fix}"));
        }
    };
    match is_copy(node, tini) {
        Ok(true) if node.is_executable() => {
            let how = if node.content == tini.content { "a hard link to" } else { "a copy of" };
            Check::pass(name, format!("{place} is {how} {TINI}"))
        }
        Ok(true) => Check::fail(name, format!("{place} is not executable (mode {:04o}); {fix}", node.mode)),
        Ok(false) => Check::fail(name, format!("{DOCKER_INIT} leads to {place}, not to {TINI}; {fix}")),
        Err(error) => Check::fail(name, format!("cannot compare {place} with {TINI}: {error:#}")),
    }
}

fn command(execution: &Execution, start: &Start<'_>) -> Check {
    let name = "command";
    if execution.cmd() != CMD {
        return Check::fail(name, format!("{}, not {}; set CMD in the Dockerfile", json(execution.cmd()), json(&CMD)));
    }
    // It is the entrypoint's shell that starts it.
    let found = start.find(CMD[0]);
    match found.and_then(|(place, node)| Ok((start.check(&place, node, Unknown::ForShell)?, place))) {
        Ok((how, place)) => Check::pass(name, format!("{}; {place} can be started: {how}", CMD.join(" "))),
        Err(why) => Check::fail(name, why),
    }
}

fn environment(execution: &Execution) -> Check {
    let name = "environment";
    match (execution.variable("TINI_VERBOSITY"), execution.variable("TINI_SUBREAPER")) {
        (_, Some(_)) => Check::fail(
            name,
            "TINI_SUBREAPER is set: under qemu-user tini then exits (`PR_SET_CHILD_SUBREAPER is unavailable`); remove \
             it, and set TINI_VERBOSITY=0 to silence the warning under `docker run --init`",
        ),
        (Some("0"), None) => Check::pass(name, "TINI_VERBOSITY=0, so tini prints no warning under `docker run --init`"),
        (other, None) => Check::fail(
            name,
            format!(
                "TINI_VERBOSITY is {}, not 0: under `docker run --init`, and so under buildx, tini warns at each start \
                 that it is not PID 1; in the Dockerfile: ENV TINI_VERBOSITY=0",
                other.unwrap_or("not set")
            ),
        ),
    }
}

fn user(execution: &Execution) -> Check {
    let name = "user";
    let user = execution.user();
    match user.split(':').next().unwrap_or_default() {
        "" | "0" | "root" => Check::pass(name, "the container runs as root, as buildkitd and runc need it"),
        _ => Check::fail(
            name,
            format!("the container runs as {}, and buildkitd needs root; remove USER from the Dockerfile", shown(user)),
        ),
    }
}

fn runc(start: &Start<'_>) -> Check {
    let name = "runc";
    let found = ["buildkit-runc", "runc"].iter().find_map(|command| start.find(command).ok());
    let Some((place, node)) = found else {
        return Check::fail(
            name,
            "neither buildkit-runc nor runc is on the image's PATH: buildkitd finds no worker and exits; install \
             Debian's package runc in the image",
        );
    };
    match start.check(&place, node, Unknown::Refused) {
        Ok(how) => Check::pass(name, format!("{place} can be started: {how}")),
        Err(why) => Check::fail(name, why),
    }
}

/// The image's own.
fn search_path(execution: &Execution) -> &str {
    execution.variable("PATH").unwrap_or(DEFAULT_PATH)
}

/// A word of the configuration, quoted, and not all of it if it is long.
fn shown(word: &str) -> String {
    let head: String = word.chars().take(SHOWN_CHARACTERS).collect();
    if head.len() < word.len() { format!("{head:?}…") } else { format!("{head:?}") }
}

fn json(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words.iter().take(SHOWN_WORDS).map(|word| shown(word.as_ref())).collect();
    let more = if words.len() > SHOWN_WORDS { ", …" } else { "" };
    format!("[{}{more}]", quoted.join(", "))
}

#[cfg(test)]
mod tests;
