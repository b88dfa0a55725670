//! Runs `cargo xtask build` on a small upstream with the real Go.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{World, contents, failure, text};

#[test]
fn a_fresh_checkout_builds_its_pinned_release_and_a_second_run_does_nothing() {
    let Some(world) = World::new("pinned") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let status_lines = checkout.build(&[]);
    assert!(status_lines.contains("fetching tags from https://upstream.example"), "{status_lines}");

    let dist = checkout.dist("v0.1.0");
    let names: Vec<_> =
        contents(&dist).into_iter().map(|(name, mode, _)| format!("{name} {:o}", mode & 0o777)).collect();
    assert_eq!(
        names,
        [
            "SHA256SUMS 644",
            "VERSION.txt 644",
            "buildctl 755",
            "buildkit-v0.1.0.linux-riscv64.spdx.json 644",
            "buildkit-v0.1.0.linux-riscv64.tar.gz 644",
            "buildkitd 755",
            "metadata.json 644"
        ]
    );
    text(
        &Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(&dist)
            .output()
            .expect("runs"),
    );
    let commit = world.git("upstream", &["rev-parse", "v0.1.0^{commit}"]);
    let package = "github.com/moby/buildkit";
    let versions = format!("buildkitd {package} v0.1.0 {commit}\nbuildctl {package} v0.1.0 {commit}\n");
    assert_eq!(fs::read_to_string(dist.join("VERSION.txt")).expect("is read"), versions);
    let status = world.git("project", &["submodule", "status"]);
    assert!(status.starts_with(&format!("-{commit}")), "the submodule was initialised: {status:?}");

    let again = checkout.build(&[]);
    assert!(again.contains("nothing to do") && !again.contains("compile"), "{again}");

    fs::write(dist.join("buildctl"), "damaged").expect("is written");
    checkout.build(&[]);
    assert!(fs::metadata(dist.join("buildctl")).expect("is there").len() > 1000, "a damaged file was not replaced");
}

#[test]
fn the_archive_has_upstream_s_layout() {
    let Some(world) = World::new("archive") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    checkout.build(&[]);
    let archive = checkout.dist("v0.1.0").join("buildkit-v0.1.0.linux-riscv64.tar.gz");
    let epoch: u64 =
        world.git("upstream", &["show", "-s", "--format=%ct", "v0.1.0^{commit}"]).parse().expect("a number");
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(archive).expect("opens")));
    let members: Vec<_> = tar
        .entries()
        .expect("lists")
        .map(|entry| {
            let entry = entry.expect("an entry");
            assert_eq!(entry.header().mtime().expect("a time"), epoch);
            (entry.path().expect("a path").display().to_string(), entry.header().mode().expect("a mode"))
        })
        .collect();
    assert_eq!(members, [("bin/".into(), 0o755), ("bin/buildctl".into(), 0o755), ("bin/buildkitd".into(), 0o755)]);
}

#[test]
fn every_form_of_ref_gets_upstream_s_version_and_the_submodule_is_not_touched() {
    let Some(world) = World::new("refs") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    world.git("project", &["submodule", "update", "--quiet", "--init", "buildkit"]);
    checkout.build(&[]);
    fs::write(checkout.root.join("buildkit/NOTES"), "my own work").expect("is written");
    fs::write(checkout.root.join("buildkit/cmd/buildctl/main.go"), "not even Go").expect("is written");
    let before = world.git("project/buildkit", &["status", "--porcelain", "--branch"]);

    let master =
        world.git("upstream", &["describe", "--match", "v[0-9]*", "--always", "--tags", "--abbrev=9", "master"]);
    assert!(master.starts_with("v0.2.0-2-g"), "{master}");
    let whole = world.git("upstream", &["rev-parse", "master~1"]);
    let described = world.git("upstream", &["describe", "--match", "v[0-9]*", "--tags", "--abbrev=9", "master~1"]);
    for (asked, version) in [
        ("v0.1.1", "v0.1.1"),
        ("v0.2.0-rc1", "v0.2.0-rc1"),
        ("v0.2.0", "v0.2.0"),
        ("master", master.as_str()),
        (&whole[..9], described.as_str()),
        (&whole, described.as_str()),
    ] {
        let output = checkout.xtask(&["build", "--json", "--ref", asked]).output().expect("xtask starts");
        let report: serde_json::Value = serde_json::from_str(&text(&output)).expect("JSON");
        assert_eq!(report["metadata"]["version"], version, "{asked}");
        let wanted_ref = if asked.starts_with(&whole[..9]) { &whole } else { asked };
        assert_eq!(report["metadata"]["ref"], wanted_ref, "{asked}");
    }
    assert_eq!(world.git("project/buildkit", &["status", "--porcelain", "--branch"]), before);
    assert_eq!(fs::read_to_string(checkout.root.join("buildkit/NOTES")).expect("is read"), "my own work");
}

#[test]
fn a_shallow_submodule_stays_shallow_and_versions_are_right() {
    let Some(world) = World::new("shallow") else { return };
    let checkout = world.checkout("project", "v0.1.1");
    world.git("project", &["submodule", "update", "--quiet", "--init", "--depth", "1", "buildkit"]);
    assert_eq!(world.git("project/buildkit", &["rev-parse", "--is-shallow-repository"]), "true");
    checkout.build(&["--ref", "v0.2.0"]);
    assert_eq!(
        world.git("project/buildkit", &["rev-parse", "--is-shallow-repository"]),
        "true",
        "a tag needs no history"
    );
    checkout.build(&["--ref", "master"]);
    let master = world.git("upstream", &["describe", "--match", "v[0-9]*", "--tags", "--abbrev=9", "master"]);
    assert!(checkout.dist(&master).is_dir(), "{master}");
}

#[test]
fn another_directory_umask_locale_and_environment_give_the_same_bytes() {
    let Some(world) = World::new("same-bytes") else { return };
    let quiet = world.checkout("one", "v0.2.0");
    quiet.build(&[]);
    let noisy = world.checkout("quite/another place", "v0.2.0");
    let xtask = noisy.xtask(&["build"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(xtask.get_program()).args(xtask.get_args());
    shell.current_dir(&noisy.root).envs(xtask.get_envs().filter_map(|(name, value)| Some((name, value?))));
    for (name, value) in [
        ("LC_ALL", "tr_TR.UTF-8"),
        ("TZ", "Asia/Kathmandu"),
        ("GOFLAGS", "-race -tags=other"),
        ("GOROOT", "/nonexistent"),
        ("GOOS", "plan9"),
        ("GORISCV64", "rva22u64"),
        ("GOEXPERIMENT", "nonsense"),
        ("GIT_DIR", "/nonexistent"),
        ("CGO_ENABLED", "1"),
        ("SOURCE_DATE_EPOCH", "1"),
    ] {
        shell.env(name, value);
    }
    text(&shell.output().expect("sh starts"));
    assert!(contents(&quiet.dist("v0.2.0")) == contents(&noisy.dist("v0.2.0")), "the two builds differ");
}

#[test]
fn an_invalid_ref_is_never_passed_to_git() {
    let Some(world) = World::new("bad-refs") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let long = "x".repeat(10_000);
    for text in ["", "-x", "--upload-pack=touch /tmp/x", "a..b", "a b", "a\u{1}b", long.as_str()] {
        let (message, status) = failure(&mut checkout.xtask(&["build", &format!("--ref={text}")]));
        assert_eq!(status, 2, "{message}");
        assert!(message.contains("release tag (v0.14.0, v0.33.0-rc1), a branch (master) or a commit"), "{message}");
    }
    // The input of a workflow is passed like this.
    let (message, status) = failure(checkout.xtask(&["build"]).env("BUILDKIT_REF", "$(touch /tmp/x)"));
    assert!(status == 2 && message.contains("is not an upstream ref"), "{message}");
    assert!(!checkout.root.join("target").exists(), "work was started");
}

#[test]
fn a_ref_that_upstream_does_not_have_is_in_the_message() {
    let Some(world) = World::new("unknown-refs") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    for asked in ["v9.9.9", "no-such-branch", "0123456", &"0123456789".repeat(4)] {
        let (message, status) = failure(&mut checkout.xtask(&["build", "--ref", asked]));
        assert!(status == 1 && message.contains(asked) && message.contains("https://upstream.example"), "{message}");
    }
    let (message, _) = failure(checkout.xtask(&["build"]).env("BUILDKIT_REF", "v9.9.9"));
    assert!(message.contains("v9.9.9"), "{message}");
    let (message, _) = failure(checkout.xtask(&["build", "--ref", "v8.8.8"]).env("BUILDKIT_REF", "v9.9.9"));
    assert!(message.contains("v8.8.8"), "{message}");
}

#[test]
fn without_a_network_one_message_has_both_solutions() {
    let Some(world) = World::new("no-network") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    world.cut_the_network();
    let (message, status) = failure(&mut checkout.xtask(&["build"]));
    assert_eq!(status, 1);
    for part in ["https://upstream.example/moby/buildkit.git", "url.MIRROR.insteadOf", "OF/A/CLONE.insteadOf"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!checkout.root.join("dist").exists());

    // The second solution: a local clone with its tags.
    world.git(".", &["clone", "--quiet", "--bare", &format!("file://{}", world.path("upstream").display()), "clone"]);
    world.lead_upstream_to("clone");
    checkout.build(&[]);
    assert!(checkout.dist("v0.1.0").is_dir());
}

#[test]
fn the_whole_output_of_a_failing_go_is_printed_and_nothing_is_left() {
    let Some(world) = World::new("failing-go") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let script = "case $1 in version|list) exec \"$GO\" \"$@\";; esac\necho '# some/package' >&2; echo 'x.go:1:1: it is broken' >&2; exit 1";
    let go = world.go_script("failing-go", script);
    let (message, status) = failure(checkout.bare_xtask(&["build", "--go"]).arg(go));
    assert_eq!(status, 1);
    assert!(message.contains("# some/package\nx.go:1:1: it is broken\n"), "{message}");
    assert!(message.contains("could not compile v0.1.0"), "{message}");
    assert_eq!(contents(&checkout.root.join("dist")), []);
}

#[test]
fn a_binary_for_another_architecture_is_refused() {
    let Some(world) = World::new("wrong-arch") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let go = world.go_script("amd64-go", "GOARCH=amd64 exec \"$GO\" \"$@\"");
    let (message, status) = failure(checkout.bare_xtask(&["build", "--go"]).arg(go));
    assert_eq!(status, 1);
    assert!(message.contains("buildkitd is refused: it is for machine 62, not RISC-V (243)"), "{message}");
    assert!(message.contains("its GOARCH is amd64, not riscv64"), "{message}");
    assert_eq!(contents(&checkout.root.join("dist")), []);
}

#[test]
fn a_directory_that_cannot_be_written_is_reported_before_anything_is_compiled() {
    let Some(world) = World::new("read-only") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    // Even root cannot create a directory in /proc or below a file.
    for out in ["/proc/xtask-dist", ".gitignore/dist"] {
        let (message, status) = failure(&mut checkout.xtask(&["build", "--out", out]));
        assert!(status == 1 && message.contains("--out DIR") && message.contains(out), "{message}");
        assert!(!message.contains("compile"), "{message}");
    }
}

#[test]
fn two_refs_and_the_same_ref_twice_build_at_once() {
    let Some(world) = World::new("at-once") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let runs: Vec<_> = ["v0.1.0", "v0.2.0", "v0.2.0", "master"]
        .iter()
        .map(|asked| {
            let mut run = checkout.xtask(&["build", "--ref", asked]);
            run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("xtask starts")
        })
        .collect();
    for mut run in runs {
        assert!(run.wait().expect("is waited for").success());
    }
    assert_eq!(fs::read_dir(checkout.root.join("dist")).expect("lists").count(), 3);
}

#[test]
fn the_record_names_the_commit_of_the_workflow_and_is_otherwise_the_same() {
    let Some(world) = World::new("workflow") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let commit = "5ca1ab1e".repeat(5);
    text(&checkout.xtask(&["build"]).env("GITHUB_SHA", &commit).output().expect("xtask starts"));
    let record = || fs::read_to_string(checkout.dist("v0.1.0").join("metadata.json")).expect("is read");
    assert!(record().contains(&format!("\"workflow_commit\": \"{commit}\"")), "{}", record());
    let output = checkout.xtask(&["build"]).env_remove("GITHUB_SHA").output().expect("xtask starts");
    text(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to do"), "a person would build the same");
}
