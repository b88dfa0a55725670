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

/// A libc has a tenth of this; of larger files, only the beginning is looked into.
pub const LARGEST_BYTES: u64 = 32 << 20;
/// No program in use asks for as many.
pub const MOST_LIBRARIES: usize = 256;

/// What the first bytes of a file say of how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Nothing: data.
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
    /// The dynamic loader that the kernel starts it with; none for a static program and a library.
    pub interpreter: Option<String>,
    /// Libraries it asks for, `DT_NEEDED`.
    pub needed: Vec<String>,
    /// Folders it wants them looked for in first, `DT_RUNPATH` or `DT_RPATH`.
    pub search: Vec<String>,
}

/// What processor code is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `e_machine` of the ELF header.
    pub number: u16,
    /// 32 or 64.
    pub bits: u8,
    /// Byte order.
    pub is_little_endian: bool,
}

/// The processor that all this is for.
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
    /// Reads a whole file, or at least its first line where it is no ELF.
    pub fn of(content: &[u8]) -> Self {
        if content.starts_with(b"\x7fELF") {
            return Linkage::parse(content).map_or_else(Self::Damaged, Self::Elf);
        }
        let Some(rest) = content.strip_prefix(b"#!") else { return Self::Data };
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).trim().to_owned();
        Self::Script(line.split([' ', '\t']).next().unwrap_or_default().to_owned())
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
        for segment in segments.iter().filter(|segment| segment.p_type == PT_INTERP) {
            let bytes = elf.segment_data(&segment).map_err(bad)?;
            let path = std::str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes));
            found.interpreter = Some(path.map_err(|_| "its interpreter is no path")?.to_owned());
        }
        let Some(dynamic) = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC) else { return Ok(found) };
        let bytes = elf.segment_data(&dynamic).map_err(bad)?;
        let table = DynamicTable::new(header.endianness, header.class, bytes);
        let value = |tag| table.iter().find(|entry| entry.d_tag == tag).map(|entry| entry.d_val());
        let (Some(address), Some(size_bytes)) = (value(DT_STRTAB), value(DT_STRSZ)) else { return Ok(found) };
        let strings = segments
            .iter()
            .find(|load| load.p_type == PT_LOAD && load.p_vaddr <= address && address - load.p_vaddr < load.p_filesz)
            .and_then(|load| load.p_offset.checked_add(address - load.p_vaddr))
            .and_then(|start| Some(usize::try_from(start).ok()?..usize::try_from(start.checked_add(size_bytes)?).ok()?))
            .and_then(|range| content.get(range))
            .ok_or("its dynamic strings are in none of its segments")?;
        let strings = elf::string_table::StringTable::new(strings);
        for entry in table.iter() {
            let name = || strings.get(usize::try_from(entry.d_val()).unwrap_or(usize::MAX)).map_err(bad);
            match entry.d_tag {
                DT_NEEDED => found.needed.push(name()?.to_owned()),
                DT_RPATH | DT_RUNPATH => found.search.extend(name()?.split(':').map(str::to_owned)),
                _ => {}
            }
            if found.needed.len() > MOST_LIBRARIES {
                return Err(format!("it asks for more than {MOST_LIBRARIES} libraries"));
            }
        }
        Ok(found)
    }

    /// Whether the kernel starts it without any other file.
    pub fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.needed.is_empty()
    }
}

/// The loader goes by the segments alone, and so does this: section headers may have been stripped,
/// or stand at the end of a file of which only the beginning was read.
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
}
