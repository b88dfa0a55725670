//! The container engine, docker or podman, whichever answers: found, and made to load and save
//! images. Each failure is one message with the command that fixes it, and each call has a
//! time limit.
#![allow(clippy::disallowed_types, reason = "holds a lock")]

use std::fs::File;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use camino::Utf8Path;

use crate::os::host;
use crate::os::process::{Output, Run, run};

mod build_output;
mod hang;
mod image_builder;
mod session;

pub use hang::{HungFork, after_hangs};
pub use image_builder::{Build, Builder};
pub use session::Session;

/// A healthy engine answers a query at once; one that hangs is reported.
const QUERY_LIMIT: Duration = Duration::from_secs(30);
/// Several hundred megabytes, on the slow disk of a small board.
const TRANSFER_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Which engine to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first that answers: docker, then podman.
    Auto,
    /// This one.
    Only(Kind),
    /// None at all.
    None,
}

/// The engines that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Docker,
    Podman,
}

impl Kind {
    pub fn command(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Only(Kind::Docker)),
            "podman" => Ok(Self::Only(Kind::Podman)),
            "none" => Ok(Self::None),
            _ => Err(format!("{text:?} is none of auto, docker, podman, none")),
        }
    }
}

/// An engine that answers and is new enough.
#[derive(Clone, Debug)]
pub struct Engine {
    pub kind: Kind,
    /// Version of the server, not of the client.
    pub version: String,
    /// The processor that it runs on, as it reports it: `x86_64`, `amd64`, `riscv64`.
    pub architecture: String,
    /// Held by each command: that of a [`Session`].
    lock: Option<Arc<File>>,
}

impl Engine {
    /// The engine that was asked for, or the first that answers.
    ///
    /// Fails if it is missing, down or too old; the message says what to do.
    pub fn find(choice: Choice) -> Result<Self> {
        match choice {
            Choice::Only(kind) => Self::query(kind),
            Choice::None => bail!("--engine none"),
            Choice::Auto => Self::query(Kind::Docker)
                .or_else(|docker| Self::query(Kind::Podman).map_err(|podman| anyhow!("{docker:#}\n{podman:#}"))),
        }
    }

    fn query(kind: Kind) -> Result<Self> {
        let command = kind.command();
        let (name, install, format, fix, oldest) = match kind {
            Kind::Docker => (
                "Docker Engine",
                "see https://docs.docker.com/engine/install/, or take `--engine podman`",
                ["version", "--format", "{{.Server.Version}} {{.Server.Arch}}"],
                "start it (`sudo systemctl start docker`) or point DOCKER_HOST at it",
                (20, 10),
            ),
            Kind::Podman => (
                "podman",
                "`sudo apt-get install --yes podman`",
                ["info", "--format", "{{.Version.Version}} {{.Host.Arch}}"],
                "`podman info` says why",
                (4, 0),
            ),
        };
        if host::on_path(command).is_none() {
            bail!("{command} is not installed; {install}");
        }
        let output = run!("{command} {format...}").limit(QUERY_LIMIT).output()?;
        if !output.status.success() {
            bail!("{name} does not answer; {fix}\n  {}", output.stderr.lines().next().unwrap_or_default());
        }
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let parts = text.split_once(' ').filter(|(version, _)| !version.is_empty());
        let (version, architecture) = parts.with_context(|| format!("{command} reported {text:?} as its version"))?;
        must_be_new_enough(name, version, oldest)?;
        Ok(Self { kind, version: version.to_owned(), architecture: architecture.to_owned(), lock: None })
    }

    /// A command of the engine, as in `engine.run(run!("image inspect {name}"))`.
    pub fn run(&self, command: Run) -> Run {
        command.below(self.kind.command()).limit(QUERY_LIMIT).holding(self.lock.as_ref())
    }

    /// One field of the engine's `info`.
    pub fn info(&self, format: &str) -> Result<String> {
        self.run(run!("info --format {format}")).read()
    }

    /// The version of docker's buildx, if docker has it.
    pub fn buildx_version(&self) -> Result<Option<String>> {
        let output = self.run(run!("buildx version")).output()?;
        // "github.com/docker/buildx v0.13.1 788433953…"
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().nth(1).unwrap_or("of no version").trim_start_matches('v');
        Ok(output.status.success().then(|| version.to_owned()))
    }

    /// The registries, each a host with its port, that the engine asks for images of Docker Hub before it asks Docker Hub.
    pub fn mirrors_of_docker_hub(&self) -> Vec<String> {
        let format = match self.kind {
            Kind::Docker => "{{range .RegistryConfig.Mirrors}}{{println .}}{{end}}",
            Kind::Podman => {
                "{{with index .Registries \"docker.io\"}}{{range .Mirrors}}{{println .Location}}{{end}}{{end}}"
            }
        };
        let listed = self.info(format).unwrap_or_default();
        let host = |line: &str| line.trim().split("://").last().unwrap_or_default().trim_end_matches('/').to_owned();
        listed.lines().map(host).filter(|host| !host.is_empty()).collect()
    }

    /// Reads an archive in the form of `docker save`, with its names, into the engine.
    pub fn load(&self, archive: &Utf8Path) -> Result<()> {
        self.run(run!("image load --input {archive}")).limit(TRANSFER_LIMIT).read().map(|_| ())
    }

    /// Writes an image of the engine into an archive, in the form of `docker save`.
    ///
    /// Fails if the engine has no such image.
    pub fn save(&self, image: &str, archive: &Utf8Path) -> Result<()> {
        let format: &[&str] = if self.kind == Kind::Podman { &["--format", "docker-archive"] } else { &[] };
        let save = run!("image save {format...} --output {archive} {image}");
        let output = self.run(save).limit(TRANSFER_LIMIT).output()?;
        succeeded(&output).with_context(|| {
            let command = self.kind.command();
            format!("{image:?} is neither a file or directory nor an image in {command}; `{command} pull {image}` fetches it")
        })
    }
}

fn succeeded(output: &Output) -> Result<()> {
    if !output.status.success() {
        bail!("{}", output.stderr.trim_end());
    }
    Ok(())
}

fn must_be_new_enough(name: &str, version: &str, oldest: (u32, u32)) -> Result<()> {
    let numbers: Vec<u32> = version.split(['.', '-', '+', '~']).map_while(|part| u32::from_str(part).ok()).collect();
    let found = (numbers.first().copied().unwrap_or(0), numbers.get(1).copied().unwrap_or(0));
    if found < oldest {
        bail!("{name} {version} is too old; {}.{} or newer is needed", oldest.0, oldest.1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        must_be_new_enough("Docker Engine", "20.10.24+dfsg1", (20, 10)).expect("is new enough");
        must_be_new_enough("Docker Engine", "29.0.1", (20, 10)).expect("is new enough");
        let message = must_be_new_enough("Docker Engine", "19.03.15", (20, 10)).expect_err("is too old").to_string();
        assert_eq!(message, "Docker Engine 19.03.15 is too old; 20.10 or newer is needed");
    }
}
