//! Image files for tests, built byte by byte, so that each can be wrong in exactly one way.

/// ELF `e_machine` values.
pub const RISCV: u16 = 243;
pub const X86_64: u16 = 62;
/// glibc's dynamic loader on riscv64.
pub const LOADER: &str = "/lib/ld-linux-riscv64-lp64d.so.1";

/// One member of a layer.
#[derive(Clone, Debug)]
pub enum Item {
    /// Path, mode, content.
    File(&'static str, u32, Vec<u8>),
    Folder(&'static str),
    /// Path and target.
    Symlink(&'static str, &'static str),
    /// Path and target.
    HardLink(&'static str, &'static str),
}

/// A layer with these members. Names are written as given, legal or not.
pub fn layer(items: &[Item]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for item in items {
        let (path, kind, mode, target, content): (_, _, _, _, &[u8]) = match item {
            Item::File(path, mode, content) => (path, tar::EntryType::Regular, *mode, "", content),
            Item::Folder(path) => (path, tar::EntryType::Directory, 0o755, "", &[]),
            Item::Symlink(path, target) => (path, tar::EntryType::Symlink, 0o777, *target, &[]),
            Item::HardLink(path, target) => (path, tar::EntryType::Link, 0o644, *target, &[]),
        };
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        for (number, set) in
            [tar::Header::set_uid, tar::Header::set_gid, tar::Header::set_mtime].into_iter().enumerate()
        {
            set(&mut header, number as u64);
        }
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        tar.append(&header, content).expect("memory can be written to");
    }
    tar.into_inner().expect("memory can be written to")
}

/// A program or library consisting of headers only: ELF64, little-endian, no section headers. Field
/// offsets: the ELF64 structures of the System V gABI.
pub fn elf(machine: u16, interpreter: Option<&str>, needed: &[&str]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 3 * 56;
    let mut strings = vec![0];
    let names: Vec<u64> = needed
        .iter()
        .map(|name| {
            let at = strings.len() as u64;
            strings.extend(name.bytes().chain([0]));
            at
        })
        .collect();
    let interpreter: Vec<u8> = interpreter.map(|path| path.bytes().chain([0]).collect()).unwrap_or_default();
    let strings_at = HEADERS + interpreter.len() as u64;
    let dynamic_at = strings_at + strings.len() as u64;
    let mut dynamic: Vec<(u64, u64)> = names.iter().map(|at| (1, *at)).collect();
    dynamic.extend([(5, strings_at), (10, strings.len() as u64), (0, 0)]);
    let dynamic_size = dynamic.len() as u64 * 16;

    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |value: u64, size: usize| bytes.extend(&value.to_le_bytes()[..size]);
    for (value, size) in
        [(3, 2), (machine.into(), 2), (1, 4), (HEADERS, 8), (64, 8), (0, 8), (4, 4), (64, 2), (56, 2), (3, 2)]
    {
        put(value, size);
    }
    put(0, 6);
    let has_interpreter = !interpreter.is_empty();
    for (kind, at, size) in [
        (1, 0, dynamic_at + dynamic_size),
        (if has_interpreter { 3 } else { 0 }, HEADERS, interpreter.len() as u64),
        (if needed.is_empty() { 0 } else { 2 }, dynamic_at, dynamic_size),
    ] {
        for (value, size) in [(kind, 4), (5, 4), (at, 8), (at, 8), (at, 8), (size, 8), (size, 8), (1, 8)] {
            put(value, size);
        }
    }
    bytes.extend(interpreter);
    bytes.extend(strings);
    dynamic.iter().flat_map(|(tag, value)| [tag, value]).for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}

/// Every file that the checks expect, laid out as Debian does: merged /usr, relative and absolute links.
pub fn good() -> Vec<Item> {
    // Each differs from the others behind what is loaded, as programs do.
    let program = |path: &'static str| {
        Item::File(path, 0o755, [&elf(RISCV, Some(LOADER), &["libc.so.6"]), path.as_bytes()].concat())
    };
    vec![
        Item::Folder("./"),
        Item::Folder("usr/"),
        Item::Symlink("lib", "usr/lib"),
        Item::Symlink("bin", "usr/bin"),
        Item::Symlink("sbin", "/usr/sbin"),
        Item::Folder("usr/sbin/"),
        Item::File("usr/lib/riscv64-linux-gnu/libc.so.6", 0o755, elf(RISCV, Some(LOADER), &[])),
        Item::File("usr/lib/riscv64-linux-gnu/ld-linux-riscv64-lp64d.so.1", 0o755, elf(RISCV, None, &[])),
        Item::Symlink("usr/lib/ld-linux-riscv64-lp64d.so.1", "riscv64-linux-gnu/ld-linux-riscv64-lp64d.so.1"),
        program("usr/bin/tini"),
        Item::Symlink("sbin/docker-init", "/usr/bin/tini"),
        program("usr/sbin/runc"),
        program("usr/bin/sh"),
        Item::File("usr/bin/entrypoint", 0o755, b"#!/bin/sh -e\nexec \"$@\"\n".to_vec()),
        Item::File("usr/bin/buildkitd", 0o755, elf(RISCV, None, &[])),
    ]
}

/// The configuration of that image, with the given entrypoint.
pub fn config(entrypoint: &[&str], diff_ids: &[String]) -> serde_json::Value {
    serde_json::json!({
        "os": "linux",
        "architecture": "riscv64",
        "config": {
            "Entrypoint": entrypoint,
            "Cmd": ["buildkitd", "--addr", "tcp://0.0.0.0:1234"],
            "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin", "TINI_VERBOSITY=0"],
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}

/// The entrypoint that works for every caller.
pub const ENTRYPOINT: [&str; 3] = ["/usr/bin/tini", "--", "/usr/bin/entrypoint"];
