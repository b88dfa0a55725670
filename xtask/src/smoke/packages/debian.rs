//! A riscv64 container of Debian, in which packages are installed; removed on drop.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use crate::engine::{Engine, TemporaryImage};
use crate::os::checkout;
use crate::os::interrupt::Cleanup;
use crate::os::process::run;

/// The release that the image is made of too.
pub const BASE: &str = "debian:trixie-slim";
const STEPS: &str = include_str!("debian.sh");

/// Tools are downloaded and unpacked under emulation, in a minute; a board is slower.
const STEP_LIMIT: Duration = Duration::from_secs(30 * 60);
const REMOVE_LIMIT: Duration = Duration::from_secs(60);

/// The container.
pub struct Debian<'a> {
    engine: &'a Engine,
    name: String,
    /// Of the image that its files are taken out with.
    image: String,
    _cleanup: Cleanup,
}

impl<'a> Debian<'a> {
    /// Starts it, in place of one that a killed run of the same checkout left.
    pub fn start(engine: &'a Engine, root: &Utf8Path) -> Result<Self> {
        let owner = checkout::owner(root)?;
        let (name, image) =
            (format!("xtask-smoke-packages-{owner}"), format!("localhost/xtask-smoke-packages:{owner}"));
        let debian = Self { engine, name, image, _cleanup: Cleanup::announce() };
        debian.remove();
        let name = &debian.name;
        let start = run!("run --detach --name {name} --platform linux/riscv64 {BASE} sleep infinity");
        engine.run(start).limit(STEP_LIMIT).read().with_context(|| format!("a riscv64 {BASE} does not start"))?;
        Ok(debian)
    }

    /// Copies a file into it.
    pub fn copy(&self, from: &Utf8Path, to: &str) -> Result<()> {
        let to = format!("{}:{to}", self.name);
        self.engine.run(run!("cp {from} {to}")).limit(STEP_LIMIT).read().map(|_| ())
    }

    /// Does a step of `debian.sh`, and returns what it saw.
    pub fn step(&self, step: &str) -> Result<String> {
        let name = &self.name;
        let output = self.engine.run(run!("exec {name} sh -c {STEPS} debian.sh {step}")).limit(STEP_LIMIT).output()?;
        if !output.status.success() {
            let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
            bail!("{}", lines[lines.len().saturating_sub(5)..].join(" | "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Writes its files as an image into an archive.
    pub fn save(&self, archive: &Utf8Path) -> Result<()> {
        let (name, image) = (&self.name, TemporaryImage::new(self.engine, &self.image)?);
        let tag = image.name;
        self.engine.run(run!("commit {name} {tag}")).limit(STEP_LIMIT).read()?;
        self.engine.save(tag, archive)
    }

    /// Removes it, if it is there.
    fn remove(&self) {
        let name = &self.name;
        let remove = run!("rm --force --volumes {name}");
        let _ = self.engine.run(remove).limit(REMOVE_LIMIT).cleans_up().output();
    }
}

impl Drop for Debian<'_> {
    fn drop(&mut self) {
        // The next run removes what cannot be removed now.
        self.remove();
    }
}
