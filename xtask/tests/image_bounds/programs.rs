//! Programs and their names of libraries.

use fakes::sample_image::{LOADER, RISCV, elf};
use tar::EntryType;

use crate::assert_layer_bounded;

#[test]
fn elf_strings() {
    let long: Vec<String> = (0..250).map(|number| format!("{number}{}", "s".repeat(4000))).collect();
    let names: Vec<&str> = long.iter().map(String::as_str).collect();
    let program = elf(RISCV, Some(LOADER), &names);
    assert_layer_bounded("long names in many programs", "names", |layer| {
        (0..60).for_each(|number| layer.member(EntryType::Regular, &format!("usr/lib/{number}"), "", &program));
    });
    let short = elf(RISCV, Some(LOADER), &["x"; 250]);
    assert_layer_bounded("many short names in many programs", "names", |layer| {
        (0..20_000).for_each(|number| layer.member(EntryType::Regular, &format!("usr/lib/{number}"), "", &short));
    });
    assert_layer_bounded("libraries that are searched for without end", "", |layer| {
        for number in 0..64 {
            layer.member(EntryType::Symlink, &format!("usr/lib/{number}-linux-x"), &"./".repeat(49), &[]);
        }
        let needed: Vec<String> = (0..250).map(|number| format!("{number}{}", "/../a".repeat(700))).collect();
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let program = elf(RISCV, Some(LOADER), &needed);
        for path in ["usr/bin/tini", "usr/bin/sh", "usr/sbin/runc"] {
            layer.member(EntryType::Regular, path, "", &program);
        }
    });
}
