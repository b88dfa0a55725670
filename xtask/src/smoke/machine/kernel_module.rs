//! What a kernel module needs before it: the `depends` line that the kernel's build puts into it.

use elf::ElfBytes;
use elf::endian::AnyEndian;

/// The names of the modules that have to be loaded before this one, `-` read as `_`.
///
/// # Errors
/// Where it is no module.
pub fn depends(module: &[u8]) -> Result<Vec<String>, String> {
    let unreadable = |error: elf::ParseError| format!("it is no kernel module: {error}");
    let elf = ElfBytes::<AnyEndian>::minimal_parse(module).map_err(unreadable)?;
    let section = elf.section_header_by_name(".modinfo").map_err(unreadable)?;
    let section = section.ok_or("it is no kernel module: it has no section .modinfo")?;
    let (bytes, _) = elf.section_data(&section).map_err(unreadable)?;
    Ok(depends_in(bytes))
}

/// The section is a row of `key=value`, each with a zero byte after it.
fn depends_in(information: &[u8]) -> Vec<String> {
    let lines = information.split(|byte| *byte == 0).filter_map(|line| line.strip_prefix(b"depends="));
    let names: Vec<String> = lines.map(|line| String::from_utf8_lossy(line).replace('-', "_")).collect();
    names.iter().flat_map(|line| line.split(',')).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_names_what_it_needs() {
        assert_eq!(depends_in(b"license=GPL\0depends=mbcache,jbd2,crc-x\0name=ext4\0"), ["mbcache", "jbd2", "crc_x"]);
        assert!(depends_in(b"depends=\0name=overlay\0").is_empty());
        depends(b"\x7fELF").expect_err("is cut short");
    }
}
