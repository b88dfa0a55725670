//! `cargo xtask completions`: a script that completes these commands in a shell.

use std::process::ExitCode;

use clap::{Args, Command};

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
    clap_complete::generate(arguments.shell, &mut command, "xtask", &mut std::io::stdout());
    ExitCode::SUCCESS
}
