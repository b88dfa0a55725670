//! What the host tells the machine of `smoke --level machine`, and what it hears from it on the
//! console.

use std::time::Duration;

use crate::os::shell::quoted;

/// What the machine's first process reads of the image.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Kernel modules in the order in which they are loaded.
    pub modules: &'a [String],
    /// Environment of the image, `NAME=value`.
    pub environment: &'a [String],
    /// The image's entrypoint and command.
    pub command: &'a [String],
    /// When the machine turns itself off.
    pub limit: Duration,
    /// When it no longer waits for the daemon to answer.
    pub daemon_limit: Duration,
}

/// PATH of a container whose image sets none. Source: moby, `oci/defaults.go` and `pkg/system`.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Run within the environment of the image, so by its path: PATH is the image's there.
const CHROOT: &str = "/bin/busybox chroot /image";

impl Settings<'_> {
    /// The file `/settings` of the machine, in shell.
    pub fn text(&self) -> String {
        let words = |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let environment = format!("{DEFAULT_PATH} {}", words(self.environment));
        format!(
            "modules={}\nlimit_seconds={}\ndaemon_limit_seconds={}\n\
             daemon() {{ exec env -i {environment} {CHROOT} {}; }}\n\
             client() {{ env -i {environment} {CHROOT} buildctl \"$@\"; }}\n",
            quoted(&self.modules.join(" ")),
            self.limit.as_secs(),
            self.daemon_limit.as_secs(),
            words(self.command),
        )
    }
}

/// The phases of the machine, in the order in which they are reached.
pub const PHASES: [&str; 6] = ["userspace", "daemon", "riscv64", "both", "stopped", "end"];
/// The word in place of a phase by which the machine says that it cannot go on.
const FAILED: &str = "failed";

/// One line of the machine's own on the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A phase was reached, at that many seconds since the start of the kernel.
    Reached {
        /// One of [`PHASES`].
        phase: &'static str,
        /// Seconds since the kernel started, with two decimals.
        seconds: String,
        /// What was seen.
        detail: String,
    },
    /// A phase cannot be reached.
    Failed {
        /// One of [`PHASES`].
        phase: &'static str,
        /// Why.
        why: String,
    },
}

impl Word {
    /// Reads a line of the console; most are none of these.
    pub fn parse(line: &str) -> Option<Self> {
        // The kernel's own messages may stand before it on the same line.
        let (_, rest) = line.trim_end().split_once("smoke: ")?;
        let (seconds, rest) = rest.split_once(' ')?;
        seconds.parse::<f64>().ok()?;
        let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let known = |word: &str| PHASES.into_iter().find(|phase| *phase == word);
        if word == FAILED {
            let (phase, why) = rest.split_once(' ')?;
            return Some(Self::Failed { phase: known(phase)?, why: why.to_owned() });
        }
        Some(Self::Reached { phase: known(word)?, seconds: seconds.to_owned(), detail: rest.to_owned() })
    }
}

/// The text of one console line without what would move a terminal's cursor or change its colours.
pub fn plain(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_shell() {
        let text = |word: &str| word.to_owned();
        let settings = Settings {
            modules: &[text("virtio_blk"), text("overlay")],
            environment: &[text("A=it's"), text("B=$(reboot)")],
            command: &[text("/usr/bin/tini"), text("--"), text("a b")],
            limit: Duration::from_secs(150),
            daemon_limit: Duration::from_secs(90),
        };
        let path = DEFAULT_PATH;
        assert_eq!(
            settings.text(),
            format!(
                "modules='virtio_blk overlay'\nlimit_seconds=150\ndaemon_limit_seconds=90\n\
                 daemon() {{ exec env -i {path} 'A=it'\\''s' 'B=$(reboot)' {CHROOT} /usr/bin/tini -- 'a b'; }}\n\
                 client() {{ env -i {path} 'A=it'\\''s' 'B=$(reboot)' {CHROOT} buildctl \"$@\"; }}\n"
            )
        );
    }

    #[test]
    fn the_console_is_read_for_the_machines_own_words() {
        let reached =
            |phase, detail: &str| Word::Reached { phase, seconds: "8.04".to_owned(), detail: detail.to_owned() };
        assert_eq!(Word::parse("smoke: 8.04 userspace 6.12.107\r\n"), Some(reached("userspace", "6.12.107")));
        assert_eq!(Word::parse("[ 9.1] ext4: x smoke: 8.04 end"), Some(reached("end", "")));
        let failed = Word::Failed { phase: "daemon", why: "it ended with exit status 3".to_owned() };
        assert_eq!(Word::parse("smoke: 9.00 failed daemon it ended with exit status 3"), Some(failed));
        for line in ["", "smoke: ", "smoke: x end", "smoke: 1.0 other", "smoke: 1.0 failed end", "#5 DONE 8.3s"] {
            assert_eq!(Word::parse(line), None, "{line}");
        }
    }
}
