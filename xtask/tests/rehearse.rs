//! `cargo xtask rehearse` through its command line: the scenario, faults at its requests, and faulty
//! programs, which it must detect.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{on_path, pages, skip};

mod support;

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
/// A sample of all pipelines with faults; `cargo xtask ci` runs all of them.
const SAMPLE: &str = "each:31";
const FEWEST_PIPELINES: u64 = 150;
const FEWEST_PIPELINES_OF_ADOPTION: u64 = 80;

/// Returns whether it succeeded, its JSON, and its standard error.
fn rehearse(arguments: &[&str]) -> (bool, Value, String) {
    let mut command = Command::new(XTASK);
    command.args(["rehearse", "--json"]).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.env_remove("GITHUB_ACTIONS").output().expect("xtask starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{stderr}"));
    (output.status.success(), report, stderr)
}

/// A program that wraps xtask in these lines of bash.
fn program(name: &str, lines: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rehearse-{name}-{}", std::process::id()));
    fs::write(&path, format!("#!/usr/bin/env bash\nxtask={XTASK}\n{lines}")).expect("is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is made executable");
    path
}

#[test]
fn the_scenario_passes() {
    let (passed, report, output) = rehearse(&[]);
    assert!(passed && report["passed"] == true, "{output}");
    assert_eq!((&report["problems"], &report["repeats"]), (&serde_json::json!([]), &0.into()));
    assert!(output.contains("a fake dist"), "it prints what it builds:\n{output}");
    // In a fresh clone that takes longer than the rehearsal.
    assert!(output.starts_with("  compile the program that writes"), "it prints why nothing happens yet:\n{output}");
}

#[test]
fn a_reader_that_reads_something_else_is_detected() {
    let reads = |name: &str, lines: &str| {
        let reader = program(name, lines);
        let (passed, report, output) = rehearse(&["--reader", reader.to_str().expect("UTF-8")]);
        fs::remove_file(&reader).expect("exists");
        (passed, report["problems"].to_string(), output)
    };
    let state = r#"python3 -c 'import json, os; print(json.load(open(os.environ["REHEARSED_STATE"]))["labels"])' >&2"#;
    let (passed, problems, output) = reads("reader", &format!("{state}; [[ $GITHUB_API_URL == http://* ]]"));
    assert!(passed && problems == "[]" && output.contains("'buildkit-release'"), "{output}");
    let (passed, problems, _) = reads("blind-reader", "exit 1");
    assert!(!passed && problems.contains("reads something else than the fake has"), "{problems}");
}

/// Runs in namespaces of its own; a machine that does not allow them says so.
#[test]
fn the_scenario_passes_under_the_real_names() {
    let (passed, report, output) = rehearse(&["--real-names"]);
    if let Some(why) = report["skipped"].as_str() {
        return skip("the_scenario_passes_under_the_real_names", why);
    }
    assert!(passed && report["passed"] == true, "{output}");
    let hosts = report["hosts"].as_object().expect("counts by host");
    let names = [
        "api.github.com",
        "ghcr.io",
        "github.com",
        "octo-riscv.github.io",
        "pkg-containers.githubusercontent.com",
        "release-assets.githubusercontent.com",
        "uploads.github.com",
    ];
    assert_eq!(hosts.keys().collect::<Vec<_>>(), names);
    let total: u64 = hosts.values().filter_map(Value::as_u64).sum();
    let requests = &report["requests"];
    assert_eq!(Some(total), requests["github"].as_u64().zip(requests["registry"].as_u64()).map(|(one, two)| one + two));
}

#[test]
fn a_machine_that_cannot_rehearse_the_real_names_says_why() {
    let mut command = Command::new(XTASK);
    command.args(["rehearse", "--real-names", "--json"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.env("PATH", env!("CARGO_MANIFEST_DIR")).output().expect("xtask starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let why = report["skipped"].as_str().expect("is skipped");
    let expected =
        ["unshare is not installed (Debian package util-linux)", "only Linux has network and mount namespaces"];
    assert!(expected.contains(&why), "{why}");
    assert_eq!((output.status.success(), &report["passed"]), (false, &false.into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains(why));
}

/// It asks the web site for what only the API has.
#[test]
fn a_program_that_asks_the_wrong_host_is_detected() {
    let lines = "[ \"${SSL_CERT_FILE-}\" ] && export GITHUB_API_URL=https://github.com\nexec \"$xtask\" \"$@\"\n";
    let program = program("wrong-host", lines);
    let (passed, report, output) = rehearse(&["--real-names", "--program", program.to_str().expect("UTF-8")]);
    if let Some(why) = report["skipped"].as_str() {
        return skip("a_program_that_asks_the_wrong_host_is_detected", why);
    }
    assert!(!passed, "{output}");
    let problems = report["problems"].to_string();
    assert!(problems.contains("was sent to github.com"), "{problems}");
    assert!(problems.contains("no request was sent to uploads.github.com"), "{problems}");
}

#[test]
fn a_fault_does_not_change_the_final_state() {
    let (passed, report, output) = rehearse(&["--faults", SAMPLE]);
    println!("{output}");
    assert!(passed, "{output}");
    let pipelines = &report["pipelines"];
    assert!(pipelines["broken"].as_u64() >= Some(FEWEST_PIPELINES), "{pipelines:#}");
    assert_eq!(pipelines["diverged"], 0);
    let is_lag = |row: &&Value| row["fault"].as_str().is_some_and(|fault| fault.starts_with("lost-lag-"));
    let mut lagging = pipelines["by_fault"].as_array().into_iter().flatten().filter(is_lag);
    assert!(lagging.any(|row| row["pipelines"] != 0), "{pipelines:#}");
    // A request more or less has to be meant: change this together with the task that sends it.
    assert_eq!(report["requests"], serde_json::json!({ "github": 592, "registry": 542 }));
}

/// The releases, issues and images of an earlier workflow stay as they are, with and without faults.
#[test]
fn a_repository_that_has_a_history_is_adopted() {
    let (passed, report, output) = rehearse(&["--adoption"]);
    assert!(passed, "{output}");
    let (github, registry) = (&report["state"]["github"], &report["state"]["registry"]);
    let releases = github["releases"].as_array().expect("releases");
    let of = |tag: &str| releases.iter().find(|release| release["tag"] == tag).expect(tag);
    let names = |tag: &str| -> Vec<&str> {
        of(tag)["assets"].as_array().expect("assets").iter().filter_map(|asset| asset["name"].as_str()).collect()
    };
    // 14 versions, 5 days and 8 releases of other software, then v0.33.0 and two of master.
    assert_eq!(releases.len(), 14 + 5 + 8 + 3);
    assert!(names("buildkit-v0.32.2-riscv64").contains(&"TEST_RESULTS.txt"), "it is the earlier one");
    assert!(names("buildkit-v0.33.0-riscv64").contains(&"metadata.json"));
    assert_eq!(names("v29.7.2-riscv64"), ["docker.riscv64.deb"]);
    let open = github["issues"].as_array().expect("issues").iter().filter(|issue| issue["open"] == true);
    assert_eq!(open.map(|issue| &issue["pull_request"]).collect::<Vec<_>>(), [true]);
    assert_eq!(
        github["events"],
        serde_json::json!([r#"buildkit-released {"release_tag":"buildkit-v0.33.0-riscv64"}"#])
    );
    let tags = &registry["octo-riscv/buildkit-riscv64"]["tags"];
    assert_eq!(tags["latest"], tags["master-20260823"]);
    let media_type = |tag: &str| {
        let digest = tags[tag].as_str().expect(tag);
        registry["octo-riscv/buildkit-riscv64"]["manifests"][digest].as_str().expect("a manifest").to_owned()
    };
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(["v0.32.2-riscv64", "master-20260802"].map(media_type), [docker; 2]);
    for words in [
        "buildkit-v0.32.2-riscv64 was published in another way",
        "that image does not name the commit it was built from; --adopt-latest moves it",
        "19 releases of BuildKit here without a record of this project, left alone: buildkit-v0.32.2-riscv64, ",
        " latest  # it was sha256:",
    ] {
        assert!(output.contains(words), "{words}: {output}");
    }
    shows_what_the_page_shows(&output);
    let (passed, report, output) = rehearse(&["--adoption", "--faults", "each:41"]);
    assert!(passed && report["pipelines"]["diverged"] == 0, "{output}");
    assert!(report["pipelines"]["broken"].as_u64() >= Some(FEWEST_PIPELINES_OF_ADOPTION), "{report:#}");
}

/// The rehearsal prints each line that docs/ADOPTING.md shows as its output, or as that of `release`. `…` stands for any text.
fn shows_what_the_page_shows(output: &str) {
    let plain = |line: &str| {
        let words = line.split_whitespace().filter(|word| *word != "--plain-http");
        let named = words.map(|word| match word.split_once("/octo-riscv/") {
            Some((host, image)) if host.starts_with("127.0.0.1:") => format!("ghcr.io/OWNER/{image}"),
            _ => word.to_owned(),
        });
        named.collect::<Vec<_>>().join(" ")
    };
    let printed: Vec<String> = output.lines().map(plain).collect();
    let has = |line: &String, shown: &str| {
        let mut rest = line.as_str();
        shown.split('…').all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    };
    let page = pages::root().join("docs/ADOPTING.md");
    let blocks = pages::blocks(&page, &fs::read_to_string(&page).expect("is read"));
    let is_of_rehearsal =
        |command: &String| ["cargo xtask rehearse", "cargo xtask release"].iter().any(|task| command.contains(task));
    let mut shown = 0;
    for block in blocks.iter().filter(|block| block.commands().iter().any(is_of_rehearsal)) {
        let commands = block.commands().join("\n");
        let is_typed = |line: &String| line.starts_with("$ ") || commands.lines().any(|typed| typed == line);
        for line in block.lines.iter().filter(|line| !is_typed(line)) {
            let line = plain(line);
            assert!(printed.iter().any(|printed| has(printed, &line)), "{}: {line}\n{output}", block.place);
            shown += 1;
        }
    }
    assert!(shown >= 5, "only {shown} lines are shown");
}

/// Publishes the pinned release with its proofs, as `cargo xtask ci` leaves it in `dist/`, to the test
/// registry; other tools then read it.
#[test]
fn a_real_build_goes_to_a_real_registry() {
    let name = "a_real_build_goes_to_a_real_registry";
    let Ok(registry) = std::env::var("LAB_REGISTRY") else { return skip(name, "LAB_REGISTRY is not set") };
    let (passed, report, output) = rehearse(&["--registry", &registry]);
    assert!(passed, "{output}");
    if !output.contains("the real build in dist/") {
        return skip(name, "dist/ has no proved build of v0.32.2");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
    let record = fs::read_to_string(root.join("dist/v0.32.2/metadata.json")).expect("a record");
    let record: Value = serde_json::from_str(&record).expect("a record");
    let digest = record["image"]["digest"].as_str().expect("an image");
    let image = report["image"].as_str().expect("an image");
    let tagged = format!("{image}:v0.32.2-riscv64");
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect(program);
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    if on_path("skopeo").is_some() {
        let form = ["inspect", "--tls-verify=false", "--override-arch=riscv64", "--format={{.Digest}}"];
        for source in [format!("docker://{tagged}"), format!("docker://{image}@{digest}")] {
            assert_eq!(run("skopeo", &[&form[..], &[&source]].concat()), digest);
        }
        let copy = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rehearse-copy-{}", std::process::id()));
        let layout = format!("oci:{}:v", copy.display());
        let form = ["copy", "--quiet", "--src-tls-verify=false", "--override-arch=riscv64"];
        run("skopeo", &[&form[..], &[&format!("docker://{tagged}"), &layout]].concat());
        assert!(fs::read_to_string(copy.join("index.json")).expect("a layout").contains(digest));
        fs::remove_dir_all(&copy).expect("is removed");
    } else {
        skip(&format!("{name} (skopeo)"), "skopeo is not installed");
    }
    if on_path("docker").is_some() {
        for source in [&tagged, &format!("{image}@{digest}")] {
            run("docker", &["pull", "--quiet", "--platform=linux/riscv64", source]);
        }
        run("docker", &["rmi", "--force", &tagged, &format!("{image}@{digest}")]);
    } else {
        skip(&format!("{name} (docker)"), "docker is not installed");
    }
}

#[test]
fn a_schedule_of_faults_can_be_given() {
    let (passed, report, output) = rehearse(&["--faults", "github:2:killed-after,github:3:429"]);
    assert!(passed, "{output}");
    assert_eq!(report["pipelines"]["broken"], 1);
}

/// If it was killed before, it creates an issue without checking whether there is one. The request is one of
/// the second release: before that the repository has no issues.
#[test]
fn a_program_that_repeats_an_action_is_detected() {
    let program = program(
        "twice",
        r#"
file_an_issue() {
body='{"title":"once more","body":"x"}'
host=${GITHUB_API_URL#http://}
exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
printf 'POST /repos/%s/issues HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
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
    let arguments = ["--faults", "github:70:killed-before", "--program", program.to_str().expect("UTF-8")];
    let (passed, report, output) = rehearse(&arguments);
    assert!(!passed && report["pipelines"]["diverged"] == 1, "{output}");
    assert!(output.contains("--faults github:70:killed-before"), "it prints how to reproduce it:\n{output}");
}

/// Runs each `release` twice at the same time. GitHub accepts two drafts with the same name, so one may
/// be left over; but only one is published, and it is complete.
#[test]
fn two_runners_at_once_publish_once() {
    let program = program(
        "both",
        r#"
[ "$1 $2" = "release --execute" ] || exec "$xtask" "$@"
"$xtask" "$@" &
"$xtask" "$@"
one=$?
wait $!
other=$?
[ "$one" = 0 ] || [ "$other" = 0 ]
"#,
    );
    let (passed, report, output) = rehearse(&["--program", program.to_str().expect("UTF-8")]);
    assert!(passed, "{output}");
    let releases = report["state"]["github"]["releases"].as_array().expect("releases");
    let published = releases.iter().filter(|release| release["draft"] == false);
    let mut tags: Vec<&str> = published.filter_map(|release| release["tag"].as_str()).collect();
    tags.sort_unstable();
    let expected = [
        "buildkit-v0.30.0-riscv64",
        "buildkit-v0.31.0-riscv64",
        "buildkit-v0.32.2-riscv64",
        "buildkit-v0.32.3-riscv64",
        "buildkit-v0.33.0-riscv64",
        "buildkit-v20260816-dev",
        "buildkit-v20260823-dev",
    ];
    assert_eq!(tags, expected);
}

#[test]
fn a_program_that_prints_a_secret_is_detected() {
    let program = program("leak", "echo \"token: $GITHUB_TOKEN\" >&2\nexec \"$xtask\" \"$@\"\n");
    let (passed, report, _) = rehearse(&["--program", program.to_str().expect("UTF-8")]);
    assert!(!passed);
    assert!(report["problems"].to_string().contains("printed a secret"), "{report:#}");
}

/// It reports success without publishing.
#[test]
fn a_program_that_does_nothing_is_detected() {
    let program = program("idle", "[ \"$1\" = release ] && exit\nexec \"$xtask\" \"$@\"\n");
    let (passed, report, _) = rehearse(&["--program", program.to_str().expect("UTF-8")]);
    assert!(!passed && report["passed"] == false, "{report:#}");
}
