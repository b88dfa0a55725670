//! Repository automation of docker-for-riscv64, `cargo xtask <task>`: calls the one task, a file each.
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

mod build;
mod check_upstream;
mod ci;
mod clean;
mod cli;
mod completions;
mod credentials;
mod dist;
mod doctor;
mod engine;
mod git;
mod github;
mod go;
mod http;
mod image;
mod os;
mod reconcile;
mod registry;
mod rehearse;
mod release;
mod smoke;
mod upstream;
mod verify_tini;

/// Upstream BuildKit, made trustworthy for RISC-V.
///
/// Each task takes a folder dist/<version>/ or makes one, and can be run on its own. Long work shows its progress on standard error; standard output is data.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "`cargo xtask <TASK> --help` has examples; xtask/README.md has the whole pipeline.")]
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
    Release(release::Release),
    CheckUpstream(check_upstream::CheckUpstream),
    Rehearse(rehearse::Rehearse),
    Doctor(doctor::Doctor),
    Clean(clean::Clean),
    Ci(ci::Ci),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let task = Xtask::parse().task;
    let ended = os::interrupt::install().and_then(|()| run(task)).unwrap_or_else(|error| {
        os::terminal::print_error(&error);
        ExitCode::FAILURE
    });
    os::interrupt::end_if_received();
    ended
}

fn run(task: Task) -> Result<ExitCode> {
    let root = os::checkout::root;
    match task {
        Task::Build(arguments) => build::run(&root()?, &arguments),
        Task::Image(arguments) => image::run(&root()?, &arguments).map(|()| ExitCode::SUCCESS),
        Task::VerifyTini(arguments) => verify_tini::run(&root()?, &arguments),
        Task::Smoke(arguments) => smoke::run(&root()?, &arguments),
        Task::Release(arguments) => release::run(&root()?, &arguments),
        Task::CheckUpstream(arguments) => check_upstream::run(&root()?, &arguments),
        Task::Rehearse(arguments) => rehearse::run(&root()?, &arguments),
        Task::Doctor(arguments) => doctor::run(&root()?, &arguments),
        Task::Clean(arguments) => clean::run(&root()?, &arguments).map(|()| ExitCode::SUCCESS),
        Task::Ci(arguments) => ci::run(&root()?, &arguments),
        Task::Completions(arguments) => Ok(completions::run(Xtask::command(), &arguments)),
    }
}
#[cfg(test)]
mod mutation;
