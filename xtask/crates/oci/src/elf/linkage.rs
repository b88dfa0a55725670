//! The ELF headers of a program or a library: what it is for, what loads it, and what it loads.

use std::ops::Range;

use elf::abi::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390,
    EM_X86_64, ET_DYN, ET_EXEC, ET_REL, PT_DYNAMIC, PT_INTERP, PT_LOAD,
};
use elf::dynamic::DynamicTable;
use elf::endian::AnyEndian;
use elf::file::Class;
use elf::segment::{ProgramHeader, SegmentTable};
use elf::{ElfBytes, ParseError};

use crate::limits::{DYNAMIC_ENTRIES, LIBRARIES, PATH_BYTES, SEGMENTS};

type Elf<'a> = ElfBytes<'a, AnyEndian>;

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

impl Linkage {
    pub(super) fn parse(content: &mut [u8], file_bytes: u64) -> Result<Self, String> {
        hide_sections(content);
        let content = &*content;
        let elf = Elf::minimal_parse(content).map_err(unreadable)?;
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
        found.read_interpreter(&elf, segments)?;
        found.read_libraries(&elf, content, segments)?;
        if found.interpreter.is_none() && !found.needed.is_empty() {
            found.obstacle = found.obstacle.or(Some(Obstacle::NeedsWithoutInterpreter));
        }
        Ok(found)
    }

    fn read_interpreter(&mut self, elf: &Elf<'_>, segments: SegmentTable<'_, AnyEndian>) -> Result<(), String> {
        let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP) else { return Ok(()) };
        let bytes = elf.segment_data(&segment).map_err(unreadable)?;
        if bytes.len() > PATH_BYTES {
            return Err(format!("its interpreter has {} bytes; the limit is {PATH_BYTES}", bytes.len()));
        }
        // The kernel wants a NUL at the end, and reads to the first: fs/binfmt_elf.c, `load_elf_binary`.
        if bytes.len() < 2 || !bytes.ends_with(b"\0") {
            self.obstacle = self.obstacle.or(Some(Obstacle::InterpreterWithoutEnd));
        }
        let path = std::str::from_utf8(bytes.split(|byte| *byte == 0).next().unwrap_or_default());
        self.interpreter = Some(path.map_err(|_| "its interpreter is not UTF-8")?.to_owned());
        Ok(())
    }

    /// Reads the dynamic section, and the names that it refers to.
    fn read_libraries(
        &mut self,
        elf: &Elf<'_>,
        content: &[u8],
        segments: SegmentTable<'_, AnyEndian>,
    ) -> Result<(), String> {
        let Some(dynamic) = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC) else { return Ok(()) };
        let bytes = elf.segment_data(&dynamic).map_err(unreadable)?;
        let table = DynamicTable::new(elf.ehdr.endianness, elf.ehdr.class, bytes);
        if table.iter().nth(DYNAMIC_ENTRIES).is_some() {
            return Err(format!("its dynamic section has more than {DYNAMIC_ENTRIES} entries, which is the limit"));
        }
        let value = |tag| table.iter().find(|entry| entry.d_tag == tag).map(|entry| entry.d_val());
        let (Some(address), Some(size_bytes)) = (value(DT_STRTAB), value(DT_STRSZ)) else { return Ok(()) };
        let strings = file_range(segments, address, size_bytes)
            .and_then(|range| content.get(range))
            .ok_or("its dynamic strings are in none of its segments")?;
        for entry in table.iter() {
            let name = || string_at(strings, entry.d_val());
            match entry.d_tag {
                DT_NEEDED => self.needed.push(name()?.to_owned()),
                DT_RPATH | DT_RUNPATH => self.search.extend(name()?.split(':').map(str::to_owned)),
                _ => {}
            }
            if self.needed.len() > LIBRARIES || self.search.len() > LIBRARIES {
                return Err(format!(
                    "it names more than {LIBRARIES} libraries or directories of them, which is the limit"
                ));
            }
        }
        Ok(())
    }

    /// Whether the kernel starts it without any other file.
    pub fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.needed.is_empty()
    }
}

#[allow(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn unreadable(error: ParseError) -> String {
    format!("its ELF headers cannot be read: {error}")
}

/// Where in the file the bytes are that are loaded at an address.
fn file_range(segments: SegmentTable<'_, AnyEndian>, address: u64, size_bytes: u64) -> Option<Range<usize>> {
    let is_there = |load: &ProgramHeader| {
        load.p_type == PT_LOAD && load.p_vaddr <= address && address - load.p_vaddr < load.p_filesz
    };
    let load = segments.iter().find(is_there)?;
    let start = load.p_offset.checked_add(address - load.p_vaddr)?;
    Some(usize::try_from(start).ok()?..usize::try_from(start.checked_add(size_bytes)?).ok()?)
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
