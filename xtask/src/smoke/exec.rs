//! The level `exec`: extracts the image's commands and their libraries from its layers, and runs them
//! here, natively or under qemu-user. Needs no engine and no root: it starts the image's own dynamic
//! loader, with the path of the extracted libraries.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::collections::BTreeMap;
use std::fs::{self, File};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::copy;
use oci::elf::{Format, Linkage};
use oci::file_tree::FileTree;
use oci::layout::Image;

use crate::dist::{Check, names, recipe};
use crate::os::files::{self, MODE_PROGRAM, Staging};
use crate::os::host::Riscv64;
use crate::os::shell::one_line;
use crate::os::terminal::note;
use crate::smoke::Outcome;
use crate::upstream::Source;

/// BuildKit's own commands and the programs that it calls, each with the argument that prints its version.
const COMMANDS: [(&str, &str); 13] = [
    (names::BUILDKITD, "--version"),
    (names::BUILDCTL, "--version"),
    ("tini", "--version"),
    ("runc", "--version"),
    ("fuse-overlayfs", "--version"),
    ("git", "--version"),
    ("ssh", "-V"),
    ("pigz", "--version"),
    ("xz", "--version"),
    // A plugin prints its version if the environment names no command, whatever its arguments are.
    ("buildkit-cni-bridge", "--version"),
    ("buildkit-cni-firewall", "--version"),
    ("buildkit-cni-host-local", "--version"),
    ("buildkit-cni-loopback", "--version"),
];
/// PATH of the image.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A command of the image, and the files that it needs to run.
struct Program {
    command: &'static str,
    argument: &'static str,
    /// Real path in the image.
    path: String,
    /// The image's dynamic loader; `None` for a static program.
    loader: Option<String>,
    /// The real path of each library, by the name under which the program requests it.
    libraries: BTreeMap<String, String>,
}

/// What this host is missing, each with the command that installs it.
pub fn missing() -> Vec<String> {
    let qemu = "qemu-user is not installed, so riscv64 programs cannot run; Debian and Ubuntu: apt-get install \
                qemu-user-static";
    if Riscv64::here() == Riscv64::Nowhere { vec![qemu.to_owned()] } else { Vec::new() }
}

/// Runs every command.
///
/// # Errors
/// If the files cannot be extracted from the image. A command that does not run is a failed check.
pub fn run(root: &Utf8Path, image: &Image, tree: &FileTree, source: Option<&Source>) -> Result<Outcome> {
    let folder = root.join("target/smoke/exec");
    let _lock = files::lock(&folder.with_extension("lock"), || note("waiting for another run of smoke"))?;
    let work = Staging::new(&folder)?;
    let found: Vec<Result<Program>> =
        COMMANDS.into_iter().map(|(command, argument)| find(tree, command, argument)).collect();
    extract(image, tree, found.iter().flatten(), work.path())?;
    let emulation = Riscv64::here();
    let checks = found.into_iter().zip(COMMANDS).map(|(program, (command, _))| {
        let version = program.and_then(|program| print_version(&program, &emulation, work.path(), source));
        match version {
            Ok(version) => Check::pass(&format!("{command}-runs"), version),
            Err(error) => Check::fail(&format!("{command}-runs"), format!("{error:#}")),
        }
    });
    Ok(Outcome { checks: checks.collect(), tools: vec![("riscv64 programs".to_owned(), emulation.describe())] })
}

/// Finds a command as a shell in the image would, and its libraries as the dynamic loader would.
fn find(tree: &FileTree, command: &'static str, argument: &'static str) -> Result<Program> {
    let places = FOLDERS.iter().filter_map(|folder| tree.resolve(&format!("{folder}/{command}")).ok());
    let Some((path, node)) = places.into_iter().find(|(_, node)| node.is_executable()) else {
        bail!("{command} is not in the image, in no directory of its PATH; install it in the Dockerfile");
    };
    let linkage = match &node.format {
        Format::Elf(linkage) => linkage,
        Format::Script(interpreter) => bail!("{path} is a script for {interpreter}, not an ELF program"),
        Format::Damaged(why) => bail!("{path}: {why}"),
        Format::Data | Format::Text => bail!("{path} is not a program"),
    };
    let loaded = linkage.loads_in(tree, &path).map_err(|missing| anyhow::anyhow!("{path}: {missing}"))?;
    let loader = match &linkage.interpreter {
        Some(loader) => Some(tree.resolve(loader).map_err(|error| anyhow::anyhow!("{error}"))?.0),
        None => None,
    };
    let libraries = names_of(tree, linkage, &loaded).with_context(|| path.clone())?;
    Ok(Program { command, argument, path, loader, libraries })
}

/// The name under which each library is requested: usually a link in the directory of the real file. Fails if one is
/// requested by a path, which here would be this host's file, to write and to load.
fn names_of(tree: &FileTree, program: &Linkage, loaded: &[String]) -> Result<BTreeMap<String, String>> {
    let mut names: Vec<&String> = program.needed.iter().collect();
    for path in loaded {
        if let Ok((_, node)) = tree.resolve(path)
            && let Format::Elf(linkage) = &node.format
        {
            names.extend(&linkage.needed);
        }
    }
    if let Some(name) = names.iter().find(|name| name.contains('/')) {
        bail!("the library {name} is asked for by its path, which cannot be tested outside the image");
    }
    let place_of = |name: &String| {
        loaded.iter().find(|path| {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            tree.resolve(&format!("{folder}/{name}")).is_ok_and(|(real, _)| real == **path)
        })
    };
    Ok(names.into_iter().filter_map(|name| Some((name.clone(), place_of(name)?.clone()))).collect())
}

/// Writes the programs, their libraries and their loader to `folder`, under the names that are used there.
fn extract<'p>(
    image: &Image,
    tree: &FileTree,
    programs: impl Iterator<Item = &'p Program>,
    folder: &Utf8Path,
) -> Result<()> {
    let mut places: BTreeMap<String, Vec<Utf8PathBuf>> = BTreeMap::new();
    fs::create_dir(folder.join("lib")).with_context(|| format!("cannot write in {folder}"))?;
    let mut want = |path: &str, place: Utf8PathBuf| {
        let places = places.entry(path.trim_start_matches('/').to_owned()).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    };
    for program in programs {
        want(&program.path, folder.join(program.command));
        for (name, path) in &program.libraries {
            want(path, folder.join("lib").join(name));
        }
        if let Some(loader) = &program.loader {
            want(loader, folder.join("loader"));
        }
    }
    image.contents(
        tree,
        |path, _| places.contains_key(path),
        |paths, _, content| {
            let mut copies = paths.iter().filter_map(|path| places.get(*path)).flatten();
            let Some(first) = copies.next() else { return Ok(()) };
            let mut write = || -> Result<()> {
                copy(&mut &mut *content, &mut File::create(first)?)?;
                files::set_mode_and_time(first, MODE_PROGRAM, files::instant(0))?;
                copies.try_for_each(|place| fs::copy(first, place).map(|_| ()))?;
                Ok(())
            };
            write().with_context(|| format!("cannot write {first}"))
        },
    )
}

fn print_version(program: &Program, emulation: &Riscv64, folder: &Utf8Path, source: Option<&Source>) -> Result<String> {
    let Program { command, argument, .. } = program;
    let file = folder.join(command);
    let run = match &program.loader {
        Some(_) => emulation.run(&folder.join("loader")).map(|run| {
            let libraries = folder.join("lib");
            run.args(["--argv0", command, "--library-path", libraries.as_str(), file.as_str()])
        }),
        None => emulation.run(&file),
    };
    // The image may come from anyone: its programs see no variable, and no token.
    let run = run.context("this host cannot run riscv64 programs")?.arg(*argument).bare();
    let output = emulation.output(&run)?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    // The image decides what it prints; a terminal must not obey it.
    let first = one_line(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim());
    ensure!(output.status.success(), "`{command} {argument}` ended with {}: {first}", output.status);
    ensure!(!first.is_empty(), "`{command} {argument}` printed nothing");
    if let (Some(source), true) = (source, names::COMMANDS.contains(command)) {
        let expected = recipe::version_line(command, &source.version, &source.commit);
        ensure!(first == expected, "`{command} {argument}` printed {first:?} instead of {expected:?}");
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use fakes::sample_image::{Item, LOADER, RISCV, elf, good, layer};

    use super::*;
    use crate::dist::proofs::REQUIRED;

    #[test]
    fn every_command_is_required() {
        assert_eq!(COMMANDS.map(|(command, _)| format!("{command}-runs")), REQUIRED[1].checks);
    }

    /// Libraries are written under the names by which programs ask for them, and those are the image's.
    #[test]
    fn a_library_that_is_named_by_a_path_is_not_written() {
        let named = |name: &str| {
            let mut items = good();
            items.push(Item::File("usr/bin/tini", 0o755, elf(RISCV, Some(LOADER), &[name])));
            items.push(Item::File("home/me/.profile", 0o644, elf(RISCV, None, &[])));
            items.push(Item::Symlink("home/me/home", "/home"));
            let mut tree = FileTree::default();
            tree.apply(layer(&items).as_slice()).expect("an honest layer");
            find(&tree, "tini", "--version").map(|program| program.libraries.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(named("libc.so.6").expect("is found"), ["libc.so.6"]);
        for name in ["/home/me/.profile", "../home/me/.profile"] {
            let message = format!("{:#}", named(name).expect_err("is a path"));
            assert!(message.contains(&format!("the library {name} is asked for by its path")), "{message}");
        }
    }
}
