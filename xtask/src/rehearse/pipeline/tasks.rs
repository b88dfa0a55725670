//! Runs the real tasks as processes: with only the environment of a workflow, with a kill handle, and
//! again if they fail.

use std::time::Duration;

use anyhow::{Result, ensure};
use camino::Utf8Path;
use fakes::names::REGISTRY;
use serde_json::Value;

use crate::os::process::{Event, Output, run};
use crate::os::terminal::print_line;
use crate::rehearse::checkout::{self, Services};
use crate::rehearse::pipeline::Pipeline;
use crate::rehearse::scenario::{BACKLOG, Plan};

/// How often a task is run before the pipeline gives up.
const MAX_ATTEMPTS: u32 = 4;
const LIMIT: Duration = Duration::from_secs(120);

impl Pipeline<'_> {
    /// Makes a plan again, which must be empty.
    pub(super) fn check_plan(&mut self, plan: Plan) -> Result<()> {
        if !self.github.with(|github| github.pending_runs()).is_empty() {
            self.problems.push("at the end a run is still pending".to_owned());
        }
        let registry = self.registry_option();
        let (arguments, token) = match plan {
            Plan::CheckUpstream => (vec!["check-upstream", "--json"], &self.config.secrets.tracking),
            Plan::CheckBacklog => {
                ([&["check-upstream", "--json"], &BACKLOG[..]].concat(), &self.config.secrets.tracking)
            }
            Plan::Release(index) => {
                let folder = self.config.fixtures.builds()[index].folder.as_str();
                let mut arguments = vec!["release", "--json", "--dist", folder];
                arguments.extend(registry.iter().map(String::as_str));
                (arguments, &self.config.secrets.release)
            }
        };
        self.check_plan_is_empty(&arguments, token)
    }

    /// Runs a task without `--execute`: its plan must be empty.
    fn check_plan_is_empty(&mut self, arguments: &[&str], token: &str) -> Result<()> {
        let Some(stdout) = self.retry(arguments, token)? else { return Ok(()) };
        let report: Value = serde_json::from_slice(&stdout).unwrap_or_default();
        match report["steps"].as_array() {
            Some(steps) if steps.is_empty() => {}
            Some(steps) => {
                let names: Vec<&str> = steps.iter().filter_map(|step| step["step"].as_str()).collect();
                self.problems.push(format!("the plan of {} is not empty: {}", arguments.join(" "), names.join(", ")));
            }
            None => self.problems.push(format!("the JSON of {} has no \"steps\"", arguments.join(" "))),
        }
        Ok(())
    }

    pub(super) fn run_until_success(&mut self, arguments: &[&str], token: &str) -> Result<()> {
        self.retry(arguments, token).map(|_| ())
    }

    /// Runs a task until it succeeds. Returns its output, or `None` if it never does.
    fn retry(&mut self, arguments: &[&str], token: &str) -> Result<Option<Vec<u8>>> {
        self.retry_until(arguments, token, |success, _| success)
    }

    /// Runs a task until it ends as it should, by its success and its standard error.
    pub(super) fn retry_until(
        &mut self,
        arguments: &[&str],
        token: &str,
        is_right: impl Fn(bool, &str) -> bool,
    ) -> Result<Option<Vec<u8>>> {
        let mut last_lines = String::new();
        for pass in 1..=MAX_ATTEMPTS {
            self.print(&format!("$ cargo xtask {}", arguments.join(" ")));
            let output = self.run(arguments, token)?;
            if self.config.secrets.occur_in(&output.stdout) || self.config.secrets.occur_in(output.stderr.as_bytes()) {
                self.problems.push(format!("{} printed a secret", arguments[0]));
            }
            // A request of a killed task may still be in progress.
            self.github.server.wait_until_idle()?;
            self.registry.server.wait_until_idle()?;
            if is_right(output.status.success(), &output.stderr) {
                return Ok(Some(output.stdout));
            }
            self.github.server.reopen()?;
            self.registry.server.reopen()?;
            last_lines = output.stderr;
            if pass < MAX_ATTEMPTS {
                self.pause();
                self.repeats += 1;
            }
        }
        let last_lines: Vec<&str> = last_lines.lines().rev().take(5).collect();
        let last_lines: Vec<&str> = last_lines.into_iter().rev().collect();
        self.problems.push(format!(
            "{} did not end as it should {MAX_ATTEMPTS} times; its last output: {}",
            arguments[0],
            last_lines.join(" / ")
        ));
        Ok(None)
    }

    fn run(&self, arguments: &[&str], token: &str) -> Result<Output> {
        let program = &self.config.program;
        let mut run = run!("{program} {arguments...}").directory(&self.checkout);
        let services = match &self.config.real_names {
            Some(certificates) => Services::RealNames { authority: certificates.authority.clone() },
            None => Services::Loopback { github: self.github.server.url() },
        };
        let where_to = (&services, self.config.repository.as_str());
        for (name, value) in checkout::environment(&self.checkout, where_to, token, &self.config.secrets) {
            run = run.env(name, value);
        }
        ensure!(
            !self.config.secrets.occur_in(arguments.join(" ").as_bytes()),
            "the arguments of {} contain a secret",
            arguments[0]
        );
        let mut line = Vec::new();
        run.bare().kill_handle(&self.kill_handle).limit(LIMIT).follow(None, |event| match event {
            Event::Line(line) => self.print(&format!("  {line}")),
            // The steps, as text. JSON is not printed.
            Event::Piece(bytes) if !arguments.contains(&"--json") => {
                for byte in bytes {
                    if *byte == b'\n' {
                        self.print(&format!("  {}", String::from_utf8_lossy(&line)));
                        line.clear();
                    } else {
                        line.push(*byte);
                    }
                }
            }
            Event::Piece(_) | Event::Tick => {}
        })
    }

    /// The command that releases a build.
    pub(super) fn release_arguments(&self, dist: &Utf8Path) -> Vec<String> {
        let arguments = ["release", "--execute", "--dist", dist.as_str()].map(str::to_owned);
        arguments.into_iter().chain(self.registry_option()).collect()
    }

    /// The arguments of `release` that name the registry. Under the real names it is the default.
    pub(super) fn registry_option(&self) -> Vec<String> {
        let is_default = self.config.real_names.is_some();
        if is_default { Vec::new() } else { vec!["--registry".to_owned(), self.registry_host()] }
    }

    pub(super) fn registry_host(&self) -> String {
        if self.config.real_names.is_some() {
            return REGISTRY.to_owned();
        }
        let fake = || self.registry.server.url().trim_start_matches("http://").to_owned();
        self.config.registry.clone().unwrap_or_else(fake)
    }

    pub(super) fn print(&self, line: &str) {
        if self.is_verbose {
            print_line(format_args!("            {line}"));
        }
    }
}
