//! `cargo xtask completions`: a script that completes these commands in a shell.

use std::process::ExitCode;

use clap::{Args, Command};

/// Print a script that completes these commands in your shell
#[derive(Args)]
#[command(after_help = "\
The script completes a command of the name `xtask`, so give it one:
  alias xtask='cargo xtask'
  source <(cargo xtask completions bash)")]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script for all of `command`.
pub fn run(mut command: Command, arguments: &Completions) -> ExitCode {
    clap_complete::generate(arguments.shell, &mut command, "xtask", &mut std::io::stdout());
    ExitCode::SUCCESS
}
