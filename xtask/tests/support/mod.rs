//! What the front-door tests share: a small upstream, checkouts that pin it, the real Go, and a
//! page for Go's downloads on loopback.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]
#![allow(dead_code, unused_imports, reason = "each test file uses a part of this")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub mod image;
pub mod page;
pub mod pages;
pub mod schema;
pub mod served;
mod world;

pub use world::{Checkout, URL, World};

/// A folder of one test, removed at its end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("the scratch folder is made");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Says by name and reason that a test could not run; `cargo xtask ci` counts these lines. It is
/// written past the test harness, which keeps what a passing test prints to itself.
pub fn skip(name: &str, reason: &str) {
    writeln!(std::io::stderr(), "SKIPPED {name}: {reason}").expect("standard error takes a line");
}

/// Makes an empty checkout at a path, in which nothing of the real one, such as its `dist/`, decides.
pub fn empty_checkout(root: &Path) {
    fs::create_dir_all(root.join("xtask")).expect("is made");
    fs::write(root.join(".gitmodules"), "").expect("is written");
}

/// Compiles the program that packs, which a checkout without sources cannot.
pub fn compile_packager() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut packager = Command::new(cargo);
    packager.args(["build", "--quiet", "--package", "packages"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(packager.status().expect("cargo starts").success(), "the program packager is not compiled");
}

/// Copies the files of a directory, and none of its directories: of a build, all but the image.
pub fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("lists").flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("is copied");
    }
}

/// A Go to compile with: the one that `cargo xtask ci` names, one on PATH, or an earlier download.
pub fn go() -> Option<&'static Path> {
    static GO: OnceLock<Option<PathBuf>> = OnceLock::new();
    let look = || {
        let downloads = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/go");
        let fetched =
            fs::read_dir(downloads).into_iter().flatten().flatten().map(|folder| folder.path().join("go/bin/go"));
        let named = std::env::var_os("XTASK_TEST_GO").map(PathBuf::from);
        named.into_iter().chain(on_path("go")).chain(fetched).find(|go| go.is_file())
    };
    GO.get_or_init(look).as_deref()
}

/// The version of that Go, such as `1.26.3`.
pub fn go_version(go: &Path) -> String {
    let printed = text(&Command::new(go).arg("version").env("GOTOOLCHAIN", "local").output().expect("go runs"));
    printed.split(' ').nth(2).expect("a third word").trim_start_matches("go").to_owned()
}

pub fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Standard output of a run that has to succeed, without its last line end.
pub fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Every file under a folder, by path, with its mode and content.
pub fn snapshot(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("lists") {
            let path = entry.expect("an entry").path();
            let metadata = path.symlink_metadata().expect("is there");
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let content = if metadata.is_file() { fs::read(&path).expect("is read") } else { Vec::new() };
            found.insert(path.display().to_string(), (metadata.permissions().mode(), content));
        }
    }
    found
}

/// Asserts that a run of `action` changes nothing in `buildkit/` and its repository.
pub fn leaves_the_submodule_alone(checkout: &Checkout<'_>, action: impl FnOnce()) {
    let folders = [checkout.root.join("buildkit"), checkout.root.join(".git/modules")];
    let before = folders.each_ref().map(|folder| snapshot(folder));
    action();
    for (folder, before) in folders.iter().zip(before) {
        let after = snapshot(folder);
        let changed: Vec<_> =
            before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(changed.is_empty(), "changed: {changed:?}");
    }
}

/// What a failing run says, and its exit status.
pub fn failure(command: &mut Command) -> (String, i32) {
    let output = command.output().expect("xtask starts");
    assert!(!output.status.success(), "it succeeded: {}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code().expect("an exit status"))
}

/// Name, mode and content of every file in a folder, sorted.
pub fn contents(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::metadata(&path).expect("is there").permissions().mode(), fs::read(&path).expect("is read"))
        })
        .collect();
    files.sort();
    files
}
