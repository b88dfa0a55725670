//! Every `cargo xtask …` in the documents is one that the real command line accepts.

use clap::Parser;
use clap::error::ErrorKind;

use crate::Xtask;

#[path = "../../tests/support/pages.rs"]
#[allow(dead_code, clippy::disallowed_methods, reason = "reads files; the tests of the documents use the rest")]
mod pages;

const PROGRAM: &str = "cargo xtask ";

/// The code of a page: what its blocks have a reader type, and what stands between backticks.
fn code(path: &std::path::Path, text: &str) -> Vec<String> {
    let mut code: Vec<String> = pages::blocks(path, text).iter().flat_map(pages::Block::commands).collect();
    let mut is_fenced = false;
    for line in text.lines() {
        is_fenced ^= line.trim_start().starts_with("```");
        if !is_fenced {
            code.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    code
}

/// The words of each `cargo xtask` in a piece of code, up to what the shell takes for itself. A `<task>` stands for any.
fn commands(code: &str) -> Vec<Vec<String>> {
    let code = code.replace("\\\n", " ");
    let calls = code.match_indices(PROGRAM).filter_map(|(at, _)| {
        // What stands in quotes, `$(…)` or `<(…)` ends with them.
        let end = match code[..at].chars().next_back() {
            Some('(') => ')',
            Some(quote @ ('\'' | '"')) => quote,
            _ => '\n',
        };
        code[at + PROGRAM.len()..].split([end, '\n']).next()
    });
    let is_shell = |word: &String| ["&&", "||", "|", ";", ">", "&", "2>&1"].contains(&word.as_str());
    let words = calls.filter_map(shlex::split);
    let words = words.map(|words| words.into_iter().take_while(|word| !is_shell(word)).collect::<Vec<_>>());
    words.filter(|words| !words.iter().any(|word| word.starts_with('<') || word.contains('…'))).collect()
}

#[test]
fn the_documents_show_commands_that_exist() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (path, text) in pages::all() {
        for words in code(&path, &text).iter().flat_map(|code| commands(code)) {
            let parsed = Xtask::try_parse_from([PROGRAM.trim()].into_iter().chain(words.iter().map(String::as_str)));
            match parsed {
                Ok(_) => count += 1,
                Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => count += 1,
                Err(error) => wrong.push(format!("{}: {PROGRAM}{}\n{error}", path.display(), words.join(" "))),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 100, "only {count} commands were found");
}

#[test]
fn a_command_ends_where_the_shell_goes_on() {
    assert_eq!(commands("cargo xtask build && cargo xtask image | cat"), [vec!["build"], vec!["image"]]);
    assert_eq!(commands("source <(cargo xtask doctor); 'cargo xtask clean' x"), [vec!["doctor"], vec!["clean"]]);
    assert_eq!(commands("A=1 cargo xtask doctor   # a comment"), [vec!["doctor"]]);
    assert_eq!(commands("cargo xtask <task> --help"), Vec::<Vec<String>>::new());
}
