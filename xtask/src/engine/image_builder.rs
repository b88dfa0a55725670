//! The builders of an engine: buildx with the engine's own BuildKit, the engine's older builder, or
//! podman's; checked first for whether riscv64 programs run there.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use oci::image_name::ImageName;

use crate::engine::build_output::{self, Cause};
use crate::engine::{Engine, Kind};
use crate::os::host::Binfmt;
use crate::os::process::{Event, Output, Run, run};
use crate::os::terminal::{Progress, Unit, note};

/// An emulated build takes minutes, one on a slow board an hour.
const BUILD_LIMIT: Duration = Duration::from_secs(3 * 60 * 60);
const PLATFORM: &str = "linux/riscv64";
/// The build arguments that name images.
const FROM: [&str; 2] = ["BASE", "EMULATORS"];

/// What kernel and engine need to run riscv64 programs on another processor.
const EMULATION_FIX: &str = "docker run --privileged --rm tonistiigi/binfmt --install riscv64\n\
    or, on Debian and Ubuntu:\n  sudo apt-get install --yes qemu-user-static binfmt-support";

/// The kinds of builder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Method {
    /// The engine's own BuildKit, driven by buildx of that version; the builder's name.
    Buildx { version: String, name: String },
    /// The builder of Docker Engine from before BuildKit.
    Classic,
    /// Podman's.
    Podman,
}

/// A builder in an engine.
#[derive(Debug)]
pub struct Builder<'a> {
    engine: &'a Engine,
    method: Method,
}

/// What to build.
#[derive(Debug)]
pub struct Build<'a> {
    /// Directory with everything that the Dockerfile copies.
    pub context: &'a Utf8Path,
    pub dockerfile: &'a Utf8Path,
    pub arguments: &'a [(&'a str, &'a str)],
    /// Name of the base image.
    pub base: &'a ImageName,
    /// Name that the image gets in the engine.
    pub tag: &'a str,
    /// Whether steps that were done before may be taken from the cache of buildx. The other builders keep their cache as
    /// images, and a run leaves none in the engine.
    pub may_use_cache: bool,
    /// File for the whole output of a failed build.
    pub log: &'a Utf8Path,
}

impl<'a> Builder<'a> {
    /// The best builder that the engine has.
    pub fn of(engine: &'a Engine) -> Result<Self> {
        if engine.kind == Kind::Podman {
            return Ok(Self { engine, method: Method::Podman });
        }
        let method = if let Some(version) = engine.buildx_version()? {
            let context = engine.run(run!("context show")).read();
            Method::Buildx { version, name: context.unwrap_or_else(|_| "default".to_owned()) }
        } else {
            note(
                "docker has no buildx here; using the engine's older builder (to use buildx, install docker-buildx on Debian, docker-buildx-plugin elsewhere)",
            );
            Method::Classic
        };
        Ok(Self { engine, method })
    }

    /// Name and version of what builds: `docker 20.10.24+dfsg1, buildx 0.13.1`.
    pub fn describe(&self) -> String {
        let version = &self.engine.version;
        match &self.method {
            Method::Buildx { version: buildx, .. } => format!("docker {version}, buildx {buildx}"),
            Method::Classic => format!("docker {version}, classic builder"),
            Method::Podman => format!("podman {version}"),
        }
    }

    /// Checks, before anything is built, that riscv64 programs run in this engine.
    ///
    /// Fails if they do not; the message has the command that fixes it.
    pub fn must_run_riscv64(&self) -> Result<()> {
        if self.engine.architecture == "riscv64" || self.lists_riscv64()? {
            return Ok(());
        }
        match Binfmt::here() {
            Binfmt::Fixed => Ok(()),
            // The engine is on another machine: if it cannot emulate, the build fails and says so.
            Binfmt::Unknown if !matches!(self.method, Method::Buildx { .. }) => Ok(()),
            Binfmt::NotFixed => bail!(
                "qemu-riscv64 is registered here without the flag F, so containers do not find it; register it again:\n  {EMULATION_FIX}"
            ),
            Binfmt::Absent | Binfmt::Unknown => bail!(
                "{} cannot run riscv64 programs on {}; register the emulator with the kernel:\n  {EMULATION_FIX}",
                self.describe(),
                self.engine.architecture
            ),
        }
    }

    /// Whether buildx says that the engine's own BuildKit runs riscv64 programs.
    fn lists_riscv64(&self) -> Result<bool> {
        let Method::Buildx { name, .. } = &self.method else { return Ok(false) };
        let output =
            self.engine.run(run!("buildx inspect {name}")).read().context("buildx cannot see the engine's builder")?;
        let platforms = output.lines().filter_map(|line| line.trim().strip_prefix("Platforms:"));
        Ok(platforms.flat_map(|list| list.split(',')).any(|name| name.trim().trim_end_matches('*') == PLATFORM))
    }

    /// Builds for linux/riscv64 with the newest base, and returns the
    /// digest that the base's name refers to, if the builder reports it: that of the index of all platforms, if there
    /// is one.
    ///
    /// Fails if the build fails; the message ends with the last lines of its output.
    pub fn build(&self, build: &Build<'_>) -> Result<Option<String>> {
        let mut progress = Progress::new("build", Unit::Count("steps"));
        let (mut from, mut done) = (None, 0);
        let mut take = |line: &str, progress: &mut Progress| {
            from = from.take().or_else(|| build_output::base_digest(line, build.base));
            if let Some((step, total)) = build_output::step(line).filter(|(step, _)| *step > done) {
                progress.set_total(total);
                progress.advance(step - done);
                done = step;
            }
        };
        let output = self.build_run(build)?.follow(None, |event| {
            match event {
                Event::Line(line) => take(line, &mut progress),
                Event::Piece(piece) => {
                    String::from_utf8_lossy(piece).lines().for_each(|line| take(line, &mut progress));
                }
                Event::Tick => {}
            }
            progress.tick();
        })?;
        if !output.status.success() {
            bail!("{}", self.explain(&output, build));
        }
        let named = build.base.digest().map(str::to_owned);
        Ok(named.or(from).or_else(|| self.base_digest(build.base)))
    }

    /// The arguments of the build. podman names its working containers after the images that a build starts from, and
    /// leaves them if the build is ended: so it gets these images under names with the id that the build's tag has.
    fn set_arguments(&self, build: &Build<'_>) -> Result<Vec<String>> {
        let set = |(name, value): &(&str, &str)| {
            let is_image = FROM.contains(name) && !value.is_empty();
            if self.method != Method::Podman || !is_image {
                return Ok(format!("--build-arg={name}={value}"));
            }
            let (repository, id) = build.tag.rsplit_once(':').context("the name of the image has no tag")?;
            let own_name = format!("{repository}-{}-{id}:{id}", name.to_lowercase());
            self.engine.run(run!("pull --quiet --platform {PLATFORM} {value}")).limit(BUILD_LIMIT).read()?;
            self.engine.run(run!("tag {value} {own_name}")).read()?;
            Ok(format!("--build-arg={name}={own_name}"))
        };
        build.arguments.iter().map(set).collect()
    }

    fn build_run(&self, build: &Build<'_>) -> Result<Run> {
        let Build { context, dockerfile, tag, .. } = build;
        let set = self.set_arguments(build)?;
        let uses_cache = build.may_use_cache && matches!(self.method, Method::Buildx { .. });
        let cache = (!uses_cache).then(|| "--no-cache".to_owned());
        let fixed = ["--platform", PLATFORM, "--file", dockerfile.as_str()].map(str::to_owned);
        let last = ["--tag", tag, context.as_str()].map(str::to_owned);
        let build_arguments: Vec<String> = cache.into_iter().chain(fixed).chain(set).chain(last).collect();
        let run = match &self.method {
            Method::Buildx { name, .. } => {
                let own = run!("buildx build --builder {name} --load --progress plain --pull {build_arguments...}");
                // Attestations would make an index of the image.
                self.engine.run(own).env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
            }
            Method::Classic => {
                let own = run!("build --rm --force-rm --pull {build_arguments...}");
                self.engine.run(own).env("DOCKER_BUILDKIT", "0")
            }
            Method::Podman => self.engine.run(run!("build --force-rm --pull=never {build_arguments...}")),
        };
        Ok(run.limit(BUILD_LIMIT))
    }

    fn explain(&self, output: &Output, build: &Build<'_>) -> String {
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr;
        let fix = match build_output::cause(&text) {
            Some(Cause::DiskIsFull) => {
                format!(
                    "the disk of the engine is full; `{} system df` shows what can be removed",
                    self.engine.kind.command()
                )
            }
            Some(Cause::NoEmulation) => {
                format!("riscv64 programs do not run there; register the emulator with its kernel:\n  {EMULATION_FIX}")
            }
            None => match fs::write(build.log, &text) {
                Ok(()) => format!("its whole output is in {}", build.log),
                Err(error) => format!("its output cannot be written to {}: {error}", build.log),
            },
        };
        let (who, status, last) = (self.describe(), output.status, build_output::last_lines(&text));
        format!("{who} could not build the image ({status}): {fix}\nlast lines of its output:\n  {last}")
    }

    /// The digest of the base in the engine's store, if the builder left it there.
    fn base_digest(&self, base: &ImageName) -> Option<String> {
        if matches!(self.method, Method::Buildx { .. }) {
            return None;
        }
        let inspect = |format: &str| {
            let name = base.as_str();
            self.engine.run(run!("image inspect --format {format} {name}")).read().ok()
        };
        let list = inspect("{{range .RepoDigests}}{{println .}}{{end}}")?;
        let own = if self.method == Method::Podman { inspect("{{.Digest}}") } else { None };
        build_output::listed_digest(&list, own.as_deref().map(str::trim), base)
    }
}
