//! Signals at the front door: what a task started ends with it, and its exit status is the signal's.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::World;

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(signal: &str, process: &str) -> bool {
    let output = Command::new("kill").args([signal, "--", process]).stderr(Stdio::null()).status();
    output.expect("kill runs").success()
}

/// A command that starts with no signal ignored: a shell ignores SIGINT for what it runs in the background, and
/// with it for these tests.
fn with_default_signals(command: &Command) -> Command {
    let mut env = Command::new("env");
    env.arg("--default-signal").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => env.env(name, value),
            None => env.env_remove(name),
        };
    }
    env.current_dir(command.get_current_dir().expect("is set"));
    env
}

/// A compiler that starts another process and hangs, as a compiler with its linker may.
const HANGS: &str = "case $1 in version|list) exec \"$GO\" \"$@\";; esac\nsleep 300 &\necho $! >\"$HOME/linker.new\"\n\
                     mv \"$HOME/linker.new\" \"$HOME/linker\"\nwait";

#[test]
fn a_signal_ends_the_compiler_with_all_that_it_started() {
    let Some(world) = World::new("signals") else { return };
    let go = world.go_script("hanging-go", HANGS);
    for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let checkout = world.checkout(&format!("project{number}"), "v0.1.0");
        let pid_file = world.path("home").join("linker");
        let mut xtask = checkout.bare_xtask(&["build", "--go"]);
        let mut build = with_default_signals(xtask.arg(&go));
        let mut build = build.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("xtask starts");
        wait_for("the compiler", || pid_file.exists());
        let linker = fs::read_to_string(&pid_file).expect("is read").trim().to_owned();
        fs::remove_file(&pid_file).expect("is removed");
        assert!(kill(signal, &build.id().to_string()));
        let mut ended = None;
        wait_for("xtask's end", || {
            ended = build.try_wait().expect("is waited for");
            ended.is_some()
        });
        assert_eq!(ended.and_then(|status| status.signal()), Some(number), "{ended:?}");
        wait_for("the linker's end", || !kill("-0", &linker) || is_zombie(&linker));
        // The next run removes what this one left.
        checkout.build(&[]);
        assert_eq!(fs::read_dir(checkout.root.join("dist")).expect("lists").count(), 1);
    }
}

/// In a container nobody may wait for a process whose parent has ended.
fn is_zombie(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let Some(world) = World::new("nohup") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let xtask = checkout.xtask(&["build"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(xtask.get_program()).args(xtask.get_args());
    shell.current_dir(&checkout.root).envs(xtask.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut build = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh starts");
    wait_for("the mirror", || checkout.root.join("target/upstream").exists());
    assert!(kill("-HUP", &build.id().to_string()));
    assert!(build.wait().expect("is waited for").success());
}
