//! `cargo xtask ci`: every check that a change has to pass, in one table at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::Utf8Path;
use clap::{Args, ValueEnum};
use console::style;
use serde_json::json;

use crate::os::streams::{print_json, print_stdout, write_stdout};
use crate::os::terminal::{clock, end_group, group, print_status};

mod checks;
mod emulate;
mod linters;
mod openapi;
mod packages;
mod programs;
mod readers;
mod rehearsal;
mod skips;
mod tools;
mod upstream_build;
mod workflows;

/// Run every check that a change has to pass
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask ci                       every check, with a table at the end
  cargo xtask ci --only clippy         one check (can be given several times)
  cargo xtask ci --install --strict    as the project's own CI runs it

A check that cannot run on this machine is skipped, and the table says why.

Exit status: 0 if no check failed, 1 if one did.")]
pub struct Ci {
    /// Run only this check; can be given several times [default: all]
    #[arg(long, value_name = "CHECK", value_enum)]
    only: Vec<Name>,
    /// First install what the checks need: into target/ci/tools, and with apt-get on Debian and Ubuntu
    #[arg(long)]
    install: bool,
    /// Count a skipped check as failed, except the few that the source allows by name
    #[arg(long)]
    strict: bool,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
}

/// In the order in which they run: what fails fast comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// rustfmt changes nothing
    Format,
    /// clippy warns of nothing
    Clippy,
    /// the pinned upstream release builds twice to the same bytes
    Build,
    /// our rules for workflows; the fake GitHub by GitHub's description and by clients of others; shellcheck, shfmt, actionlint, zizmor, hadolint and others, if installed
    Linters,
    /// the packages of that release, read by lintian, rpmlint and pkgcheck
    Packages,
    /// the image of that release builds and passes verify-tini and smoke, if an engine runs riscv64 programs
    Image,
    /// the rehearsal passes with each fault in each of its requests
    Rehearse,
    /// the rehearsal passes as api.github.com, ghcr.io and others, over TLS, where namespaces are allowed
    RealNames,
    /// all tests pass; some of them read that image
    Tests,
}

/// The result of one check, or of one test within it.
enum Outcome {
    Passed(String),
    Failed(String),
    Skipped(String),
}

/// A line of the table.
struct Row {
    name: String,
    outcome: Outcome,
    took: Duration,
    /// How many results the row stands for: a run of tests is one row.
    count: u64,
}

impl Row {
    fn new(name: impl Into<String>, outcome: Outcome, started: Instant) -> Self {
        Self { name: name.into(), outcome, took: started.elapsed(), count: 1 }
    }

    fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Passed(_) => "passed",
            Outcome::Failed(_) => "failed",
            Outcome::Skipped(_) => "skipped",
        }
    }

    fn detail(&self) -> &str {
        match &self.outcome {
            Outcome::Passed(detail) | Outcome::Failed(detail) | Outcome::Skipped(detail) => detail,
        }
    }
}

/// Fails if a check cannot be started.
pub fn run(root: &Utf8Path, arguments: &Ci) -> Result<ExitCode> {
    let mut rows = if arguments.install { install(root) } else { Vec::new() };
    for name in Name::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(name) {
            continue;
        }
        let title = name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        group(&title);
        print_status("ci", &title);
        let found = match name {
            Name::Format => checks::format(root),
            Name::Clippy => checks::clippy(root),
            Name::Build => upstream_build::build(root),
            Name::Linters => linters::run(root),
            Name::Packages => packages::run(root),
            Name::Image => upstream_build::image(root),
            Name::Rehearse => rehearsal::run(root),
            Name::RealNames => rehearsal::under_real_names(root),
            Name::Tests => checks::tests(root),
        };
        rows.extend(found.with_context(|| format!("the check {title} could not run"))?);
        end_group();
    }
    if arguments.strict {
        skips::apply_strict(&mut rows);
    }
    let total = |word: &str| rows.iter().filter(|row| row.word() == word).map(|row| row.count).sum::<u64>();
    let (passed, failed, skipped) = (total("passed"), total("failed"), total("skipped"));
    if arguments.json {
        print_json(&as_json(&rows));
    } else {
        write_stdout(as_table(&rows));
        print_stdout(format_args!("\n{passed} passed, {failed} failed, {skipped} skipped"));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn install(root: &Utf8Path) -> Vec<Row> {
    group("install");
    let rows = tools::install(root);
    end_group();
    rows
}

fn as_table(rows: &[Row]) -> String {
    let widest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let line = |row: &Row| {
        let word = format!("{:<7}", row.word());
        let word = match row.outcome {
            Outcome::Passed(_) => style(word).green(),
            Outcome::Failed(_) => style(word).red().bold(),
            Outcome::Skipped(_) => style(word).yellow(),
        };
        format!("  {word}  {:<widest$}  {:>5}  {}\n", row.name, clock(row.took), row.detail())
    };
    std::iter::once("\n".to_owned()).chain(rows.iter().map(line)).collect()
}

fn as_json(rows: &[Row]) -> serde_json::Value {
    let row = |row: &Row| {
        json!({
            "name": row.name, "outcome": row.word(), "detail": row.detail(),
            "seconds": row.took.as_secs_f64(), "count": row.count,
        })
    };
    rows.iter().map(row).collect()
}
