//! An emulated daemon that does not start, as `verify-tini` and `smoke` see it: a stub of docker plays one that hangs
//! in QEMU, one that ends without a word, and one that is only silent.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fakes::sample_image::{ENTRYPOINT, config, good, layer};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// What `docker top` prints of a daemon that hangs under qemu-user, and of one that does not.
const HUNG: &str = "PID PPID STAT WCHAN COMMAND
4700 4680 Ssl futex_do_wait /usr/bin/qemu-riscv64-static /usr/bin/tini -- buildkitd
4711 4700 Sl futex_do_wait /usr/bin/qemu-riscv64-static /usr/bin/buildkitd --addr unix:///run/b.sock
4733 4711 Sl futex_do_wait /usr/bin/qemu-riscv64-static /usr/bin/buildkitd --addr unix:///run/b.sock";

/// A stub of docker, alone on PATH with the system's own programs.
struct Stub(PathBuf);

impl Stub {
    /// Each daemon is a run of `docker run --privileged`, or of `docker buildx create`; `start` is shell code that
    /// gets the number of the start in `$n`, counted with and without `--init` apart, and prints the state that `docker inspect` shows.
    fn new(name: &str, start: &str) -> Self {
        let stub = Self(std::env::temp_dir().join(format!("xtask-hang-{name}-{}", std::process::id())));
        let _ = fs::remove_dir_all(&stub.0);
        let folder = stub.0.display();
        let script = format!(
            "#!/bin/sh
folder='{folder}'
case \"$*\" in *' --init '*) starts=$folder/starts-init ;; *) starts=$folder/starts ;; esac
state=$folder/state
for word; do case $word in xtask-verify-tini-*) state=$folder/state-$word ;; esac; done
started() {{ n=$(cat $starts); n=$((n + 1)); echo $n >$starts; ({start}) >$state; }}
case \"$*\" in
version*) echo '28.0.0 amd64' ;;
*' --privileged '*|'buildx create'*) started ;;
*' trap '*) exit 1 ;;
'inspect --format'*) cat $state ;;
exec*buildctl*) grep -q answers $state && echo 'ID linux/riscv64' ;;
'buildx inspect'*) grep -q answers $state && cat $folder/inspection || {{ echo timeout >&2; exit 1; }} ;;
top*) grep -q hung $state && cat $folder/top || {{ echo not running >&2; exit 1; }} ;;
'image inspect'*) exit 1 ;;
esac
"
        );
        stub.write("starts", "0\n");
        stub.write("starts-init", "0\n");
        stub.write("top", HUNG);
        stub.write(
            "inspection",
            "Name: b\nDriver: docker-container\n\nNodes:\nName: b0\nEndpoint: unix:///var/run/docker.sock\nStatus: \
             running\nBuildKit version: v0.32.2\nPlatforms: linux/riscv64\n",
        );
        stub.write("bin/docker", &script);
        fs::set_permissions(stub.0.join("bin/docker"), Permissions::from_mode(0o755)).expect("is made executable");
        stub.layout();
        stub
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
        fs::write(path, content).expect("is written");
    }

    /// An image layout that `verify-tini` and `smoke` accept.
    fn layout(&self) {
        let hex = |bytes: &[u8]| -> String {
            digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let blob = |kind: &str, bytes: &[u8]| {
            self.write(&format!("image/blobs/sha256/{}", hex(bytes)), bytes);
            json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": format!("sha256:{}", hex(bytes)),
                "size": bytes.len() })
        };
        let tar = layer(&good());
        let config = config(&ENTRYPOINT, &[format!("sha256:{}", hex(&tar))]).to_string();
        let (config, tar) = (blob("config.v1+json", config.as_bytes()), blob("layer.v1.tar", &tar));
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [tar] }).to_string();
        let manifest = blob("manifest.v1+json", manifest.as_bytes());
        self.write("image/index.json", json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string());
        self.write("image/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    }

    /// Verdict and evidence of a check, and everything on standard error.
    fn check(&self, arguments: &[&str], name: &str) -> (String, String) {
        let path = std::env::join_paths([self.0.join("bin"), "/usr/bin".into(), "/bin".into()]).expect("a PATH");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).arg("--json").arg(self.0.join("image")).env("PATH", path);
        command.env_remove("GITHUB_ACTIONS").env("A_TOKEN", "secret");
        let output = command.current_dir(checkout(&self.0)).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        let check = find(&report, name).unwrap_or_else(|| panic!("there is no {name} in {report}"));
        (check["verdict"].as_str().expect("text").to_owned(), check["evidence"].as_str().expect("text").to_owned())
    }

    fn starts(&self) -> u32 {
        let of =
            |name| -> u32 { fs::read_to_string(self.0.join(name)).expect("is read").trim().parse().expect("a number") };
        of("starts") + of("starts-init")
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A checkout of its own, so that a run of the same task in this one is not waited for.
fn checkout(folder: &Path) -> PathBuf {
    let checkout = folder.join("checkout");
    support::empty_checkout(&checkout);
    checkout
}

/// The check of that name, wherever it is in the report.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    if value["name"] == name && value.get("verdict").is_some() {
        return Some(value);
    }
    match value {
        Value::Array(values) => values.iter().find_map(|value| find(value, name)),
        Value::Object(values) => values.values().find_map(|value| find(value, name)),
        _ => None,
    }
}

/// What runs the programs of the image here may hang with several threads of Go, and may come from anyone.
#[test]
fn smoke_runs_each_command_with_one_thread_of_go_and_without_the_users_variables() {
    if cfg!(target_arch = "riscv64") {
        return support::skip("hang", "nothing is emulated here");
    }
    let stub = Stub::new("exec", ":");
    let qemu = "#!/bin/sh\necho \"threads ${GOMAXPROCS-of any number}, token ${A_TOKEN-none}\"\n";
    stub.write("bin/qemu-riscv64-static", qemu);
    let path = stub.0.join("bin/qemu-riscv64-static");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("is made executable");
    let (verdict, evidence) = stub.check(&["smoke", "--level", "exec"], "tini-runs");
    assert_eq!((verdict.as_str(), evidence.as_str()), ("pass", "threads 1, token none"));
}

const VERIFY: [&str; 3] = ["verify-tini", "--engine", "docker"];
const SMOKE: [&str; 3] = ["smoke", "--level", "builder"];

/// On CI without an interpreter for riscv64, smoke does not get as far as the engine.
fn smoke_can_start() -> bool {
    let can = Path::new("/proc/sys/fs/binfmt_misc/qemu-riscv64").exists() || cfg!(target_arch = "riscv64");
    if !can {
        support::skip("hang", "no interpreter for riscv64 is registered");
    }
    can
}

#[test]
fn verify_tini_starts_a_daemon_again_that_hangs_in_qemu() {
    let stub = Stub::new("verify", "test $n = 1 && echo true 0 hung || echo true 0 answers");
    let (verdict, evidence) = stub.check(&VERIFY, "form-no-argument");
    assert_eq!(verdict, "pass", "{evidence}");
    assert!(evidence.contains("at attempt 2") && evidence.contains("process 4733"), "{evidence}");
    assert_eq!(stub.starts(), 6, "a hang and two forms of the command, with and without --init");
}

#[test]
fn verify_tini_does_not_take_a_silent_exit_for_a_hang() {
    let stub = Stub::new("verify-exit", "test $n = 1 && echo false 1 || echo true 0 answers");
    let (verdict, evidence) = stub.check(&VERIFY, "form-no-argument");
    assert_eq!((verdict.as_str(), evidence.as_str()), ("fail", "the container ended with 1: no output"));
    assert_eq!(stub.starts(), 4, "it is not started again");
}

#[test]
fn smoke_starts_a_builder_again_that_hangs_in_qemu() {
    if !smoke_can_start() {
        return;
    }
    let stub = Stub::new("smoke", "test $n = 1 && echo true 0 hung || echo true 0 answers");
    let (verdict, evidence) = stub.check(&SMOKE, "builder-bootstraps");
    assert_eq!(verdict, "pass", "{evidence}");
    assert!(evidence.contains("at attempt 2") && evidence.contains("process 4733"), "{evidence}");
    assert_eq!(stub.starts(), 2);
}

#[test]
fn smoke_does_not_start_a_builder_again_that_ended_or_is_only_silent() {
    if !smoke_can_start() {
        return;
    }
    let stub = Stub::new("smoke-exit", "echo false 1");
    let (verdict, evidence) = stub.check(&SMOKE, "builder-bootstraps");
    assert_eq!(verdict, "fail");
    assert_eq!(evidence, "the builder does not start: timeout (the daemon's log is empty)");
    assert_eq!(stub.starts(), 1);

    // All its processes wait, as in a hang, and none is a fork of the daemon.
    let stub = Stub::new("smoke-silent", "echo true 0 hung");
    let alive: Vec<&str> = HUNG.lines().take(3).collect();
    stub.write("top", alive.join("\n"));
    let (verdict, evidence) = stub.check(&SMOKE, "builder-bootstraps");
    assert_eq!((verdict.as_str(), stub.starts()), ("fail", 1), "{evidence}");
    assert!(!evidence.contains("qemu"), "{evidence}");
}
