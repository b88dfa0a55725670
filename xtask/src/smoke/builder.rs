//! The level `builder`: buildx creates a builder from the image with the driver docker-container,
//! starts it, inspects it, builds with it, and removes it.

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use oci::layout::Image;

use crate::dist::Check;
use crate::dist::proofs::SMOKE_BUILDER as CHECKS;
use crate::engine::{Choice, Engine, Kind, Session};
use crate::os::files::{self, Staging};
use crate::os::host::{self, Riscv64};
use crate::os::terminal::{note, print_status};
use crate::smoke::Outcome;
use crate::smoke::builder::buildx::Builder;
use crate::smoke::builder::buildx_inspect::Inspection;
use crate::upstream::Source;

mod builds;
mod buildx;
mod buildx_inspect;

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
                missing.push(format!("the level builder needs buildx: {error:#}"));
            }
        }
    }
    missing.extend(host::why_no_riscv64_containers());
    missing
}

fn buildx_version(engine: &Engine) -> Result<String> {
    engine.buildx_version()?.context(
        "docker has no buildx; Debian 13 and Ubuntu: apt-get install docker-buildx, Docker's own packages: apt-get \
         install docker-buildx-plugin",
    )
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
    let session = Session::begin(&engine, root)?;
    let builder = Builder::new(&session, work.path(), image)?;
    print_status("builder", "loaded the image into the engine");

    let mut checks: Vec<Check> = Vec::new();
    let inspection = builder.bootstrap();
    match &inspection {
        Ok((how, inspection)) => {
            checks.push(Check::pass(CHECKS[0], format!("buildx started it: {how}")));
            checks.push(check(CHECKS[1], version(inspection, source)));
            checks.push(check(CHECKS[2], platforms(inspection)));
            checks.push(check(CHECKS[3], builder.build()));
            let attested = builder.attest();
            let is_exported = attested.is_ok();
            checks.push(check(CHECKS[4], attested));
            checks.push(if is_exported {
                check(CHECKS[5], builder.import_cache())
            } else {
                Check::not_run(CHECKS[5], "the build that exports the cache failed")
            });
        }
        Err(error) => {
            checks.push(Check::fail(CHECKS[0], format!("{error:#}")));
            checks.extend(CHECKS[1..6].iter().map(|name| Check::not_run(name, "the builder did not start")));
        }
    }
    checks.push(check(CHECKS[6], builder.leave_nothing()));
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
