//! The checks of the host's init. With `docker run --init`, and always under buildx, the engine mounts a file
//! of its own host over /sbin/docker-init of the container. If that file is dynamically linked and the image
//! does not have its ELF interpreter, the kernel returns ENOENT, and the message names docker-init, which is
//! there. These checks predict the fault and name its cause.

use oci::elf::Format;
use oci::file_tree::FileTree;
use oci::loader::Missing;

use crate::dist::Check;
use crate::engine::Kind;
use crate::verify_tini::host_init::{CONFIGURED, Found, HostInit, Source};
use crate::verify_tini::image_checks::DOCKER_INIT;

const IS_FOUND: &str = "host-init";
const FITS: &str = "host-init-in-image";

pub const NAMES: [&str; 2] = [IS_FOUND, FITS];

const CHANGE: &str = "set \"init-path\" in daemon.json (or --init-path) to tini-static (Debian: /usr/bin/tini-static, in \
                      the package tini), and restart the engine";

/// What is left of these checks if every check of a container passed with the engine's init: what the engine does
/// decides, and its file may be where nobody else finds it (a snap, `NixOS`, a virtual machine).
pub fn outdone(checks: Vec<Check>, passed: usize) -> Vec<Check> {
    let outdone = |check: Check| {
        if !check.is_failure() {
            return check;
        }
        let Check { name, evidence, .. } = check;
        let why = format!(
            "the engine's init works in this image: all {passed} checks with --init passed; what was read of it is \
             not what the engine runs: {evidence}"
        );
        Check::not_run(&name, why)
    };
    checks.into_iter().map(outdone).collect()
}

/// Checks what the engine's init is, and whether it can start in the image with the files `tree`.
pub fn checks(kind: Kind, found: &Found, tree: &FileTree) -> [Check; 2] {
    let init = match found {
        Found::Here(init) => init,
        Found::Elsewhere(machine) => {
            let why = format!(
                "the engine runs on another machine, {machine}; run verify-tini there, or name a copy of its init with \
                 --host-init FILE"
            );
            return NAMES.map(|name| Check::not_run(name, &why));
        }
        Found::Unreadable { path, why } => {
            let why = format!(
                "the engine's init is {path}, {CONFIGURED}: {why}; so `--init` cannot work here with any image; {CHANGE}"
            );
            return [Check::fail(IS_FOUND, why), Check::not_run(FITS, format!("{path} cannot be read"))];
        }
        Found::Absent(binary) => {
            let fix = match kind {
                Kind::Docker => {
                    "ln -s \"$(command -v tini-static)\" /usr/local/bin/docker-init (Debian's package tini has tini-static)"
                }
                Kind::Podman => "apt-get install catatonit",
            };
            let why =
                format!("the engine has no {binary} on this host, so `--init` cannot work here with any image; {fix}");
            let verdict = if kind == Kind::Docker { Check::fail } else { Check::not_run };
            return [verdict(IS_FOUND, why), Check::not_run(FITS, format!("there is no {binary}"))];
        }
    };
    let shown = if init.path == init.real { init.path.to_string() } else { format!("{} -> {}", init.path, init.real) };
    let linkage = match &init.format {
        Format::Elf(linkage) => linkage,
        Format::Damaged(why) => {
            return [
                Check::fail(IS_FOUND, format!("{shown} is damaged: {why}; {}", fix(kind, init))),
                Check::not_run(FITS, "it is damaged"),
            ];
        }
        Format::Script(_) | Format::Text | Format::Data => {
            let why = format!("{shown} is not an ELF program; {}", fix(kind, init));
            return [Check::fail(IS_FOUND, why), Check::not_run(FITS, "it is not an ELF program")];
        }
    };
    let how = match &linkage.interpreter {
        _ if linkage.is_static() => "statically linked".to_owned(),
        Some(interpreter) => format!("dynamically linked, with the ELF interpreter {interpreter}"),
        None => "dynamically linked".to_owned(),
    };
    let is_found = Check::pass(IS_FOUND, format!("{shown} ({}) is for {}, {how}", init.reason, linkage.machine));
    let fits = match linkage.loads_in(tree, init.path.as_str()) {
        Ok(_) if linkage.is_static() => {
            Check::pass(FITS, "a statically linked init needs no file of the image: it can start in any image")
        }
        Ok(needed) => Check::pass(
            FITS,
            format!(
                "this image happens to have the files that the init needs ({}); an image without them (Alpine, scratch, \
                 another architecture) would fail under --init on this host; {}",
                needed.join(", "),
                fix(kind, init)
            ),
        ),
        Err(missing) => Check::fail(FITS, prediction(kind, init, &missing)),
    };
    [is_found, fits]
}

/// The error that will appear, its real cause, and the fix.
fn prediction(kind: Kind, init: &HostInit, missing: &Missing) -> String {
    let (command, mounted) = match kind {
        Kind::Docker => ("docker", DOCKER_INIT),
        Kind::Podman => ("podman", "/run/podman-init"),
    };
    let file = &init.real;
    let (message, cause) = match missing {
        Missing::Program(obstacle) => {
            (format!("exec {mounted}"), format!("the engine mounts this host's {file} there, and {obstacle}"))
        }
        Missing::Interpreter { why, .. } => (
            format!("exec {mounted}: no such file or directory"),
            format!(
                "the file that is missing is not {mounted}: the engine mounts this host's {file} there, the kernel \
                 looks in the image for the ELF interpreter that this file names, and {why}"
            ),
        ),
        Missing::Library { name, why, .. } => (
            format!("{mounted}: error while loading shared libraries: {name}"),
            format!(
                "the engine mounts this host's {file} there, and the loader looks for its library {name} in the image \
                 ({why})"
            ),
        ),
    };
    let fix = fix(kind, init);
    format!(
        "`{command} run --init` of this image, and buildx with it, will fail on this host with `{message}`; {cause}. No \
         symlink in the image can fix this; the host needs a statically linked init: {fix}"
    )
}

fn fix(kind: Kind, init: &HostInit) -> String {
    match (kind, init.source) {
        (Kind::Podman, _) => "apt-get install --reinstall catatonit (Debian's is static)".to_owned(),
        (Kind::Docker, Source::Configured) => CHANGE.to_owned(),
        (Kind::Docker, Source::Found) => format!(
            "ln -sf \"$(command -v tini-static)\" {} (docker-init -> tini-static, in Debian's package tini); it takes effect \
             for the next container, without a restart",
            init.path
        ),
        (Kind::Docker, Source::Given) => {
            "on that host, make docker-init a link to tini-static (in Debian's package tini)".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use fakes::sample_image::{Item, LOADER, RISCV, X86_64, elf, good, layer};

    use super::*;
    use crate::dist::Verdict;

    const X86_LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    fn init(machine: u16, interpreter: Option<&str>, source: Source) -> Found {
        let format = Format::of(&elf(machine, interpreter, if interpreter.is_some() { &["libc.so.6"] } else { &[] }));
        let path = "/usr/bin/docker-init".into();
        Found::Here(HostInit { path, real: "/usr/bin/tini".into(), reason: "a test".to_owned(), source, format })
    }

    fn run_checks(found: &Found, items: &[Item]) -> [(Verdict, String); 2] {
        let mut tree = FileTree::default();
        tree.apply(layer(items).as_slice()).expect("a valid layer");
        checks(Kind::Docker, found, &tree).map(|check| (check.verdict, check.evidence))
    }

    #[test]
    fn the_failure_of_a_dynamic_init_in_an_image_without_its_interpreter_is_predicted() {
        let only_static = [Item::File("usr/bin/tini", 0o755, elf(X86_64, None, &[]))];
        for image in [&only_static[..], &good()] {
            let [found, fits] = run_checks(&init(X86_64, Some(X86_LOADER), Source::Found), image);
            assert_eq!((found.0, fits.0), (Verdict::Pass, Verdict::Fail));
            for part in [
                "`exec /sbin/docker-init: no such file or directory`",
                "the file that is missing is not /sbin/docker-init",
                "/lib64/ld-linux-x86-64.so.2 is not in the image",
                "/usr/bin/docker-init (docker-init -> tini-static",
            ] {
                assert!(fits.1.contains(part), "{part} is not in: {}", fits.1);
            }
        }
        let [_, fits] = run_checks(&init(X86_64, Some(X86_LOADER), Source::Configured), &only_static);
        assert!(fits.1.contains("daemon.json"), "{}", fits.1);
    }

    #[test]
    fn a_static_init_can_start_in_any_image() {
        let [found, fits] = run_checks(&init(X86_64, None, Source::Found), &good());
        assert_eq!((found.0, fits.0), (Verdict::Pass, Verdict::Pass));
        assert!(found.1.contains("for x86-64, statically linked"), "{}", found.1);
    }

    #[test]
    fn a_dynamic_init_passes_with_a_warning_if_the_image_has_its_loader_and_libraries() {
        let native = init(RISCV, Some(LOADER), Source::Found);
        let [_, fits] = run_checks(&native, &good());
        assert_eq!(fits.0, Verdict::Pass);
        assert!(fits.1.starts_with("this image happens to have"), "{}", fits.1);
        let without_libc: Vec<_> = good()
            .into_iter()
            .filter(|item| !matches!(item, Item::File("usr/lib/riscv64-linux-gnu/libc.so.6", ..)))
            .collect();
        let [_, fits] = run_checks(&native, &without_libc);
        assert!(
            fits.0 == Verdict::Fail && fits.1.contains("error while loading shared libraries: libc.so.6"),
            "{}",
            fits.1
        );
    }

    #[test]
    fn an_init_that_cannot_be_checked_gives_the_reason() {
        let [found, fits] = run_checks(&Found::Elsewhere("board (Debian)".to_owned()), &good());
        assert_eq!((found.0, fits.0), (Verdict::NotRun, Verdict::NotRun));
        assert!(found.1.contains("another machine, board (Debian)"));
        let [found, fits] = run_checks(&Found::Absent("docker-init".to_owned()), &good());
        assert_eq!((found.0, fits.0), (Verdict::Fail, Verdict::NotRun));
    }
}
