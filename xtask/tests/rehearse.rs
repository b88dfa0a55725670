//! `cargo xtask rehearse` by its front door: the story, requests of it broken in every way, and
//! programs that do it wrong, which it has to find.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
/// Every ninth of all broken trains: nine has no divisor in common with the number of ways in which a
/// request can be broken, so that each way has its turn.
const EACH: &str = "each:9";
/// The bar for `--faults each`.
const FEWEST_TRAINS: u64 = 500;

/// Exit status, JSON, and what was told.
fn rehearse(arguments: &[&str]) -> (bool, Value, String) {
    let mut command = Command::new(XTASK);
    command.args(["rehearse", "--json"]).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.env_remove("GITHUB_ACTIONS").output().expect("xtask starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{told}"));
    (output.status.success(), report, told)
}

/// A program that is xtask but for what these lines of bash do around it.
fn program(name: &str, lines: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rehearse-{name}-{}", std::process::id()));
    fs::write(&path, format!("#!/usr/bin/env bash\nxtask={XTASK}\n{lines}")).expect("is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is made executable");
    path
}

#[test]
fn the_story_goes_as_it_should() {
    let (is_well, report, told) = rehearse(&[]);
    assert!(is_well && report["passed"] == true, "{told}");
    assert_eq!((&report["problems"], &report["repeats"]), (&serde_json::json!([]), &0.into()));
    assert!(told.contains("a stand-in"), "it says what it built:\n{told}");
}

#[test]
fn a_broken_request_changes_nothing_in_the_end() {
    let (is_well, report, told) = rehearse(&["--faults", EACH]);
    println!("{told}");
    assert!(is_well, "{told}");
    let trains = &report["trains"];
    assert!(trains["broken"].as_u64() >= Some(FEWEST_TRAINS), "{trains:#}");
    assert_eq!(trains["diverged"], 0);
    for row in trains["by_fault"].as_array().expect("a table") {
        assert!(row["trains"].as_u64() > Some(0), "no request was broken by {row}");
    }
}

#[test]
fn a_schedule_of_faults_can_be_run_again() {
    let (is_well, report, told) = rehearse(&["--faults", "github:2:killed-after,github:3:429"]);
    assert!(is_well, "{told}");
    assert_eq!(report["trains"]["broken"], 1);
}

/// Where it was killed before, it files an issue without looking whether there is one.
#[test]
fn a_program_that_does_things_twice_is_found() {
    let program = program(
        "twice",
        r#"
file_an_issue() {
body='{"title":"once more","body":"x"}'
host=${GITHUB_API_URL#http://}
exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
printf 'POST /repos/%s/issues HTTP/1.1\r\nHost: %s\r\nUser-Agent: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
  "$GITHUB_REPOSITORY" "$host" "$GITHUB_TOKEN" "${#body}" "$body" >&3
cat <&3 >/dev/null
}
[ ! -e begun ] || file_an_issue
touch begun
"$xtask" "$@"
status=$?
rm begun
exit "$status"
"#,
    );
    let arguments = ["--faults", "github:1:killed-before", "--program", program.to_str().expect("UTF-8")];
    let (is_well, report, told) = rehearse(&arguments);
    assert!(!is_well && report["trains"]["diverged"] == 1, "{told}");
    assert!(told.contains("--faults github:1:killed-before"), "it says how to see it again:\n{told}");
}

#[test]
fn a_program_that_shows_a_secret_is_found() {
    let program = program("leak", "echo \"token: $GITHUB_TOKEN\" >&2\nexec \"$xtask\" \"$@\"\n");
    let (is_well, report, _) = rehearse(&["--program", program.to_str().expect("UTF-8")]);
    assert!(!is_well);
    assert!(report["problems"].to_string().contains("printed a secret"), "{report:#}");
}

/// It says that it has published, and has not.
#[test]
fn a_program_that_does_nothing_is_found() {
    let program = program("idle", "[ \"$1\" = release ] && exit\nexec \"$xtask\" \"$@\"\n");
    let (is_well, report, _) = rehearse(&["--program", program.to_str().expect("UTF-8")]);
    assert!(!is_well && report["passed"] == false, "{report:#}");
}
