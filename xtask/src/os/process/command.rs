//! A [`Run`] as the standard library's command, and a command that takes the place of this process.
#![allow(clippy::disallowed_types, reason = "starts processes")]

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Error;

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
        Error::new(self.command().exec()).context(format!("cannot start `{self}`"))
    }
}
