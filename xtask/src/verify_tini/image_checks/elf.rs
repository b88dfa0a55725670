//! Whether programs of the image can start: their architecture, their ELF interpreter and their libraries.

use oci::elf::{Format, RISCV64};
use oci::file_tree::{FileTree, Node};

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
        Format::Script(_) | Format::Data => {
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
        Err(missing) => Check::fail(
            loads,
            format!("{place} cannot start: {missing}; keep libc6 in the image, or install tini-static's file instead"),
        ),
    };
    [Check::pass(architecture, format!("{place} is an ELF program for riscv64")), loads]
}

/// Checks that a program, or the interpreter of a script, can start. Returns how it starts.
pub fn starts(tree: &FileTree, place: &str, node: &Node) -> Result<String, String> {
    let linkage = match &node.format {
        Format::Elf(linkage) => linkage,
        Format::Script(interpreter) => {
            let missing = |why: String| format!("{place} cannot start: its interpreter {interpreter}: {why}");
            let (shell, node) = tree.resolve(interpreter).map_err(|error| missing(error.to_string()))?;
            let Format::Elf(_) = &node.format else { return Err(missing("it is not an ELF program".to_owned())) };
            let how = starts(tree, &shell, node)?;
            return Ok(format!("a script for {interpreter}, {how}"));
        }
        Format::Damaged(why) => return Err(format!("{place} is damaged: {why}")),
        Format::Data => return Err(format!("{place} is not a program: neither ELF nor a script with a `#!` line")),
    };
    if linkage.machine != RISCV64 {
        return Err(format!("{place} is for {}, not riscv64", linkage.machine));
    }
    let found = linkage.loads_in(tree, place).map_err(|missing| format!("{place} cannot start: {missing}"))?;
    Ok(if found.is_empty() { "static riscv64".to_owned() } else { format!("riscv64, with {}", found.join(", ")) })
}
