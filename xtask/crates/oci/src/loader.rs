//! What the dynamic loader needs to start a program: its interpreter and its libraries, searched for in an
//! image as the loaders of glibc and musl do.

use std::collections::VecDeque;

use crate::elf::{Format, Linkage, Machine, Obstacle};
use crate::file_tree::{DeadEnd, FileTree};
use crate::limits::{LIBRARIES, PATH_BYTES, PATH_LOOKUP_BYTES, PROCESSORS};

impl Linkage {
    /// Finds its interpreter and all libraries, and theirs, in an image that has the program at `path`.
    /// Returns their paths.
    ///
    /// Fails with what is [`Missing`], which is why the program would not start.
    pub fn loads_in(&self, tree: &FileTree, path: &str) -> Result<Vec<String>, Missing> {
        if let Some(obstacle) = self.obstacle {
            return Err(Missing::Program(obstacle));
        }
        let built_in = if self.needed.is_empty() { Vec::new() } else { built_in_directories(tree, path)? };
        let mut left_bytes = PATH_LOOKUP_BYTES;
        let mut found = Vec::new();
        if let Some(interpreter) = &self.interpreter {
            let missing = |why: String| Missing::Interpreter { path: interpreter.clone(), why };
            let (place, node) =
                tree.resolve_within(interpreter, &mut left_bytes).map_err(|error| missing(error.to_string()))?;
            fitting(&place, &node.format, self.machine).map_err(missing)?;
            // The kernel opens it to execute it; libraries are only mapped.
            if !node.is_executable() {
                return Err(missing(format!("{place} is not executable (mode {:04o}); set mode 0755", node.mode)));
            }
            found.push(place);
        }
        let mut waiting: VecDeque<(String, &Self)> = VecDeque::from([(path.to_owned(), self)]);
        while let Some((user, linkage)) = waiting.pop_front() {
            let mut directories = linkage.search_from(&user);
            directories.extend_from_slice(&built_in);
            for name in &linkage.needed {
                let (place, library) = find_library(tree, name, &directories, self.machine, &mut left_bytes)
                    .map_err(|why| Missing::Library { name: name.clone(), user: user.clone(), why })?;
                if !found.contains(&place) {
                    found.push(place.clone());
                    waiting.push_back((place, library));
                }
            }
            if found.len() > LIBRARIES {
                return Err(Missing::Library {
                    name: "…".to_owned(),
                    user,
                    why: format!("it loads more than {LIBRARIES} libraries, which is the limit"),
                });
            }
        }
        Ok(found)
    }

    /// The directories that a program or library at `path` names itself.
    fn search_from(&self, path: &str) -> Vec<String> {
        let origin = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let fits = |name: &&String| {
            let origins = name.matches("$ORIGIN").count() + name.matches("${ORIGIN}").count();
            name.len() + origins * origin.len() <= PATH_BYTES
        };
        // A longer one cannot be opened.
        let names = self.search.iter().filter(fits);
        names.map(|name| name.replace("$ORIGIN", origin).replace("${ORIGIN}", origin)).collect()
    }
}

/// The directories that glibc and musl search by default, with Debian's and Fedora's for each processor.
/// Listing one takes time, so this is done once for a program.
fn built_in_directories(tree: &FileTree, user: &str) -> Result<Vec<String>, Missing> {
    let mut directories = Vec::new();
    for base in ["/usr/local/lib", "/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib64/lp64d", "/usr/lib64/lp64d"] {
        directories.push(base.to_owned());
        let for_processors = tree.children(base).filter(|name| name.contains("-linux-")).take(PROCESSORS + 1);
        let before = directories.len();
        directories.extend(for_processors.map(|name| format!("{base}/{name}")));
        if directories.len() - before > PROCESSORS {
            return Err(Missing::Library {
                name: "…".to_owned(),
                user: user.to_owned(),
                why: format!("{base} has more than {PROCESSORS} directories for processors, which is the limit"),
            });
        }
    }
    Ok(directories)
}

fn find_library<'t>(
    tree: &'t FileTree,
    name: &str,
    folders: &[String],
    machine: Machine,
    left_bytes: &mut usize,
) -> Result<(String, &'t Linkage), String> {
    let candidates = if name.contains('/') {
        vec![name.to_owned()]
    } else {
        folders.iter().map(|folder| format!("{folder}/{name}")).collect()
    };
    let mut other = None;
    for candidate in candidates {
        let (place, node) = match tree.resolve_within(&candidate, left_bytes) {
            Ok(found) => found,
            Err(end @ DeadEnd::TooMuch(_)) => return Err(end.to_string()),
            Err(DeadEnd::Missing(_) | DeadEnd::Loop(_)) => continue,
        };
        match fitting(&place, &node.format, machine) {
            Ok(linkage) => return Ok((place, linkage)),
            Err(why) => other = Some(why),
        }
    }
    Err(other.unwrap_or_else(|| "it is nowhere in the image".to_owned()))
}

/// The headers of a loader or a library, if it can be loaded on that processor.
fn fitting<'t>(place: &str, format: &'t Format, machine: Machine) -> Result<&'t Linkage, String> {
    match format {
        Format::Elf(linkage) if linkage.machine != machine => Err(format!("{place} is for {}", linkage.machine)),
        Format::Elf(linkage) => match linkage.obstacle.filter(|obstacle| obstacle.is_of_libraries()) {
            Some(obstacle) => Err(format!("{place}: {obstacle}")),
            None => Ok(linkage),
        },
        Format::Damaged(why) => Err(format!("{place} is damaged: {why}")),
        Format::Data | Format::Text | Format::Script(_) => Err(format!("{place} is not ELF")),
    }
}

/// What a program needs and an image does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The program itself is none.
    Program(Obstacle),
    /// Its dynamic loader: the kernel answers ENOENT, and names the program, not the loader.
    Interpreter {
        /// The path in the program's headers.
        path: String,
        /// What is there instead.
        why: String,
    },
    /// A library: the loader says so, and exits 127.
    Library {
        name: String,
        /// Which program or library asks for it.
        user: String,
        /// What was found instead.
        why: String,
    },
}

impl std::fmt::Display for Missing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Program(obstacle) => obstacle.fmt(out),
            Self::Interpreter { path, why } => write!(out, "its ELF interpreter {path} cannot be used: {why}"),
            Self::Library { name, user, why } => write!(out, "the library {name} that {user} asks for: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::sample_image::{Item, LOADER, RISCV, X86_64, elf, good, layer};

    fn tree(items: &[Item]) -> FileTree {
        let mut tree = FileTree::default();
        tree.apply(layer(items).as_slice()).expect("an honest layer");
        tree
    }

    fn linkage(machine: u16, interpreter: Option<&str>, needed: &[&str]) -> Linkage {
        match Format::of(&elf(machine, interpreter, needed)) {
            Format::Elf(linkage) => *linkage,
            other => panic!("{other:?} is not what was made"),
        }
    }

    #[test]
    fn libraries_are_followed_to_the_last() {
        let mut items = good();
        items.push(Item::File("usr/lib/liba.so", 0o644, elf(RISCV, None, &["libb.so", "libc.so.6"])));
        items.push(Item::File("usr/local/lib/libb.so", 0o644, elf(RISCV, None, &["liba.so"])));
        let found =
            linkage(RISCV, Some(LOADER), &["liba.so"]).loads_in(&tree(&items), "/usr/bin/x").expect("all there");
        assert_eq!(
            found,
            [
                "/usr/lib/riscv64-linux-gnu/ld-linux-riscv64-lp64d.so.1",
                "/usr/lib/liba.so",
                "/usr/local/lib/libb.so",
                "/usr/lib/riscv64-linux-gnu/libc.so.6"
            ]
        );
        items.retain(|item| !matches!(item, Item::File("usr/local/lib/libb.so", ..)));
        let missing =
            linkage(RISCV, Some(LOADER), &["liba.so"]).loads_in(&tree(&items), "/usr/bin/x").expect_err("is missing");
        assert_eq!(
            missing.to_string(),
            "the library libb.so that /usr/lib/liba.so asks for: it is nowhere in the image"
        );
    }

    #[test]
    fn a_library_of_another_processor_is_none() {
        let mut items = good();
        items.push(Item::File("usr/lib/libx.so", 0o644, elf(X86_64, None, &[])));
        let missing =
            linkage(RISCV, Some(LOADER), &["libx.so"]).loads_in(&tree(&items), "/x").expect_err("is for another");
        assert_eq!(missing.to_string(), "the library libx.so that /x asks for: /usr/lib/libx.so is for x86-64");
    }
}
