//! Whether tini can start: its architecture, its ELF interpreter and its libraries.

use oci::elf::{Format, RISCV64};
use oci::file_tree::FileTree;
use oci::loader::Missing;

use crate::dist::Check;

/// The init of the image.
pub const TINI: &str = "/usr/bin/tini";

/// Architecture, then interpreter and libraries: two checks, because the first fails with a wrong package and
/// the second with a wrong base image.
pub fn tini_runs(tree: &FileTree) -> [Check; 2] {
    let (architecture, loads) = ("tini-architecture", "tini-loads");
    let Ok((place, node)) = tree.resolve(TINI) else {
        return [architecture, loads].map(|name| Check::not_run(name, format!("there is no {TINI}")));
    };
    let linkage = match &node.format {
        Format::Elf(linkage) if linkage.machine == RISCV64 => linkage,
        Format::Elf(linkage) => {
            return [
                Check::fail(
                    architecture,
                    format!(
                        "{place} is for {}, not riscv64; build with --platform linux/riscv64, and do not copy the \
                         host's tini into the image",
                        linkage.machine
                    ),
                ),
                Check::not_run(loads, format!("{place} is for another processor")),
            ];
        }
        Format::Damaged(why) => {
            return [architecture, loads].map(|name| Check::fail(name, format!("{place} is damaged: {why}")));
        }
        Format::Script(_) | Format::Text | Format::Data => {
            return [
                Check::fail(architecture, format!("{place} is not an ELF program; install Debian's package tini")),
                Check::not_run(loads, format!("{place} is not an ELF program")),
            ];
        }
    };
    let loads = match linkage.loads_in(tree, &place) {
        Ok(found) if found.is_empty() => {
            Check::pass(loads, format!("{place} is statically linked: it needs no other file"))
        }
        Ok(found) => {
            Check::pass(loads, format!("the image has the interpreter and libraries of {place}: {}", found.join(", ")))
        }
        Err(obstacle @ Missing::Program(_)) => {
            Check::fail(loads, format!("{place} cannot start: {obstacle}; install Debian's package tini"))
        }
        Err(missing) => Check::fail(
            loads,
            format!("{place} cannot start: {missing}; keep libc6 in the image, or install tini-static's file instead"),
        ),
    };
    [Check::pass(architecture, format!("{place} is an ELF program for riscv64")), loads]
}
