//! The requirements of the tasks on a machine (git, qemu, a container engine, ...), and the packages that provide
//! each, by distribution.

use clap::ValueEnum;

/// Distributions with the same package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and derivatives.
    Debian,
    /// Fedora, RHEL and derivatives.
    Fedora,
    Alpine,
    /// Arch and derivatives.
    Arch,
}

impl Family {
    const ALL: [Self; 4] = [Self::Debian, Self::Fedora, Self::Alpine, Self::Arch];

    /// The family that an `os-release` file names.
    /// Source: os-release(5), the fields `ID` and `ID_LIKE`.
    pub fn of_os_release(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let names = [field("ID"), field("ID_LIKE")].into_iter().flatten();
        names.flat_map(|value| value.trim_matches(['"', '\'']).split(' ')).find_map(|name| match name {
            "debian" | "ubuntu" => Some(Self::Debian),
            "fedora" | "rhel" => Some(Self::Fedora),
            "alpine" => Some(Self::Alpine),
            "arch" => Some(Self::Arch),
            _ => None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian, Ubuntu",
            Self::Fedora => "Fedora",
            Self::Alpine => "Alpine",
            Self::Arch => "Arch",
        }
    }

    fn install(self) -> &'static str {
        match self {
            Self::Debian => "apt-get install",
            Self::Fedora => "dnf install",
            Self::Alpine => "apk add",
            Self::Arch => "pacman -S",
        }
    }
}

/// What the machine is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// `cargo xtask build`
    Build,
    /// Every task of the workflow's job that builds: build, image, package, verify-tini, smoke
    Workflow,
}

/// A requirement of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Git, new enough for partial clones.
    Git,
    /// A C compiler, with which cargo builds xtask itself.
    Compiler,
    /// Go on PATH or downloaded earlier, or a way to download it.
    Go,
    Disk,
    /// Upstream's repository.
    Upstream,
    /// qemu-user, to run riscv64 programs.
    Qemu,
    /// riscv64 in `binfmt_misc`, so that riscv64 containers run.
    Binfmt,
    /// A container engine that answers.
    Engine,
    /// Docker Engine: podman has no buildx driver.
    Docker,
    Buildx,
    /// qemu-system, for a riscv64 machine.
    Machine,
    /// xz, to unpack Debian's kernel for it.
    Xz,
    /// gpg, which signs a repository of packages.
    Gpg,
    /// A token for GitHub.
    Token,
    /// GitHub's API.
    GitHub,
    /// Workflows that GitHub runs on their schedule.
    Schedules,
}

impl Requirement {
    /// In the order of the tasks.
    pub const ALL: [Self; 16] = [
        Self::Git,
        Self::Compiler,
        Self::Go,
        Self::Disk,
        Self::Upstream,
        Self::Qemu,
        Self::Binfmt,
        Self::Engine,
        Self::Docker,
        Self::Buildx,
        Self::Machine,
        Self::Xz,
        Self::Gpg,
        Self::Token,
        Self::GitHub,
        Self::Schedules,
    ];

    /// The first task that needs it.
    pub fn task(self) -> &'static str {
        match self {
            Self::Git | Self::Compiler | Self::Go | Self::Disk | Self::Upstream | Self::Qemu => "build",
            Self::Binfmt | Self::Engine => "image, verify-tini",
            Self::Docker | Self::Buildx => "smoke --level builder",
            Self::Machine | Self::Xz => "smoke --level machine",
            Self::Gpg => "package --repository, signed",
            Self::Token | Self::GitHub | Self::Schedules => "release, check-upstream",
        }
    }

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Compiler => "C compiler",
            Self::Go => "Go",
            Self::Disk => "disk",
            Self::Upstream => "upstream",
            Self::Qemu => "qemu-user",
            Self::Binfmt => "binfmt_misc",
            Self::Engine => "engine",
            Self::Docker => "docker",
            Self::Buildx => "buildx",
            Self::Machine => "qemu-system",
            Self::Xz => "xz",
            Self::Gpg => "gpg",
            Self::Token => "token",
            Self::GitHub => "GitHub",
            Self::Schedules => "schedules",
        }
    }

    /// Whether the goal cannot be reached without it.
    pub fn blocks(self, goal: Goal) -> bool {
        match goal {
            Goal::Build => matches!(self, Self::Git | Self::Compiler | Self::Go | Self::Disk | Self::Upstream),
            // The job `build` has neither token nor key: it publishes nothing.
            Goal::Workflow => !matches!(self, Self::Gpg | Self::Token | Self::GitHub | Self::Schedules),
        }
    }

    /// The fixes if it is missing, each with a prefix that names the distribution: one fix, without a prefix, if the
    /// family is known, else one for each family.
    pub fn fixes(self, family: Option<Family>) -> Vec<(String, String)> {
        if let Some(line) = self.fix_anywhere() {
            return vec![(String::new(), line.to_owned())];
        }
        let families = Family::ALL.into_iter().filter(|known| family.is_none_or(|family| family == *known));
        families
            .map(|known| {
                let place = if family.is_some() { String::new() } else { format!("{}: ", known.name()) };
                (place, format!("sudo {} {}", known.install(), self.packages(known)))
            })
            .collect()
    }

    /// The packages of Debian and Ubuntu that provide it.
    pub fn debian_packages(self) -> impl Iterator<Item = &'static str> {
        let packages = if self.fix_anywhere().is_some() { "" } else { self.packages(Family::Debian) };
        packages.split_whitespace()
    }

    fn fix_anywhere(self) -> Option<&'static str> {
        match self {
            Self::Disk => Some("free disk space, or move the checkout to a larger file system"),
            Self::Upstream => Some(
                "with a MIRROR that answers: git config --global url.MIRROR.insteadOf https://github.com/moby/buildkit.git, or \
                 git clone MIRROR buildkit",
            ),
            Self::Token => Some("export GITHUB_TOKEN=..., with the scopes contents, issues, actions and packages"),
            Self::Schedules => Some("gh workflow enable WORKFLOW, for each that is named"),
            Self::GitHub => Some("check the network connection and HTTPS_PROXY"),
            _ => None,
        }
    }

    /// The packages that provide it. Source: each distribution's package index.
    fn packages(self, family: Family) -> &'static str {
        let [debian, fedora, alpine, arch] = match self {
            Self::Git => ["git"; 4],
            Self::Compiler => ["build-essential", "gcc", "build-base", "base-devel"],
            Self::Go => ["python3-pip", "golang", "go", "go"],
            Self::Qemu => ["qemu-user-static", "qemu-user-static-riscv", "qemu-riscv64", "qemu-user-static"],
            Self::Binfmt => [
                "qemu-user-static binfmt-support",
                "qemu-user-static-riscv",
                "qemu-riscv64 qemu-openrc && sudo rc-service qemu-binfmt start",
                "qemu-user-static-binfmt",
            ],
            Self::Engine | Self::Docker => ["docker.io", "moby-engine", "docker", "docker"],
            Self::Buildx => ["docker-buildx", "docker-buildx", "docker-cli-buildx", "docker-buildx"],
            Self::Machine => [
                // Provided by qemu-system-misc up to Debian 12 and Ubuntu 24.04, by qemu-system-riscv since.
                "qemu-system-riscv64 opensbi u-boot-qemu",
                "qemu-system-riscv",
                "qemu-system-riscv64",
                "qemu-system-riscv",
            ],
            Self::Xz => ["xz-utils", "xz", "xz", "xz"],
            Self::Gpg => ["gpg gpg-agent", "gnupg2", "gnupg", "gnupg"],
            Self::Disk | Self::Upstream | Self::Token | Self::GitHub | Self::Schedules => {
                unreachable!("these have one fix anywhere")
            }
        };
        match family {
            Family::Debian => debian,
            Family::Fedora => fedora,
            Family::Alpine => alpine,
            Family::Arch => arch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn the_family_comes_from_os_release() {
        let family = |text: &str| Family::of_os_release(text);
        assert_eq!(family("PRETTY_NAME=\"Debian\"\nID=debian\n"), Some(Family::Debian));
        assert_eq!(family("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(Family::Debian));
        assert_eq!(family("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(Family::Fedora));
        assert_eq!(family("ID=endeavouros\nID_LIKE=arch\n"), Some(Family::Arch));
        assert_eq!(family("ID=nixos\n"), None);
    }

    #[test]
    fn each_requirement_has_one_fix_if_the_family_is_known_and_at_least_one_otherwise() {
        for requirement in Requirement::ALL {
            for family in Family::ALL {
                let fixes = requirement.fixes(Some(family));
                assert!(fixes.len() == 1, "{requirement:?} on {family:?}: {fixes:?}");
            }
            assert!(!requirement.fixes(None).is_empty(), "{requirement:?}");
            let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.+".contains(&byte));
            assert!(requirement.debian_packages().all(is_name), "{requirement:?}");
        }
    }

    /// A task that is added to the job brings its requirements along.
    #[test]
    fn what_the_tasks_of_the_workflow_need_blocks_it() {
        let workflow = include_str!("../../../.github/workflows/buildkit-weekly-build.yml");
        let (job, _) = workflow.split_once("\n  rebuild:\n").expect("has a job that builds again");
        let tasks: Vec<&str> =
            job.lines().filter_map(|line| line.split_once("run: cargo xtask ")?.1.split(" #").next()).collect();
        let (doctor, tasks): (Vec<&str>, Vec<&str>) = tasks.into_iter().partition(|task| task.starts_with("doctor"));
        // One step without a condition: github-act-runner has no `runner.environment` to decide by.
        assert_eq!(doctor, ["doctor --for workflow --install=ephemeral"]);
        assert!(!job.contains(" if: "), "{job}");
        assert_eq!(tasks, ["build", "image", "package", "verify-tini", "smoke"]);
        for requirement in Requirement::ALL {
            let is_needed =
                tasks.iter().any(|task| requirement.task().contains(task)) && requirement != Requirement::Gpg;
            assert_eq!(requirement.blocks(Goal::Workflow), is_needed, "{requirement:?}");
            assert!(requirement.blocks(Goal::Workflow) || !requirement.blocks(Goal::Build), "{requirement:?}");
        }
    }

    #[test]
    fn a_family_is_one_that_the_mutated_os_release_names() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, "NAME=\"Rocky\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n")?;
            match Family::of_os_release(&text) {
                Some(Family::Fedora) => assert!(text.contains("rhel") || text.contains("fedora")),
                Some(family) => assert!(text.contains(&family.name()[..4].to_lowercase()), "{family:?} of {text:?}"),
                None => {}
            }
            Ok(())
        });
    }
}
