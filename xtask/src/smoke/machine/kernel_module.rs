//! What a kernel module needs loaded before it: the `depends` entry that the kernel's build puts into it.

use elf::ElfBytes;
use elf::endian::AnyEndian;

/// Far more than any of Debian's modules has.
const MOST_DEPENDENCIES: usize = 64;

/// The names of the modules that must be loaded before this one, with `-` read as `_`.
///
/// # Errors
/// If `module` is not a kernel module, or a name in it is not a module's: names become paths.
pub fn depends(module: &[u8]) -> Result<Vec<String>, String> {
    let unreadable = |error: elf::ParseError| format!("it is not a kernel module: {error}");
    let elf = ElfBytes::<AnyEndian>::minimal_parse(module).map_err(unreadable)?;
    let section = elf.section_header_by_name(".modinfo").map_err(unreadable)?;
    let section = section.ok_or("it is not a kernel module: it has no section .modinfo")?;
    let (bytes, _) = elf.section_data(&section).map_err(unreadable)?;
    depends_in(bytes)
}

/// The section is a list of `key=value`, each with a zero byte after it.
fn depends_in(information: &[u8]) -> Result<Vec<String>, String> {
    let values = information.split(|byte| *byte == 0).filter_map(|entry| entry.strip_prefix(b"depends="));
    let names = values.flat_map(|value| value.split(|byte| *byte == b',')).filter(|name| !name.is_empty());
    let names: Vec<&[u8]> = names.take(MOST_DEPENDENCIES + 1).collect();
    if names.len() > MOST_DEPENDENCIES {
        return Err(format!("it depends on more than {MOST_DEPENDENCIES} modules"));
    }
    names.into_iter().map(name).collect()
}

fn name(bytes: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(bytes).replace('-', "_");
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok(text) } else { Err(format!("it depends on {text:?}, which is not the name of a module")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn a_module_names_what_it_needs() {
        assert_eq!(
            depends_in(b"license=GPL\0depends=mbcache,jbd2,crc-x\0name=ext4\0").expect("are names"),
            ["mbcache", "jbd2", "crc_x"]
        );
        assert!(depends_in(b"depends=\0name=overlay\0").expect("are none").is_empty());
        depends(b"\x7fELF").expect_err("is cut short");
        depends_in(b"depends=../../etc/x\0").expect_err("is a path");
        depends_in(format!("depends={}", "a,".repeat(65)).as_bytes()).expect_err("are too many");
    }

    #[test]
    fn mutated_modules_give_few_plain_names_or_an_error() {
        let sample = b"license=GPL\0depends=mbcache,jbd2,crc-x\0name=ext4\0";
        arbtest::arbtest(|source| {
            if let Ok(names) = depends_in(&mutated_input::bytes(source, sample)?) {
                assert!(names.len() <= MOST_DEPENDENCIES);
                let is_plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                assert!(names.iter().all(is_plain), "{names:?}");
            }
            Ok(())
        });
        let program = fakes::sample_image::elf(fakes::sample_image::RISCV, Some("/lib/x"), &["libc.so.6"]);
        arbtest::arbtest(|source| {
            depends(&mutated_input::bytes(source, &program)?).expect_err("has no .modinfo");
            Ok(())
        });
    }
}
