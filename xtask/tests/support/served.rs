//! A rehearsal that serves what it published to fakes, as a process of its own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "makes files and starts processes")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// A rehearsal that serves what it published. It does not outlive the test, also if that fails.
pub struct Served {
    pub process: Child,
    /// The command that verifies a release.
    pub command: String,
    /// What was printed before it.
    pub before: Vec<String>,
    /// What comes after it is read, so that the process never waits for its reader.
    pub after: Option<JoinHandle<usize>>,
}

impl Served {
    /// Starts one in a checkout, and waits for the command.
    pub fn start(root: &Path) -> Self {
        super::compile_packager();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["rehearse", "--serve"]).current_dir(root).env_remove("GITHUB_ACTIONS");
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("xtask starts");
        let mut lines = BufReader::new(process.stderr.take().expect("is piped")).lines().map_while(Result::ok);
        let mut before = Vec::new();
        let command = lines.by_ref().find(|line| {
            before.push(line.clone());
            line.starts_with("GITHUB_API_URL=")
        });
        let after = Some(std::thread::spawn(move || lines.count()));
        let served = Self { process, command: command.unwrap_or_default(), before, after };
        assert!(!served.command.is_empty(), "no command is printed: {:#?}", served.before);
        served
    }

    /// As a person does in another terminal: the printed command, with nothing but these words replaced. Returns whether
    /// it succeeded, and its standard error.
    pub fn verify(&self, root: &Path, replaced: (&str, &str)) -> (bool, String) {
        let script = self.command.replace("cargo xtask", env!("CARGO_BIN_EXE_xtask")).replace(replaced.0, replaced.1);
        let mut shell = Command::new("env");
        shell.args(["-u", "GITHUB_TOKEN", "-u", "GH_TOKEN", "sh", "-c", &script]).current_dir(root);
        let output = shell.output().expect("sh starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn files(&self, root: &Path) -> PathBuf {
        root.join("target/rehearse").join(self.process.id().to_string())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}
