//! A small upstream, and checkouts that pin it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Scratch, go, go_version, on_path, skip, text};

/// The public URL in `.gitmodules`; git's `insteadOf` leads it to the small upstream.
pub const URL: &str = "https://upstream.example/moby/buildkit.git";

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

    /// A fake `go`, a script that may call the real one as `$GO`.
    pub fn go_script(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\nGO='{}'\n{script}\n", self.go.display())).expect("is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is made executable");
        path
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
