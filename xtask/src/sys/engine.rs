//! The container engine: docker or podman, whichever answers. Every call ends, at the latest, at its
//! limit.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use super::host;
use super::process::{Output, Run};

/// A healthy engine answers a question at once; one that hangs is reported.
const QUESTION_LIMIT: Duration = Duration::from_secs(20);
/// Several hundred megabytes, on the slow disk of a small board.
const TRANSFER_LIMIT: Duration = Duration::from_secs(15 * 60);

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
    /// Docker Engine.
    Docker,
    /// Podman.
    Podman,
}

impl Kind {
    /// Its command.
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

/// An engine that answers.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Which one.
    pub kind: Kind,
    /// Its version: of the server, not of the client.
    pub version: String,
}

impl Engine {
    /// Finds one.
    ///
    /// # Errors
    /// Where none that was asked for is installed and answers: why, for each.
    pub fn find(choice: Choice) -> Result<Self> {
        let kinds: &[Kind] = match choice {
            Choice::Auto => &[Kind::Docker, Kind::Podman],
            Choice::Only(Kind::Docker) => &[Kind::Docker],
            Choice::Only(Kind::Podman) => &[Kind::Podman],
            Choice::None => bail!("--engine none"),
        };
        let mut reasons = Vec::new();
        for kind in kinds {
            match Self::ask(*kind) {
                Ok(engine) => return Ok(engine),
                Err(error) => reasons.push(format!("{error:#}")),
            }
        }
        bail!("{}", reasons.join("; "))
    }

    fn ask(kind: Kind) -> Result<Self> {
        let command = kind.command();
        if host::on_path(command).is_none() {
            bail!("{command} is not installed");
        }
        let form = match kind {
            Kind::Docker => "{{.Server.Version}}",
            Kind::Podman => "{{.Client.Version}}",
        };
        let output = Run::new(command).args(["version", "--format", form]).limit(QUESTION_LIMIT).output()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || version.is_empty() {
            let said = output.stderr.lines().last().unwrap_or("it said nothing");
            bail!("{command} does not answer ({})", said.trim());
        }
        Ok(Self { kind, version })
    }

    /// A call of the engine's command.
    pub fn run<S: Into<String>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        Run::new(self.kind.command()).args(arguments).limit(QUESTION_LIMIT)
    }

    /// Asks the engine for one field of `info`.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn info(&self, form: &str) -> Result<String> {
        self.run(["info", "--format", form]).read()
    }

    /// Puts the images of an archive in the form of `docker save` into the engine.
    ///
    /// # Errors
    /// What the engine says.
    pub fn load(&self, archive: &Utf8Path) -> Result<()> {
        self.run(["load", "--input", archive.as_str()]).limit(TRANSFER_LIMIT).read().map(|_| ())
    }

    /// Writes an image of the engine into an archive.
    ///
    /// # Errors
    /// Where the engine has no such image, above all.
    pub fn save(&self, image: &str, archive: &Utf8Path) -> Result<()> {
        let save = match self.kind {
            Kind::Docker => self.run(["save", "--output", archive.as_str(), image]),
            Kind::Podman => self.run(["save", "--format", "docker-archive", "--output", archive.as_str(), image]),
        };
        let output = save.limit(TRANSFER_LIMIT).output()?;
        succeeded(&output).with_context(|| {
            let command = self.kind.command();
            format!("{image:?} is neither a folder or file here nor an image that {command} has; `{command} pull {image}` fetches it")
        })
    }
}

fn succeeded(output: &Output) -> Result<()> {
    if !output.status.success() {
        bail!("{}", output.stderr.trim_end());
    }
    Ok(())
}
