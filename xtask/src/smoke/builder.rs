//! The level `builder`: what buildx does with the image, done by buildx. A builder of the driver
//! docker-container is made of it, started, asked what it is, used for a build, and removed.
//!
//! buildx keeps its list of builders in a folder of this run's own, so that the user's list and
//! current builder stay as they are. What a killed run left in the engine is known by its name, which
//! holds [`checkout::owner`], and is removed by the next run.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::docker_archive;
use oci::layout::Image;

use crate::dist::check::Check;
use crate::engine::{Choice, Engine, Kind};
use crate::os::checkout;
use crate::os::files::{self, Staging};
use crate::os::host::{self, Riscv64};
use crate::os::process::Run;
use crate::os::terminal::{note, print_status};
use crate::smoke::Outcome;
use crate::smoke::builder::buildx_inspect::Inspection;
use crate::upstream::source::Source;

mod buildx_inspect;

const DOCKERFILE: &str = "FROM scratch\nCOPY hello /hello\n";
/// The start under qemu-user takes three seconds on a desktop; buildx itself gives up after a minute
/// or two.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(180);
/// Of starts that hang under qemu-user.
const MOST_STARTS: usize = 4;
const BUILD_LIMIT: Duration = Duration::from_secs(180);
const REMOVE_LIMIT: Duration = Duration::from_secs(60);
const CHECKS: [&str; 5] =
    ["builder-bootstraps", "builder-version", "builder-platforms", "builder-builds", "builder-leaves-nothing"];

/// What is missing here.
pub fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    match Engine::find(Choice::Only(Kind::Docker)) {
        Err(error) => missing.push(format!(
            "the level builder needs a Docker Engine: {error:#}; Debian and Ubuntu: apt-get install docker.io, and \
             DOCKER_HOST set where it does not listen at the usual place"
        )),
        Ok(engine) => {
            if let Err(error) = buildx_version(&engine) {
                missing.push(format!(
                    "docker has no buildx ({error:#}); Debian 13: apt-get install docker-buildx, Ubuntu: apt-get \
                     install docker-buildx, Docker's own packages: apt-get install docker-buildx-plugin"
                ));
            }
        }
    }
    if !host::runs_riscv64_containers() {
        missing.push(
            "this machine runs no riscv64 containers; Debian and Ubuntu: apt-get install qemu-user-static (which \
             registers it with binfmt_misc)"
                .to_owned(),
        );
    }
    missing
}

fn buildx_version(engine: &Engine) -> Result<String> {
    let output = engine.run(["buildx", "version"]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}", output.stderr.lines().next().unwrap_or("it says nothing").trim());
    Ok(said.split_whitespace().nth(1).unwrap_or("of no version").to_owned())
}

/// The names of this checkout's things in the engine.
struct Names {
    /// Every name of a container or volume has this in it.
    builder: String,
    image: String,
    built: String,
}

impl Names {
    fn of(root: &Utf8Path) -> Result<Self> {
        let owner = checkout::owner(root)?;
        Ok(Self {
            builder: format!("xtask-smoke-{owner}"),
            image: format!("localhost/xtask-smoke:{owner}"),
            built: format!("localhost/xtask-smoke:{owner}-built"),
        })
    }
}

/// The engine with what this run puts into it, until it goes.
struct Builder<'a> {
    engine: &'a Engine,
    names: Names,
    work: Utf8PathBuf,
}

/// Makes the builder, looks at it, and removes it.
///
/// # Errors
/// Where the image cannot be put into the engine. What goes wrong after that is a check that fails.
pub fn run(root: &Utf8Path, image: &Image, source: Option<&Source>) -> Result<Outcome> {
    let folder = root.join("target/smoke/builder");
    let _lock = files::lock(&folder.with_extension("lock"), || note("another run of smoke is at work; waiting"))?;
    let work = Staging::new(&folder)?;
    let engine = Engine::find(Choice::Only(Kind::Docker))?;
    let builder = Builder { engine: &engine, names: Names::of(root)?, work: work.path().to_owned() };
    builder.remove_all().context("what an earlier run left in the engine cannot be removed")?;
    let archive = builder.work.join("image.tar");
    docker_archive::write(image, std::slice::from_ref(&builder.names.image), &archive)?;
    engine.load(&archive).context("docker cannot load the image")?;
    print_status("builder", "the image is in the engine");

    let mut checks: Vec<Check> = Vec::new();
    let inspection = builder.bootstrap();
    match &inspection {
        Ok((how, inspection)) => {
            checks.push(Check::pass(CHECKS[0], format!("buildx started it: {how}")));
            checks.push(check(CHECKS[1], version(inspection, source)));
            checks.push(check(CHECKS[2], platforms(inspection)));
            checks.push(check(CHECKS[3], builder.build()));
        }
        Err(error) => {
            checks.push(Check::fail(CHECKS[0], format!("{error:#}")));
            checks.extend(CHECKS[1..4].iter().map(|name| Check::not_run(name, "the builder did not start")));
        }
    }
    checks.push(check(CHECKS[4], builder.leave_nothing()));
    let tools = [("docker", engine.version.clone()), ("buildx", buildx_version(&engine)?)];
    let tools = tools.into_iter().chain([("riscv64 programs", Riscv64::here().describe())]);
    Ok(Outcome { checks, tools: tools.map(|(name, version)| (name.to_owned(), version)).collect() })
}

fn check(name: &str, found: Result<String>) -> Check {
    match found {
        Ok(evidence) => Check::pass(name, evidence),
        Err(error) => Check::fail(name, format!("{error:#}")),
    }
}

fn version(inspection: &Inspection, source: Option<&Source>) -> Result<String> {
    let version = inspection.version.as_deref().context("buildx does not tell the version of the builder")?;
    if let Some(source) = source {
        ensure!(version == source.version.to_string(), "the builder is of {version}, and built was {}", source.version);
    }
    Ok(format!("buildx says BuildKit {version}"))
}

fn platforms(inspection: &Inspection) -> Result<String> {
    let platforms = inspection.platforms.join(", ");
    ensure!(inspection.platforms.iter().any(|it| it == "linux/riscv64"), "the builder builds for {platforms} only");
    Ok(platforms)
}

impl Builder<'_> {
    fn buildx<S: Into<String>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.engine.run(["buildx"]).args(arguments).env("BUILDX_CONFIG", self.work.join("buildx"))
    }

    /// Starts it; how, and what buildx then says of it. Under qemu-user one start in eight hangs before
    /// the daemon's first line, in the child of a fork: that alone is tried again, and told.
    fn bootstrap(&self) -> Result<(String, Inspection)> {
        let mut hung = 0;
        loop {
            match self.bootstrap_once() {
                Ok(inspection) if hung == 0 => return Ok((inspection.status.clone(), inspection)),
                Ok(inspection) => {
                    let how = format!(
                        "{} at start {}; before, it hung silently under qemu-user",
                        inspection.status,
                        hung + 1
                    );
                    return Ok((how, inspection));
                }
                Err(error) => {
                    let log = self.log();
                    hung += 1;
                    if !log.is_empty() || Riscv64::here() == Riscv64::Natively || hung == MOST_STARTS {
                        let log = if log.is_empty() { format!("empty at each of {hung} starts") } else { log };
                        let said = format!("{error:#}");
                        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                        bail!("the builder does not start: {} (the daemon's log: {log})", last.trim());
                    }
                    note("the daemon hung before its first line, as emulated programs now and then do; again");
                    self.buildx(["rm", "--force", &self.names.builder]).limit(REMOVE_LIMIT).read()?;
                }
            }
        }
    }

    fn bootstrap_once(&self) -> Result<Inspection> {
        let Names { builder, image, .. } = &self.names;
        let options = ["--driver", "docker-container", "--driver-opt", &format!("image={image}")];
        self.buildx(["create", "--name", builder]).args(options).read().context("buildx makes no builder of it")?;
        let text = self.buildx(["inspect", "--bootstrap", builder]).limit(BOOTSTRAP_LIMIT).read()?;
        Inspection::parse(&text).map_err(anyhow::Error::msg)
    }

    /// The last lines of the daemon's log, on one line.
    fn log(&self) -> String {
        let container = format!("buildx_buildkit_{}0", self.names.builder);
        let Ok(output) = self.engine.run(["logs", "--tail", "4", &container]).output() else {
            return "cannot be read".to_owned();
        };
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
        said.trim().lines().collect::<Vec<_>>().join(" | ")
    }

    /// Builds an image through it, and reads it back from the engine.
    fn build(&self) -> Result<String> {
        let context = self.work.join("context");
        let content = format!("from {}\n", self.names.builder);
        let write = || {
            fs::create_dir_all(&context)?;
            fs::write(context.join("Dockerfile"), DOCKERFILE)?;
            fs::write(context.join("hello"), &content)
        };
        write().with_context(|| format!("cannot write {context}"))?;
        let Names { builder, built, .. } = &self.names;
        self.buildx(["build", "--builder", builder, "--platform", "linux/riscv64", "--load", "--tag", built])
            .args(["--progress", "plain", context.as_str()])
            .limit(BUILD_LIMIT)
            .read()
            .context("the builder does not build")?;
        let saved = self.work.join("built.tar");
        self.engine.save(built, &saved)?;
        let image = Image::open(&saved)?;
        let platform = image.config.platform.to_string();
        ensure!(platform == "linux/riscv64", "what was built is for {platform}");
        let mut found = String::new();
        image.contents(
            &image.files()?,
            |path, _| path == "hello",
            |_, _, content| content.read_to_string(&mut found).map(|_| ()).context("cannot read what was built"),
        )?;
        ensure!(found == content, "what was built has {found:?} in /hello, and was given {content:?}");
        Ok("an image for linux/riscv64 was built, loaded and read back".to_owned())
    }

    fn leave_nothing(&self) -> Result<String> {
        self.buildx(["rm", "--force", &self.names.builder]).limit(REMOVE_LIMIT).read().context("buildx rm fails")?;
        let left = self.list("ps")?.len() + self.list("volume")?.len();
        self.remove_all()?;
        ensure!(left == 0, "buildx left {left} containers and volumes of the builder behind; they were removed");
        Ok("no container, volume or image is left in the engine".to_owned())
    }

    /// The containers (`ps`) or volumes (`volume`) of this checkout.
    fn list(&self, kind: &str) -> Result<Vec<String>> {
        let filter = format!("name={}", self.names.builder);
        let arguments = if kind == "ps" { vec!["ps", "--all"] } else { vec!["volume", "ls"] };
        let text = self.engine.run(arguments).args(["--quiet", "--filter", &filter]).read()?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    fn remove_all(&self) -> Result<()> {
        let remove = |command: &[&str], names: Vec<String>| match names.as_slice() {
            [] => Ok(()),
            _ => self.engine.run(command.iter().copied()).args(names).limit(REMOVE_LIMIT).read().map(|_| ()),
        };
        remove(&["rm", "--force", "--volumes"], self.list("ps")?)?;
        remove(&["volume", "rm", "--force"], self.list("volume")?)?;
        for image in [&self.names.image, &self.names.built] {
            let found = self.engine.run(["images", "--quiet", image]).read()?;
            if !found.is_empty() {
                remove(&["rmi", "--force"], vec![image.clone()])?;
            }
        }
        Ok(())
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = self.remove_all();
    }
}
