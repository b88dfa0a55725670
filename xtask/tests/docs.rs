//! Rules for the documents: a page is read in five minutes, and every command in it is run by a test or is marked
//! as one that needs what no test has. What a mark says, the page says to its readers too.
//!
//! A fence names its language, and behind it, where GitHub shows nothing, how its commands are run:
//!
//! - `test=NAME`: the test of that name takes these lines from the page and runs them;
//! - `needs=account`, `needs=release`, `needs=root`, `needs=riscv64` and so on: a person runs them, who has an account at
//!   GitHub, a published release, root on the machine, or riscv64 hardware;
//! - nothing: all of its commands are `cargo xtask`, which `cli/documented_commands.rs` holds to the real command line, or
//!   `cargo test`, which `cargo xtask ci` runs whole.
//!
//! The pages in `docs/upstream` are messages in the forms of other projects, for a person to send.
#![allow(clippy::disallowed_methods, reason = "reads files")]

mod support;

use std::fs;
use std::path::PathBuf;

use crate::support::pages::{self, Block};

/// Five minutes at 220 words a minute.
const MOST_WORDS: usize = 1100;
/// Looked up, never read from its beginning to its end.
const REFERENCES: [&str; 1] = ["docs/dev/GITHUB-NOTES.md"];

/// What a mark demands of the text of its section.
const NEEDS: [(&str, &str); 7] = [
    ("account", "account"),
    ("release", "published"),
    ("root", "root"),
    ("riscv64", "riscv64"),
    ("network", "network"),
    ("history", "repository"),
    ("measuring", "repeat"),
];
/// Blocks that nobody types into a shell.
const DATA: [&str; 6] = ["toml", "ini", "dockerfile", "mermaid", "yaml", "text"];

fn pages_of_ours() -> impl Iterator<Item = (PathBuf, String)> {
    pages::all().into_iter().filter(|(path, _)| !path.starts_with(pages::root().join("docs/upstream")))
}

fn blocks() -> Vec<Block> {
    let blocks: Vec<Block> = pages_of_ours().flat_map(|(path, text)| pages::blocks(&path, &text)).collect();
    assert!(blocks.len() > 50, "only {} blocks were found", blocks.len());
    blocks
}

#[test]
fn a_page_takes_five_minutes() {
    let mut long = Vec::new();
    for (path, text) in pages::all() {
        let name = path.strip_prefix(pages::root()).expect("in the checkout").display().to_string();
        // The address of a link is not read, and neither is a comment.
        let shown: String = text.split("](").map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect();
        let is_word = |word: &&str| word.chars().any(char::is_alphanumeric);
        let words = shown.split_whitespace().filter(is_word).count();
        if words > MOST_WORDS && !REFERENCES.contains(&name.as_str()) {
            long.push(format!("{name} has {words} words, more than {MOST_WORDS}"));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// What is wrong with how the block says that it is run.
fn fault(block: &Block, is_test: impl Fn(&str) -> bool) -> Option<String> {
    if DATA.contains(&block.language.as_str()) {
        return None;
    }
    if !["console", "sh"].contains(&block.language.as_str()) {
        return Some(format!("{:?} is not a language of this project's pages", block.language));
    }
    match (block.mark("test"), block.mark("needs")) {
        (Some(name), _) if !is_test(name) => Some(format!("there is no test {name} that reads this page")),
        (Some(_), _) => None,
        (None, Some(need)) => match NEEDS.iter().find(|(name, _)| *name == need) {
            None => Some(format!("nobody knows what {need:?} is")),
            Some((_, word)) if !block.section.contains(word) => {
                Some(format!("its section does not tell the reader that it needs {need}: no {word:?} in it"))
            }
            Some(_) => None,
        },
        (None, None) => {
            let commands = block.commands();
            let is_checked = |command: &&String| {
                let command = command.trim_start_matches("UPDATE_EXPECT=1 ");
                command.starts_with("cargo xtask") || command.starts_with("cargo test")
            };
            let other = commands.iter().find(|command| !is_checked(command))?;
            Some(format!("no test runs {other:?}; mark the fence with test=NAME or needs=…"))
        }
    }
}

#[test]
fn each_command_is_run_by_a_test_or_needs_what_the_page_says() {
    let list = |folder: PathBuf| fs::read_dir(folder).expect("lists").flatten().map(|entry| entry.path());
    let (folders, mut files): (Vec<_>, Vec<_>) =
        list(pages::root().join("xtask/tests")).partition(|path| path.is_dir());
    files.extend(folders.into_iter().flat_map(list).filter(|path| path.is_file()));
    let sources: Vec<String> = files.iter().map(|path| fs::read_to_string(path).expect("is read")).collect();
    let faults: Vec<String> = blocks()
        .iter()
        .filter_map(|block| {
            let page = block.place.split(':').next().expect("a page");
            // The test has that name and takes the commands from that page.
            let is_test = |name: &str| {
                sources
                    .iter()
                    .any(|text| text.contains(&format!("fn {name}()")) && text.contains(&format!("\"{page}\"")))
            };
            fault(block, is_test).map(|fault| format!("{}: {fault}", block.place))
        })
        .collect();
    assert!(faults.is_empty(), "{} of the blocks:\n{}", faults.len(), faults.join("\n"));
}

/// A block by indentation has no mark.
#[test]
fn every_block_has_a_fence() {
    for (path, text) in pages_of_ours() {
        let (mut is_fenced, mut is_in_list, mut was_blank) = (false, false, false);
        for (number, line) in text.lines().enumerate() {
            let bare = line.trim_start();
            is_fenced ^= bare.starts_with("```");
            let is_item = bare.starts_with(['-', '*']) || bare.starts_with(|first: char| first.is_ascii_digit());
            is_in_list = if line.starts_with(' ') || line.is_empty() { is_in_list } else { is_item };
            let is_indented = line.starts_with("    ") && was_blank && !is_fenced && !is_in_list;
            assert!(!is_indented, "{}:{} is a block without a fence", path.display(), number + 1);
            was_blank = line.is_empty();
        }
    }
}

#[test]
fn a_block_that_nobody_runs_is_a_fault() {
    let page = pages::root().join("README.md");
    let faults_of = |fence: &str, lines: &str| {
        let text = format!("# Title\n\nNeeds an account.\n\n```{fence}\n{lines}\n```\n\n# Next\n");
        let blocks = pages::blocks(&page, &text);
        fault(&blocks[0], |name| name == "known")
    };
    for (fence, lines) in [
        ("console", "$ cargo xtask build\noutput"),
        ("console needs=account", "$ gh run watch"),
        ("sh test=known", "make"),
        ("toml", "a = 1"),
        ("console", "only output"),
    ] {
        assert_eq!(faults_of(fence, lines), None, "{fence}: {lines}");
    }
    for (fence, lines) in [
        ("", "$ make"),
        ("bash", "make"),
        ("console", "$ make"),
        ("console", "$ cargo xtask build\n$ make"),
        ("sh", "make"),
        ("sh test=unknown", "make"),
        ("console needs=root", "$ make"),
        ("console needs=luck", "$ make"),
    ] {
        assert!(faults_of(fence, lines).is_some(), "{fence}: {lines}");
    }
}

/// What GitHub makes of a heading: lower case, without punctuation, with hyphens for blanks.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn links_lead_to_headings() {
    let mut count = 0;
    for (path, text) in pages::all() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let Some((file, wanted)) = link.split_once('#').filter(|(file, _)| !file.contains("://")) else { continue };
            let target = if file.is_empty() { path.clone() } else { path.parent().expect("a folder").join(file) };
            let target_text =
                fs::read_to_string(&target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
            let headings =
                target_text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
            let is_there = headings.map(anchor).any(|anchor| anchor == wanted);
            assert!(is_there, "{} links to {link}, which is no heading there", path.display());
            count += 1;
        }
    }
    assert!(count > 20, "only {count} links to headings were found");
}
