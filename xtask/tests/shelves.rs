//! The rules of the house that a machine can check: what the two shelves may touch, how long a
//! room may get, and that every file says what it is for.

use std::fs;
use std::path::{Path, PathBuf};

/// Unit tests, which stand at the end of a file, are not counted.
const MOST_LINES: usize = 300;
const MOST_LINES_OF_MAIN: usize = 80;

/// What reaches out of the process: nothing in `model/` may name any of it.
const WORLD: [&str; 12] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "SystemTime",
    "xshell",
    "ureq",
    "crate::sys",
    "println!",
    "now_utc",
];
/// What runs a process or opens a socket: nothing outside `sys/` may name any of it.
const REACHING_OUT: [&str; 5] = ["process::Command", "Command::new", "std::net", "ureq", "TcpStream"];

fn sources(below: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("lists").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&entry).expect("is read");
                found.push((entry, text));
            }
        }
    }
    assert!(!found.is_empty(), "{below} has no sources");
    found.sort();
    found
}

/// Lines of code, without comments, that hold one of `words`.
fn offences<'a>(path: &'a Path, text: &'a str, words: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        .map(|(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim()))
}

#[test]
fn the_model_touches_nothing() {
    let files = sources("src/model");
    let found: Vec<_> = files.iter().flat_map(|(path, text)| offences(path, text, &WORLD)).collect();
    assert!(found.is_empty(), "model/ is pure:\n{}", found.join("\n"));
}

#[test]
fn only_sys_runs_processes_and_opens_sockets() {
    let files = sources("src");
    let outside = files.iter().filter(|(path, _)| !path.components().any(|part| part.as_os_str() == "sys"));
    let found: Vec<_> = outside.flat_map(|(path, text)| offences(path, text, &REACHING_OUT)).collect();
    assert!(found.is_empty(), "only sys/ reaches out:\n{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        assert!(text.starts_with("//! "), "{} does not open with a paragraph of //!", path.display());
    }
}

#[test]
fn no_room_is_too_large() {
    for (path, text) in sources("src") {
        let most = if path.ends_with("src/main.rs") { MOST_LINES_OF_MAIN } else { MOST_LINES };
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        assert!(lines <= most, "{} has {lines} lines, more than {most}", path.display());
    }
}

/// A rule that finds nothing may be looking at nothing.
#[test]
fn an_offence_is_found() {
    let text = "//! About std::fs.\nuse std::fs;\n";
    let found: Vec<_> = offences(Path::new("x.rs"), text, &WORLD).collect();
    assert_eq!(found, ["x.rs:2: use std::fs;"]);
}
