//! A [`Run`] as the standard library's command, and a command that takes the place of this process.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "starts processes")]

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Error, anyhow};

use crate::os::process::Run;

/// The variables of the environment that hold secrets, ours and those that GitHub Actions sets. No
/// child process gets any of them unless it is given one on purpose.
const SECRET_VARIABLES: [&str; 6] = [
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "REGISTRY_PASSWORD",
    "XTASK_SIGNING_KEY",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
];

impl Run {
    /// Program, arguments, directory and environment.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(OsStr::new(&self.program));
        command.args(&self.arguments);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if !self.inherits {
            command.env_clear();
        }
        for name in SECRET_VARIABLES {
            command.env_remove(name);
        }
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.envs(self.hidden_environment.0.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs in the place of this process: with its terminal, its signals, and its exit status, and without a limit.
    /// Returns only if it cannot be started.
    pub fn replace_this_process(&self) -> Error {
        self.not_started(self.command().exec())
    }

    /// Why it cannot be started. The system has the same words for a program and for a directory that is not there.
    pub(super) fn not_started(&self, error: io::Error) -> Error {
        let has_directory = self.directory.as_ref().is_none_or(|directory| directory.is_dir());
        let is_on_path = error.kind() != io::ErrorKind::NotFound || self.program.contains('/') || !has_directory;
        let error = if is_on_path {
            Error::new(error)
        } else {
            let program = &self.program;
            anyhow!("{program} is not on PATH; `cargo xtask doctor` prints the command that installs what is missing")
        };
        error.context(format!("cannot start `{self}`"))
    }
}
