//! The lines of shell that docs/BUILDKIT-TINI-PATH-SOLUTION.md has for people without Rust, held to the same table.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use fakes::sample_image::{Item, LOADER, RISCV, X86_64, elf, good, layer};

use crate::support::{Scratch, on_path, pages, skip};
use crate::table::{Image, TINI, of_docker_init, of_loader, of_tini, program, without};

const PAGE: &str = "docs/BUILDKIT-TINI-PATH-SOLUTION.md";
const INIT: &str = "docker-init";

/// Unpacks layers as an engine does, as far as this table needs it: what a whiteout names is removed.
fn unpack(layers: &[&[Item]], folder: &Path) {
    for items in layers {
        let removed = |item: &Item| match item {
            Item::File(path, ..) if path.contains("/.wh.") => Some(folder.join(path.replace("/.wh.", "/"))),
            _ => None,
        };
        items.iter().filter_map(removed).for_each(|path| {
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        });
        let kept: Vec<Item> = items.iter().filter(|item| removed(item).is_none()).cloned().collect();
        let tar = folder.with_extension("tar");
        fs::write(&tar, layer(&kept)).expect("is written");
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).current_dir(folder).status().expect("starts");
            assert!(status.success(), "{program} {arguments:?}: {status}");
        };
        // Absolute links are led into the tree while it is unpacked, so that a later layer writes through them.
        let transform = format!("flags=s;s,^/,{}/,", folder.display());
        run(
            "tar",
            &["-x", "-P", "--keep-directory-symlink", "-f", tar.to_str().expect("UTF-8"), "--transform", &transform],
        );
    }
}

/// What the lines of the page print of the image with the files in `folder`, on a host with that init.
fn by_hand(folder: &Path, init: Option<&[u8]>) -> String {
    let host = folder.with_extension("host");
    fs::create_dir_all(&host).expect("is made");
    if let Some(init) = init {
        fs::write(host.join(INIT), init).expect("is written");
        fs::set_permissions(host.join(INIT), fs::Permissions::from_mode(0o755)).expect("is set");
    }
    // An engine that has no images but this one.
    let docker = host.join("docker");
    fs::write(
        &docker,
        "#!/bin/sh\n[ \"$1\" != export ] || exec tar -c -P -C \"$FILES\" --transform \"flags=s;s,^$FILES/,/,\" .\n",
    )
    .expect("is written");
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).expect("is set");
    // This machine's own docker-init is not on that PATH.
    for tool in ["tar", "readelf", "sed", "find", "head", "cmp", "mkdir", "rm"] {
        symlink(on_path(tool).unwrap_or_else(|| panic!("no {tool}")), host.join(tool)).expect("is made");
    }
    let script = pages::script(PAGE, "the_lines_of_the_page_find_the_same_faults");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]).current_dir(&host).env("FILES", folder).env("PATH", &host);
    let output = shell.output().expect("sh starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What they cannot tell, as the page says: files that are damaged, or of another kind.
const CANNOT_TELL: [&str; 15] = [
    "tini for 32 bits",
    "tini for a big-endian RISC-V",
    "tini is ET_REL",
    "tini is ET_CORE",
    "tini needs a library and has no interpreter",
    "tini has no program headers",
    "tini has nothing to load",
    "tini has no entry point",
    "tini cut in its headers",
    "tini cut in what is loaded",
    "tini's interpreter does not end",
    "loader is ET_REL",
    "loader cut short",
    "libc is ET_REL",
    "libc cut short",
];

/// The inits of hosts that `verify-tini` tells apart, with an image, and what the lines say.
fn of_hosts() -> Vec<(&'static str, Image, Option<Vec<u8>>, &'static str)> {
    let native = || elf(RISCV, Some(LOADER), &["libc.so.6"]);
    let foreign = || elf(X86_64, Some("/lib64/ld-linux-x86-64.so.2"), &["libc.so.6"]);
    let one_file = || {
        let lower = good().into_iter().filter(|item| matches!(item, Item::Folder(_))).collect();
        Image { lower, ..program(TINI, elf(RISCV, None, &[])) }
    };
    vec![
        ("static", Image::good(), Some(elf(X86_64, None, &[])), ""),
        ("dynamic, of another architecture", Image::good(), Some(foreign()), "needs /lib64/ld-linux-x86-64.so.2"),
        ("dynamic, an image that has its files", Image::good(), Some(native()), ""),
        ("dynamic, an image without a C library", one_file(), Some(native()), "needs /lib/ld-linux-riscv64-lp64d.so.1"),
        ("dynamic, no library", without("usr/lib/riscv64-linux-gnu/.wh.libc.so.6"), Some(native()), "needs libc.so.6"),
        ("a script", Image::good(), Some(b"#!/bin/sh\n".to_vec()), "docker-init is not a program"),
        ("damaged", Image::good(), Some(native()[..10].to_vec()), "docker-init is not a program"),
        ("absent", Image::good(), None, "docker-init is not a program"),
    ]
}

#[test]
fn the_lines_of_the_page_find_the_same_faults() {
    if on_path("readelf").is_none() {
        return skip("the_lines_of_the_page_find_the_same_faults", "no readelf on PATH (Debian: binutils)");
    }
    let scratch = Scratch::new("by-hand");
    let files_of = |image: &Image, name: String| {
        let folder = scratch.path().join(name);
        fs::create_dir(&folder).expect("is made");
        unpack(&[&image.lower, &image.upper], &folder);
        folder
    };
    let static_init = elf(X86_64, None, &[]);
    let (mut missed, mut wrong) = (Vec::new(), Vec::new());
    for (number, (name, image, expected)) in
        [of_tini(), of_loader(), of_docker_init()].into_iter().flatten().enumerate()
    {
        let found = by_hand(&files_of(&image, number.to_string()), Some(&static_init));
        match (found.is_empty(), expected.is_empty()) {
            (true, false) => missed.push(name),
            (false, true) => wrong.push(format!("{name}: {found}")),
            _ => {}
        }
    }
    for (number, (name, image, init, expected)) in of_hosts().into_iter().enumerate() {
        let found = by_hand(&files_of(&image, format!("host-{number}")), init.as_deref());
        // An image of one file has no docker-init, which the lines say too.
        let of_host: String =
            found.lines().filter(|line| !line.starts_with("root/") && !line.starts_with("/s")).collect();
        if !of_host.contains(expected) || of_host.is_empty() != expected.is_empty() {
            wrong.push(format!("{name}: {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(missed, CANNOT_TELL);
}
