//! The container engine at hand, docker or podman: found, asked what it can do, and made to build,
//! save, load and remove an image. Every refusal is one message with the line that mends it.

use std::fs::{self, File};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use camino::Utf8Path;

use super::host::{self, Binfmt};
use super::narrate::{Progress, Unit, note};
use super::process::{Event, Output, Run};
use crate::model::build_output::{self, Cause};
use crate::model::image_name::ImageName;

/// An emulated build takes minutes, one on a slow board an hour.
const BUILD_LIMIT: Duration = Duration::from_secs(3 * 60 * 60);
const COPY_LIMIT: Duration = Duration::from_secs(30 * 60);
const PLATFORM: &str = "linux/riscv64";

/// What kernel and engine need to run riscv64 programs on another processor.
pub const EMULATION_CURE: &str = "docker run --privileged --rm tonistiigi/binfmt --install riscv64\n\
    or, on Debian and Ubuntu:\n  sudo apt-get install --yes qemu-user-static binfmt-support";

/// Which engine a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// docker, else podman.
    Auto,
    /// Docker Engine.
    Docker,
    /// Podman.
    Podman,
}

/// What builds in an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Builder {
    /// The engine's own BuildKit, driven by buildx of that version; the builder's name.
    Buildx { version: String, name: String },
    /// The builder of Docker Engine from before BuildKit.
    Classic,
    /// Podman's.
    Podman,
}

/// An engine that answers and is new enough.
#[derive(Debug)]
pub struct Engine {
    version: String,
    architecture: String,
    builder: Builder,
}

/// What to build.
#[derive(Debug)]
pub struct Build<'a> {
    /// Folder with all that the Dockerfile copies.
    pub context: &'a Utf8Path,
    /// The Dockerfile.
    pub dockerfile: &'a Utf8Path,
    /// Build arguments.
    pub arguments: &'a [(&'a str, &'a str)],
    /// Name of the base image.
    pub base: &'a ImageName,
    /// Name that the image gets in the engine.
    pub tag: &'a str,
    /// Where all that a failed build said is written.
    pub log: &'a Utf8Path,
}

impl Engine {
    /// The engine that was asked for, or the first that answers.
    ///
    /// # Errors
    /// Where it is absent, down or too old: each says so, and what to do.
    pub fn find(choice: Choice) -> Result<Self> {
        match choice {
            Choice::Docker => Self::docker(),
            Choice::Podman => Self::podman(),
            Choice::Auto => Self::docker().or_else(|docker| {
                let engine =
                    Self::podman().map_err(|podman| anyhow!("no engine can build here\n{docker:#}\n{podman:#}"))?;
                note(format_args!("podman builds: {}", first_line(&docker)));
                Ok(engine)
            }),
        }
    }

    fn docker() -> Result<Self> {
        if host::on_path("docker").is_none() {
            bail!("docker is not installed; see https://docs.docker.com/engine/install/, or `--engine podman`");
        }
        let told = Run::new("docker").args(["version", "--format", "{{.Server.Version}} {{.Server.Arch}}"]).output()?;
        if !told.status.success() {
            bail!(
                "Docker Engine does not answer; start it (`sudo systemctl start docker`) or point DOCKER_HOST at it\n  {}",
                first_line(&told.stderr)
            );
        }
        let (version, architecture) = told_by(&told, "docker")?;
        must_be_new_enough("Docker Engine", &version, (20, 10))?;
        let buildx = Run::new("docker").args(["buildx", "version"]).output()?;
        let builder = if buildx.status.success() {
            // "github.com/docker/buildx v0.13.1 788433953…"
            let text = String::from_utf8_lossy(&buildx.stdout).into_owned();
            let version = text.split_whitespace().nth(1).unwrap_or("of no version").trim_start_matches('v').to_owned();
            let context = Run::new("docker").args(["context", "show"]).read();
            Builder::Buildx { version, name: context.unwrap_or_else(|_| "default".to_owned()) }
        } else {
            note(
                "docker has no buildx here; the engine's older builder does it (Debian: docker-buildx, elsewhere docker-buildx-plugin)",
            );
            Builder::Classic
        };
        Ok(Self { version, architecture, builder })
    }

    fn podman() -> Result<Self> {
        if host::on_path("podman").is_none() {
            bail!("podman is not installed; `sudo apt-get install --yes podman`, or `--engine docker`");
        }
        let told = Run::new("podman").args(["info", "--format", "{{.Version.Version}} {{.Host.Arch}}"]).output()?;
        if !told.status.success() {
            bail!("podman does not work here; `podman info` says why\n  {}", first_line(&told.stderr));
        }
        let (version, architecture) = told_by(&told, "podman")?;
        must_be_new_enough("podman", &version, (4, 0))?;
        Ok(Self { version, architecture, builder: Builder::Podman })
    }

    /// Name and version of what builds: `docker 20.10.24+dfsg1, buildx 0.13.1`.
    pub fn describe(&self) -> String {
        match &self.builder {
            Builder::Buildx { version, .. } => format!("docker {}, buildx {version}", self.version),
            Builder::Classic => format!("docker {}, classic builder", self.version),
            Builder::Podman => format!("podman {}", self.version),
        }
    }

    fn program(&self) -> &'static str {
        if self.builder == Builder::Podman { "podman" } else { "docker" }
    }

    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Run {
        Run::new(self.program()).args(arguments).limit(COPY_LIMIT)
    }

    /// Makes sure, before anything is built, that riscv64 programs run in this engine.
    ///
    /// # Errors
    /// Where they do not; the message has the line that mends it.
    pub fn must_run_riscv64(&self) -> Result<()> {
        if self.architecture == "riscv64" || self.lists_riscv64()? {
            return Ok(());
        }
        match Binfmt::here() {
            Binfmt::Fixed => Ok(()),
            // The engine is elsewhere: where it cannot emulate, the build says so.
            Binfmt::Unknown if !matches!(self.builder, Builder::Buildx { .. }) => Ok(()),
            Binfmt::NotFixed => bail!(
                "qemu-riscv64 is registered here without the flag F, so that containers do not find it; register it anew:\n  {EMULATION_CURE}"
            ),
            Binfmt::Absent | Binfmt::Unknown => bail!(
                "{} cannot run riscv64 programs on {}; register the emulator with the kernel:\n  {EMULATION_CURE}",
                self.describe(),
                self.architecture
            ),
        }
    }

    /// Whether buildx says that the engine's own BuildKit runs riscv64 programs.
    fn lists_riscv64(&self) -> Result<bool> {
        let Builder::Buildx { name, .. } = &self.builder else { return Ok(false) };
        let told = self.run(["buildx", "inspect", name]).read().context("buildx cannot see the engine's builder")?;
        let platforms = told.lines().filter_map(|line| line.trim().strip_prefix("Platforms:"));
        Ok(platforms.flat_map(|list| list.split(',')).any(|name| name.trim().trim_end_matches('*') == PLATFORM))
    }

    /// Builds for linux/riscv64 with the newest base and nothing from a cache, and returns the
    /// digest that the base's name resolved to, where it is told. The caller holds `lock`.
    ///
    /// # Errors
    /// Where the build fails; the message ends with the last that it said.
    pub fn build(&self, build: &Build<'_>, lock: &File) -> Result<Option<String>> {
        let mut progress = Progress::new("build", Unit::Count("steps"));
        let (mut from, mut done) = (None, 0);
        let mut take = |line: &str, progress: &mut Progress| {
            from = from.take().or_else(|| build_output::base_digest(line));
            if let Some((step, total)) = build_output::step(line).filter(|(step, _)| *step > done) {
                progress.set_total(total);
                progress.advance(step - done);
                done = step;
            }
        };
        let output = self.build_run(build).follow(Some(lock), |event| {
            match event {
                Event::Line(line) => take(line, &mut progress),
                Event::Piece(piece) => {
                    String::from_utf8_lossy(piece).lines().for_each(|line| take(line, &mut progress))
                }
                Event::Tick => {}
            }
            progress.tick();
        })?;
        if !output.status.success() {
            bail!("{}", self.explain(&output, build));
        }
        Ok(from.or_else(|| self.base_digest(build.base)))
    }

    fn build_run(&self, build: &Build<'_>) -> Run {
        let run = match &self.builder {
            Builder::Buildx { name, .. } => {
                let own = ["buildx", "build", "--builder", name, "--load", "--progress", "plain", "--pull"];
                // Attestations would make an index of the image.
                self.run(own).env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
            }
            Builder::Classic => self.run(["build", "--rm", "--force-rm", "--pull"]).env("DOCKER_BUILDKIT", "0"),
            Builder::Podman => self.run(["build", "--force-rm", "--pull=always"]),
        };
        let run = run.args(["--no-cache", "--platform", PLATFORM, "--file", build.dockerfile.as_str()]);
        let run = build
            .arguments
            .iter()
            .fold(run, |run, (name, value)| run.arg("--build-arg").arg(format!("{name}={value}")));
        run.args(["--tag", build.tag, build.context.as_str()]).limit(BUILD_LIMIT)
    }

    fn explain(&self, output: &Output, build: &Build<'_>) -> String {
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr;
        let remedy = match build_output::cause(&said) {
            Some(Cause::DiskIsFull) => {
                format!("the disk of the engine is full; `{} system df` shows what can go", self.program())
            }
            Some(Cause::NoEmulation) => {
                format!("riscv64 programs do not run there; register the emulator with its kernel:\n  {EMULATION_CURE}")
            }
            None => match fs::write(build.log, &said) {
                Ok(()) => format!("all that it said is in {}", build.log),
                Err(error) => format!("all that it said cannot be written to {}: {error}", build.log),
            },
        };
        let (who, status, last) = (self.describe(), output.status, build_output::last_lines(&said));
        format!("{who} could not build the image ({status}): {remedy}\nwhat it said last:\n  {last}")
    }

    /// The digest of the base that a builder left in the engine's store, where it does.
    fn base_digest(&self, base: &ImageName) -> Option<String> {
        if matches!(self.builder, Builder::Buildx { .. }) {
            return None;
        }
        let told =
            self.run(["image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", base.as_str()]);
        let told = told.read().ok()?;
        let digest = told.lines().find_map(|line| line.split_once('@'))?.1;
        digest.starts_with("sha256:").then(|| digest.to_owned())
    }

    /// Writes an image of the engine to a file, in the form that `docker load` takes.
    ///
    /// # Errors
    /// Where it is not there, or the file cannot be written.
    pub fn save(&self, tag: &str, file: &Utf8Path, lock: &File) -> Result<()> {
        let form: &[&str] = if self.builder == Builder::Podman { &["--format", "docker-archive"] } else { &[] };
        let run = self.run(["image", "save"]).args(form.iter().copied());
        run.args(["--output", file.as_str(), tag]).effect(lock)
    }

    /// Reads an archive with its names into the engine.
    ///
    /// # Errors
    /// Where the engine refuses it.
    pub fn load(&self, file: &Utf8Path, lock: &File) -> Result<()> {
        self.run(["image", "load", "--input", file.as_str()]).effect(lock)
    }

    /// Removes an image by its name; none is there after it.
    ///
    /// # Errors
    /// Where the engine refuses.
    pub fn remove(&self, tag: &str) -> Result<()> {
        if self.run(["image", "inspect", tag]).output()?.status.success() {
            self.run(["image", "rm", "--force", tag]).read()?;
        }
        Ok(())
    }
}

/// Version and processor from `VERSION ARCHITECTURE`.
fn told_by(output: &Output, program: &str) -> Result<(String, String)> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let parts = text.trim().split_once(' ');
    let (version, architecture) = parts.with_context(|| format!("{program} gave {text:?} for its version"))?;
    Ok((version.to_owned(), architecture.to_owned()))
}

fn must_be_new_enough(name: &str, version: &str, oldest: (u32, u32)) -> Result<()> {
    let numbers: Vec<u32> = version.split(['.', '-', '+', '~']).map_while(|part| u32::from_str(part).ok()).collect();
    let found = (numbers.first().copied().unwrap_or(0), numbers.get(1).copied().unwrap_or(0));
    if found < oldest {
        bail!("{name} {version} is too old; {}.{} or newer is needed", oldest.0, oldest.1);
    }
    Ok(())
}

fn first_line(text: &(impl ToString + ?Sized)) -> String {
    text.to_string().lines().next().unwrap_or_default().to_owned()
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
