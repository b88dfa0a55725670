//! The level `machine`: boots the image's files under a riscv64 kernel in qemu. The image's entrypoint
//! starts BuildKit, which runs a build with `RUN` for riscv64, then one for riscv64 and amd64 with the image's own
//! emulators; the host reads the results back and checks them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "asks the clock, and names a lock")]

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use camino::Utf8Path;
use oci::file_tree::FileTree;
use oci::layout::Image;

use crate::dist::Check;
use crate::dist::proofs::SMOKE_MACHINE as CHECKS;
use crate::http::Endpoint;
use crate::os::files::{self, Staging};
use crate::os::host;
use crate::os::terminal::{Progress, Unit, clock, note, print_status};
use crate::smoke::Outcome;
use crate::smoke::build_results::{self, Built};
use crate::smoke::machine::console::{Console, Phases};
use crate::smoke::machine::kernel::{FIRMWARE, GuestFiles, KERNEL};
use crate::smoke::machine::qemu::{Boot, Machine};
use crate::smoke::machine::settings::Settings;

pub mod console;
mod cpio;
mod debian;
mod disk;
mod initramfs;
mod kernel;
mod kernel_module;
mod qemu;
mod settings;

/// The results take 4 MB.
const DISK_BYTES: u64 = 64 << 20;
/// The phases that `init.sh` reports: one for each of [`CHECKS`], in the same order.
const PHASES: [&str; 6] = ["userspace", "daemon", "riscv64", "both", "stopped", "end"];
/// The file behind `/dev/vda`.
const DISK: &str = "disk";
const INIT: &str = include_str!("machine/init.sh");

/// What a machine boots.
pub struct Guest<'a> {
    /// Its files are below `/image`.
    pub image: &'a Image,
    pub tree: &'a FileTree,
    /// The first process, `/init`.
    pub init: &'a str,
    /// `/test.sh`, if there is one.
    pub script: Option<&'a str>,
    /// `/settings`.
    pub settings: &'a str,
    /// Those that the scripts report.
    pub phases: Phases,
}

/// The level, with the tools and files that it needs.
pub struct Level {
    machine: Machine,
    guest_files: GuestFiles,
    limit: Duration,
}

/// What `init.sh` says instead of a build for two platforms.
const NO_EMULATORS: &str = "none";

impl Level {
    /// What this host is missing, each with the command that installs it.
    pub fn missing() -> Vec<String> {
        let machine = Machine::find().err().map(|error| format!("{error:#}"));
        let xz = "xz is not installed, so Debian's packages cannot be unpacked; Debian and Ubuntu: apt-get install \
                  xz-utils";
        let xz = host::on_path("xz").is_none().then(|| xz.to_owned());
        machine.into_iter().chain(xz).collect()
    }

    /// Downloads a kernel, unless an earlier run left one in `target/`.
    pub fn prepare(root: &Utf8Path, archive: Option<&Endpoint>, limit: Duration) -> Result<Self> {
        let guest_files = GuestFiles::obtain(&root.join("target/smoke/debian"), archive)?;
        Ok(Self { machine: Machine::find()?, guest_files, limit })
    }

    /// Boots the image, and checks the results.
    ///
    /// # Errors
    /// If the machine cannot be prepared. Any problem after that is a failed check.
    pub fn run(&self, root: &Utf8Path, image: &Image, tree: &FileTree) -> Result<Outcome> {
        let folder = root.join("target/smoke");
        let log = folder.join("console.log");
        let lock = files::lock(&folder.join("machine.lock"), || note("waiting for another run of smoke"))?;
        let work = Staging::new(&folder.join("machine"))?;
        let execution = &image.config.config;
        let command = [execution.entrypoint(), execution.cmd()].concat();
        let settings = &self.settings(execution.environment(), &command);
        let guest = Guest { image, tree, init: INIT, script: None, settings, phases: &PHASES };
        let (console, ended) = self.boot(&guest, work.path(), &log, &lock)?;
        let checks = self.checks(&console, &ended, &work.path().join(DISK), work.path());
        if checks.iter().any(Check::is_failure) {
            console.print_tail(&log);
        }
        Ok(Outcome { checks, tools: self.tools() })
    }

    /// Name and version of all that a machine is made of.
    pub fn tools(&self) -> Vec<(String, String)> {
        let qemu = ("qemu-system-riscv64".to_owned(), format!("{}, {}", self.machine.version, self.describe()));
        [vec![qemu], self.guest_files.origin()].concat()
    }

    /// The time after which a machine is killed.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How the machine runs, for messages.
    pub fn describe(&self) -> &'static str {
        self.machine.describe()
    }

    /// Boots a guest, with files in the directory `work`, and waits for its end: that is the first line of the error
    /// unless it powered itself off.
    ///
    /// # Errors
    /// If the machine cannot be prepared.
    pub fn boot(
        &self,
        guest: &Guest<'_>,
        work: &Utf8Path,
        log: &Utf8Path,
        lock: &File,
    ) -> Result<(Console, Result<(), String>)> {
        let (initramfs, disk) = (work.join("initramfs"), work.join(DISK));
        let started = Instant::now();
        initramfs::write(&initramfs, guest, &self.guest_files)?;
        qemu::make_disk(&disk, DISK_BYTES)?;
        print_status(
            "machine",
            format_args!("wrote the image's files as an initramfs in {}", clock(started.elapsed())),
        );

        let (kernel, firmware) = (self.guest_files.path(KERNEL), self.guest_files.path(FIRMWARE));
        let boot = Boot {
            kernel: &kernel,
            firmware: &firmware,
            initramfs: &initramfs,
            disk: &disk,
            console: log,
            limit: self.limit,
        };
        let mut console = Console::new(guest.phases);
        let mut progress = Progress::new("machine", Unit::Count("phases"));
        progress.set_total(guest.phases.len() as u64);
        let ended = self.machine.run(boot, lock, |line| match line {
            Some(line) => console.take(line, &mut progress),
            None => progress.tick(),
        });
        drop(progress);
        let ended = ended.and_then(|status| {
            ensure!(status.success(), "qemu ended with {status}");
            Ok(())
        });
        Ok((console, ended.map_err(|error| first_line(&error))))
    }

    /// The settings of the machine itself, with the command and environment that an image's init needs.
    pub fn settings(&self, environment: &[String], command: &[String]) -> String {
        Settings {
            modules: self.guest_files.modules(),
            environment,
            command,
            limit: self.limit,
            daemon_limit: self.limit * 3 / 4,
        }
        .text()
    }

    /// A check for each phase. A build passes only if its result can be read back.
    fn checks(&self, console: &Console, ended: &Result<(), String>, disk: &Utf8Path, folder: &Utf8Path) -> Vec<Check> {
        let unpacked = disk::unpack(disk, folder);
        let read = |name: &str| match &unpacked {
            Ok(()) => build_results::read(&disk::result(folder, name)?),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        let mut checks: Vec<Check> = Vec::new();
        for (phase, name) in PHASES.into_iter().zip(CHECKS) {
            let check = match console.detail(phase) {
                Some((seconds, detail)) => {
                    let evidence = match phase {
                        "userspace" => Ok(format!("Linux {detail}, {}", self.machine.describe())),
                        "daemon" => daemon(detail),
                        "riscv64" => read(phase).and_then(|built| expect(&built, &["riscv64"])),
                        "both" if detail == NO_EMULATORS => {
                            checks.push(Check::not_run(name, "the image has no emulators"));
                            continue;
                        }
                        "both" => read(phase).and_then(|built| expect(&built, &["amd64", "riscv64"])),
                        "stopped" => Ok(format!("exit status {detail} after SIGTERM to the image's init")),
                        _ => ended.clone().map(|()| "powered off cleanly".to_owned()).map_err(anyhow::Error::msg),
                    };
                    match evidence {
                        Ok(evidence) => Check::pass(name, format!("{evidence}; {seconds} s after boot")),
                        Err(error) => Check::fail(name, format!("{error:#}")),
                    }
                }
                None => console.missing(phase, name, ended, self.limit, checks.iter().any(Check::is_failure)),
            };
            checks.push(check);
        }
        checks
    }
}

/// Checks that the daemon's worker runs riscv64. It lists what the kernel runs: here riscv64 alone.
fn daemon(platforms: &str) -> Result<String> {
    let is_there = platforms.split(',').any(|found| found == "linux/riscv64");
    ensure!(is_there, "buildkitd answers, but does not list linux/riscv64, only {platforms}");
    Ok(format!("buildkitd answers, and its worker lists {platforms}"))
}

/// Checks that a result has exactly these architectures, and that `RUN` ran on each.
fn expect(built: &[Built], architectures: &[&str]) -> Result<String> {
    let expected: Vec<Built> = architectures
        .iter()
        .map(|architecture| Built {
            platform: format!("linux/{architecture}"),
            // As `uname -m` names them.
            written: format!(
                "hello from {}\nPIPELINE\nscript 2 one\nmissing 127",
                architecture.replace("amd64", "x86_64")
            ),
            attested: Vec::new(),
        })
        .collect();
    let show = |built: &[Built]| {
        let texts: Vec<String> = built.iter().map(|built| format!("{}: {:?}", built.platform, built.written)).collect();
        texts.join(", ")
    };
    ensure!(built == expected, "the result is {}, not {}", show(built), show(&expected));
    Ok(format!("RUN wrote, as read back from the layers, {}", show(built)))
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}
