//! The table of images: a name, the change to the good image, and the checks that have to fail. What the kernel, glibc
//! and tini do with each was looked up or tried; the rows say so where it surprises.

use fakes::sample_image::{ENTRYPOINT, Item, LOADER, RISCV, X86_64, config, elf, good};
use serde_json::{Value, json};

/// An image before it is written.
pub struct Image {
    pub lower: Vec<Item>,
    pub upper: Vec<Item>,
    pub config: Value,
}

impl Image {
    pub fn good() -> Self {
        Self { lower: good(), upper: Vec::new(), config: config(&ENTRYPOINT, &[]) }
    }

    fn with(mut self, item: Item) -> Self {
        self.upper.push(item);
        self
    }

    fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        self.config.pointer_mut(parent).expect("is there")[key] = value;
        self
    }
}

pub type Row = (&'static str, Image, &'static [&'static str]);

pub const TINI: &str = "usr/bin/tini";
const SCRIPT: &str = "usr/bin/entrypoint";
const LOADER_FILE: &str = "usr/lib/riscv64-linux-gnu/ld-linux-riscv64-lp64d.so.1";
const LIBC_FILE: &str = "usr/lib/riscv64-linux-gnu/libc.so.6";
/// What a loader or a libc that cannot be used stops: all that is dynamically linked.
const DYNAMIC: &[&str] = &["tini-loads", "entrypoint-script", "runc"];

pub fn program(path: &'static str, content: Vec<u8>) -> Image {
    Image::good().with(Item::File(path, 0o755, content))
}

fn script(text: &str) -> Image {
    program(SCRIPT, text.into())
}

fn scripts(text: &str, others: &[(&'static str, &str)]) -> Image {
    others.iter().fold(script(text), |image, (path, text)| image.with(Item::File(path, 0o755, (*text).into())))
}

fn link(path: &'static str, target: &'static str) -> Image {
    Image::good().with(Item::Symlink(path, target))
}

pub fn without(path: &'static str) -> Image {
    Image::good().with(Item::File(path, 0o644, Vec::new()))
}

fn entrypoint(words: &[&str]) -> Image {
    Image::good().set("/config/Entrypoint", json!(words))
}

fn tini_with(options: &[&str]) -> Image {
    entrypoint(&[&["/usr/bin/tini"], options, &["/usr/bin/entrypoint"]].concat())
}

/// The good tini, as in the lower layer.
fn tini() -> Vec<u8> {
    [&elf(RISCV, Some(LOADER), &["libc.so.6"]), TINI.as_bytes()].concat()
}

/// With a field of the ELF headers replaced. Offsets: the ELF64 structures of the System V gABI.
fn patched(mut program: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    program[offset..offset + bytes.len()].copy_from_slice(bytes);
    program
}

fn cut_by_one(mut program: Vec<u8>) -> Vec<u8> {
    program.pop();
    program
}

const E_TYPE: usize = 16;
const E_MACHINE: usize = 18;
const E_ENTRY: usize = 24;
const E_PHNUM: usize = 56;
/// `p_type` of the first program header, which is `PT_LOAD`, and `p_filesz` of the second, `PT_INTERP`.
const LOAD_TYPE: usize = 64;
const INTERP_FILESZ: usize = 64 + 56 + 32;

pub fn of_tini() -> Vec<Row> {
    let dynamic = || elf(RISCV, Some(LOADER), &["libc.so.6"]);
    let cut = |length: usize| program(TINI, tini()[..length].to_vec());
    let of_type = |kind: u8| program(TINI, patched(tini(), E_TYPE, &[kind, 0]));
    let no_nul = elf(RISCV, Some(LOADER), &[]);
    let interpreter_bytes = LOADER.len() as u64;
    vec![
        ("as it should be", Image::good(), &[]),
        ("no tini", without("usr/bin/.wh.tini"), &["tini-present", "docker-init-link"]),
        ("tini without x", Image::good().with(Item::File(TINI, 0o644, tini())), &["tini-present"]),
        ("tini executable by its owner alone", Image::good().with(Item::File(TINI, 0o500, tini())), &[]),
        (
            "tini is a directory",
            without("usr/bin/.wh.tini").with(Item::Folder("usr/bin/tini/")),
            &["tini-present", "tini-architecture"],
        ),
        ("tini for x86-64", program(TINI, elf(X86_64, None, &[])), &["tini-architecture"]),
        ("tini for 32 bits", program(TINI, patched(tini(), 4, &[1])), &["tini-architecture"]),
        (
            "tini for a big-endian RISC-V",
            program(TINI, patched(patched(tini(), 5, &[2]), E_MACHINE, &[0, 243])),
            &["tini-architecture", "tini-loads"],
        ),
        ("tini is a script", program(TINI, "#!/bin/sh\nexec \"$@\"\n".into()), &["tini-architecture"]),
        ("tini is text", program(TINI, "tini\n".into()), &["tini-architecture"]),
        ("tini is empty", program(TINI, Vec::new()), &["tini-architecture"]),
        ("tini is static", program(TINI, elf(RISCV, None, &[])), &[]),
        ("tini is ET_REL", of_type(1), &["tini-loads"]),
        ("tini is ET_CORE", of_type(4), &["tini-loads"]),
        ("tini is ET_EXEC", of_type(2), &[]),
        (
            "tini needs a library and has no interpreter",
            program(TINI, elf(RISCV, None, &["libc.so.6"])),
            &["tini-loads"],
        ),
        ("tini has no program headers", program(TINI, patched(tini(), E_PHNUM, &[0, 0])), &["tini-loads"]),
        (
            "tini has nothing to load",
            program(TINI, patched(tini(), LOAD_TYPE, &[0])),
            &["tini-architecture", "tini-loads"],
        ),
        ("tini has no entry point", program(TINI, patched(tini(), E_ENTRY, &[0, 0, 0, 1])), &["tini-loads"]),
        ("tini cut in its first bytes", cut(10), &["tini-architecture", "tini-loads"]),
        ("tini cut in its headers", cut(100), &["tini-architecture", "tini-loads"]),
        ("tini cut in what is loaded", cut(dynamic().len() - 1), &["tini-architecture", "tini-loads"]),
        ("tini cut behind what is loaded", cut(dynamic().len()), &[]),
        ("tini with section headers beyond its end", program(TINI, patched(tini(), 40, &[0, 0, 0, 1])), &[]),
        (
            "tini asks for a library that is nowhere",
            program(TINI, elf(RISCV, Some(LOADER), &["libx.so"])),
            &["tini-loads"],
        ),
        (
            "tini asks for another loader",
            program(TINI, elf(RISCV, Some("/lib/ld-musl-riscv64.so.1"), &[])),
            &["tini-loads"],
        ),
        // The kernel answers ENOEXEC: fs/binfmt_elf.c, `load_elf_binary`.
        (
            "tini's interpreter does not end",
            program(TINI, patched(no_nul, INTERP_FILESZ, &interpreter_bytes.to_le_bytes())),
            &["tini-loads"],
        ),
        ("tini's interpreter ends twice", program(TINI, elf(RISCV, Some(&format!("{LOADER}\0x")), &[])), &[]),
    ]
}

pub fn of_loader() -> Vec<Row> {
    let loader = |mode, content| Image::good().with(Item::File(LOADER_FILE, mode, content));
    let libc = |mode, content| Image::good().with(Item::File(LIBC_FILE, mode, content));
    let static_elf = || elf(RISCV, None, &[]);
    vec![
        ("no loader", without("lib/.wh.ld-linux-riscv64-lp64d.so.1"), DYNAMIC),
        ("loader without x", loader(0o644, static_elf()), DYNAMIC),
        ("loader for x86-64", loader(0o755, elf(X86_64, None, &[])), DYNAMIC),
        ("loader is ET_REL", loader(0o755, patched(static_elf(), E_TYPE, &[1, 0])), DYNAMIC),
        ("loader is a script", loader(0o755, "#!/bin/sh\n".into()), DYNAMIC),
        ("loader cut short", loader(0o755, cut_by_one(static_elf())), DYNAMIC),
        ("loader is a circle of links", link(LOADER_FILE, "ld-linux-riscv64-lp64d.so.1"), DYNAMIC),
        ("no libc", without("usr/lib/riscv64-linux-gnu/.wh.libc.so.6"), DYNAMIC),
        // The loader maps libraries, and asks for no permission to execute them.
        ("libc without x", libc(0o644, elf(RISCV, Some(LOADER), &[])), &[]),
        ("libc for x86-64", libc(0o755, elf(X86_64, None, &[])), DYNAMIC),
        ("libc is ET_REL", libc(0o755, patched(static_elf(), E_TYPE, &[1, 0])), DYNAMIC),
        ("libc cut short", libc(0o755, cut_by_one(static_elf())), DYNAMIC),
        ("libc without an entry point", libc(0o755, patched(static_elf(), E_ENTRY, &[0; 8])), &[]),
        (
            "libc found by $ORIGIN",
            {
                let mut image = without("usr/lib/riscv64-linux-gnu/.wh.libc.so.6");
                image.upper.push(Item::File("usr/lib/libc.so.6", 0o644, static_elf()));
                image
            },
            &[],
        ),
    ]
}

pub fn of_docker_init() -> Vec<Row> {
    let instead = |item| without("usr/sbin/.wh.docker-init").with(item);
    let name = "usr/sbin/docker-init";
    let mut same_size = tini();
    *same_size.last_mut().expect("has bytes") ^= 1;
    vec![
        ("no docker-init", without("usr/sbin/.wh.docker-init"), &["docker-init-link"]),
        ("docker-init leads nowhere", link(name, "/opt/tini"), &["docker-init-link"]),
        ("docker-init leads to itself", link(name, "docker-init"), &["docker-init-link"]),
        ("docker-init leads to a shell", link(name, "/usr/bin/sh"), &["docker-init-link"]),
        ("docker-init is a relative link", link(name, "../bin/tini"), &[]),
        (
            "docker-init is a link by way of another",
            link("opt/t", "/bin/tini").with(Item::Symlink(name, "/opt/t")),
            &[],
        ),
        (
            "docker-init is a hard link",
            {
                let mut image = Image::good();
                image.lower.retain(|item| !matches!(item, Item::Symlink("sbin/docker-init", _)));
                image.lower.push(Item::HardLink(name, TINI));
                image
            },
            &[],
        ),
        ("docker-init is a copy", instead(Item::File(name, 0o755, tini())), &[]),
        ("docker-init is a copy without x", instead(Item::File(name, 0o644, tini())), &["docker-init-link"]),
        (
            "docker-init is another program of the same size",
            instead(Item::File(name, 0o755, same_size)),
            &["docker-init-link"],
        ),
        (
            "tini is a link to docker-init",
            {
                let image = without("usr/bin/.wh.tini").with(Item::Symlink(TINI, "/sbin/docker-init"));
                image.with(Item::File(name, 0o755, tini()))
            },
            &[],
        ),
    ]
}

pub fn of_entrypoint() -> Vec<Row> {
    let bad: &[&str] = &["entrypoint"];
    vec![
        ("no entrypoint", entrypoint(&[]), bad),
        ("tini alone", entrypoint(&["/usr/bin/tini", "--"]), bad),
        ("tini without --", tini_with(&[]), bad),
        ("tini -g without --", tini_with(&["-g"]), bad),
        ("tini and buildkitd", entrypoint(&["/usr/bin/tini", "--", "buildkitd"]), bad),
        ("tini -g and buildkitd", entrypoint(&["/usr/bin/tini", "-g", "--", "/usr/bin/buildkitd"]), bad),
        ("tini -g --", tini_with(&["-g", "--"]), &[]),
        ("tini -v -v -w --", tini_with(&["-v", "-v", "-w", "--"]), &[]),
        ("tini -gvv -e143 --", tini_with(&["-gvv", "-e143", "--"]), &[]),
        ("tini -p SIGTERM --", tini_with(&["-p", "SIGTERM", "--"]), &[]),
        ("tini -p TERM --", tini_with(&["-p", "TERM", "--"]), bad),
        ("tini -e 300 --", tini_with(&["-e", "300", "--"]), bad),
        ("tini -e --", tini_with(&["-e", "--"]), bad),
        ("tini -x --", tini_with(&["-x", "--"]), bad),
        ("tini -h --", tini_with(&["-h", "--"]), bad),
        // Fatal under qemu-user, as TINI_SUBREAPER is.
        ("tini -s --", tini_with(&["-s", "--"]), bad),
        ("tini by its name", entrypoint(&["tini", "--", "/usr/bin/entrypoint"]), &[]),
        ("tini by docker-init", entrypoint(&["/sbin/docker-init", "--", "/usr/bin/entrypoint"]), &[]),
        ("another program before the script", entrypoint(&["/bin/sh", "--", "/usr/bin/entrypoint"]), bad),
        ("the script alone", entrypoint(&["/usr/bin/entrypoint"]), bad),
        ("the script by its name", entrypoint(&["/usr/bin/tini", "--", "entrypoint"]), &[]),
        ("no script of that name", entrypoint(&["/usr/bin/tini", "--", "start"]), &["entrypoint-script"]),
    ]
}

pub fn of_script() -> Vec<Row> {
    let bad: &[&str] = &["entrypoint-script"];
    let nested = |count: usize| {
        let paths = ["opt/1", "opt/2", "opt/3", "opt/4", "opt/5", "opt/6"];
        let mut image = script(&format!("#!/{}\n", paths[count - 2]));
        for number in 0..count - 1 {
            let interpreter = if number == 0 { "bin/sh" } else { paths[number - 1] };
            image = image.with(Item::File(paths[number], 0o755, format!("#!/{interpreter}\n").into()));
        }
        image
    };
    let env = |line: &str| {
        let image = script(&format!("#!{line}\nexec \"$@\"\n"));
        image.with(Item::File("usr/bin/env", 0o755, elf(RISCV, Some(LOADER), &["libc.so.6"])))
    };
    vec![
        ("no script", without("usr/bin/.wh.entrypoint"), bad),
        ("script without x", Image::good().with(Item::File(SCRIPT, 0o644, "#!/bin/sh\n".into())), bad),
        ("script with CRLF", script("#!/bin/sh\r\nexec \"$@\"\r\n"), bad),
        ("script with CRLF and an option", script("#!/bin/sh -e\r\nexec \"$@\"\r\n"), bad),
        ("script with blanks in its first line", script("#! \t/bin/sh  -e  \nexec \"$@\"\n"), &[]),
        ("script without a line end", script("#!/bin/sh"), &[]),
        // POSIX, execvp: a file that the kernel does not know is a script for sh. Tried with tini 0.19 of Debian.
        ("script without #!", script("exec \"$@\"\n"), &[]),
        (
            "script without #! behind a tini of musl",
            {
                let musl = || elf(RISCV, None, &[]);
                let image = script("exec \"$@\"\n").with(Item::File("lib/libc.musl-riscv64.so.1", 0o755, musl()));
                image.with(Item::File(TINI, 0o755, elf(RISCV, Some(LOADER), &["libc.musl-riscv64.so.1"])))
            },
            bad,
        ),
        ("script is data", program(SCRIPT, vec![0, 1, 2, 3]), bad),
        ("script is empty", program(SCRIPT, Vec::new()), bad),
        ("script is a program", program(SCRIPT, elf(RISCV, None, &[])), &[]),
        ("script is a program for x86-64", program(SCRIPT, elf(X86_64, None, &[])), bad),
        ("script for a missing interpreter", script("#!/bin/bash\n"), bad),
        (
            "script for an interpreter without x",
            { script("#!/opt/sh\n").with(Item::File("opt/sh", 0o644, elf(RISCV, None, &[]))) },
            bad,
        ),
        ("script for a directory", script("#!/usr/bin\n"), bad),
        ("script for an interpreter of x86-64", program("usr/bin/sh", elf(X86_64, None, &[])), bad),
        ("script for a script", scripts("#!/opt/wrap -x\n", &[("opt/wrap", "#!/bin/sh\n")]), &[]),
        ("script for a script with CRLF", scripts("#!/opt/wrap\n", &[("opt/wrap", "#!/bin/sh\r\n")]), bad),
        // Tried with Linux 6: five scripts run, the sixth gets ELOOP.
        ("five scripts", nested(5), &[]),
        ("six scripts", nested(6), bad),
        ("script for itself", script("#!/usr/bin/entrypoint\n"), bad),
        ("env with sh", env("/usr/bin/env sh"), &[]),
        ("env with a missing program", env("/usr/bin/env bash"), bad),
        // The kernel gives env one argument: `sh -e` is one name.
        ("env with an option of sh", env("/usr/bin/env sh -e"), bad),
        ("env -S with an option of sh", env("/usr/bin/env -S A=1 sh -e"), &[]),
        ("env -S with a missing program", env("/usr/bin/env -S -i bash -e"), bad),
        ("env without a program", env("/usr/bin/env"), bad),
        ("env with itself", env("/usr/bin/env entrypoint"), bad),
        ("env is missing", script("#!/usr/bin/env sh\n"), bad),
    ]
}

pub fn of_configuration() -> Vec<Row> {
    let user = |name: &str| Image::good().set("/config/User", json!(name));
    let env = |path: &str, text: &str| Image::good().set("/config/Env", json!([path, text]));
    let path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin";
    vec![
        ("architecture amd64", Image::good().set("/architecture", json!("amd64")), &["platform"]),
        ("User nobody", user("nobody"), &["user"]),
        ("User 1000:1000", user("1000:1000"), &["user"]),
        ("User root", user("root"), &[]),
        ("User 0:0", user("0:0"), &[]),
        ("User empty", user(""), &[]),
        ("no command", Image::good().set("/config/Cmd", Value::Null), &["command"]),
        ("no buildkitd", without("usr/bin/.wh.buildkitd"), &["command"]),
        (
            "buildkitd without x",
            Image::good().with(Item::File("usr/bin/buildkitd", 0o644, elf(RISCV, None, &[]))),
            &["command"],
        ),
        ("buildkitd cut short", program("usr/bin/buildkitd", cut_by_one(elf(RISCV, None, &[]))), &["command"]),
        ("no runc", without("usr/sbin/.wh.runc"), &["runc"]),
        ("runc outside PATH", env("PATH=/opt", "TINI_VERBOSITY=0"), &["command", "runc"]),
        ("runc is text", program("usr/sbin/runc", "runc".into()), &["runc"]),
        ("TINI_VERBOSITY=1", env(path, "TINI_VERBOSITY=1"), &["environment"]),
        ("TINI_SUBREAPER=1", env(path, "TINI_SUBREAPER=1"), &["environment"]),
    ]
}
