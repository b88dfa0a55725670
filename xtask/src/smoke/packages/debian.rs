//! A riscv64 container of Debian, in which packages are installed; removed with its session.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use crate::engine::Session;
use crate::os::process::run;

/// The release that the image is made of too.
pub const BASE: &str = "debian:trixie-slim";
const STEPS: &str = include_str!("debian.sh");

/// Tools are downloaded and unpacked under emulation, in a minute; a board is slower.
const STEP_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The container.
pub struct Debian<'a> {
    session: &'a Session,
    name: String,
}

impl<'a> Debian<'a> {
    /// Starts it.
    pub fn start(session: &'a Session) -> Result<Self> {
        let (name, label) = (session.name("packages"), session.label());
        let start = run!("run --detach --name {name} --label {label} --platform linux/riscv64 {BASE} sleep infinity");
        session
            .engine
            .run(start)
            .limit(STEP_LIMIT)
            .read()
            .with_context(|| format!("a riscv64 {BASE} does not start"))?;
        Ok(Self { session, name })
    }

    /// Copies a file into it.
    pub fn copy(&self, from: &Utf8Path, to: &str) -> Result<()> {
        let to = format!("{}:{to}", self.name);
        self.session.engine.run(run!("cp {from} {to}")).limit(STEP_LIMIT).read().map(|_| ())
    }

    /// Does a step of `debian.sh`, and returns what it saw.
    pub fn step(&self, step: &str) -> Result<String> {
        let name = &self.name;
        let output =
            self.session.engine.run(run!("exec {name} sh -c {STEPS} debian.sh {step}")).limit(STEP_LIMIT).output()?;
        if !output.status.success() {
            let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
            bail!("{}", lines[lines.len().saturating_sub(5)..].join(" | "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Writes its files as an image into an archive.
    pub fn save(&self, archive: &Utf8Path) -> Result<()> {
        let (name, tag) = (&self.name, self.session.image("packages"));
        self.session.engine.run(run!("commit {name} {tag}")).limit(STEP_LIMIT).read()?;
        self.session.engine.save(&tag, archive)
    }
}
