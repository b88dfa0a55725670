//! Tasks that are ended while they use a real engine: a signal removes what they made, and after SIGKILL the next run
//! does, but never what a run that still lives has made. `XTASK_TEST_DIST` names the `dist/<version>` with an image to
//! use; `XTASK_TEST_KILLS=20` kills each task that often.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes, reads the environment and asks the clock"
)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fakes::sample_image::{ENTRYPOINT, Item, good};

use crate::support::image::layout;
use crate::support::{Scratch, copy_files, skip};

const LABEL: &str = "io.github.gounthar.xtask";
/// Tasks whose builder makes an image of each step.
const CLASSIC: &str = "image with docker's older builder";
const PODMAN: &str = "image with podman";

/// A user of the engine: their runs are known from files in a directory of their own.
struct User {
    scratch: Scratch,
    dist: PathBuf,
}

impl User {
    fn new(name: &str) -> Option<Self> {
        let Some(dist) = std::env::var_os("XTASK_TEST_DIST").map(PathBuf::from) else {
            skip(name, "XTASK_TEST_DIST names no dist/<version> with an image (it takes minutes, and docker)");
            return None;
        };
        if docker(&["version"]).is_none() {
            skip(name, "no docker answers here");
            return None;
        }
        Some(Self { scratch: Scratch::new(name), dist: fs::canonicalize(dist).expect("the build is there") })
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        // A shell ignores SIGINT for what it runs in the background, and with it for these tests.
        let mut command = Command::new("env");
        command
            .args(["--default-signal", env!("CARGO_BIN_EXE_xtask")])
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("GITHUB_ACTIONS");
        command.env("XDG_STATE_HOME", self.scratch.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// One of the tasks, on the real image.
    fn task(&self, name: &str) -> Command {
        let image = self.dist.join("image");
        let image = image.to_str().expect("UTF-8");
        match name {
            "smoke" => self.xtask(&["smoke", "--level", "builder", image]),
            "verify-tini" => self.xtask(&["verify-tini", "--engine", "docker", image]),
            _ => {
                let copy = self.scratch.path().join("copy");
                let _ = fs::remove_dir_all(&copy);
                fs::create_dir(&copy).expect("is made");
                copy_files(&self.dist, &copy);
                let mut task = self.xtask(&["image", "--no-cache", "--dist", copy.to_str().expect("UTF-8")]);
                if name == CLASSIC {
                    task.env("PATH", self.path_without_buildx());
                }
                task.args(["--engine", engine_of(name)]);
                task
            }
        }
    }

    /// A PATH whose docker has no buildx.
    fn path_without_buildx(&self) -> String {
        let (folder, path) = (self.scratch.path().join("bin"), std::env::var("PATH").expect("is set"));
        fs::create_dir_all(&folder).expect("is made");
        let docker = folder.join("docker");
        fs::write(&docker, format!("#!/bin/sh\n[ \"$1\" != buildx ] || exit 1\nPATH='{path}' exec docker \"$@\"\n"))
            .expect("is written");
        fs::set_permissions(docker, fs::Permissions::from_mode(0o755)).expect("is set");
        format!("{}:{path}", folder.display())
    }

    /// What the last task says.
    fn log(&self) -> PathBuf {
        self.scratch.path().join("log")
    }

    /// The ids of runs that live, or left something.
    fn runs(&self) -> Vec<String> {
        let folder = self.scratch.path().join("docker-for-riscv64/runs");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect()
    }

    /// Another task that uses the engine: a small image that cannot run. Returns what it says.
    fn another_task(&self, engine: &str) -> String {
        let folder = self.scratch.path().join("small");
        // Without its loader it fails at once.
        let upper = [Item::File("lib/.wh.ld-linux-riscv64-lp64d.so.1", 0o644, Vec::new())];
        layout(folder.to_str().expect("UTF-8"), &[&good(), &upper], &ENTRYPOINT);
        let output = self.xtask(&["verify-tini", "--engine", engine]).arg(&folder).stderr(Stdio::piped()).output();
        String::from_utf8_lossy(&output.expect("xtask starts").stderr).into_owned()
    }
}

/// The engine that a task uses.
fn engine_of(task: &str) -> &'static str {
    if task == PODMAN { "podman" } else { "docker" }
}

fn docker(arguments: &[&str]) -> Option<String> {
    ask("docker", arguments)
}

fn ask(engine: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(engine).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the engine has with the id of a run.
fn left(id: &str) -> String {
    let (label, name) = (format!("label={LABEL}={id}"), format!("name={id}"));
    let lists: [&[&str]; 4] = [
        &["ps", "--all", "--filter", &label, "--format", "{{.Names}}"],
        &["ps", "--all", "--filter", &name, "--format", "{{.Names}}"],
        &["volume", "ls", "--quiet", "--filter", &name],
        &["images", "--all", "--format", "{{.Repository}}:{{.Tag}}"],
    ];
    let all = lists.map(|list| docker(list).expect("docker answers")).concat();
    all.lines().filter(|line| !line.starts_with("REPOSITORY") && line.contains(id)).collect::<Vec<_>>().join(" ")
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited five minutes for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a task, and waits until its session has begun.
fn start(user: &User, task: &str) -> (Child, String) {
    let before = user.runs();
    let log = File::create(user.log()).expect("is made");
    let mut child = user.task(task).process_group(0).stderr(log).spawn().expect("xtask starts");
    let mut id = None;
    wait_for(task, || {
        id = user.runs().into_iter().find(|id| !before.contains(id));
        id.is_some() || child.try_wait().expect("is waited for").is_some()
    });
    (child, id.unwrap_or_else(|| panic!("{task} has used no engine")))
}

#[test]
fn the_next_run_removes_what_sigkill_left() {
    let Some(user) = User::new("leftovers") else { return };
    let kills: u32 = std::env::var("XTASK_TEST_KILLS").map_or(3, |text| text.parse().expect("a number"));
    for task in ["smoke", "verify-tini", "image"] {
        let mut something = 0;
        for number in 0..kills {
            let (mut child, id) = start(&user, task);
            // Spread over the task: half a second, and some seconds later each time.
            std::thread::sleep(Duration::from_millis(500 + u64::from(number) * 12_000 / u64::from(kills)));
            // Xtask alone, or its engine's commands with it, as when a runner ends a job.
            if number % 2 == 0 {
                child.kill().expect("is killed");
            } else {
                kill_all(child.id());
            }
            child.wait().expect("is reaped");
            let was_left = left(&id);
            let said = user.another_task("docker");
            assert_eq!(left(&id), "", "{task}, killed at moment {number}, then: {said}");
            assert_eq!(user.runs(), [""; 0], "{task} {number}: {said}");
            let report = said.lines().find(|line| line.contains("what a killed run left"));
            assert!(was_left.is_empty() || report.is_some(), "{task} {number}: {said}");
            something += u32::from(!was_left.is_empty());
            println!("{task} {number}: left {was_left:?}; {}", report.unwrap_or_default());
        }
        assert!(something > 0 || task == "image", "{task} left nothing at any moment, so nothing was shown");
    }
}

/// What the engine has of the steps of a build: their images, and containers that are made from these.
fn steps_left(engine: &str, id: &str) -> String {
    let label = format!("label={LABEL}={id}");
    let list = |arguments: &[&str]| ask(engine, arguments).expect("the engine answers");
    let images = list(&["images", "--all", "--quiet", "--filter", &label]);
    // podman lists the containers of builds whatever the filter is, named after the image that they are of; the first
    // are of images with the run's id in their names.
    let containers = match engine {
        "podman" => list(&["ps", "--all", "--external", "--format", "{{.Names}}"]),
        _ => list(&["ps", "--all", "--quiet", "--filter", &label]),
    };
    let is_of_step =
        |name: &&str| engine == "docker" || name.contains(id) || images.lines().any(|image| name.starts_with(image));
    let containers: Vec<&str> = containers.lines().filter(is_of_step).collect();
    format!("{images}{}", containers.join(" ")).trim().to_owned()
}

/// The containers of podman's builds, also of others than ours.
fn working_containers(engine: &str) -> String {
    let list = || ask("podman", &["ps", "--all", "--external", "--format", "{{.Names}}"]);
    if engine == "podman" { list().expect("podman answers") } else { String::new() }
}

#[test]
fn the_steps_of_a_build_are_removed_after_a_signal_and_by_the_next_run() {
    let Some(user) = User::new("steps") else { return };
    for task in [CLASSIC, PODMAN] {
        let engine = engine_of(task);
        if ask(engine, &["version"]).is_none() {
            skip("steps", "no podman answers here");
            continue;
        }
        for signal in ["-TERM", "-INT", "-KILL"] {
            let before = working_containers(engine);
            let (mut child, id) = start(&user, task);
            wait_for("the image of a step", || {
                child.try_wait().expect("is waited for").is_some() || !steps_left(engine, &id).is_empty()
            });
            if signal == "-KILL" {
                // Not while a step is stored: podman 4.3 is left with an image that it cannot read.
                std::thread::sleep(Duration::from_secs(5));
                kill_all(child.id());
            } else {
                Command::new("kill").arg(signal).arg(child.id().to_string()).status().expect("kill runs");
            }
            let status = child.wait().expect("is reaped");
            assert!(status.signal().is_some(), "{task}: {}", fs::read_to_string(user.log()).expect("is read"));
            let was_left = steps_left(engine, &id);
            println!("{task}, {signal}: left {was_left:?}");
            if signal == "-KILL" {
                assert!(!was_left.is_empty(), "{task}: nothing was left, so nothing is shown");
                let said = user.another_task(engine);
                assert!(said.contains("what a killed run left: "), "{said}");
            }
            assert_eq!((steps_left(engine, &id), user.runs()), (String::new(), Vec::new()), "{task}, {signal}");
            assert_eq!(working_containers(engine), before, "{task}, {signal}");
        }
    }
}

/// Ends a process with its children, which are in groups of their own.
fn kill_all(process: u32) {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let all = children.split_whitespace().map(str::to_owned).chain([process.to_string()]);
    Command::new("kill").arg("-KILL").args(all).stderr(Stdio::null()).status().expect("kill runs");
}

#[test]
fn a_signal_removes_everything_at_once() {
    let Some(user) = User::new("signals-engine") else { return };
    for (task, signal, number) in [("smoke", "-INT", 2), ("verify-tini", "-TERM", 15), ("image", "-TERM", 15)] {
        let (mut child, id) = start(&user, task);
        if task != "image" {
            wait_for("something in the engine", || !left(&id).is_empty());
        }
        std::thread::sleep(Duration::from_secs(2));
        Command::new("kill").arg(signal).arg(child.id().to_string()).status().expect("kill runs");
        let status = child.wait().expect("is reaped");
        assert!(status.signal() == Some(number), "{task}: {status:?}");
        assert_eq!((left(&id), user.runs()), (String::new(), Vec::new()), "{task}");
    }
}

#[test]
fn what_a_live_run_made_is_left_alone() {
    let Some(user) = User::new("live") else { return };
    let (mut child, id) = start(&user, "smoke");
    wait_for("something in the engine", || !left(&id).is_empty());
    // The same user in this checkout, and another one, who has no file of that run.
    let other = User::new("live-other").expect("docker answers");
    for user in [&user, &other] {
        let said = user.another_task("docker");
        assert!(!said.contains("killed run"), "{said}");
        assert!(!left(&id).is_empty() || child.try_wait().expect("is waited for").is_some(), "{said}");
    }
    let status = child.wait().expect("is reaped");
    assert!(status.success(), "{}", fs::read_to_string(user.log()).expect("is read"));
    assert_eq!((left(&id), user.runs()), (String::new(), Vec::new()));
}
