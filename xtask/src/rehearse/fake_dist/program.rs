//! The commands of a fake dist: real programs for riscv64 of a kilobyte, which print their version line and end, with
//! the build information that Go would write. What checks a published program can check these.

use crate::rehearse::fake_dist::GO;

/// Where Linux loads the file.
const ADDRESS: u64 = 0x1_0000;
/// Sizes of an ELF header, a program header and a section header. Source: the System V gABI, ELF64.
const HEADERS_BYTES: u64 = 64 + 56;
const NAMES: &[u8] = b"\0.go.buildinfo\0.shstrtab\0";
/// Registers by number, and numbers of system calls. Sources: the RISC-V psABI; Linux, `asm-generic/unistd.h`.
const A0: u32 = 10;
const A1: u32 = 11;
const A2: u32 = 12;
const A7: u32 = 17;
const WRITE: u32 = 64;
const EXIT: u32 = 93;

/// `rd = rs + value`. Source: the RISC-V instruction set manual, "Integer Register-Immediate Instructions".
const fn addi(rd: u32, rs: u32, value: u32) -> u32 {
    value << 20 | rs << 15 | rd << 7 | 0x13
}

const fn auipc(rd: u32) -> u32 {
    rd << 7 | 0x17
}

const ECALL: u32 = 0x73;

/// A program that prints `line` and whose main package is `package`.
pub fn program(package: &str, line: &str) -> Vec<u8> {
    let text = format!("{line}\n");
    let length = u32::try_from(text.len()).ok().filter(|length| *length < 2048).expect("a line is short");
    // The text follows these nine instructions, 32 bytes after the one that asks where it is.
    let code = [
        addi(A0, 0, 1),
        auipc(A1),
        addi(A1, A1, 32),
        addi(A2, 0, length),
        addi(A7, 0, WRITE),
        ECALL,
        addi(A0, 0, 0),
        addi(A7, 0, EXIT),
        ECALL,
    ];
    let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).chain(text.bytes()).collect();
    let info = build_info(package);
    let info_at = HEADERS_BYTES + code.len() as u64;
    let names_at = info_at + info.len() as u64;
    let sections_at = names_at + NAMES.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |fields: &[(u64, usize)]| {
        fields.iter().for_each(|(value, size_bytes)| file.extend(&value.to_le_bytes()[..*size_bytes]));
    };
    // An executable for RISC-V whose floating-point numbers are in registers; one segment, all of the file.
    put(&[(2, 2), (243, 2), (1, 4), (ADDRESS + HEADERS_BYTES, 8), (64, 8), (sections_at, 8), (4, 4), (64, 2)]);
    put(&[(56, 2), (1, 2), (64, 2), (3, 2), (2, 2)]);
    put(&[(1, 4), (5, 4), (0, 8), (ADDRESS, 8), (ADDRESS, 8), (names_at, 8), (names_at, 8), (4096, 8)]);
    file.extend(&code);
    file.extend(&info);
    file.extend(NAMES);
    file.extend([0; 64]);
    for (name, offset, size_bytes) in [(1, info_at, info.len()), (15, names_at, NAMES.len())] {
        let fields = [(name, 4), (3, 4), (0, 8), (0, 8), (offset, 8), (size_bytes as u64, 8), (0, 8), (1, 8), (0, 8)];
        fields.iter().for_each(|(value, size_bytes)| file.extend(&value.to_le_bytes()[..*size_bytes]));
    }
    file
}

/// The section `.go.buildinfo`. Source: Go's `debug/buildinfo`: a header, then two strings, each after its length.
fn build_info(package: &str) -> Vec<u8> {
    let frame = [b'-'; 16];
    let modules = format!("path\t{package}\nbuild\tGOARCH=riscv64\n");
    let version = format!("go{GO}");
    let mut section = b"\xff Go buildinf:\x08\x02".to_vec();
    section.resize(32, 0);
    for part in [version.as_bytes(), &[&frame[..], modules.as_bytes(), &frame[..]].concat()] {
        let mut length = part.len();
        while length >= 0x80 {
            section.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        section.push(u8::try_from(length).expect("seven bits"));
        section.extend(part);
    }
    section
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::dist::binary::inspect;

    #[test]
    fn it_passes_the_gate_of_real_ones() {
        let bytes = program("github.com/moby/buildkit/cmd/buildctl", "buildctl x v1 c");
        let info = inspect(Cursor::new(&bytes), "buildctl", GO.parse().expect("a version")).expect("passes");
        assert_eq!(info.setting("GOARCH"), Some("riscv64"));
        assert!(bytes.len() < 1000, "{}", bytes.len());
    }
}
