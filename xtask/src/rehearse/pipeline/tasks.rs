//! The real tasks, run as processes: with the environment of a workflow and no other, with a kill handle,
//! and again where they fail.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::os::process::{Event, Output, Run};
use crate::rehearse::checkout;
use crate::rehearse::pipeline::Pipeline;

/// How often a task is run before it counts as beyond repair.
const MOST_PASSES: u32 = 4;
const LIMIT: Duration = Duration::from_secs(120);

impl Pipeline<'_> {
    /// Plans everything once more.
    pub(super) fn quiet(&mut self) -> Result<()> {
        let host = self.registry_host();
        self.must_be_done(&["check-upstream", "--json"], &self.config.secrets.tracking)?;
        for build in self.config.fixtures.builds() {
            let words = ["release", "--json", "--dist", build.folder.as_str(), "--registry", &host];
            self.must_be_done(&words, &self.config.secrets.release)?;
        }
        if !self.github.with(|github| github.pending_runs()).is_empty() {
            self.problems.push("at the end a run still waits".to_owned());
        }
        Ok(())
    }

    /// Runs a task without `--execute`: its plan must be empty.
    fn must_be_done(&mut self, words: &[&str], token: &str) -> Result<()> {
        let Some(stdout) = self.repeat(words, token)? else { return Ok(()) };
        let report: Value = serde_json::from_slice(&stdout).unwrap_or_default();
        match report["steps"].as_array() {
            Some(steps) if steps.is_empty() => {}
            Some(steps) => {
                let names: Vec<&str> = steps.iter().filter_map(|step| step["step"].as_str()).collect();
                self.problems.push(format!("{} still wants to {}", words.join(" "), names.join(", ")));
            }
            None => self.problems.push(format!("{} names no \"steps\" in its JSON", words.join(" "))),
        }
        Ok(())
    }

    pub(super) fn until_it_succeeds(&mut self, words: &[&str], token: &str) -> Result<()> {
        self.repeat(words, token).map(|_| ())
    }

    /// Runs a task until it succeeds; what it then printed, or nothing where it never did.
    fn repeat(&mut self, words: &[&str], token: &str) -> Result<Option<Vec<u8>>> {
        let mut last_words = String::new();
        for pass in 1..=MOST_PASSES {
            self.tell(&format!("$ cargo xtask {}", words.join(" ")));
            let output = self.run(words, token)?;
            if self.config.secrets.are_in(&output.stdout) || self.config.secrets.are_in(output.stderr.as_bytes()) {
                self.problems.push(format!("{} printed a secret", words[0]));
            }
            // What a killed task had sent may still be on its way.
            self.github.server.wait_until_idle()?;
            self.registry.server.wait_until_idle()?;
            if output.status.success() {
                return Ok(Some(output.stdout));
            }
            self.github.server.reopen()?;
            self.registry.server.reopen()?;
            last_words = output.stderr;
            if pass < MOST_PASSES {
                self.repeats += 1;
            }
        }
        let last_words: Vec<&str> = last_words.lines().rev().take(5).collect();
        let last_words: Vec<&str> = last_words.into_iter().rev().collect();
        self.problems.push(format!("{} failed {MOST_PASSES} times; it said: {}", words[0], last_words.join(" / ")));
        Ok(None)
    }

    fn run(&self, words: &[&str], token: &str) -> Result<Output> {
        let mut run = Run::new(&self.config.program).args(words.iter().copied()).directory(&self.checkout);
        let (url, config) = (self.github.server.url(), self.config);
        let github = (url.as_str(), config.repository.as_str());
        for (name, value) in checkout::environment(&self.checkout, github, token, &config.secrets) {
            run = run.env(name, value);
        }
        ensure!(
            !self.config.secrets.are_in(words.join(" ").as_bytes()),
            "a secret is in the arguments of {}",
            words[0]
        );
        let mut line = Vec::new();
        run.bare().kill_handle(&self.kill_handle).limit(LIMIT).follow(None, |event| match event {
            Event::Line(line) => self.tell(&format!("  {line}")),
            // The steps; with --json it is not for people.
            Event::Piece(bytes) if !words.contains(&"--json") => {
                for byte in bytes {
                    if *byte == b'\n' {
                        self.tell(&format!("  {}", String::from_utf8_lossy(&line)));
                        line.clear();
                    } else {
                        line.push(*byte);
                    }
                }
            }
            Event::Piece(_) | Event::Tick => {}
        })
    }

    pub(super) fn registry_host(&self) -> String {
        let double = || self.registry.server.url().trim_start_matches("http://").to_owned();
        self.config.registry.clone().unwrap_or_else(double)
    }

    pub(super) fn tell(&self, line: &str) {
        if self.is_told {
            eprintln!("            {line}");
        }
    }
}
