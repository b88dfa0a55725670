//! The init that the engine of this machine mounts into containers: which file it is, found as the
//! engine itself finds it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci::elf::Format;
use oci::limits::ELF_BYTES;

use crate::engine::{Engine, Kind};
use crate::os::host;

/// Source: moby, `daemon/config/config_linux.go`, `lookupBinPath`, in Engine 24 and later.
const DOCKER_FOLDERS: [&str; 6] = [
    "/usr/local/libexec/docker",
    "/usr/libexec/docker",
    "/usr/local/lib/docker",
    "/usr/lib/docker",
    "/usr/local/libexec",
    "/usr/libexec",
];
const DOCKER_LIBEXEC_SINCE: u32 = 24;
/// Source: containers-common, `pkg/config/default.go`, `DefaultInitPath` and `DefaultHelperBinariesDir`.
const PODMAN_FOLDERS: [&str; 5] =
    ["/usr/libexec/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/lib/podman", "/usr/bin"];
/// A service has these on its PATH, whatever this shell has.
const SERVICE_PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The engine's init.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInit {
    /// Where the engine finds it.
    pub path: Utf8PathBuf,
    /// The file that this leads to through links.
    pub real: Utf8PathBuf,
    /// How the engine comes to it, in a few words.
    pub reason: String,
    /// Who says so.
    pub source: Source,
    /// What it is.
    pub format: Format,
}

/// How a file came to be the engine's init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The engine looked for a file of its name.
    Found,
    /// It is named in the engine's configuration.
    Configured,
    /// The user says that it is the init of some host.
    Given,
}

/// What is known of the engine's init.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it.
    Here(HostInit),
    /// The engine looks for a file of this name and there is none.
    Absent(String),
    /// The engine's files are on another machine, of this name.
    Elsewhere(String),
}

impl HostInit {
    /// Looks into a file that somebody names.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of_file(path: &Utf8Path, reason: &str, source: Source) -> Result<Self> {
        let real = path.canonicalize_utf8().with_context(|| format!("cannot find the init {path}"))?;
        let mut content = Vec::new();
        File::open(&real)
            .and_then(|file| file.take(ELF_BYTES).read_to_end(&mut content))
            .with_context(|| format!("cannot read the init {real}"))?;
        let format = Format::of(&content);
        Ok(Self { path: path.to_owned(), real, reason: reason.to_owned(), source, format })
    }

    /// Finds the one that `engine` uses.
    ///
    /// # Errors
    /// Where the engine does not answer, or its file cannot be read.
    pub fn of_engine(engine: &Engine) -> Result<Found> {
        match engine.kind {
            Kind::Docker => of_docker(engine),
            Kind::Podman => of_podman(engine),
        }
    }
}

fn of_docker(engine: &Engine) -> Result<Found> {
    let answer = engine.info("{{.Name}}\t{{.OperatingSystem}}\t{{.InitBinary}}")?;
    let mut fields = answer.split('\t');
    let [name, system, binary] = [(); 3].map(|()| fields.next().unwrap_or_default().to_owned());
    if host::name().is_some_and(|own| own != name) {
        return Ok(Found::Elsewhere(format!("{name} ({system})")));
    }
    if binary.starts_with('/') {
        let reason = "named by --init-path or \"init-path\" in daemon.json";
        return HostInit::of_file(Utf8Path::new(&binary), reason, Source::Configured).map(Found::Here);
    }
    let binary = if binary.is_empty() { "docker-init".to_owned() } else { binary };
    let major: u32 = engine.version.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX);
    let libexec: &[&str] = if major >= DOCKER_LIBEXEC_SINCE { &DOCKER_FOLDERS } else { &[] };
    let reason = format!("where Engine {} finds {binary}", engine.version);
    look(&binary, libexec, &reason)
}

fn of_podman(engine: &Engine) -> Result<Found> {
    if engine.info("{{.Host.ServiceIsRemote}}").is_ok_and(|answer| answer == "true") {
        return Ok(Found::Elsewhere("podman's remote service".to_owned()));
    }
    look("catatonit", &PODMAN_FOLDERS, &format!("where podman {} finds catatonit", engine.version))
}

fn look(binary: &str, folders: &[&str], reason: &str) -> Result<Found> {
    let in_folder = |folder: &&str| {
        let path = Utf8Path::new(folder).join(binary);
        host::is_executable(&path).then_some(path)
    };
    let found = folders.iter().find_map(in_folder).or_else(|| host::on_path(binary));
    match found.or_else(|| SERVICE_PATH.iter().find_map(in_folder)) {
        Some(path) => HostInit::of_file(&path, reason, Source::Found).map(Found::Here),
        None => Ok(Found::Absent(binary.to_owned())),
    }
}
