//! The image's entrypoint and `buildctl-daemonless.sh` on their own: the real scripts under the real
//! `sh`, with commands on PATH that print how they were called.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with stubs on PATH, and the script with its paths moved into that directory.
struct Stage(PathBuf);

const SOCKET: &str = "--addr unix:///run/buildkit/buildkitd.sock";

impl Stage {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("xtask-entrypoint-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).expect("the temporary folder can be written to");
        let stage = Self(folder);
        stage.stub("buildkitd", "echo \"buildkitd $*\"");
        stage.stub("id", "echo 0");
        stage.stub("unshare", "exit 1");
        let moved = [("/etc/buildkit/certs", "certs"), ("/sys/fs/cgroup", "cgroup"), ("/proc/self/", "proc/")];
        let script = moved.iter().fold(script("entrypoint"), |text, (from, to)| {
            assert!(text.contains(from), "the entrypoint does not name {from} any more");
            text.replace(from, &format!("{}/{to}", stage.0.display()))
        });
        stage.write("entrypoint", &script);
        stage.write("proc/cgroup", "0::/\n");
        stage.write("proc/mounts", "");
        stage
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("is in the stage")).expect("can be made");
        fs::write(path, text).expect("can be written");
    }

    fn stub(&self, name: &str, body: &str) {
        self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{body}\n"));
        let path = self.0.join("bin").join(name);
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("can be made executable");
    }

    fn run(&self, script: &Path, arguments: &[&str]) -> Output {
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let run = Command::new("sh").arg(script).args(arguments).env("PATH", path).env("TMPDIR", &self.0).output();
        run.expect("sh is here")
    }

    /// What the entrypoint says when it starts nothing.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(&self.0.join("entrypoint"), arguments);
        assert_eq!(
            (output.status.code(), output.stdout.is_empty()),
            (Some(1), true),
            "{arguments:?} started something"
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The output of the entrypoint with these arguments, without the last newline.
    fn output_of(&self, arguments: &[&str]) -> String {
        let output = self.run(&self.0.join("entrypoint"), arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("is text").trim_end().to_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn script(name: &str) -> String {
    let path = script_path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn script_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../image").join(name)
}

#[test]
fn no_argument_and_leading_flags_start_the_daemon() {
    let stage = Stage::new("flags");
    assert_eq!(stage.output_of(&[]), "buildkitd");
    assert_eq!(stage.output_of(&[""]), "buildkitd", "an empty word is no command");
    let of_buildx = "--allow-insecure-entitlement=network.host";
    assert_eq!(stage.output_of(&[of_buildx]), format!("buildkitd {of_buildx}"));
    assert_eq!(stage.output_of(&["--config", "/etc/x.toml"]), "buildkitd --config /etc/x.toml");
}

#[test]
fn a_command_is_run_as_it_is() {
    let stage = Stage::new("command");
    assert_eq!(stage.output_of(&["printf", "%s|", "a b", "--addr", "tcp://x"]), "a b|--addr|tcp://x|");
    let by_path = stage.0.join("bin/buildkitd");
    assert_eq!(stage.output_of(&[by_path.to_str().expect("is text"), "--debug"]), "buildkitd --debug");
    let output = stage.run(&stage.0.join("entrypoint"), &["sh", "-c", "exit 42"]);
    assert_eq!(output.status.code(), Some(42), "the exit status is the command's");
    let output = stage.run(&stage.0.join("entrypoint"), &["no-such-command-here"]);
    assert_eq!(output.status.code(), Some(127), "as every shell says it");
}

#[test]
fn the_daemon_has_its_socket_beside_every_address() {
    let stage = Stage::new("socket");
    for form in [&["--addr", "tcp://0.0.0.0:1234"][..], &["--addr=tcp://0.0.0.0:1234"], &["-addr", "unix:///x.sock"]] {
        let mut arguments = vec!["buildkitd"];
        arguments.extend(form);
        assert_eq!(stage.output_of(&arguments), format!("buildkitd {SOCKET} {}", form.join(" ")));
        assert_eq!(stage.output_of(form), format!("buildkitd {SOCKET} {}", form.join(" ")));
    }
    for form in [SOCKET.to_owned(), SOCKET.replace(' ', "=")] {
        let arguments: Vec<&str> = form.split(' ').chain(["--debug"]).collect();
        assert_eq!(stage.output_of(&arguments), format!("buildkitd {form} --debug"), "it is not added twice");
    }
    stage.stub("id", "echo 1000");
    assert_eq!(stage.output_of(&["--addr", "tcp://x"]), "buildkitd --addr tcp://x", "another user cannot make it");
}

#[test]
fn version_and_help_are_left_alone() {
    let stage = Stage::new("version");
    stage.write("certs/ca.pem", "");
    for flag in ["--version", "-v", "--help", "-h"] {
        assert_eq!(stage.output_of(&["buildkitd", flag]), format!("buildkitd {flag}"));
    }
    // As the value of another flag it is none, and the daemon would start.
    stage.refusal(&["--config", "--help"]);
    stage.refusal(&["--addr", "tcp://x", "--version=false"]);
}

/// Files that a directory of certificates may hold, as their paths under it, and the names that are taken of them.
const CERTIFICATES: [(&[&str], Option<[&str; 3]>); 12] = [
    (&["ca.pem", "cert.pem", "key.pem"], Some(["ca.pem", "cert.pem", "key.pem"])),
    (&["ca.crt", "tls.crt", "tls.key"], Some(["ca.crt", "tls.crt", "tls.key"])),
    (&["ca.crt", "tls.crt", "tls.key", "..data/ca.crt"], Some(["ca.crt", "tls.crt", "tls.key"])),
    (&["ca.pem", "cert.pem", "key.pem", "notes"], Some(["ca.pem", "cert.pem", "key.pem"])),
    (&["ca.pem"], None),
    (&["cert.pem", "key.pem"], None),
    (&["tls.crt", "tls.key"], None),
    (&["ca.pem", "tls.crt", "tls.key"], None),
    (&["ca.crt", "cert.pem", "key.pem"], None),
    (&["server.pem"], None),
    (&[".hidden"], None),
    (&["ca.pem", "cert.pem", "key.pem/file"], None),
];

#[test]
fn with_anything_in_the_directory_there_is_mutual_tls_or_no_daemon() {
    for (files, taken) in CERTIFICATES {
        let stage = Stage::new("tls");
        files.iter().for_each(|file| stage.write(&format!("certs/{file}"), "x"));
        let certs = stage.0.join("certs");
        for arguments in [&["--addr", "tcp://0.0.0.0:1234"][..], &["--debug"]] {
            let Some([ca, cert, key]) = taken else {
                let message = stage.refusal(arguments);
                assert!(message.contains("it must hold ca.pem, cert.pem and key.pem, or"), "{files:?}: {message}");
                continue;
            };
            let certs = certs.display();
            let flags = format!("--tlscacert {certs}/{ca} --tlscert {certs}/{cert} --tlskey {certs}/{key}");
            let socket = if arguments[0] == "--addr" { format!("{SOCKET} ") } else { String::new() };
            let expected = format!("buildkitd {socket}{flags} {}", arguments.join(" "));
            assert_eq!(stage.output_of(arguments), expected, "{files:?}");
        }
        // The caller's own three come first of all.
        let own = ["--tlscacert=/a", "-tlscert", "/c", "--tlskey", "/k"];
        assert_eq!(stage.output_of(&own), format!("buildkitd {}", own.join(" ")), "{files:?}");
        // An empty value counts for the daemon too, and takes away what is added.
        for own in [
            &["--tlscacert=/a"][..],
            &["--tlscert=/c", "--tlskey=/k"],
            &["--tlscacert=/a", "--tlskey=/k"],
            &["--tlscert="],
            &["--tlscert=", "--tlskey="],
            &["-tlscacert", "", "-tlscert", "", "-tlskey", ""],
        ] {
            stage.refusal(own);
        }
    }
}

#[test]
fn links_to_nowhere_and_what_is_no_directory_are_refused() {
    for at in ["certs", "certs/ca.pem"] {
        let stage = Stage::new("links");
        ["ca.pem", "cert.pem", "key.pem"].iter().for_each(|name| stage.write(&format!("certs/{name}"), "x"));
        let at = stage.0.join(at);
        if at.is_dir() { fs::remove_dir_all(&at) } else { fs::remove_file(&at) }.expect("is removed");
        symlink("/nowhere/at/all", &at).expect("is linked");
        stage.refusal(&["--addr", "tcp://0.0.0.0:1234"]);
        fs::remove_file(&at).expect("is removed");
        fs::write(&at, "a file").expect("is written");
    }
    let stage = Stage::new("file");
    stage.write("certs", "no directory");
    stage.refusal(&["--addr", "tcp://0.0.0.0:1234"]);
}

#[test]
fn flags_of_tls_that_would_open_a_port_without_it_are_refused() {
    let stage = Stage::new("flags-tls");
    // The daemon takes these for "no TLS at all".
    for own in [&["--tlscacert=/a"][..], &["--tlscacert", "/a"], &["-tlscacert", "/a", "--tlscert=", "--tlskey="]] {
        let arguments = [&["--addr", "tcp://0.0.0.0:1234"], own].concat();
        assert!(stage.refusal(&arguments).contains("--tlscacert needs --tlscert and --tlskey"), "{own:?}");
    }
    // Encrypted, without certificates of clients: the caller's choice, if no directory says otherwise.
    let own = "--tlscert=/c --tlskey=/k";
    assert_eq!(stage.output_of(&own.split(' ').collect::<Vec<_>>()), format!("buildkitd {own}"));
    // The daemon reads no flag after these two dashes.
    stage.write("certs/ca.pem", "x");
    stage.refusal(&["--addr", "tcp://x", "--", "--tlscacert=/a", "--tlscert=/c", "--tlskey=/k"]);
}

#[test]
fn on_cgroup_v2_a_namespace_is_made_if_it_can_be() {
    let stage = Stage::new("cgroup");
    stage.stub("unshare", "echo \"unshare $1 $2\"; shift 2; exec \"$@\"");
    stage.stub("umount", "echo \"umount $*\"");
    stage.stub("mount", "echo \"mount $*\"");
    assert_eq!(stage.output_of(&["--debug"]), "buildkitd --debug", "cgroup v1 needs nothing");
    stage.write("cgroup/cgroup.controllers", "");
    assert_eq!(stage.output_of(&["--debug"]), "buildkitd --debug", "at the root there is a namespace already");

    stage.write("proc/cgroup", "0::/kubepods/pod1\n");
    let tree = stage.0.join("cgroup");
    let tree = tree.display();
    stage.write("proc/mounts", &format!("proc /proc proc rw 0 0\ncgroup2 {tree} cgroup2 ro,nosuid,nsdelegate 0 0\n"));
    let made =
        format!("unshare --cgroup --mount\numount {tree}\nmount -t cgroup2 -o ro,nosuid,nsdelegate cgroup2 {tree}");
    assert_eq!(stage.output_of(&["--debug"]), format!("{made}\n{made}\nbuildkitd --debug"), "tried first, then done");

    stage.stub("umount", "exit 32");
    let output = stage.run(&stage.0.join("entrypoint"), &["--debug"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && stdout.ends_with("buildkitd --debug\n"), "it goes on without: {output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("going on in cgroup /kubepods/pod1"), "{stderr}");
}

#[test]
fn a_daemon_for_one_command_ends_with_it() {
    let stage = Stage::new("daemonless");
    let daemonless = script_path("buildctl-daemonless.sh");
    stage.stub("buildkitd", "echo \"$$ $*\" >\"$TMPDIR/started\"; exec sleep 60");
    stage
        .stub("buildctl", "case $* in *'debug workers') test -e \"$TMPDIR/started\" ;; *) echo \"$*\"; exit 7 ;; esac");
    let output = stage.run(&daemonless, &["build", "--progress", "plain"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(7), "the exit status is buildctl's: {output:?}");
    assert!(stdout.starts_with("--addr unix:///") && stdout.ends_with("build --progress plain\n"), "{stdout}");
    let started = fs::read_to_string(stage.0.join("started")).expect("the daemon was started");
    let process = started.split(' ').next().expect("its number").to_owned();
    assert!(!Path::new("/proc").join(process).exists(), "the daemon still runs after the command");
    let left: Vec<_> = fs::read_dir(&stage.0).expect("lists").flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("tmp.")), "{left:?}");

    stage.stub("buildkitd", "echo cannot start >&2; exit 1");
    fs::remove_file(stage.0.join("started")).expect("is there");
    let output = stage.run(&daemonless, &["build"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("buildkitd does not answer; it said:\ncannot start"), "{stderr}");
}
