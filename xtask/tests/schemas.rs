//! Real output of each task's `--json` matches its schema in `xtask/schemas/`. The tests of `image` and
//! `smoke` check theirs, since they have what these tasks need.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::schema::{must_match, objections, validator};
use support::{Scratch, World};

fn xtask(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("GITHUB_ACTIONS");
    command.output().expect("runs")
}

/// A program for the rehearsal that keeps the JSON of each task, and of `verify-tini` on the image that is
/// published.
fn recorder(folder: &Path) -> PathBuf {
    let (program, folder_name) = (env!("CARGO_BIN_EXE_xtask"), folder.display());
    let script = format!(
        "#!/bin/sh\nname=$1\ncase \" $* \" in *' --json '*) ;; *) set -- \"$@\" --json ;; esac\n\
         if [ $name = release ]; then\n  for word; do case $word in */dist/*) dist=$word ;; esac; done\n  \
         {program} verify-tini --json --engine none \"$dist/image\" >{folder_name}/verify-tini-$$.json\nfi\n\
         {program} \"$@\" >{folder_name}/$name-$$.json\nstatus=$?\ncat {folder_name}/$name-$$.json\nexit $status\n"
    );
    let path = folder.join("recorder");
    fs::write(&path, script).expect("is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is set");
    path
}

#[test]
fn what_a_rehearsal_and_its_tasks_print_matches() {
    let name = "what_a_rehearsal_and_its_tasks_print_matches";
    let Some(validator) = validator(name) else { return };
    let scratch = Scratch::new("schemas");
    let program = recorder(scratch.path());
    let program = program.to_str().expect("UTF-8");
    let output = xtask(&["rehearse", "--json", "--faults", "github:2:429", "--program", program]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    must_match(name, "rehearse", &output.stdout);
    must_match(name, "rehearse", &xtask(&["rehearse", "--json", "--real-names"]).stdout);
    for task in ["release", "check-upstream", "verify", "verify-tini"] {
        let entries = fs::read_dir(scratch.path()).expect("lists").map(|entry| entry.expect("an entry").path());
        let is_of_task = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.strip_prefix(task).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".json"));
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let documents: Vec<PathBuf> = entries.filter(is_of_task).collect();
        assert_eq!(objections(&validator, task, &documents), None, "{task}");
    }
}

#[test]
fn what_doctor_and_ci_print_matches() {
    let name = "what_doctor_and_ci_print_matches";
    must_match(name, "doctor", &xtask(&["doctor", "--json"]).stdout);
    must_match(name, "ci", &xtask(&["ci", "--json", "--only", "format"]).stdout);
}

#[test]
fn what_build_prints_matches() {
    let Some(world) = World::new("schema") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    for _ in ["built", "unchanged"] {
        let output = checkout.xtask(&["build", "--json"]).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        must_match("what_build_prints_matches", "build", &output.stdout);
    }
    let record = fs::read(checkout.dist("v0.1.0").join("metadata.json")).expect("is read");
    must_match("what_build_prints_matches", "metadata", &record);
    let several = checkout.xtask(&["build", "--json", "--ref", "v0.1.0", "--ref", "v9.9.9"]).output().expect("runs");
    must_match("what_build_prints_matches", "build", &several.stdout);
    let clean = checkout.bare_xtask(&["clean", "--json", "--keep", "0"]).output().expect("runs");
    must_match("what_build_prints_matches", "clean", &clean.stdout);
}

#[test]
fn what_no_task_prints_does_not_match() {
    let Some(validator) = validator("what_no_task_prints_does_not_match") else { return };
    let scratch = Scratch::new("schema-refuses");
    let path = scratch.path().join("document.json");
    let row = r#"{"name":"format","outcome":"passed","detail":"","seconds":0.1,"count":1"#;
    for (document, word) in [
        (format!("[{row}}}]"), None),
        (format!("[{row},\"colour\":\"red\"}}]"), Some("colour")),
        (format!("[{}}}]", row.replace("passed", "fine")), Some("fine")),
        ("[{}]".to_owned(), Some("required")),
    ] {
        fs::write(&path, &document).expect("is written");
        let found = objections(&validator, "ci", std::slice::from_ref(&path));
        let is_as_expected = match (&found, word) {
            (Some(found), Some(word)) => found.contains(word),
            (None, None) => true,
            _ => false,
        };
        assert!(is_as_expected, "{document}: {found:?}");
    }
}

/// Each file there is a schema of draft 2020-12, and each task with `--json` has one.
#[test]
fn each_task_with_json_has_a_schema() {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let help = String::from_utf8(xtask(&["--help"]).stdout).expect("UTF-8");
    let tasks = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = tasks.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(names.contains(&"release"), "{names:?}");
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let help = String::from_utf8(xtask(&[name, "--help"]).stdout).expect("UTF-8");
        let has_json = help.lines().any(|line| line.trim_start().starts_with("--json"));
        let has_schema = schemas.join(format!("{name}.schema.json")).is_file();
        assert_eq!(has_json, has_schema, "{name}");
    }
    let Some(validator) = validator("each_task_with_json_has_a_schema") else { return };
    let files = fs::read_dir(&schemas).expect("lists").map(|entry| entry.expect("an entry").path());
    let output = Command::new(validator).arg("--check-metaschema").args(files).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
