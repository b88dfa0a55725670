//! Whether a file of the image can be started, as the kernel, a shell and `env` do it: scripts are followed to the
//! program that runs them.

use oci::elf::{Format, RISCV64, Shebang};
use oci::file_tree::{FileTree, Node};

/// Scripts that are interpreters of each other: Linux starts five, and answers ELOOP to the sixth
/// (`fs/exec.c`, `exec_binprm`).
const SCRIPTS: usize = 5;
/// Programs that start each other by way of `env`; nothing but a circle has so many.
const STARTS: usize = 16;

/// What happens to a file that the kernel does not know (ENOEXEC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is an error.
    Refused,
    /// It is a script for /bin/sh: POSIX demands this of shells ("Command Search and Execution") and of `execvp`, and
    /// glibc does so.
    ForShell,
}

/// What starts a program: the files of the image, and its PATH.
pub struct Start<'t> {
    pub tree: &'t FileTree,
    pub search: &'t str,
}

impl Start<'_> {
    /// Checks that a file can be started. Returns how it starts.
    pub fn check(&self, place: &str, node: &Node, unknown: Unknown) -> Result<String, String> {
        self.program(place, node, unknown, STARTS)
    }

    fn program(&self, place: &str, node: &Node, unknown: Unknown, left: usize) -> Result<String, String> {
        let Some(left) = left.checked_sub(1) else {
            return Err(format!("{place} and other scripts start each other without end"));
        };
        let place = place.escape_debug();
        let linkage = match &node.format {
            Format::Elf(linkage) => linkage,
            Format::Script(shebang) => {
                let how = self.script(shebang, left);
                return how.map_err(|why| format!("{place} cannot start: {why}"));
            }
            Format::Damaged(why) => return Err(format!("{place} is damaged: {why}")),
            Format::Text if unknown == Unknown::ForShell => {
                let shell = Shebang { interpreter: "/bin/sh".to_owned(), argument: None };
                let how = self.script(&shell, left);
                let how = how.map_err(|why| format!("{place} has no `#!` line, and cannot start with sh: {why}"))?;
                return Ok(format!("{how}; it has no `#!` line, which not every program would forgive"));
            }
            Format::Text | Format::Data => {
                return Err(format!("{place} is not a program: neither ELF nor a script with a `#!` line"));
            }
        };
        if linkage.machine != RISCV64 {
            return Err(format!("{place} is for {}, not riscv64", linkage.machine));
        }
        let found = linkage
            .loads_in(self.tree, &place.to_string())
            .map_err(|missing| format!("{place} cannot start: {missing}"))?;
        Ok(if found.is_empty() { "static riscv64".to_owned() } else { format!("riscv64, with {}", found.join(", ")) })
    }

    /// Follows interpreters to one that is no script.
    fn script(&self, shebang: &Shebang, left: usize) -> Result<String, String> {
        let mut shebang = shebang;
        for _ in 0..SCRIPTS {
            if shebang.ends_with_carriage_return() {
                return Err(
                    "its `#!` line ends with a carriage return, which becomes part of a name; convert the file \
                            from CRLF to LF line ends"
                        .to_owned(),
                );
            }
            let missing = |why: String| format!("its interpreter {shebang}: {why}");
            let (place, node) = self.tree.resolve(&shebang.interpreter).map_err(|error| missing(error.to_string()))?;
            if !node.is_executable() {
                return Err(missing(format!("{place} is not executable (mode {:04o}); set mode 0755", node.mode)));
            }
            let by_env = shebang.interpreter.rsplit('/').next() == Some("env");
            match &node.format {
                Format::Script(next) => shebang = next,
                Format::Elf(_) => {
                    let how = self.program(&place, node, Unknown::Refused, left).map_err(missing)?;
                    if by_env {
                        self.of_env(shebang.argument.as_deref(), left).map_err(missing)?;
                    }
                    return Ok(format!("a script for {shebang}, {how}"));
                }
                // The kernel refuses it; so does a shell, which would run the script as a script of its interpreter.
                Format::Text | Format::Data | Format::Damaged(_) => {
                    return Err(missing("it is neither a program nor a script".to_owned()));
                }
            }
        }
        Err(format!("more than {SCRIPTS} scripts are interpreters of each other, which is the kernel's limit"))
    }

    /// Checks the program that `env` starts. `argument` is the rest of the `#!` line, one argument for the kernel.
    /// Source: the manual of GNU coreutils, "env invocation".
    fn of_env(&self, argument: Option<&str>, left: usize) -> Result<(), String> {
        let argument = argument.unwrap_or_default();
        let split = ["-S", "-vS", "--split-string="].iter().find_map(|option| argument.strip_prefix(option));
        let name = match split {
            Some(words) => {
                let is_setting = |word: &&str| word.contains('=') || word.starts_with('-');
                words.split_whitespace().find(|word| !is_setting(word)).unwrap_or_default()
            }
            None if argument.contains([' ', '\t']) => {
                return Err(format!(
                    "it gets {argument:?} as one argument, the name of a program; use `env -S` before a program with \
                     arguments"
                ));
            }
            None => argument,
        };
        if name.is_empty() || name.starts_with('-') {
            return Err("it names no program to start".to_owned());
        }
        // What quotes, escapes and variables of `env -S` stand for is not worked out.
        if name.contains(['"', '\'', '\\', '$']) {
            return Ok(());
        }
        let (place, node) = self.find(name)?;
        self.program(&place, node, Unknown::ForShell, left).map(drop)
    }

    /// The directory of PATH in which a program is found, if that is relative. runc does not start a program so.
    /// Source: Go, `os/exec`, `ErrDot`.
    pub fn relative_folder(&self, name: &str) -> Option<&str> {
        // What is found at all is found within the limit of a search.
        if name.contains('/') || self.find(name).is_err() {
            return None;
        }
        let found = self.search.split(':').find(|folder| self.tree.find_program(folder, name).is_some());
        found.filter(|folder| !folder.starts_with('/'))
    }

    /// An executable file, by path, or by name on the image's PATH.
    pub fn find(&self, name: &str) -> Result<(String, &Node), String> {
        if name.contains('/') {
            let (place, node) = self.tree.resolve(name).map_err(|error| error.to_string())?;
            return if node.is_executable() {
                Ok((place, node))
            } else {
                Err(format!("{place} is not executable (mode {:04o}); set mode 0755", node.mode))
            };
        }
        let found = self.tree.find_program(self.search, name);
        found.ok_or_else(|| format!("no program {name:.80} on the image's PATH ({:.200})", self.search))
    }
}
