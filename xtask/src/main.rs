//! Repository automation of docker-for-riscv64: `cargo xtask <task>`.
//!
//! This file parses the command line and calls the one task; each task is a file of its own.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

mod build;
mod ci;
mod doctor;
mod image;
mod model;
mod smoke;
mod sys;
mod verify_tini;

/// Upstream BuildKit, made trustworthy for RISC-V.
///
/// Each task takes a folder dist/<version>/ or makes one, and can be run on its own. Long work shows its progress on standard error; standard output is data.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  cargo xtask doctor                     what this machine has and lacks for each task
  cargo xtask build                      the pinned release, into dist/
  cargo xtask build --ref master         any tag, branch or commit of upstream
  cargo xtask image                      the container image of it
  cargo xtask verify-tini                the init path of an image, and the host's side of it
  cargo xtask smoke                      the image run: commands, a builder, builds in a machine
  cargo xtask ci                         every check that a change has to pass
  cargo xtask completions bash           a completion script for your shell

`cargo xtask <TASK> --help` tells more, with examples.")]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Build(build::Build),
    Image(image::Image),
    VerifyTini(verify_tini::VerifyTini),
    Smoke(smoke::Smoke),
    Doctor(doctor::Doctor),
    Ci(ci::Ci),
    /// Print a script that completes these commands in your shell
    #[command(after_help = "\
The script completes a command of the name `xtask`, so give it one:
  alias xtask='cargo xtask'
  source <(cargo xtask completions bash)")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    run(Xtask::parse().task).unwrap_or_else(|error| {
        sys::narrate::fail(&error);
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Build(arguments) => build::run(&sys::checkout::root()?, &arguments).map(|()| ExitCode::SUCCESS),
        Task::Image(arguments) => image::run(&sys::checkout::root()?, &arguments).map(|()| ExitCode::SUCCESS),
        Task::VerifyTini(arguments) => verify_tini::run(&sys::checkout::root()?, &arguments),
        Task::Smoke(arguments) => smoke::run(&sys::checkout::root()?, &arguments),
        Task::Doctor(arguments) => doctor::run(&sys::checkout::root()?, &arguments),
        Task::Ci(arguments) => ci::run(&sys::checkout::root()?, &arguments),
        Task::Completions { shell } => {
            clap_complete::generate(shell, &mut Xtask::command(), "xtask", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
