//! The init that the engine on this host mounts into containers (`--init`): finds its file as the engine does.
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
/// PATH of a system service, which can differ from the user's.
const SERVICE_PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The engine's init.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInit {
    /// The path at which the engine finds it.
    pub path: Utf8PathBuf,
    /// The same with symbolic links resolved.
    pub real: Utf8PathBuf,
    /// Why the engine uses this file, for messages.
    pub reason: String,
    pub source: Source,
    pub format: Format,
}

/// How the path of the engine's init is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The engine searched for a file of this name.
    Found,
    /// It is named in the engine's configuration.
    Configured,
    /// The user named it with `--host-init`.
    Given,
}

/// The search for the engine's init.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Here(HostInit),
    /// There is no file of this name.
    Absent(String),
    /// The engine's configuration names this file, which cannot be read for that reason.
    Unreadable {
        path: Utf8PathBuf,
        why: String,
    },
    /// The engine runs on another machine, of this name.
    Elsewhere(String),
}

impl HostInit {
    /// Reads the init at `path`.
    pub fn of_file(path: &Utf8Path, reason: &str, source: Source) -> Result<Self> {
        let real = path.canonicalize_utf8().with_context(|| format!("the init {path} does not exist"))?;
        let mut content = Vec::new();
        let mut read = || {
            let file = File::open(&real)?;
            let size_bytes = file.metadata()?.len();
            file.take(ELF_BYTES).read_to_end(&mut content)?;
            Ok::<_, std::io::Error>(size_bytes)
        };
        let size_bytes = read().with_context(|| format!("cannot read the init {real}"))?;
        let format = Format::of_head(&mut content, size_bytes);
        Ok(Self { path: path.to_owned(), real, reason: reason.to_owned(), source, format })
    }

    /// Finds the init that `engine` uses.
    pub fn of_engine(engine: &Engine) -> Result<Found> {
        match engine.kind {
            Kind::Docker => of_docker(engine),
            Kind::Podman => of_podman(engine),
        }
    }
}

/// The output of `docker info` in the format [`INFO`].
#[derive(Debug, PartialEq, Eq)]
struct DockerInfo<'a> {
    host: &'a str,
    system: &'a str,
    /// A path from the configuration, or the name of a program to search for.
    init_binary: &'a str,
}

pub const CONFIGURED: &str = "named by --init-path or \"init-path\" in daemon.json";

const INFO: &str = "{{.Name}}\t{{.OperatingSystem}}\t{{.InitBinary}}";

impl<'a> DockerInfo<'a> {
    fn parse(answer: &'a str) -> Self {
        let mut fields = answer.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let (host, system, init_binary) = (next(), next(), next());
        Self { host, system, init_binary: if init_binary.is_empty() { "docker-init" } else { init_binary } }
    }
}

/// The first number of a version; a version without one counts as the newest.
fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
}

fn of_docker(engine: &Engine) -> Result<Found> {
    let answer = engine.info(INFO)?;
    let info = DockerInfo::parse(&answer);
    // Elsewhere than on Linux, the engine runs in a virtual machine.
    if host::goos() != "linux" || host::name().is_some_and(|own| own != info.host) {
        return Ok(Found::Elsewhere(format!("{} ({})", info.host, info.system)));
    }
    let binary = info.init_binary;
    if binary.starts_with('/') {
        let path = Utf8Path::new(binary);
        return Ok(match HostInit::of_file(path, CONFIGURED, Source::Configured) {
            Ok(init) => Found::Here(init),
            Err(error) => Found::Unreadable { path: path.to_owned(), why: format!("{error:#}") },
        });
    }
    let libexec: &[&str] = if major(&engine.version) >= DOCKER_LIBEXEC_SINCE { &DOCKER_FOLDERS } else { &[] };
    let reason = format!("where Engine {} finds {binary}", engine.version);
    search(binary, libexec, &reason)
}

fn of_podman(engine: &Engine) -> Result<Found> {
    if engine.info("{{.Host.ServiceIsRemote}}").is_ok_and(|answer| answer == "true") {
        return Ok(Found::Elsewhere("podman's remote service".to_owned()));
    }
    search("catatonit", &PODMAN_FOLDERS, &format!("where podman {} finds catatonit", engine.version))
}

fn search(binary: &str, folders: &[&str], reason: &str) -> Result<Found> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn the_answer_of_docker_info_is_read_whatever_is_missing() {
        let info = DockerInfo::parse("board\tDebian 13\t/opt/init");
        assert_eq!(info, DockerInfo { host: "board", system: "Debian 13", init_binary: "/opt/init" });
        assert_eq!(DockerInfo::parse(""), DockerInfo { host: "", system: "", init_binary: "docker-init" });
        assert_eq!((major("28.5.1"), major("dev")), (28, u32::MAX));
    }

    #[test]
    fn mutated_answers_of_docker_info_give_parts_of_the_answer() {
        arbtest::arbtest(|source| {
            let answer = mutated_input::text(source, "board\tDebian GNU/Linux 13 (trixie)\tdocker-init")?;
            let info = DockerInfo::parse(&answer);
            assert!(!info.init_binary.is_empty());
            assert!([info.host, info.system].iter().all(|field| answer.contains(field) && !field.contains('\t')));
            assert!(answer.contains(info.init_binary) || info.init_binary == "docker-init");
            major(&mutated_input::text(source, "28.5.1+dfsg")?);
            Ok(())
        });
    }
}
