//! What each command of a build, and each of its subcommands, prints for `--help`.

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use packages::help::Command;
use packages::request::Help;

use crate::dist::names::COMMANDS;
use crate::os::host::Riscv64;

/// `BuildKit` has 16, three deep.
const MOST_COMMANDS: usize = 100;

/// Runs the commands in `folder`.
///
/// # Errors
/// If riscv64 programs do not run here, or one does not answer.
pub fn collect(folder: &Utf8Path) -> Result<Vec<Help>> {
    let host = Riscv64::here();
    let mut found = Vec::new();
    let mut waiting: Vec<Vec<String>> = COMMANDS.iter().map(|name| vec![(*name).to_owned()]).collect();
    while let Some(command) = waiting.pop() {
        ensure!(found.len() < MOST_COMMANDS, "{} has more than {MOST_COMMANDS} subcommands", command[0]);
        let run = host.run(&folder.join(&command[0])).context(
            "riscv64 programs do not run here, and the man pages are made from their help; `cargo xtask doctor` prints \
             how to install qemu-user",
        )?;
        // Without an environment: it shows in the defaults that are printed.
        let text = host.answer(&run.bare().args(&command[1..]).arg("--help"))?;
        for subcommand in Command::parse(&text).subcommands {
            waiting.push([&command[..], &[subcommand.name]].concat());
        }
        found.push(Help { command, text });
    }
    found.sort_by(|one, other| one.command.cmp(&other.command));
    Ok(found)
}
