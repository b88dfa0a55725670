//! The virtual riscv64 machine: qemu-system-riscv64, with KVM if the host is riscv64, else emulated. Needs
//! no root.
#![allow(clippy::disallowed_types, reason = "reads and writes files")]

use std::env::consts::{ARCH, OS};
use std::fs::File;
use std::io::Read;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::os::host;
use crate::os::process::{Event, Run, run};
use crate::smoke::machine::console::LineSplitter;

const PROGRAM: &str = "qemu-system-riscv64";
/// The image has 450 MB; while the kernel unpacks the initramfs, it is in memory twice.
const MEMORY: &str = "3G";
/// A build with one step does not use more.
const MOST_PROCESSORS: usize = 4;
/// Of the console at a time, 16 MiB: a guest that prints faster is ended by its limit all the same.
const MOST_CHUNKS: usize = 1024;
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 rdinit=/init";

/// qemu-system for riscv64.
#[derive(Clone, Debug)]
pub struct Machine {
    program: Utf8PathBuf,
    /// As `--version` prints it.
    pub version: String,
    is_accelerated: bool,
}

/// The files of one boot.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a> {
    /// In the format `Image`.
    pub kernel: &'a Utf8Path,
    /// Unused with KVM.
    pub firmware: &'a Utf8Path,
    pub initramfs: &'a Utf8Path,
    /// The file behind `/dev/vda`.
    pub disk: &'a Utf8Path,
    /// The file to which qemu writes the output of the serial console.
    pub console: &'a Utf8Path,
    pub limit: Duration,
}

impl Machine {
    /// Finds qemu on PATH. The error names the package to install.
    pub fn find() -> Result<Self> {
        let program = host::on_path(PROGRAM).with_context(|| {
            format!(
                "{PROGRAM} is not installed; Debian 13: apt-get install qemu-system-riscv, \
                 Debian 12 and Ubuntu: apt-get install qemu-system-misc"
            )
        })?;
        let text = run!("{program} --version").read()?;
        let version = text.lines().next().unwrap_or_default().trim_start_matches("QEMU emulator version ").to_owned();
        let can_open = || File::options().read(true).write(true).open("/dev/kvm").is_ok();
        Ok(Self { program, version, is_accelerated: (OS, ARCH) == ("linux", "riscv64") && can_open() })
    }

    /// How the machine runs, for messages.
    pub fn describe(&self) -> &'static str {
        if self.is_accelerated { "with KVM" } else { "emulated" }
    }

    /// Boots the machine and waits until it powers off. `on_line` gets each line of its console, and `None`
    /// twice a second. At its limit the machine is killed, which is an error.
    pub fn run(&self, boot: Boot<'_>, lock: &File, mut on_line: impl FnMut(Option<&str>)) -> Result<ExitStatus> {
        File::create(boot.console).with_context(|| format!("cannot write {}", boot.console))?;
        let mut console = ConsoleReader { file: File::open(boot.console)?, lines: LineSplitter::default() };
        let result = self.command(boot).follow(Some(lock), |event| {
            if matches!(event, Event::Tick) {
                console.read(&mut on_line);
                on_line(None);
            }
        });
        console.read(&mut on_line);
        Ok(result?.status)
    }

    fn command(&self, boot: Boot<'_>) -> Run {
        let processors = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_PROCESSORS).to_string();
        let (program, kernel, initramfs) = (&self.program, boot.kernel, boot.initramfs);
        let processor = if self.is_accelerated {
            ["-accel", "kvm", "-cpu", "host"]
        } else {
            ["-accel", "tcg", "-bios", boot.firmware.as_str()]
        };
        let serial = format!("file:{}", option_value(boot.console));
        let drive = format!("file={},format=raw,if=none,id=results", option_value(boot.disk));
        run!(
            "{program} -nodefaults -display none -no-reboot -machine virt -m {MEMORY} -smp {processors} {processor...}
                -kernel {kernel} -initrd {initramfs} -append {KERNEL_ARGUMENTS}
                -serial {serial} -drive {drive} -device virtio-blk-device,drive=results"
        )
        .limit(boot.limit)
    }
}

/// A path within one of qemu's comma-separated options. Source: qemu(1), "-drive": a comma is doubled.
fn option_value(path: &Utf8Path) -> String {
    path.as_str().replace(',', ",,")
}

/// Reads the console's file as it grows.
struct ConsoleReader {
    file: File,
    lines: LineSplitter,
}

impl ConsoleReader {
    /// What cannot be read now is read at the next call; at the end it counts as never printed.
    fn read(&mut self, on_line: &mut impl FnMut(Option<&str>)) {
        let mut chunk = [0; 16 << 10];
        for _ in 0..MOST_CHUNKS {
            match self.file.read(&mut chunk) {
                Ok(count @ 1..) => self.lines.push(&chunk[..count], &mut |line| on_line(Some(line))),
                _ => break,
            }
        }
    }
}

/// Creates an empty disk of that size, as a sparse file.
pub fn make_disk(path: &Utf8Path, size_bytes: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {path}"))?;
    file.set_len(size_bytes).with_context(|| format!("cannot create {path}"))?;
    ensure!(file.metadata()?.len() == size_bytes, "{path} does not have the size {size_bytes} that was set");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_one_qemu_command_that_needs_no_root() {
        let machine = Machine { program: "/bin/qemu".into(), version: "7.2".to_owned(), is_accelerated: false };
        let boot = Boot {
            kernel: "/k".into(),
            firmware: "/f".into(),
            initramfs: "/i".into(),
            disk: "/a,b/d".into(),
            console: "/c".into(),
            limit: Duration::from_secs(1),
        };
        let text = machine.command(boot).to_string();
        let (before, after) = text.split_once(" -smp ").expect("has processors");
        assert_eq!(before, "/bin/qemu -nodefaults -display none -no-reboot -machine virt -m 3G");
        assert_eq!(
            &after[2..],
            "-accel tcg -bios /f -kernel /k -initrd /i -append 'console=ttyS0 quiet panic=-1 rdinit=/init' \
             -serial file:/c -drive file=/a,,b/d,format=raw,if=none,id=results -device virtio-blk-device,drive=results"
        );
        let accelerated = Machine { is_accelerated: true, ..machine }.command(boot).to_string();
        assert!(accelerated.contains("-accel kvm -cpu host -kernel"), "{accelerated}");
    }
}
