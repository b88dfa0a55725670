//! `cargo xtask doctor`: checks the requirements of each task on this machine, and prints the command that
//! installs what is missing.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use camino::Utf8Path;
use clap::Args;
use console::style;
use serde_json::json;

use crate::doctor::requirements::{Family, Requirement};
use crate::os::host;
use crate::os::process::run;
use crate::os::terminal::print_status;

mod checks;
mod requirements;

/// Half a gigabyte of packages over a slow connection.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Check what each task needs on this machine, and show the command that installs what is missing
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask doctor            print a table, by task
  cargo xtask doctor --json     print the same as JSON to standard output
  cargo xtask doctor --install  first install missing packages with apt-get

Exit status: 0 if `cargo xtask build` can run here, 1 if not.")]
pub struct Doctor {
    /// First install the missing packages, without asking (Debian and Ubuntu)
    #[arg(long, alias = "mend")]
    install: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

struct Finding {
    requirement: Requirement,
    /// What is there, or what is missing.
    found: Result<String, String>,
}

/// Runs the task in the checkout at `root`.
pub fn run(root: &Utf8Path, arguments: &Doctor) -> Result<ExitCode> {
    let family = checks::family();
    let check = || -> Vec<Finding> {
        Requirement::ALL
            .into_iter()
            .map(|requirement| Finding { requirement, found: checks::check(root, requirement) })
            .collect()
    };
    let mut findings = check();
    if arguments.install {
        ensure!(
            family == Some(Family::Debian),
            "--install works on Debian and Ubuntu only; without it, doctor shows the commands to run"
        );
        install(&findings)?;
        findings = check();
    }
    let can_build = findings.iter().all(|finding| !finding.requirement.blocks_build() || finding.found.is_ok());
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&findings, family, can_build))?);
    } else {
        print!("{}", as_table(&findings, family));
        let verdict = if can_build {
            "`cargo xtask build` can run here"
        } else {
            "`cargo xtask build` cannot run here until the fixes listed under \"build\" are made"
        };
        println!("\n{verdict}");
    }
    Ok(if can_build { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs the missing packages. Meant for a workflow on a fresh runner; on a contributor's own machine, doctor
/// only shows the commands.
fn install(findings: &[Finding]) -> Result<()> {
    let missing = findings.iter().filter(|finding| finding.found.is_err());
    let packages: Vec<&str> = missing.flat_map(|finding| finding.requirement.debian_packages()).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let apt = host::as_root(run!("apt-get"));
    for run in [apt.clone().arg("update"), apt.args(["install", "--yes", "--no-install-recommends"]).args(packages)] {
        print_status("install", &run);
        let output = run.clone().limit(INSTALL_LIMIT).echoed()?;
        ensure!(output.status.success(), "`{run}` ended with {}", output.status);
    }
    Ok(())
}

/// A line for each requirement, by task, with the fix below each that is missing.
fn as_table(findings: &[Finding], family: Option<Family>) -> String {
    let mut lines = Vec::new();
    let mut task = "";
    for Finding { requirement, found } in findings {
        if requirement.task() != task {
            task = requirement.task();
            lines.push(format!("{}{}", if lines.is_empty() { "" } else { "\n" }, style(task).bold()));
        }
        let name = format!("{:<18}", requirement.name());
        match found {
            Ok(what) => lines.push(format!("  {} {name} {what}", style("found  ").green())),
            Err(missing) => {
                lines.push(format!("  {} {name} {missing}", style("missing").yellow()));
                lines.extend(requirement.fixes(family).iter().map(|(place, line)| format!("{:29}{place}{line}", "")));
            }
        }
    }
    lines.join("\n") + "\n"
}

fn as_json(findings: &[Finding], family: Option<Family>, can_build: bool) -> serde_json::Value {
    let findings: Vec<_> = findings
        .iter()
        .map(|Finding { requirement, found }| {
            let fixes: Vec<String> = match found {
                Ok(_) => Vec::new(),
                Err(_) => requirement.fixes(family).into_iter().map(|(place, line)| format!("{place}{line}")).collect(),
            };
            json!({
                "task": requirement.task(), "need": requirement.name(), "has": found.is_ok(),
                "found": found.as_ref().map_or_else(Clone::clone, Clone::clone), "fixes": fixes,
            })
        })
        .collect();
    json!({ "can_build": can_build, "findings": findings })
}
