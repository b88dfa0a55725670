//! Where two ELF files differ: the names of their sections, compared by content. For people who look for the cause; what
//! runs a program reads its segments alone.

use std::collections::{BTreeMap, BTreeSet};

use elf::ElfBytes;
use elf::endian::AnyEndian;

use crate::limits::{SECTION_NAME_BYTES, SECTIONS};

/// The names of the sections that only one of the files has, or that have another content, in alphabetical order.
///
/// Fails if a file is no ELF file, its sections cannot be read, or it exceeds a limit.
pub fn differing(one: &[u8], other: &[u8]) -> Result<Vec<String>, String> {
    let (one, other) = (sections(one)?, sections(other)?);
    let names: BTreeSet<&str> = one.keys().chain(other.keys()).copied().collect();
    Ok(names.into_iter().filter(|name| one.get(name) != other.get(name)).map(str::to_owned).collect())
}

/// The content of each section by its name. Sections of the same name, which linkers do not write, are one.
fn sections(file: &[u8]) -> Result<BTreeMap<&str, Vec<&[u8]>>, String> {
    let bad = |error: elf::ParseError| format!("its sections cannot be read: {error}");
    let elf = ElfBytes::<AnyEndian>::minimal_parse(file).map_err(bad)?;
    let (headers, names) = elf.section_headers_with_strtab().map_err(bad)?;
    let (Some(headers), Some(names)) = (headers, names) else { return Err("it has no sections".to_owned()) };
    if headers.len() > SECTIONS {
        return Err(format!("it has {} sections; the limit is {SECTIONS}", headers.len()));
    }
    let mut found: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for header in headers.iter() {
        let name = names.get(usize::try_from(header.sh_name).unwrap_or(usize::MAX)).map_err(bad)?;
        if name.len() > SECTION_NAME_BYTES {
            return Err(format!("the name of a section has {} bytes; {SECTION_NAME_BYTES} is the limit", name.len()));
        }
        let (content, _) = elf.section_data(&header).map_err(bad)?;
        found.entry(name).or_default().push(content);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutated_input;

    /// A file with these sections. Source: the System V gABI, ELF64.
    fn file(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut names = b"\0.shstrtab\0".to_vec();
        let mut body: Vec<u8> = Vec::new();
        let mut headers = vec![[0_u64; 4]];
        for (name, content) in sections {
            headers.push([names.len() as u64, 1, 64 + body.len() as u64, content.len() as u64]);
            names.extend(name.bytes().chain([0]));
            body.extend(*content);
        }
        headers.push([1, 3, 64 + body.len() as u64, names.len() as u64]);
        body.extend(&names);
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        let at = 64 + body.len() as u64;
        let count = headers.len() as u64;
        let fields: [(u64, usize); 13] = [
            (2, 2),
            (243, 2),
            (1, 4),
            (0, 8),
            (0, 8),
            (at, 8),
            (4, 4),
            (64, 2),
            (56, 2),
            (0, 2),
            (64, 2),
            (count, 2),
            (count - 1, 2),
        ];
        fields.iter().for_each(|(value, size)| file.extend(&value.to_le_bytes()[..*size]));
        file.extend(body);
        for [name, kind, offset, size] in headers {
            let fields = [(name, 4), (kind, 4), (0, 8), (0, 8), (offset, 8), (size, 8), (0, 8), (1, 8), (0, 8)];
            fields.iter().for_each(|(value, size)| file.extend(&value.to_le_bytes()[..*size]));
        }
        file
    }

    #[test]
    fn sections_are_compared_by_content() {
        let one = file(&[(".text", b"code"), (".go.buildinfo", b"go1.26.3"), (".old", b"x")]);
        let other = file(&[(".text", b"code"), (".go.buildinfo", b"go1.26.4"), (".new", b"x")]);
        let names = differing(&one, &other).expect("both are read");
        assert_eq!(names, [".go.buildinfo", ".new", ".old", ".shstrtab"]);
        assert_eq!(differing(&one, &one), Ok(Vec::new()));
        differing(&one, b"#!/bin/sh\n").expect_err("is no ELF file");
    }

    #[test]
    fn a_mutated_file_is_refused_or_gives_few_names() {
        let one = file(&[(".text", b"code"), (".go.buildinfo", b"go1.26.3")]);
        arbtest::arbtest(|source| {
            let other = mutated_input::bytes(source, &one)?;
            if let Ok(names) = differing(&one, &other) {
                assert!(names.len() <= 2 * SECTIONS && names.iter().all(|name| name.len() <= SECTION_NAME_BYTES));
            }
            Ok(())
        });
    }
}
