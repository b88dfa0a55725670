//! What the kernel and the dynamic loader need to start a program, read from its ELF headers or from
//! its `#!` line.

use elf::ElfBytes;
use elf::abi::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390,
    EM_X86_64, ET_DYN, ET_EXEC, ET_REL, PT_DYNAMIC, PT_INTERP, PT_LOAD,
};
use elf::dynamic::DynamicTable;
use elf::endian::AnyEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;

use crate::limits::{DYNAMIC_ENTRIES, LIBRARIES, PATH_BYTES, SCRIPT_LINE_BYTES, SEGMENTS};

pub mod sections;

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

/// The `#!` line of a script, as Linux reads it (`fs/binfmt_script.c`, `load_script`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shebang {
    pub interpreter: String,
    /// All that follows the interpreter, blanks at both ends removed: it becomes one argument.
    pub argument: Option<String>,
}

/// The headers of a program or a library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linkage {
    /// Processor: `e_machine`, word size in bits, and whether the low byte comes first.
    pub machine: Machine,
    /// The dynamic loader that the kernel starts it with; `None` for a static program or a library.
    pub interpreter: Option<String>,
    /// Libraries that it loads, `DT_NEEDED`.
    pub needed: Vec<String>,
    /// Directories to search for them first, `DT_RUNPATH` or `DT_RPATH`.
    pub search: Vec<String>,
    /// Why it cannot be started, even if all that it names is there.
    pub obstacle: Option<Obstacle>,
}

/// Why the kernel does not start a file, or starts it only to see it crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// `e_type` is neither `ET_EXEC` nor `ET_DYN`. It is no library either.
    Type(u16),
    NothingToLoad,
    /// The kernel wants a NUL at the end of its interpreter.
    InterpreterWithoutEnd,
    /// Libraries have this too: only programs are entered.
    NoEntryPoint,
    /// No loader would load its libraries. Libraries have this too.
    NeedsWithoutInterpreter,
}

impl Obstacle {
    /// Whether the loader refuses it as a library too.
    pub(crate) fn is_of_libraries(self) -> bool {
        matches!(self, Self::Type(_) | Self::NothingToLoad)
    }
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Type(ET_REL) => out.write_str("it is an object file (ET_REL), not a program"),
            Self::Type(number) => write!(out, "its ELF type is {number}, neither ET_EXEC nor ET_DYN"),
            Self::NothingToLoad => out.write_str("none of its program headers says what to load"),
            Self::InterpreterWithoutEnd => out.write_str("the name of its ELF interpreter does not end"),
            Self::NoEntryPoint => out.write_str("its entry point is in none of its segments"),
            Self::NeedsWithoutInterpreter => {
                out.write_str("it needs libraries and names no ELF interpreter that would load them")
            }
        }
    }
}

/// What processor code is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `e_machine` of the ELF header.
    pub number: u16,
    /// 32 or 64.
    pub bits: u8,
    pub is_little_endian: bool,
}

pub const RISCV64: Machine = Machine { number: EM_RISCV, bits: 64, is_little_endian: true };

impl std::fmt::Display for Machine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.number, self.bits) {
            (EM_RISCV, bits) => write!(out, "riscv{bits}"),
            (EM_X86_64, _) => out.write_str("x86-64"),
            (EM_386, _) => out.write_str("x86"),
            (EM_AARCH64, _) => out.write_str("arm64"),
            (EM_ARM, _) => out.write_str("arm"),
            (EM_PPC64, _) => out.write_str("ppc64"),
            (EM_S390, _) => out.write_str("s390x"),
            (number, bits) => write!(out, "ELF machine {number}, {bits} bits"),
        }
    }
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

impl Shebang {
    /// `None` if the kernel finds no interpreter in it. `head` is no longer than the kernel's buffer.
    fn of(head: &[u8]) -> Option<Self> {
        let is_blank = |byte: &u8| b" \t".contains(byte);
        let rest = head.strip_prefix(b"#!")?;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let line = &line[line.iter().position(|byte| !is_blank(byte))?..];
        let separator = line.iter().position(|byte| is_blank(byte) || *byte == 0);
        if end.is_none() && separator.is_none() && head.len() >= SCRIPT_LINE_BYTES {
            // The kernel does not start an interpreter whose name it cannot see to the end.
            return None;
        }
        let (interpreter, argument) = line.split_at(separator.unwrap_or(line.len()));
        let argument = argument.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let argument = text(argument).trim_matches([' ', '\t']).to_owned();
        Some(Self { interpreter: text(interpreter), argument: Some(argument).filter(|argument| !argument.is_empty()) })
    }

    /// Whether the file has the line ends of Windows: the carriage return becomes part of a name.
    pub fn ends_with_carriage_return(&self) -> bool {
        self.argument.as_ref().unwrap_or(&self.interpreter).ends_with('\r')
    }
}

impl std::fmt::Display for Shebang {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.interpreter.escape_debug())
    }
}

impl Linkage {
    fn parse(content: &mut [u8], file_bytes: u64) -> Result<Self, String> {
        hide_sections(content);
        let content = &*content;
        let bad = |error: elf::ParseError| format!("its ELF headers cannot be read: {error}");
        let elf = ElfBytes::<AnyEndian>::minimal_parse(content).map_err(bad)?;
        let header = elf.ehdr;
        let mut found = Self {
            machine: Machine {
                number: header.e_machine,
                bits: if header.class == Class::ELF64 { 64 } else { 32 },
                is_little_endian: header.endianness == AnyEndian::Little,
            },
            ..Self::default()
        };
        found.obstacle = (![ET_EXEC, ET_DYN].contains(&header.e_type)).then_some(Obstacle::Type(header.e_type));
        let Some(segments) = elf.segments() else {
            found.obstacle = found.obstacle.or(Some(Obstacle::NothingToLoad));
            return Ok(found);
        };
        if segments.len() > SEGMENTS {
            return Err(format!("it has {} program headers; the limit is {SEGMENTS}", segments.len()));
        }
        let loaded = || segments.iter().filter(|segment| segment.p_type == PT_LOAD);
        let end = loaded().map(|load| load.p_offset.saturating_add(load.p_filesz)).max();
        if let Some(end) = end.filter(|end| *end > file_bytes) {
            return Err(format!("it is cut short: it has {file_bytes} bytes, and its segments end at {end}"));
        }
        let is_entered =
            |load: ProgramHeader| load.p_vaddr <= header.e_entry && header.e_entry - load.p_vaddr < load.p_memsz;
        let obstacles = [(end.is_none(), Obstacle::NothingToLoad), (!loaded().any(is_entered), Obstacle::NoEntryPoint)];
        let obstacle = obstacles.into_iter().find_map(|(is_so, obstacle)| is_so.then_some(obstacle));
        found.obstacle = found.obstacle.or(obstacle);
        if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP) {
            let bytes = elf.segment_data(&segment).map_err(bad)?;
            if bytes.len() > PATH_BYTES {
                return Err(format!("its interpreter has {} bytes; the limit is {PATH_BYTES}", bytes.len()));
            }
            // The kernel wants a NUL at the end, and reads to the first: fs/binfmt_elf.c, `load_elf_binary`.
            if bytes.len() < 2 || !bytes.ends_with(b"\0") {
                found.obstacle = found.obstacle.or(Some(Obstacle::InterpreterWithoutEnd));
            }
            let path = std::str::from_utf8(bytes.split(|byte| *byte == 0).next().unwrap_or_default());
            found.interpreter = Some(path.map_err(|_| "its interpreter is not UTF-8")?.to_owned());
        }
        let Some(dynamic) = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC) else { return Ok(found) };
        let bytes = elf.segment_data(&dynamic).map_err(bad)?;
        let table = DynamicTable::new(header.endianness, header.class, bytes);
        if table.iter().nth(DYNAMIC_ENTRIES).is_some() {
            return Err(format!("its dynamic section has more than {DYNAMIC_ENTRIES} entries, which is the limit"));
        }
        let value = |tag| table.iter().find(|entry| entry.d_tag == tag).map(|entry| entry.d_val());
        let (Some(address), Some(size_bytes)) = (value(DT_STRTAB), value(DT_STRSZ)) else { return Ok(found) };
        let strings = segments
            .iter()
            .find(|load| load.p_type == PT_LOAD && load.p_vaddr <= address && address - load.p_vaddr < load.p_filesz)
            .and_then(|load| load.p_offset.checked_add(address - load.p_vaddr))
            .and_then(|start| Some(usize::try_from(start).ok()?..usize::try_from(start.checked_add(size_bytes)?).ok()?))
            .and_then(|range| content.get(range))
            .ok_or("its dynamic strings are in none of its segments")?;
        for entry in table.iter() {
            let name = || string_at(strings, entry.d_val());
            match entry.d_tag {
                DT_NEEDED => found.needed.push(name()?.to_owned()),
                DT_RPATH | DT_RUNPATH => found.search.extend(name()?.split(':').map(str::to_owned)),
                _ => {}
            }
            if found.needed.len() > LIBRARIES || found.search.len() > LIBRARIES {
                return Err(format!(
                    "it names more than {LIBRARIES} libraries or directories of them, which is the limit"
                ));
            }
        }
        if found.interpreter.is_none() && !found.needed.is_empty() {
            found.obstacle = found.obstacle.or(Some(Obstacle::NeedsWithoutInterpreter));
        }
        Ok(found)
    }

    /// Whether the kernel starts it without any other file.
    pub fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.needed.is_empty()
    }
}

/// The string that begins at an offset of the table, which is read no further than the longest path.
fn string_at(table: &[u8], offset: u64) -> Result<&str, String> {
    let rest = usize::try_from(offset).ok().and_then(|offset| table.get(offset..));
    let rest = rest.ok_or("its dynamic section names a string outside its table")?;
    let head = &rest[..rest.len().min(PATH_BYTES + 1)];
    let end = head.iter().position(|byte| *byte == 0);
    let end = end.ok_or_else(|| {
        format!("a name in its dynamic section is longer than {PATH_BYTES} bytes, which is the limit")
    })?;
    std::str::from_utf8(&head[..end]).map_err(|_| "a name in its dynamic section is not UTF-8".to_owned())
}

/// The loader uses only the segments, and so does this: section headers may have been stripped, or be
/// at the end of a file of which only the beginning was read.
/// Offsets of `e_shoff` and `e_shnum`: the ELF headers of the System V gABI.
fn hide_sections(content: &mut [u8]) {
    let is_64 = content.get(4) == Some(&2);
    for range in if is_64 { [40..48, 60..62] } else { [32..36, 48..50] } {
        if let Some(field) = content.get_mut(range) {
            field.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
