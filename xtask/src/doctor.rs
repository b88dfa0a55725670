//! `cargo xtask doctor`: what this machine has and lacks, by task, each missing with the one line
//! that mends it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use camino::Utf8Path;
use clap::Args;
use console::style;
use serde_json::json;

use crate::doctor::requirements::{Family, Need};
use crate::os::host;
use crate::os::process::{Event, Run};
use crate::os::terminal::print_status;

mod checks;
mod requirements;

/// Half a gigabyte of packages over a slow line.
const MEND_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Show what this machine has and lacks for each task, and how to mend each missing
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask doctor           a table by task
  cargo xtask doctor --json    the same as JSON on standard output
  cargo xtask doctor --mend    first install what is missing, where apt-get has it

Exit status: 0 if `cargo xtask build` can run here, 1 if not.")]
pub struct Doctor {
    /// First install the packages that are missing, without asking (Debian and Ubuntu)
    #[arg(long)]
    mend: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// What was found of one need.
struct Finding {
    need: Need,
    found: Result<String, String>,
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// Where packages cannot be installed, or JSON cannot be written.
pub fn run(root: &Utf8Path, arguments: &Doctor) -> Result<ExitCode> {
    let family = checks::family();
    let look = || -> Vec<Finding> {
        Need::ALL.into_iter().map(|need| Finding { need, found: checks::look(root, need) }).collect()
    };
    let mut findings = look();
    if arguments.mend {
        ensure!(family == Some(Family::Debian), "--mend knows Debian and Ubuntu alone; without it the lines are shown");
        mend(&findings)?;
        findings = look();
    }
    let can_build = findings.iter().all(|finding| !finding.need.stops_build() || finding.found.is_ok());
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&findings, family, can_build))?);
    } else {
        print!("{}", as_table(&findings, family));
        let verdict =
            if can_build { "`cargo xtask build` can run here" } else { "`cargo xtask build` cannot run here yet" };
        println!("\n{verdict}");
    }
    Ok(if can_build { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A workflow on a fresh machine of GitHub's gets its packages this way; on a machine of one's own the lines
/// are shown and left to its owner.
fn mend(findings: &[Finding]) -> Result<()> {
    let lacks = findings.iter().filter(|finding| finding.found.is_err());
    let packages: Vec<&str> = lacks.flat_map(|finding| finding.need.debian_packages()).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let apt = match host::on_path("sudo") {
        Some(_) => Run::new("sudo").arg("apt-get"),
        None => Run::new("apt-get"),
    };
    for run in [apt.clone().arg("update"), apt.args(["install", "--yes", "--no-install-recommends"]).args(packages)] {
        print_status("mend", &run);
        let output = run.clone().limit(MEND_LIMIT).follow(None, |event| {
            if let Event::Line(line) = event {
                eprintln!("{line}");
            }
        })?;
        ensure!(output.status.success(), "`{run}` ended with {}", output.status);
    }
    Ok(())
}

/// Task after task, a line a need, and below each missing how to mend it.
fn as_table(findings: &[Finding], family: Option<Family>) -> String {
    let mut lines = Vec::new();
    let mut task = "";
    for Finding { need, found } in findings {
        if need.task() != task {
            task = need.task();
            lines.push(format!("{}{}", if lines.is_empty() { "" } else { "\n" }, style(task).bold()));
        }
        let name = format!("{:<18}", need.name());
        match found {
            Ok(what) => lines.push(format!("  {} {name} {what}", style("has  ").green())),
            Err(missing) => {
                lines.push(format!("  {} {name} {missing}", style("lacks").yellow()));
                lines.extend(need.fixes(family).iter().map(|(place, line)| format!("{:27}{place}{line}", "")));
            }
        }
    }
    lines.join("\n") + "\n"
}

fn as_json(findings: &[Finding], family: Option<Family>, can_build: bool) -> serde_json::Value {
    let findings: Vec<_> = findings
        .iter()
        .map(|Finding { need, found }| {
            let fixes: Vec<String> = match found {
                Ok(_) => Vec::new(),
                Err(_) => need.fixes(family).into_iter().map(|(place, line)| format!("{place}{line}")).collect(),
            };
            json!({
                "task": need.task(), "need": need.name(), "has": found.is_ok(),
                "found": found.as_ref().map_or_else(Clone::clone, Clone::clone), "fixes": fixes,
            })
        })
        .collect();
    json!({ "can_build": can_build, "findings": findings })
}
