//! `cargo xtask <task>`: parses the command line and calls one task. Each task is a file of its own.

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

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
mod package;
mod published;
mod reconcile;
mod registry;
mod rehearse;
mod release;
mod smoke;
mod upstream;
mod verify;
mod verify_tini;

/// Build, test and publish BuildKit for linux/riscv64
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "`cargo xtask <COMMAND> --help` has examples; xtask/README.md describes the whole pipeline.")]
struct Xtask {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    Build(build::Build),
    Image(image::Image),
    VerifyTini(verify_tini::VerifyTini),
    Smoke(smoke::Smoke),
    Package(package::Package),
    Release(release::Release),
    Verify(verify::Verify),
    CheckUpstream(check_upstream::CheckUpstream),
    Rehearse(rehearse::Rehearse),
    Doctor(doctor::Doctor),
    Clean(clean::Clean),
    Ci(ci::Ci),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    os::interrupt::with_signals(|| run(&cli::parse()).and_then(os::streams::check_stdout))
        .unwrap_or_else(|error| os::terminal::print_error(&error))
}

fn run(Xtask { global, task }: &Xtask) -> anyhow::Result<ExitCode> {
    global.apply();
    let root = &os::checkout::root()?;
    let Some(task) = task else { return cli::version::run(root, global, Xtask::command()) };
    match task {
        Task::Build(arguments) => build::run(root, arguments),
        Task::Image(arguments) => image::run(root, arguments).map(|()| ExitCode::SUCCESS),
        Task::VerifyTini(arguments) => verify_tini::run(root, arguments),
        Task::Smoke(arguments) => smoke::run(root, arguments),
        Task::Package(arguments) => package::run(root, arguments),
        Task::Release(arguments) => release::run(root, arguments),
        Task::Verify(arguments) => verify::run(root, arguments),
        Task::CheckUpstream(arguments) => check_upstream::run(root, arguments),
        Task::Rehearse(arguments) => rehearse::run(root, arguments),
        Task::Doctor(arguments) => doctor::run(root, arguments),
        Task::Clean(arguments) => clean::run(root, arguments).map(|()| ExitCode::SUCCESS),
        Task::Ci(arguments) => ci::run(root, arguments),
        Task::Completions(arguments) => Ok(completions::run(Xtask::command(), arguments)),
    }
}
