//! Facts about this machine: its platform in Go's terms, programs on PATH, and how it runs riscv64 programs.
#![allow(clippy::disallowed_methods, reason = "reads and writes files, reads the environment and asks the clock")]

use std::env::consts::{ARCH, OS};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::os::process::{Output, Run, run};
use crate::os::terminal::note;

/// The directory in which Linux lists interpreters.
const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

const ANSWER_ATTEMPTS: u32 = 3;
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Where Linux has its control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// `linux`, `darwin` …, as Go names this system.
pub fn goos() -> &'static str {
    if OS == "macos" { "darwin" } else { OS }
}

/// `amd64`, `arm64`, `riscv64` …, as Go names this processor.
pub fn goarch() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Where the programs of this user keep what outlives them and can be lost.
/// Source: XDG Base Directory Specification, `XDG_STATE_HOME`.
pub fn state_folder() -> Option<Utf8PathBuf> {
    let named = |variable| std::env::var(variable).ok().map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))
}

/// The host name, on Linux.
pub fn name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned())
}

/// The memory that programs can still take here, on Linux: what the kernel has, within the limits of this
/// process's control groups (cgroup v2; source: the kernel's `admin-guide/cgroup-v2.rst`).
pub fn available_memory_bytes() -> Option<u64> {
    let read = |path: &Utf8Path| fs::read_to_string(path).ok();
    let number = |path: Utf8PathBuf| read(&path)?.trim().parse::<u64>().ok();
    let group = read("/proc/self/cgroup".into())
        .and_then(|text| Some(text.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned()));
    let group = Utf8PathBuf::from(CGROUPS).join(group.unwrap_or_default());
    let left_in = |group: &Utf8Path| {
        Some(number(group.join("memory.max"))?.saturating_sub(number(group.join("memory.current"))?))
    };
    let groups = group.ancestors().take_while(|group| group.starts_with(CGROUPS)).filter_map(left_in);
    groups.chain(memory_available_in(&read("/proc/meminfo".into())?)).min()
}

fn memory_available_in(meminfo: &str) -> Option<u64> {
    let kilobytes = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim().strip_suffix(" kB")?;
    kilobytes.parse::<u64>().ok()?.checked_mul(1024)
}

/// A command as root: through sudo if it is there, which may ask for a password.
pub fn as_root(command: Run) -> Run {
    if on_path("sudo").is_some() { command.below("sudo").in_foreground() } else { command }
}

/// The first executable file of that name on PATH.
pub fn on_path(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter_map(|folder| Utf8PathBuf::try_from(folder.join(name)).ok())
        .find(|candidate| is_executable(candidate))
}

/// Whether this is an executable file.
pub fn is_executable(path: &Utf8Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The flags of an interpreter, if it is registered with `binfmt_misc` and enabled.
/// Source: the kernel's `admin-guide/binfmt-misc.rst`.
pub fn binfmt_flags(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("{BINFMT_MISC}/{name}")).ok()?;
    flags_in(&text).map(str::to_owned)
}

fn flags_in(binfmt: &str) -> Option<&str> {
    let mut lines = binfmt.lines();
    let is_enabled = lines.next() == Some("enabled");
    lines.find_map(|line| line.strip_prefix("flags: ")).filter(|_| is_enabled)
}

/// Why riscv64 containers cannot run here, and the command that changes it; `None` if they can. Assumed to be so on
/// systems other than Linux, where the engine runs its own Linux.
pub fn why_no_riscv64_containers() -> Option<String> {
    let runs = OS != "linux" || ARCH == "riscv64" || binfmt_flags("qemu-riscv64").is_some();
    (!runs).then(|| {
        "no interpreter for riscv64 is registered with binfmt_misc, so riscv64 containers cannot run; Debian and Ubuntu: \
         apt-get install qemu-user-static (which registers it)"
            .to_owned()
    })
}

/// How a riscv64 Linux program runs here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Riscv64 {
    /// On a riscv64 processor.
    Natively,
    /// qemu-user, at this path.
    Emulated(Utf8PathBuf),
    /// Through `binfmt_misc`, with an interpreter that the kernel has open.
    Registered,
    /// Not at all.
    Nowhere,
}

impl Riscv64 {
    /// How it runs on this machine.
    pub fn here() -> Self {
        if (OS, ARCH) == ("linux", "riscv64") {
            return Self::Natively;
        }
        if let Some(qemu) = ["qemu-riscv64-static", "qemu-riscv64"].iter().find_map(|name| on_path(name)) {
            return Self::Emulated(qemu);
        }
        binfmt_flags("qemu-riscv64").map_or(Self::Nowhere, |_| Self::Registered)
    }

    /// A run of the riscv64 `program`, or `None` if it cannot run here.
    pub fn run(&self, program: &Utf8Path) -> Option<Run> {
        match self {
            Self::Natively | Self::Registered => Some(run!("{program}")),
            Self::Emulated(qemu) => Some(run!("{qemu} {program}")),
            Self::Nowhere => None,
        }
    }

    /// Runs a riscv64 command that answers at once, and returns what it prints.
    ///
    /// # Errors
    /// As [`Riscv64::output`], and if the exit status is not zero.
    pub fn answer(&self, run: &Run) -> Result<String> {
        let answer = self.output(run).and_then(|output| run.text_of(output));
        answer.with_context(|| format!("a riscv64 program does not run {}", self.describe()))
    }

    /// Runs a riscv64 command that answers at once, whatever its exit status. Under emulation it sometimes hangs, and
    /// is run again then, but for no other reason. With one thread of Go at a time it seldom does, and needs no more:
    /// docs/upstream/qemu-user-hang.md has the cause and the figures.
    ///
    /// # Errors
    /// If it cannot be started, or hangs each time.
    pub fn output(&self, run: &Run) -> Result<Output> {
        self.output_within(ANSWER_LIMIT, run)
    }

    fn output_within(&self, limit: Duration, run: &Run) -> Result<Output> {
        let run = run.clone().env("GOMAXPROCS", "1").limit(limit);
        let attempts = if *self == Self::Natively { 1 } else { ANSWER_ATTEMPTS };
        for attempt in 2..=attempts {
            let started = Instant::now();
            match run.output() {
                Err(error) if started.elapsed() >= limit => {
                    note(format_args!("trying again ({attempt} of {attempts}): {error:#}"));
                }
                ended => return ended,
            }
        }
        run.output()
    }

    /// Ends a sentence: "runs natively", "runs under qemu-riscv64".
    pub fn describe(&self) -> String {
        match self {
            Self::Natively => "natively".to_owned(),
            Self::Emulated(qemu) => format!("under {}", qemu.file_name().unwrap_or("qemu")),
            Self::Registered => "through binfmt_misc".to_owned(),
            Self::Nowhere => "not here".to_owned(),
        }
    }
}

/// How the kernel here runs riscv64 programs inside containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binfmt {
    /// With an interpreter that it holds open (flag F): in every container.
    Fixed,
    /// With one that it looks up in the files of the container.
    NotFixed,
    /// Not at all.
    Absent,
    /// The engine uses another kernel.
    Unknown,
}

impl Binfmt {
    /// Reads it from the kernel of this machine, if the engine uses that one.
    pub fn here() -> Self {
        let is_elsewhere = |address: std::ffi::OsString| !address.to_string_lossy().starts_with("unix://");
        if OS != "linux" || std::env::var_os("DOCKER_HOST").is_some_and(is_elsewhere) {
            return Self::Unknown;
        }
        match binfmt_flags("qemu-riscv64") {
            Some(flags) if flags.contains('F') => Self::Fixed,
            Some(_) => Self::NotFixed,
            None => Self::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const REGISTERED: &str =
        "enabled\ninterpreter /usr/bin/qemu-riscv64-static\nflags: OCF\noffset 0\nmagic 7f454c46\n";

    #[test]
    fn only_an_enabled_interpreter_has_flags() {
        assert_eq!(flags_in(REGISTERED), Some("OCF"));
        assert_eq!(flags_in("enabled\ninterpreter /x\nflags: \n"), Some(""));
        assert_eq!(flags_in(&REGISTERED.replace("enabled", "disabled")), None);
        assert_eq!(flags_in("enabled\n"), None);
    }

    #[test]
    fn available_memory_is_that_of_the_kernel() {
        let text = "MemTotal:       16384000 kB\nMemFree:          1000 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(memory_available_in(text), Some(8 << 20));
        assert_eq!(memory_available_in("MemTotal: 5 kB\n"), None);
        let is_linux = cfg!(target_os = "linux");
        assert_eq!(available_memory_bytes().is_some_and(|bytes| bytes > 1 << 20), is_linux);
    }

    #[test]
    fn a_program_that_answers_has_one_thread_of_go() {
        let printed = Riscv64::Natively.answer(&run!("printenv GOMAXPROCS").bare()).expect("is set");
        assert_eq!(printed, "1");
    }

    #[test]
    fn an_emulated_program_is_run_again_if_it_hangs_and_for_no_other_reason() {
        let starts = Utf8PathBuf::try_from(std::env::temp_dir()).expect("UTF-8");
        let starts = starts.join(format!("xtask-answer-{}", std::process::id()));
        let count_of = |host: &Riscv64, then: &str| {
            fs::write(&starts, "").expect("is written");
            let script = format!("echo >>{starts}; {then}");
            let ended = host.output_within(Duration::from_millis(300), &run!("sh -c {script}"));
            let count = fs::read_to_string(&starts).expect("is read").len();
            (count, ended.map(|output| output.status.code()).map_err(|error| error.to_string()))
        };
        let hangs_once = format!("test $(wc -l <{starts}) != 1 || exec sleep 60");
        assert_eq!(count_of(&Riscv64::Registered, &hangs_once), (2, Ok(Some(0))));
        assert_eq!(count_of(&Riscv64::Registered, "exit 3"), (1, Ok(Some(3))));
        for (host, expected) in [(Riscv64::Registered, 3), (Riscv64::Natively, 1)] {
            let (count, ended) = count_of(&host, "exec sleep 60");
            assert!(count == expected && ended.expect_err("hangs").contains("took longer"), "{host:?}");
        }
        fs::remove_file(&starts).expect("is removed");
    }

    #[test]
    fn a_mutated_registration_has_no_flags_or_those_on_its_line() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, REGISTERED)?;
            if let Some(flags) = flags_in(&text) {
                assert!(text.starts_with("enabled") && text.contains(&format!("flags: {flags}")), "{text:?}");
                assert!(!flags.contains('\n'));
            }
            Ok(())
        });
    }
}
