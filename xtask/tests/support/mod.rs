//! What the front-door tests share: a small upstream, checkouts that pin it, the real Go, and a
//! page for Go's downloads on loopback.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub mod image;
pub mod page;
pub mod pages;
pub mod schema;

/// The public URL in `.gitmodules`; git's `insteadOf` leads it to the small upstream.
pub const URL: &str = "https://upstream.example/moby/buildkit.git";

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

/// A small upstream, and a place for the checkouts that pin it.
pub struct World {
    pub scratch: Scratch,
    go: PathBuf,
    /// The repository that the public URL leads to.
    upstream: PathBuf,
}

impl World {
    /// An upstream with the tags v0.1.0 (annotated), v0.1.1 (lightweight), v0.2.0-rc1 and v0.2.0 on
    /// one commit, `dockerfile/1.0.0` in their way, and a branch `master` beyond them.
    pub fn new(name: &str) -> Option<Self> {
        let Some(go) = go() else {
            skip(name, "no Go on PATH or in target/go; `cargo xtask build` fetches one");
            return None;
        };
        let scratch = Scratch::new(name);
        let world = Self { upstream: scratch.path().join("upstream"), scratch, go: go.to_owned() };
        fs::write(world.path("gitconfig"), world.git_config(&world.path("upstream"))).expect("is written");
        fs::create_dir_all(world.path("home")).expect("is made");
        world.make_upstream();
        Some(world)
    }

    /// The same, or the real upstream if `XTASK_TEST_UPSTREAM` names a clone of it; and its tag v0.2.0, or v0.32.2.
    pub fn small_or_real(name: &str) -> Option<(Self, &'static str)> {
        let mut world = Self::new(name)?;
        let Some(real) = std::env::var_os("XTASK_TEST_UPSTREAM") else { return Some((world, "v0.2.0")) };
        world.upstream = real.into();
        fs::write(world.path("gitconfig"), world.git_config(&world.upstream)).expect("is written");
        Some((world, "v0.32.2"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn git_config(&self, mirror: &Path) -> String {
        format!(
            "[user]\nname = Test\nemail = test@example.org\n[protocol \"file\"]\nallow = always\n\
             [init]\ndefaultBranch = master\n[advice]\ndetachedHead = false\n\
             [url \"file://{}\"]\ninsteadOf = {URL}\n",
            mirror.display()
        )
    }

    /// From now on the public URL leads nowhere.
    pub fn cut_the_network(&self) {
        self.lead_upstream_to("nowhere");
    }

    /// From now on the public URL leads to this repository.
    pub fn lead_upstream_to(&self, name: &str) {
        fs::write(self.path("gitconfig"), self.git_config(&self.path(name))).expect("is written");
    }

    /// Git in a folder of the scratch folder; it has to succeed.
    pub fn git(&self, folder: &str, arguments: &[&str]) -> String {
        // Dates that count up, so that git has an order of tags.
        static CLOCK: AtomicU32 = AtomicU32::new(1_700_000_000);
        let mut git = Command::new("git");
        self.environment(git.current_dir(self.path(folder)).args(arguments));
        let date = format!("{} +0200", CLOCK.fetch_add(60, Ordering::Relaxed));
        text(&git.env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date).output().expect("git runs"))
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("HOME", self.path("home"))
            .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"))
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GITHUB_ACTIONS")
    }

    /// The version of the Go of these tests.
    pub fn go_version(&self) -> String {
        go_version(&self.go)
    }

    fn make_upstream(&self) {
        let main = |name: &str| {
            format!(
                "package main\n\nimport (\n\t\"os\"\n\n\t\"example.org/greeting\"\n\t\"github.com/moby/buildkit/version\"\n)\n\n\
                 func main() {{\n\tif len(os.Args) > 1 && os.Args[1] == \"--version\" {{\n\t\tos.Stdout.WriteString(\"{name} \" + version.Package + \" \" \
                 + version.Version + \" \" + version.Revision + \"\\n\")\n\t\treturn\n\t}}\n\tos.Stdout.WriteString(greeting.Text)\n}}\n"
            )
        };
        let files = [
            (
                "version/version.go",
                "package version\n\nvar Package, Version, Revision = \"none\", \"none\", \"none\"\n".to_owned(),
            ),
            ("cmd/buildkitd/main.go", main("buildkitd")),
            ("cmd/buildctl/main.go", main("buildctl")),
            (
                "vendor/modules.txt",
                "# example.org/greeting v1.2.3\n## explicit; go 1.21\nexample.org/greeting\n".to_owned(),
            ),
            ("vendor/example.org/greeting/greeting.go", "package greeting\n\nconst Text = \"hello\\n\"\n".to_owned()),
        ];
        for (name, content) in files {
            let path = self.path("upstream").join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("is made");
            fs::write(path, content).expect("is written");
        }
        let go = self.go_version();
        self.upstream_uses_go(go.rsplit_once('.').expect("a patch").0, &go);
        self.git("upstream", &["init", "--quiet"]);
        self.git("upstream", &["config", "uploadpack.allowFilter", "true"]);
        self.commit("upstream", "one");
        self.git("upstream", &["tag", "-a", "-m", "one", "v0.1.0"]);
        self.commit("upstream", "two");
        self.git("upstream", &["tag", "v0.1.1"]);
        self.git("upstream", &["tag", "-a", "-m", "frontend", "dockerfile/1.0.0"]);
        self.commit("upstream", "three");
        self.git("upstream", &["tag", "-a", "-m", "candidate", "v0.2.0-rc1"]);
        self.git("upstream", &["tag", "-a", "-m", "final", "v0.2.0"]);
        self.commit("upstream", "four");
        self.commit("upstream", "five");
    }

    /// A commit of all that changed in a repository, and of a file that says `what`.
    pub fn commit(&self, folder: &str, what: &str) {
        fs::write(self.path(folder).join("NOTES"), what).expect("is written");
        self.git(folder, &["add", "--all"]);
        self.git(folder, &["commit", "--quiet", "-m", what]);
    }

    /// A checkout that pins `tag`, as a fresh clone is: the submodule's folder is empty.
    pub fn checkout(&self, name: &str, tag: &str) -> Checkout<'_> {
        let root = self.path(name);
        let _ = fs::remove_dir_all(&root);
        for folder in ["xtask", "buildkit"] {
            fs::create_dir_all(root.join(folder)).expect("is made");
        }
        let modules = format!("[submodule \"buildkit\"]\n\tpath = buildkit\n\turl = {URL}\n");
        fs::write(root.join(".gitmodules"), modules).expect("is written");
        fs::write(root.join(".gitignore"), "/target/\n/dist/\n").expect("is written");
        fs::write(root.join("xtask/README"), "a fake\n").expect("is written");
        self.git(name, &["init", "--quiet"]);
        let upstream = self.upstream.to_str().expect("is UTF-8");
        let commit = self.git(upstream, &["rev-parse", &format!("{tag}^{{commit}}")]);
        self.git(name, &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},buildkit")]);
        self.commit(name, "pin");
        Checkout { world: self, root }
    }

    /// A folder with links to these commands alone, for use as PATH.
    pub fn only(&self, name: &str, commands: &[&str]) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir_all(&folder).expect("is made");
        for command in commands {
            symlink(on_path(command).expect(command), folder.join(command)).expect("is linked");
        }
        folder
    }

    /// From its next commit on, upstream says that it is built with the line of Go `line`, and requires `at_least`.
    pub fn upstream_uses_go(&self, line: &str, at_least: &str) {
        let replace = |name: &str, text: String| fs::write(self.path("upstream").join(name), text).expect("is written");
        let go_mod =
            format!("module github.com/moby/buildkit\n\ngo {at_least}\n\nrequire example.org/greeting v1.2.3\n");
        replace("Dockerfile", format!("ARG GO_VERSION={line}\nFROM golang:${{GO_VERSION}}-alpine AS golatest\n"));
        replace("go.mod", go_mod);
    }

    /// A script that stands in for `go` and may call the real one as `$GO`.
    pub fn go_script(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\nGO='{}'\n{script}\n", self.go.display())).expect("is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is made executable");
        path
    }
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

/// A checkout of the project, with the task's front door.
pub struct Checkout<'a> {
    pub world: &'a World,
    pub root: PathBuf,
}

impl Checkout<'_> {
    /// `cargo xtask` with the real Go.
    pub fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_xtask(arguments);
        if arguments.first() == Some(&"build") {
            command.arg("--go").arg(&self.world.go);
        }
        command
    }

    /// The same without `--go`.
    pub fn bare_xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        self.world.environment(command.current_dir(&self.root).args(arguments));
        command
    }

    /// Runs `build` with these arguments; it has to succeed. Returns its standard error.
    pub fn build(&self, arguments: &[&str]) -> String {
        let output = self.xtask(&[&["build"], arguments].concat()).output().expect("xtask starts");
        text(&output);
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub fn dist(&self, version: &str) -> PathBuf {
        self.root.join("dist").join(version)
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
