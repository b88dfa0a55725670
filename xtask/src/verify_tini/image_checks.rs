//! The checks that need no engine: what the image's layers and configuration show of how it starts.

use oci::documents::{Config, Execution, Platform};
use oci::file_tree::{FileTree, Node};

use crate::dist::Check;
use crate::verify_tini::image_checks::elf::{starts, tini_runs};

mod elf;

pub use elf::TINI;

/// The path over which engines mount their own init, and by which users and tools call it.
pub const DOCKER_INIT: &str = "/sbin/docker-init";
/// The only argument with which buildx starts the container.
pub const BUILDX_FLAGS: &str = "--allow-insecure-entitlement=network.host";

const CMD: [&str; 3] = ["buildkitd", "--addr", "tcp://0.0.0.0:1234"];
/// PATH of a container if the image sets none. Source: moby, `oci.DefaultPathEnv`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All checks; the first that fails often explains the later ones.
pub fn checks(config: &Config, tree: &FileTree) -> Vec<Check> {
    let execution = &config.config;
    let mut checks = vec![platform(config), tini_present(tree)];
    checks.extend(tini_runs(tree));
    checks.extend([
        docker_init(tree),
        entrypoint(execution),
        entrypoint_script(execution, tree),
        command(execution, tree),
        environment(execution),
        runc(execution, tree),
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

fn docker_init(tree: &FileTree) -> Check {
    let name = "docker-init-link";
    let fix = format!("in the Dockerfile: RUN ln -sf {TINI} {DOCKER_INIT}");
    match (tree.resolve(DOCKER_INIT), tree.resolve(TINI)) {
        (Err(error), _) => Check::fail(name, format!("{error}; {fix}")),
        (Ok((place, _)), Ok((tini, _))) if place == tini => {
            Check::pass(name, format!("{DOCKER_INIT} leads to {place}"))
        }
        (Ok((place, _)), _) => Check::fail(name, format!("{DOCKER_INIT} leads to {place}, not to {TINI}; {fix}")),
    }
}

fn entrypoint(execution: &Execution) -> Check {
    let name = "entrypoint";
    let words: Vec<&str> = execution.entrypoint().iter().map(String::as_str).collect();
    let shown = json(&words);
    match words.as_slice() {
        [TINI, "--"] => Check::fail(
            name,
            format!(
                "{shown} alone: buildx starts the container with flags and no command, and tini would run the first \
                 flag as a program (`[FATAL tini] exec {BUILDX_FLAGS} failed`), so `docker buildx inspect --bootstrap` \
                 fails; put a script behind `--` that runs buildkitd if the first argument is a flag"
            ),
        ),
        [TINI, "--", "buildkitd" | "/usr/bin/buildkitd", ..] => Check::fail(
            name,
            format!(
                "{shown}: any command becomes an argument of buildkitd, so `docker run IMAGE ls -la {DOCKER_INIT}` \
                 cannot work; put a script behind `--` that runs a given command"
            ),
        ),
        [TINI, "--", script] => Check::pass(name, format!("tini, then {script}")),
        _ => Check::fail(name, format!("{shown}, not [\"{TINI}\", \"--\", SCRIPT]; set ENTRYPOINT in the Dockerfile")),
    }
}

fn entrypoint_script(execution: &Execution, tree: &FileTree) -> Check {
    let name = "entrypoint-script";
    let [_, _, script, ..] = execution.entrypoint() else {
        return Check::not_run(name, "the entrypoint names no script");
    };
    let found = program(execution, tree, script).and_then(|(place, node)| Ok((starts(tree, &place, node)?, place)));
    match found {
        Ok((how, place)) => Check::pass(name, format!("{place} can be started: {how}")),
        Err(why) => Check::fail(name, why),
    }
}

fn command(execution: &Execution, tree: &FileTree) -> Check {
    let name = "command";
    if execution.cmd() != CMD {
        return Check::fail(name, format!("{}, not {}; set CMD in the Dockerfile", json(execution.cmd()), json(&CMD)));
    }
    match program(execution, tree, CMD[0]).and_then(|(place, node)| Ok((starts(tree, &place, node)?, place))) {
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

fn runc(execution: &Execution, tree: &FileTree) -> Check {
    let name = "runc";
    let found = ["buildkit-runc", "runc"].iter().find_map(|command| program(execution, tree, command).ok());
    let Some((place, node)) = found else {
        return Check::fail(
            name,
            "neither buildkit-runc nor runc is on the image's PATH: buildkitd finds no worker and exits; install \
             Debian's package runc in the image",
        );
    };
    match starts(tree, &place, node) {
        Ok(how) => Check::pass(name, format!("{place} can be started: {how}")),
        Err(why) => Check::fail(name, why),
    }
}

/// An executable file, by path, or by name on the image's PATH.
fn program<'t>(execution: &Execution, tree: &'t FileTree, name: &str) -> Result<(String, &'t Node), String> {
    if name.contains('/') {
        let (place, node) = tree.resolve(name).map_err(|error| error.to_string())?;
        return if node.is_executable() {
            Ok((place, node))
        } else {
            Err(format!("{place} is not executable (mode {:04o}); set mode 0755", node.mode))
        };
    }
    let path = execution.variable("PATH").unwrap_or(DEFAULT_PATH);
    let candidates = path.split(':').filter_map(|folder| tree.resolve(&format!("{folder}/{name}")).ok());
    candidates
        .into_iter()
        .find(|(_, node)| node.is_executable())
        .ok_or_else(|| format!("no program {name} on the image's PATH ({path})"))
}

fn json(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{:?}", word.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests;
