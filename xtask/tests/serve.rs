//! `cargo xtask rehearse --serve`: what is published stays there, and the printed command verifies it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// A process that does not outlive the test, also if that fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// As a person does in another terminal: the printed command, with nothing added.
#[test]
fn what_is_served_can_be_verified_with_the_printed_command() {
    let mut command = Command::new(XTASK);
    command.args(["rehearse", "--serve"]).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("GITHUB_ACTIONS");
    let server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("xtask starts");
    let mut server = Server(server);
    let mut lines = BufReader::new(server.0.stderr.take().expect("is piped")).lines().map_while(Result::ok);
    let line = lines.find(|line| line.starts_with("GITHUB_API_URL=")).expect("the command is printed");
    // What comes after it is read, so that the server never waits for its reader.
    let rest = std::thread::spawn(move || lines.count());
    let script = line.replace("cargo xtask", XTASK);
    let mut shell = Command::new("env");
    shell.args(["-u", "GITHUB_TOKEN", "-u", "GH_TOKEN", "sh", "-c", &script]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = shell.output().expect("sh starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("pass  image-blobs"), "{line}: {stderr}");
    // A version that was never published is not one that was changed.
    let output = Command::new("sh").args(["-c", &script.replace("verify v0.32.2", "verify v0.31.9")]).output();
    let stderr = String::from_utf8_lossy(&output.expect("sh starts").stderr).into_owned();
    assert!(stderr.contains("error there is no release buildkit-v0.31.9-riscv64 that anyone can see; "), "{stderr}");
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rehearse").join(server.0.id().to_string());
    assert!(files.is_dir(), "{}", files.display());
    let killed = Command::new("kill").arg(server.0.id().to_string()).status().expect("kill starts");
    assert!(killed.success() && server.0.wait().expect("ends").signal() == Some(15));
    rest.join().expect("the last lines are read");
    assert!(!files.exists(), "{} is left", files.display());
}
