//! What the kernel and the dynamic loader need to start a program, read from its ELF headers or from
//! its `#!` line.

use crate::limits::SCRIPT_LINE_BYTES;

mod linkage;
pub mod sections;
mod shebang;

pub use linkage::{Linkage, Machine, Obstacle, RISCV64};
pub use shebang::Shebang;

/// How a file is run, from its first bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// It is not run: data.
    #[default]
    Data,
    /// Text without a usable `#!` line, which the kernel refuses (ENOEXEC) and a shell runs.
    Text,
    Script(Shebang),
    /// A program or a library.
    Elf(Box<Linkage>),
    /// ELF that cannot be read, and why.
    Damaged(String),
}

impl Format {
    /// Reads a whole file.
    pub fn of(content: &[u8]) -> Self {
        Self::of_head(&mut content.to_vec(), content.len() as u64)
    }

    /// Reads the beginning of a file of that size: its first line, or of ELF what is loaded. Overwrites `head`.
    pub fn of_head(head: &mut [u8], size_bytes: u64) -> Self {
        if head.starts_with(b"\x7fELF") {
            return Linkage::parse(head, size_bytes).map_or_else(Self::Damaged, |linkage| Self::Elf(Box::new(linkage)));
        }
        let line = &head[..head.len().min(SCRIPT_LINE_BYTES)];
        match Shebang::of(line) {
            Some(shebang) => Self::Script(shebang),
            None if line.is_empty() || line.contains(&0) => Self::Data,
            None => Self::Text,
        }
    }

    /// Size of the text in it, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Data | Self::Text => 0,
            Self::Script(Shebang { interpreter, argument }) => {
                interpreter.len() + argument.as_ref().map_or(0, String::len)
            }
            Self::Damaged(text) => text.len(),
            Self::Elf(linkage) => {
                let lists = linkage.needed.iter().chain(&linkage.search).chain(&linkage.interpreter);
                size_of::<Linkage>() + lists.map(|text| text.len() + size_of::<String>()).sum::<usize>()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{DYNAMIC_ENTRIES, LIBRARIES, PATH_BYTES, SEGMENTS};
    use fakes::sample_image::{LOADER, RISCV, X86_64, elf};

    fn linkage(machine: u16, interpreter: Option<&str>, needed: &[&str]) -> Linkage {
        match Format::of(&elf(machine, interpreter, needed)) {
            Format::Elf(linkage) => *linkage,
            other => panic!("{other:?} is not what was made"),
        }
    }

    #[test]
    fn headers_are_read_without_sections() {
        let read = linkage(RISCV, Some(LOADER), &["libc.so.6", "libm.so.6"]);
        assert_eq!((read.machine, read.interpreter.as_deref()), (RISCV64, Some(LOADER)));
        assert_eq!(read.needed, ["libc.so.6", "libm.so.6"]);
        assert!(linkage(X86_64, None, &[]).is_static());
        assert_eq!(Format::of(b"#!/bin/sh -e\nx"), script("/bin/sh", Some("-e")));
        assert_eq!((Format::of(b"text"), Format::of(b"")), (Format::Text, Format::Data));
    }

    fn script(interpreter: &str, argument: Option<&str>) -> Format {
        Format::Script(Shebang { interpreter: interpreter.to_owned(), argument: argument.map(str::to_owned) })
    }

    #[test]
    fn the_first_line_is_read_as_the_kernel_reads_it() {
        assert_eq!(Format::of(b"#! \t/bin/sh\t a  b \nx"), script("/bin/sh", Some("a  b")));
        assert_eq!(Format::of(b"#!/bin/sh\r\n"), script("/bin/sh\r", None));
        assert_eq!(Format::of(b"#!/bin/sh\0 x\n"), script("/bin/sh", None));
        assert_eq!((Format::of(b"#!\n/bin/sh"), Format::of(b"#! ")), (Format::Text, Format::Text));
        let fits = "i".repeat(SCRIPT_LINE_BYTES - 3);
        assert_eq!(Format::of(format!("#!{fits}\n").as_bytes()), script(&fits, None));
        assert_eq!(Format::of(format!("#!{fits}i\n").as_bytes()), Format::Text);
    }

    #[test]
    fn a_program_cut_anywhere_never_panics() {
        let whole = elf(RISCV, Some(LOADER), &["libc.so.6"]);
        for length in 4..whole.len() {
            assert!(!matches!(Format::of(&whole[..length]), Format::Data | Format::Script(_)));
        }
    }

    fn damage(content: &[u8]) -> String {
        match Format::of(content) {
            Format::Damaged(why) => why,
            other => panic!("{other:?} was accepted"),
        }
    }

    #[test]
    fn long_names_that_many_entries_share_are_refused() {
        let long = "x".repeat(PATH_BYTES + 1);
        let why = damage(&elf(RISCV, None, &[long.as_str(); 200]));
        assert_eq!(why, "a name in its dynamic section is longer than 4096 bytes, which is the limit");
        let longest = "x".repeat(PATH_BYTES);
        assert_eq!(linkage(RISCV, None, &[&longest]).needed, [longest]);
    }

    #[test]
    fn what_a_program_has_too_much_of_is_named_with_the_limit() {
        assert!(damage(&elf(RISCV, None, &["a"; LIBRARIES + 1])).contains("more than 256 libraries"));
        assert!(damage(&elf(RISCV, None, &["a"; DYNAMIC_ENTRIES])).contains("more than 4096 entries"));
        assert!(damage(&elf(RISCV, Some(&"i".repeat(PATH_BYTES)), &[])).contains("interpreter has 4097 bytes"));
        let mut program = elf(RISCV, None, &["a"]);
        program.resize(program.len() + 56 * 2 * SEGMENTS, 0);
        // `e_phnum`, as the System V gABI places it.
        program[56..58].copy_from_slice(&129_u16.to_le_bytes());
        assert_eq!(damage(&program), "it has 129 program headers; the limit is 128");
    }
}
