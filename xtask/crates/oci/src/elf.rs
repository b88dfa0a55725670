//! What the kernel and the dynamic loader need to start a program, read from its ELF headers or from
//! its `#!` line.

use elf::ElfBytes;
use elf::abi::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390,
    EM_X86_64, PT_DYNAMIC, PT_INTERP, PT_LOAD,
};
use elf::dynamic::DynamicTable;
use elf::endian::AnyEndian;
use elf::file::Class;

use crate::limits::{DYNAMIC_ENTRIES, LIBRARIES, PATH_BYTES, SEGMENTS};

/// How a file is run, from its first bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// It is not run: data.
    #[default]
    Data,
    /// A script, with the interpreter that its `#!` line names.
    Script(String),
    /// A program or a library.
    Elf(Linkage),
    /// ELF that cannot be read, and why.
    Damaged(String),
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
    /// Reads a whole file, or only its first line if it is not ELF.
    pub fn of(content: &[u8]) -> Self {
        if content.starts_with(b"\x7fELF") {
            return Linkage::parse(content).map_or_else(Self::Damaged, Self::Elf);
        }
        let Some(rest) = content.strip_prefix(b"#!") else { return Self::Data };
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).trim().to_owned();
        Self::Script(line.split([' ', '\t']).next().unwrap_or_default().to_owned())
    }

    /// Size of the text in it, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Data => 0,
            Self::Script(text) | Self::Damaged(text) => text.len(),
            Self::Elf(linkage) => {
                let lists = linkage.needed.iter().chain(&linkage.search).chain(&linkage.interpreter);
                lists.map(|text| text.len() + size_of::<String>()).sum()
            }
        }
    }
}

impl Linkage {
    fn parse(content: &[u8]) -> Result<Self, String> {
        let content = &without_sections(content);
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
        let Some(segments) = elf.segments() else { return Ok(found) };
        if segments.len() > SEGMENTS {
            return Err(format!("it has {} program headers; the limit is {SEGMENTS}", segments.len()));
        }
        for segment in segments.iter().filter(|segment| segment.p_type == PT_INTERP) {
            let bytes = elf.segment_data(&segment).map_err(bad)?;
            if bytes.len() > PATH_BYTES {
                return Err(format!("its interpreter has {} bytes; the limit is {PATH_BYTES}", bytes.len()));
            }
            let path = std::str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes));
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
fn without_sections(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    let is_64 = content.get(4) == Some(&2);
    for range in if is_64 { [40..48, 60..62] } else { [32..36, 48..50] } {
        if let Some(field) = content.get_mut(range) {
            field.fill(0);
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::sample_image::{LOADER, RISCV, X86_64, elf};

    fn linkage(machine: u16, interpreter: Option<&str>, needed: &[&str]) -> Linkage {
        match Format::of(&elf(machine, interpreter, needed)) {
            Format::Elf(linkage) => linkage,
            other => panic!("{other:?} is not what was made"),
        }
    }

    #[test]
    fn headers_are_read_without_sections() {
        let read = linkage(RISCV, Some(LOADER), &["libc.so.6", "libm.so.6"]);
        assert_eq!((read.machine, read.interpreter.as_deref()), (RISCV64, Some(LOADER)));
        assert_eq!(read.needed, ["libc.so.6", "libm.so.6"]);
        assert!(linkage(X86_64, None, &[]).is_static());
        assert_eq!(Format::of(b"#!/bin/sh -e\nx"), Format::Script("/bin/sh".to_owned()));
        assert_eq!((Format::of(b"text"), Format::of(b"")), (Format::Data, Format::Data));
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
