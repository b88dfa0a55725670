//! What the host passes to the first process of the riscv64 machine: a shell file of assignments and
//! functions, `/settings`.

use std::time::Duration;

use crate::os::shell::quoted;

/// The settings that `init.sh` reads.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Kernel modules in the order in which they must be loaded.
    pub modules: &'a [String],
    /// The image's environment, `NAME=value`.
    pub environment: &'a [String],
    /// The image's entrypoint and command.
    pub command: &'a [String],
    /// Time after which the guest powers itself off.
    pub limit: Duration,
    /// Time after which the guest stops waiting for the daemon.
    pub daemon_limit: Duration,
}

/// PATH of a container if the image sets none. Source: moby, `oci/defaults.go` and `pkg/system`.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// By its path, because PATH is the image's.
const CHROOT: &str = "/bin/busybox chroot /image";

impl Settings<'_> {
    /// The content of `/settings`, in shell.
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
}
