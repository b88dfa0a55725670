//! `cargo xtask doctor`: checks the requirements of each task on this machine, and prints the command that
//! installs what is missing.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use camino::Utf8Path;
use clap::{Args, ValueEnum};
use console::style;
use serde_json::json;

use crate::cli::Target;
use crate::doctor::checks::{Fix, Missing};
use crate::doctor::ephemeral::Lifetime;
use crate::doctor::requirements::{Family, Goal, Requirement};
use crate::os::host;
use crate::os::process::run;
use crate::os::streams::{print_json, write_stdout};
use crate::os::terminal::print_status;

mod checks;
mod ephemeral;
mod requirements;

/// Half a gigabyte of packages over a slow connection.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Check what each task needs on this machine, and show the command that installs what is missing
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask doctor                  a table, by task
  cargo xtask doctor --for workflow   fail unless every task that the workflow
                                      runs to build can run here
  cargo xtask doctor --json           the same as JSON
  cargo xtask doctor --install        first install what apt-get can install

Environment:
  BUILDKIT_RUNNER_IS_EPHEMERAL        same as --ephemeral

Exit status: 0 if what `--for` names can run here, 1 if not.")]
pub struct Doctor {
    /// What has to run on this machine
    #[arg(long = "for", value_name = "GOAL", value_enum, default_value_t = Goal::Build)]
    goal: Goal,
    /// First install the missing packages, without asking (Debian and Ubuntu)
    #[arg(long, value_name = "WHERE", value_enum, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "here")]
    install: Option<Install>,
    /// Whether this machine is thrown away after the job, `true` or `false` [default: what GitHub and the runner say]
    #[arg(long, value_name = "BOOL", env = "BUILDKIT_RUNNER_IS_EPHEMERAL", hide_env = true)]
    ephemeral: Option<bool>,
    #[command(flatten)]
    target: Target,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// The value of `--install`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Install {
    /// On this machine, whichever it is
    Here,
    /// Only on a machine that is thrown away after the job
    Ephemeral,
}

struct Finding {
    requirement: Requirement,
    /// What is there, or what is missing.
    found: Result<String, Missing>,
}

impl Finding {
    /// How to fix it if it is missing, each line with a prefix that names the distribution unless it is known.
    fn fixes(&self, family: Option<Family>) -> Vec<String> {
        match &self.found {
            Err(Missing { fix: Fix::OfRequirement, .. }) => {
                self.requirement.fixes(family).into_iter().map(|(place, line)| format!("{place}{line}")).collect()
            }
            Err(Missing { fix: Fix::Line(line), .. }) => vec![(*line).to_owned()],
            Err(Missing { fix: Fix::InMessage, .. }) | Ok(_) => Vec::new(),
        }
    }

    /// The packages of Debian that fix it.
    fn packages(&self) -> Vec<&'static str> {
        let is_of_requirement = matches!(self.found, Err(Missing { fix: Fix::OfRequirement, .. }));
        if is_of_requirement { self.requirement.debian_packages().collect() } else { Vec::new() }
    }
}

/// Runs the task in the checkout at `root`.
pub fn run(root: &Utf8Path, arguments: &Doctor) -> Result<ExitCode> {
    let family = checks::family();
    let check = || -> Vec<Finding> {
        Requirement::ALL
            .into_iter()
            .map(|requirement| Finding { requirement, found: checks::check(root, requirement, &arguments.target) })
            .collect()
    };
    let mut findings = check();
    if arguments.may_install() {
        install(&findings, family)?;
        findings = check();
    }
    if arguments.json {
        print_json(&as_json(&findings, family));
    } else {
        write_stdout(format_args!("{}\n{}", as_table(&findings, family), verdicts(&findings)));
    }
    Ok(if missing(&findings, arguments.goal).is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Doctor {
    /// Whether packages may be installed on this machine; prints why, if it follows from the machine.
    fn may_install(&self) -> bool {
        match self.install {
            None => false,
            Some(Install::Here) => true,
            Some(Install::Ephemeral) => match Lifetime::here(self.ephemeral) {
                Lifetime::OneJob(why) => {
                    print_status("install", format!("what is missing: this machine is ephemeral, as {why}"));
                    true
                }
                Lifetime::Longer(why) => {
                    print_status("install", format!("nothing: this machine is kept, as {why}"));
                    false
                }
            },
        }
    }
}

/// The names of what is missing for the goal.
fn missing(findings: &[Finding], goal: Goal) -> Vec<&'static str> {
    let blocking = findings.iter().filter(|finding| finding.requirement.blocks(goal) && finding.found.is_err());
    blocking.map(|finding| finding.requirement.name()).collect()
}

/// A line for each goal.
fn verdicts(findings: &[Finding]) -> String {
    let goals = [
        (Goal::Build, "`cargo xtask build`"),
        (Goal::Workflow, "all tasks of the workflow (build, image, package, verify-tini, smoke)"),
    ];
    let line = |(goal, what): (Goal, &str)| match missing(findings, goal).as_slice() {
        [] => format!("{what} can run here\n"),
        missing => format!("missing for {what}: {}\n", missing.join(", ")),
    };
    goals.map(line).concat()
}

/// Installs the missing packages. Meant for a workflow on a fresh runner; on a contributor's own machine, doctor
/// only shows the commands.
fn install(findings: &[Finding], family: Option<Family>) -> Result<()> {
    let packages: Vec<&str> = findings.iter().flat_map(Finding::packages).collect();
    if packages.is_empty() {
        return Ok(());
    }
    ensure!(
        family == Some(Family::Debian),
        "--install works on Debian and Ubuntu only; without it, doctor shows the commands to run"
    );
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
    for finding in findings {
        let Finding { requirement, found } = finding;
        if requirement.task() != task {
            task = requirement.task();
            lines.push(format!("{}{}", if lines.is_empty() { "" } else { "\n" }, style(task).bold()));
        }
        let name = format!("{:<18}", requirement.name());
        match found {
            Ok(what) => lines.push(format!("  {} {name} {what}", style("found  ").green())),
            Err(missing) => {
                let below = format!("\n{:29}", "");
                let what = missing.what.replace('\n', &below);
                lines.push(format!("  {} {name} {what}", style("missing").yellow()));
                lines.extend(finding.fixes(family).iter().map(|line| format!("{:29}{line}", "")));
            }
        }
    }
    lines.join("\n") + "\n"
}

fn as_json(findings: &[Finding], family: Option<Family>) -> serde_json::Value {
    let can = |goal| missing(findings, goal).is_empty();
    let (can_build, can_run_workflow) = (can(Goal::Build), can(Goal::Workflow));
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            let Finding { requirement, found } = finding;
            json!({
                "task": requirement.task(), "need": requirement.name(), "has": found.is_ok(),
                "found": found.as_ref().unwrap_or_else(|missing| &missing.what), "fixes": finding.fixes(family),
            })
        })
        .collect();
    json!({ "can_build": can_build, "can_run_workflow": can_run_workflow, "findings": findings })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn without(missing: &[Requirement]) -> Vec<Finding> {
        let found = |requirement| {
            let absent = || Missing { what: String::new(), fix: Fix::OfRequirement };
            if missing.contains(&requirement) { Err(absent()) } else { Ok(String::new()) }
        };
        Requirement::ALL.into_iter().map(|requirement| Finding { requirement, found: found(requirement) }).collect()
    }

    #[test]
    fn a_machine_that_builds_but_cannot_run_the_workflow_is_told_so() {
        let with_podman_alone = without(&[Requirement::Docker, Requirement::Buildx]);
        expect![[r#"
            `cargo xtask build` can run here
            missing for all tasks of the workflow (build, image, package, verify-tini, smoke): docker, buildx
        "#]]
        .assert_eq(&verdicts(&with_podman_alone));
        let without_qemu = without(&[Requirement::Qemu, Requirement::Binfmt, Requirement::Machine]);
        assert_eq!(missing(&without_qemu, Goal::Build), Vec::<&str>::new());
        assert_eq!(missing(&without_qemu, Goal::Workflow), ["qemu-user", "binfmt_misc", "qemu-system"]);
    }

    #[test]
    fn the_workflow_publishes_nothing_so_it_needs_no_token() {
        let findings = without(&[Requirement::Token, Requirement::GitHub]);
        assert_eq!(as_json(&findings, None)["can_run_workflow"], true);
    }
}
