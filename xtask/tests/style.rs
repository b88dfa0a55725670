//! Rules of style that the compiler does not check: every file says what it is for, none grows too long, and
//! links between documents work. Clippy checks which modules touch the world (`clippy.toml`).
#![allow(clippy::disallowed_methods, reason = "reads files")]

use std::fs;
use std::path::{Path, PathBuf};

/// Unit tests at the end of a file are not counted.
const MOST_LINES: usize = 300;
/// The eighty of the house style, and three for each of the tasks `package` and `verify`, which came later.
const MOST_LINES_OF_MAIN: usize = 86;

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = ["src", "tests", "crates"].map(|below| package.join(below)).to_vec();
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
    assert!(found.len() > 100, "only {} sources were found", found.len());
    found
}

#[test]
fn every_file_begins_with_its_purpose() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not begin with a //! paragraph", path.display());
    }
}

#[test]
fn no_file_is_too_long() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.starts_with(package.join("tests"))) {
        let most = if path == package.join("src/main.rs") { MOST_LINES_OF_MAIN } else { MOST_LINES };
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        assert!(lines <= most, "{} has {lines} lines, more than {most}", path.display());
    }
}

/// The compiler ignores a file that nobody declares, and with it the tests in it.
#[test]
fn every_file_is_declared_as_a_module() {
    for (path, _) in sources() {
        let (directory, name) = (path.parent().expect("a directory"), path.file_stem().expect("a name"));
        let name = name.to_str().expect("UTF-8");
        let is_of_tests = directory.ends_with("tests") && directory.with_file_name("Cargo.toml").is_file();
        if ["main", "lib", "mod"].contains(&name) || is_of_tests {
            continue;
        }
        let parents = ["mod.rs", "main.rs", "lib.rs"].map(|file| directory.join(file));
        let parents = parents.into_iter().chain([directory.with_extension("rs")]);
        let texts = parents.filter_map(|parent| fs::read_to_string(parent).ok());
        let declaration = format!("mod {name};");
        let is_declared = texts.into_iter().any(|text| text.lines().any(|line| line.ends_with(&declaration)));
        assert!(is_declared, "{} is no module: its parent has no `{declaration}`", path.display());
    }
}

/// Relative links only; anchors are not checked.
#[test]
fn links_between_documents_lead_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
    let folders = ["", "docs", "docs/dev", "docs/upstream", "xtask"].map(|folder| root.join(folder));
    let documents = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("lists").flatten());
    let mut count = 0;
    for path in documents.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(&path).expect("is read");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                let folder = path.parent().expect("a folder");
                assert!(folder.join(file).exists(), "{} links to {link}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 30, "only {count} links were found");
}

/// A row of the notes on GitHub says what holds here, and names the tests that show it.
#[test]
fn notes_on_github_name_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
    let text = fs::read_to_string(root.join("docs/dev/GITHUB-NOTES.md")).expect("is read");
    let sources = sources();
    let is_test = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("fn {name}()")));
    let mut count = 0;
    for row in text.lines().filter(|line| line.starts_with("| \"")) {
        let (_, answer) = row.split_once("\" | ").expect("a row has two cells");
        let mut names = answer.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2);
        match answer.split_once(": ").expect("an answer begins with what it is").0 {
            "Fake" | "Client" => {
                let first = names.next().unwrap_or_else(|| panic!("{row} names no test"));
                let missing: Vec<&str> = std::iter::once(first).chain(names).filter(|name| !is_test(name)).collect();
                assert!(missing.is_empty(), "{row}: there is no test {missing:?}");
            }
            "Cannot occur" | "Open" => {}
            other => panic!("{row}: {other:?} is not one of the four answers"),
        }
        count += 1;
    }
    assert!(count > 40, "only {count} rows were found");
}

/// Each test that docs/dev/ON-GITHUB.md names exists.
#[test]
fn what_holds_on_github_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
    let text = fs::read_to_string(root.join("docs/dev/ON-GITHUB.md")).expect("is read");
    let sources = sources();
    let is_test = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("fn {name}()")));
    let names: Vec<&str> =
        text.split('`').filter(|word| word.matches('_').count() > 3 && !word.contains(' ')).collect();
    let missing: Vec<&&str> = names.iter().filter(|name| !is_test(name)).collect();
    assert!(missing.is_empty() && names.len() > 40, "{missing:?} of {}", names.len());
}
