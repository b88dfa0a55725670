//! Checks each compiled command, before it is packaged and as it is published: its ELF header and Go's build
//! information must be those of a static riscv64 command built by the expected Go, and it must say its version.

use std::io::{Read, Seek};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use elf::ElfStream;
use elf::abi::{EM_RISCV, ET_EXEC, PT_DYNAMIC, PT_INTERP};
use elf::endian::AnyEndian;
use elf::file::Class;

use crate::dist::recipe::GOARCH;
use crate::go::{BuildInfo, GoVersion};
use crate::os::host::Riscv64;
use crate::upstream::PACKAGE;

/// The part of `e_flags` that names the floating-point calling convention, and its value for
/// doubles in registers. Source: the RISC-V ELF psABI, "File Header".
const EF_RISCV_FLOAT_ABI: u32 = 0x6;
const EF_RISCV_FLOAT_ABI_DOUBLE: u32 = 0x4;

const BUILD_INFO_SECTION: &str = ".go.buildinfo";
/// A few kilobytes in practice (BuildKit's has 20); more than this is no build information.
const LARGEST_BUILD_INFO_BYTES: u64 = 1 << 20;

/// Reads the build information of a binary. Fails with all that is wrong if it is not `command`
/// for linux/riscv64, built by `go`.
pub fn inspect(binary: impl Read + Seek, command: &str, go: GoVersion) -> Result<BuildInfo, String> {
    let mut elf =
        ElfStream::<AnyEndian, _>::open_stream(binary).map_err(|error| format!("it is not an ELF file: {error}"))?;
    let mut faults = header_faults(&elf);
    match build_info(&mut elf) {
        Ok(info) => {
            faults.extend(build_info_faults(&info, command, go));
            if faults.is_empty() {
                return Ok(info);
            }
        }
        Err(fault) => faults.push(fault),
    }
    Err(faults.join("; "))
}

fn header_faults<S: Read + Seek>(elf: &ElfStream<AnyEndian, S>) -> Vec<String> {
    let header = &elf.ehdr;
    let has_segment = |kind| elf.segments().iter().any(|segment| segment.p_type == kind);
    let float_abi = header.e_flags & EF_RISCV_FLOAT_ABI;
    [
        (header.class != Class::ELF64, "it is not a 64-bit file".to_owned()),
        (header.endianness != AnyEndian::Little, "it is not little-endian".to_owned()),
        (header.e_machine != EM_RISCV, format!("it is for machine {}, not RISC-V ({EM_RISCV})", header.e_machine)),
        (header.e_type != ET_EXEC, format!("it is of ELF type {}, not an executable ({ET_EXEC})", header.e_type)),
        (has_segment(PT_INTERP) || has_segment(PT_DYNAMIC), "it is dynamically linked".to_owned()),
        (
            header.e_machine == EM_RISCV && float_abi != EF_RISCV_FLOAT_ABI_DOUBLE,
            format!("its float ABI is {float_abi:#x}, not double ({EF_RISCV_FLOAT_ABI_DOUBLE:#x})"),
        ),
    ]
    .into_iter()
    .filter_map(|(is_wrong, fault)| is_wrong.then_some(fault))
    .collect()
}

fn build_info<S: Read + Seek>(elf: &mut ElfStream<AnyEndian, S>) -> Result<BuildInfo, String> {
    let unreadable = |error: elf::ParseError| format!("its sections cannot be read: {error}");
    let section = *elf
        .section_header_by_name(BUILD_INFO_SECTION)
        .map_err(unreadable)?
        .filter(|section| section.sh_size <= LARGEST_BUILD_INFO_BYTES)
        .ok_or("it has no Go build information")?;
    let (bytes, _) = elf.section_data(&section).map_err(unreadable)?;
    BuildInfo::parse(bytes)
}

fn build_info_faults(info: &BuildInfo, command: &str, go: GoVersion) -> Vec<String> {
    let wanted_path = format!("{PACKAGE}/cmd/{command}");
    let arch = info.setting("GOARCH").unwrap_or("none");
    [
        (info.path != wanted_path, format!("its main package is {}, not {wanted_path}", info.path)),
        (info.go_version != go, format!("it was built by Go {}, not Go {go}", info.go_version)),
        (arch != GOARCH, format!("its GOARCH is {arch}, not {GOARCH}")),
    ]
    .into_iter()
    .filter_map(|(is_wrong, fault)| is_wrong.then_some(fault))
    .collect()
}

/// Runs a compiled command with `--version`, and compares. Returns how it ran, or `None` if riscv64
/// programs do not run here.
pub fn check_version(program: &Utf8Path, wanted: &str) -> Result<Option<String>> {
    let host = Riscv64::here();
    let Some(run) = host.run(program) else { return Ok(None) };
    // It may have been downloaded, and needs no variable: least of all a token.
    let printed = host.answer(&run.arg("--version").bare()).with_context(|| format!("{program} --version"))?;
    if printed != wanted {
        bail!("{program} printed\n  {printed}\nbut was stamped with\n  {wanted}");
    }
    Ok(Some(host.describe()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::go::build_info_section as section;

    const TEXT: &str = "path\tgithub.com/moby/buildkit/cmd/buildctl\nbuild\tGOARCH=riscv64\n";

    /// The smallest file that passes: an ELF header, one program header, `.go.buildinfo` and the
    /// section names. Field offsets: the ELF64 header of the System V gABI.
    fn file(text: &str) -> Vec<u8> {
        let names = b"\0.go.buildinfo\0.shstrtab\0";
        let info = section("go1.26.3", text);
        let (info_at, names_at) = (64 + 56, 64 + 56 + info.len());
        let sections_at = names_at + names.len();
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        let mut put = |value: u64, size: usize| bytes.extend(&value.to_le_bytes()[..size]);
        let at = |offset: usize| u64::try_from(offset).expect("fits");
        for (value, size) in [(2, 2), (243, 2), (1, 4), (0, 8), (64, 8), (at(sections_at), 8), (4, 4), (64, 2)] {
            put(value, size);
        }
        for value in [56, 1, 64, 3, 2] {
            put(value, 2);
        }
        for (value, size) in [(1, 4), (5, 4), (0, 8), (0, 8), (0, 8), (0, 8), (0, 8), (4096, 8)] {
            put(value, size);
        }
        bytes.extend(&info);
        bytes.extend(names);
        bytes.extend([0; 64]);
        for (name, offset, size) in [(1_u64, info_at, info.len()), (15, names_at, names.len())] {
            let mut put = |value: u64, size: usize| bytes.extend(&value.to_le_bytes()[..size]);
            for (value, size) in
                [(name, 4), (3, 4), (0, 8), (0, 8), (at(offset), 8), (at(size), 8), (0, 8), (1, 8), (0, 8)]
            {
                put(value, size);
            }
        }
        bytes
    }

    fn verdict(bytes: Vec<u8>) -> Result<BuildInfo, String> {
        inspect(Cursor::new(bytes), "buildctl", "1.26.3".parse().expect("a version"))
    }

    fn fault_of(offset: usize, value: u8) -> String {
        let mut bytes = file(TEXT);
        bytes[offset] = value;
        verdict(bytes).expect_err("was changed")
    }

    #[test]
    fn the_right_binary_passes() {
        assert_eq!(verdict(file(TEXT)).expect("passes").path, "github.com/moby/buildkit/cmd/buildctl");
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(fault_of(16, 3), "it is of ELF type 3, not an executable (2)");
        assert_eq!(fault_of(18, 62), "it is for machine 62, not RISC-V (243)");
        assert_eq!(fault_of(48, 0), "its float ABI is 0x0, not double (0x4)");
        assert_eq!(fault_of(64, 3), "it is dynamically linked");
        assert!(fault_of(0, 0).starts_with("it is not an ELF file"));
    }

    #[test]
    fn build_information_of_something_else_is_refused() {
        let fault = |text: &str| verdict(file(text)).expect_err("is another");
        assert!(fault(&TEXT.replace("buildctl", "buildkitd")).starts_with("its main package is"));
        assert_eq!(fault(&TEXT.replace("riscv64", "amd64")), "its GOARCH is amd64, not riscv64");
        let other_go = inspect(Cursor::new(file(TEXT)), "buildctl", "1.26.2".parse().expect("a version"));
        assert_eq!(other_go.expect_err("is another"), "it was built by Go 1.26.3, not Go 1.26.2");
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_and_never_panics() {
        let whole = file(TEXT);
        for length in 0..whole.len() {
            verdict(whole[..length].to_vec()).expect_err("cut short");
        }
    }
}
