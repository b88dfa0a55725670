//! `cargo xtask completions`: a script that completes these commands in a shell.

use std::process::ExitCode;

use clap::{Args, Command};

use crate::os::streams::write_stdout;

/// Print a script that completes these commands in your shell
#[derive(Args)]
#[command(after_help = "\
The script completes a command named `xtask`, so define it:
  alias xtask='cargo xtask'
  source <(cargo xtask completions bash)")]
pub struct Completions {
    /// The shell to complete in
    shell: clap_complete::Shell,
}

pub fn run(mut command: Command, arguments: &Completions) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "xtask", &mut script);
    write_stdout(String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
