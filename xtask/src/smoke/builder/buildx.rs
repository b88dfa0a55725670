//! A builder made with buildx: created from the image, started, used for a build, and removed.
//!
//! buildx keeps its list of builders in a directory of this run (`BUILDX_CONFIG`), so that the user's list
//! and current builder do not change.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::docker_archive;
use oci::layout::Image;

use crate::engine::{Engine, Session, after_hangs};
use crate::os::process::{Run, run};
use crate::os::terminal::note;
use crate::smoke::builder::buildx_inspect::Inspection;

/// A start under qemu-user takes three seconds on a desktop; buildx itself gives up after one to two minutes.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(180);
/// A start that hangs under qemu-user is repeated.
const MOST_STARTS: u32 = 4;
const REMOVE_LIMIT: Duration = Duration::from_secs(60);

/// The names in the engine.
pub(super) struct Names {
    /// Part of the name of each container and volume.
    pub(super) builder: String,
    image: String,
    pub(super) built: String,
}

/// The builder and its images in the engine, which the end of the session removes.
pub struct Builder<'a> {
    pub(super) engine: &'a Engine,
    pub(super) names: Names,
    pub(super) work: Utf8PathBuf,
}

impl<'a> Builder<'a> {
    /// Loads `image` into the engine, for a builder that keeps its files in `work`.
    pub fn new(session: &'a Session, work: &Utf8Path, image: &Image) -> Result<Self> {
        let names = Names {
            builder: session.name("smoke"),
            image: session.image("smoke"),
            built: session.image("smoke-built"),
        };
        let builder = Self { engine: &session.engine, names, work: work.to_owned() };
        let archive = builder.work.join("image.tar");
        docker_archive::write(image, std::slice::from_ref(&builder.names.image), &archive)?;
        builder.engine.load(&archive).context("docker cannot load the image")?;
        Ok(builder)
    }

    pub(super) fn buildx(&self, command: Run) -> Run {
        self.engine.run(command.below("buildx")).env("BUILDX_CONFIG", self.work.join("buildx"))
    }

    /// Starts the builder. Returns how it started and what buildx reports about it. A start that hangs in QEMU is
    /// tried again; nothing else is.
    pub fn bootstrap(&self) -> Result<(String, Inspection)> {
        let mut hung = None;
        for attempt in 1..=MOST_STARTS {
            let error = match self.bootstrap_once() {
                Ok(inspection) => {
                    return Ok((inspection.status.clone() + &after_hangs(attempt, hung.as_ref()), inspection));
                }
                Err(error) => format!("{error:#}"),
            };
            let Some(fork) = self.engine.hung_fork(&self.container()) else {
                let last = error.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                bail!("the builder does not start: {} (the daemon's log{})", last.trim(), self.log());
            };
            if attempt < MOST_STARTS {
                note(format_args!("{fork}; starting the builder again"));
                self.remove_builder().read()?;
            }
            hung = Some(fork);
        }
        let fork = hung.map(|fork| format!("{fork}; ")).unwrap_or_default();
        bail!(
            "the builder hung at each of {MOST_STARTS} starts: {fork}see \"hangs at its start\" in \
             docs/TROUBLESHOOTING.md"
        )
    }

    fn remove_builder(&self) -> Run {
        let builder = &self.names.builder;
        self.buildx(run!("rm --force {builder}")).limit(REMOVE_LIMIT)
    }

    fn bootstrap_once(&self) -> Result<Inspection> {
        let Names { builder, image, .. } = &self.names;
        let create = run!("create --name {builder} --driver docker-container --driver-opt image={image}");
        self.buildx(create).read().context("buildx cannot create a builder from the image")?;
        let text = self.buildx(run!("inspect --bootstrap {builder}")).limit(BOOTSTRAP_LIMIT).read()?;
        Inspection::parse(&text).map_err(anyhow::Error::msg)
    }

    /// The name that buildx gives the container of the first node.
    fn container(&self) -> String {
        format!("buildx_buildkit_{}0", self.names.builder)
    }

    /// The last lines of the daemon's log, on one line; continues "the daemon's log".
    fn log(&self) -> String {
        let container = self.container();
        let Ok(output) = self.engine.run(run!("logs --tail 4 {container}")).output() else {
            return " is not readable".to_owned();
        };
        let log = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
        let log = log.trim().lines().collect::<Vec<_>>().join(" | ");
        if log.is_empty() { " is empty".to_owned() } else { format!(": {log}") }
    }

    /// Removes the builder, and checks that buildx removed all of it.
    pub fn leave_nothing(&self) -> Result<String> {
        self.remove_builder().read().context("`docker buildx rm` failed")?;
        let left = self.count(run!("ps --all"))? + self.count(run!("volume ls"))?;
        ensure!(left == 0, "`docker buildx rm` left {left} containers and volumes of the builder behind");
        Ok("buildx left no container and no volume of the builder in the engine".to_owned())
    }

    /// How many lines a list has of what has the builder's name.
    fn count(&self, list: Run) -> Result<usize> {
        let filter = format!("name={}", self.names.builder);
        Ok(self.engine.run(list.args(["--quiet", "--filter", &filter])).read()?.lines().count())
    }
}
