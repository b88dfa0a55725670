//! The level `builder`: buildx creates a builder from the image with the driver docker-container,
//! starts it, inspects it, builds an image with it, and removes it.
//!
//! buildx keeps its list of builders in a directory of this run (`BUILDX_CONFIG`), so that the user's list
//! and current builder do not change. Whatever a killed run left in the engine has [`checkout::owner`] in
//! its name, and the next run removes it.
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
/// A start under qemu-user takes three seconds on a desktop; buildx itself gives up after one to two minutes.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(180);
/// A start that hangs under qemu-user is repeated.
const MOST_STARTS: usize = 4;
const BUILD_LIMIT: Duration = Duration::from_secs(180);
const REMOVE_LIMIT: Duration = Duration::from_secs(60);
const CHECKS: [&str; 5] =
    ["builder-bootstraps", "builder-version", "builder-platforms", "builder-builds", "builder-leaves-nothing"];

/// What this host is missing, each with the command that installs it.
pub fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    match Engine::find(Choice::Only(Kind::Docker)) {
        Err(error) => missing.push(format!(
            "the level builder needs a Docker Engine: {error:#}; Debian and Ubuntu: apt-get install docker.io; set \
             DOCKER_HOST if it does not listen on the default socket"
        )),
        Ok(engine) => {
            if let Err(error) = buildx_version(&engine) {
                missing.push(format!(
                    "the level builder needs buildx ({error:#}); Debian 13 and Ubuntu: apt-get install docker-buildx, \
                     Docker's own packages: apt-get install docker-buildx-plugin"
                ));
            }
        }
    }
    if !host::runs_riscv64_containers() {
        missing.push(
            "no interpreter for riscv64 is registered with binfmt_misc, so riscv64 containers cannot run; Debian and \
             Ubuntu: apt-get install qemu-user-static (which registers it)"
                .to_owned(),
        );
    }
    missing
}

fn buildx_version(engine: &Engine) -> Result<String> {
    let output = engine.run(["buildx", "version"]).output()?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}", output.stderr.lines().next().unwrap_or("no error message").trim());
    Ok(stdout.split_whitespace().nth(1).unwrap_or("unknown version").to_owned())
}

/// The names that this checkout uses in the engine.
struct Names {
    /// Part of the name of each container and volume.
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

/// The builder and its images in the engine; removed on drop.
struct Builder<'a> {
    engine: &'a Engine,
    names: Names,
    work: Utf8PathBuf,
}

/// Creates the builder, checks it, and removes it.
///
/// # Errors
/// If the engine cannot load the image. Any later problem is a failed check.
pub fn run(root: &Utf8Path, image: &Image, source: Option<&Source>) -> Result<Outcome> {
    let folder = root.join("target/smoke/builder");
    let _lock = files::lock(&folder.with_extension("lock"), || note("waiting for another run of smoke"))?;
    let work = Staging::new(&folder)?;
    let engine = Engine::find(Choice::Only(Kind::Docker))?;
    let builder = Builder { engine: &engine, names: Names::of(root)?, work: work.path().to_owned() };
    builder.remove_all().context("cannot remove what an earlier run left in the engine")?;
    let archive = builder.work.join("image.tar");
    docker_archive::write(image, std::slice::from_ref(&builder.names.image), &archive)?;
    engine.load(&archive).context("docker cannot load the image")?;
    print_status("builder", "loaded the image into the engine");

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
    let version = inspection.version.as_deref().context("`docker buildx inspect` shows no BuildKit version")?;
    if let Some(source) = source {
        ensure!(
            version == source.version.to_string(),
            "buildx reports BuildKit {version}, but dist was built from {}",
            source.version
        );
    }
    Ok(format!("buildx reports BuildKit {version}"))
}

fn platforms(inspection: &Inspection) -> Result<String> {
    let platforms = inspection.platforms.join(", ");
    ensure!(
        inspection.platforms.iter().any(|it| it == "linux/riscv64"),
        "the builder does not list linux/riscv64, only {platforms}"
    );
    Ok(platforms)
}

impl Builder<'_> {
    fn buildx<S: Into<String>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.engine.run(["buildx"]).args(arguments).env("BUILDX_CONFIG", self.work.join("buildx"))
    }

    /// Starts the builder. Returns how it started and what buildx reports about it. Under qemu-user one start
    /// in eight hangs before the daemon's first line, in the child of a fork: only that is tried again.
    fn bootstrap(&self) -> Result<(String, Inspection)> {
        let mut hung = 0;
        loop {
            match self.bootstrap_once() {
                Ok(inspection) if hung == 0 => return Ok((inspection.status.clone(), inspection)),
                Ok(inspection) => {
                    let how = format!(
                        "{} at attempt {}; earlier attempts hung under qemu-user without output",
                        inspection.status,
                        hung + 1
                    );
                    return Ok((how, inspection));
                }
                Err(error) => {
                    let log = self.log();
                    hung += 1;
                    if !log.is_empty() || Riscv64::here() == Riscv64::Natively || hung == MOST_STARTS {
                        let log = if log.is_empty() { format!("empty after each of {hung} attempts") } else { log };
                        let error = format!("{error:#}");
                        let last = error.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                        bail!("the builder does not start: {} (the daemon's log: {log})", last.trim());
                    }
                    note(
                        "the daemon hung before its first line of output, which happens under qemu-user; trying again",
                    );
                    self.buildx(["rm", "--force", &self.names.builder]).limit(REMOVE_LIMIT).read()?;
                }
            }
        }
    }

    fn bootstrap_once(&self) -> Result<Inspection> {
        let Names { builder, image, .. } = &self.names;
        let options = ["--driver", "docker-container", "--driver-opt", &format!("image={image}")];
        self.buildx(["create", "--name", builder])
            .args(options)
            .read()
            .context("buildx cannot create a builder from the image")?;
        let text = self.buildx(["inspect", "--bootstrap", builder]).limit(BOOTSTRAP_LIMIT).read()?;
        Inspection::parse(&text).map_err(anyhow::Error::msg)
    }

    /// The last lines of the daemon's log, on one line.
    fn log(&self) -> String {
        let container = format!("buildx_buildkit_{}0", self.names.builder);
        let Ok(output) = self.engine.run(["logs", "--tail", "4", &container]).output() else {
            return "not readable".to_owned();
        };
        let log = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
        log.trim().lines().collect::<Vec<_>>().join(" | ")
    }

    /// Builds an image with the builder, and reads it back from the engine.
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
            .context("the build failed in the builder")?;
        let saved = self.work.join("built.tar");
        self.engine.save(built, &saved)?;
        let image = Image::open(&saved)?;
        let platform = image.config.platform.to_string();
        ensure!(platform == "linux/riscv64", "the built image is for {platform}, not linux/riscv64");
        let mut found = String::new();
        image.contents(
            &image.files()?,
            |path, _| path == "hello",
            |_, _, content| {
                content.read_to_string(&mut found).map(|_| ()).context("cannot read /hello of the built image")
            },
        )?;
        ensure!(found == content, "/hello of the built image holds {found:?} instead of {content:?}");
        Ok("an image for linux/riscv64 was built, loaded and read back".to_owned())
    }

    /// Removes the builder, and checks that buildx removed all of it.
    fn leave_nothing(&self) -> Result<String> {
        self.buildx(["rm", "--force", &self.names.builder])
            .limit(REMOVE_LIMIT)
            .read()
            .context("`docker buildx rm` failed")?;
        let left = self.list("ps")?.len() + self.list("volume")?.len();
        self.remove_all()?;
        ensure!(
            left == 0,
            "`docker buildx rm` left {left} containers and volumes of the builder behind; they are removed now"
        );
        Ok("no container, volume or image is left in the engine".to_owned())
    }

    /// The builder's containers (`ps`) or volumes (`volume`).
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
        // The next run removes what cannot be removed now.
        let _ = self.remove_all();
    }
}
