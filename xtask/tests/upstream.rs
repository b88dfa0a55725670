//! `cargo xtask build` on ordinary machines: whatever a contributor has in `buildkit/`, in their git settings
//! and in their environment, the version and the bytes are the same, and nothing of theirs is changed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use support::{Checkout, URL, World, contents, failure, leaves_the_submodule_alone, text};

/// A checkout whose submodule is a whole clone with the contributor's own work in it.
fn with_submodule<'a>(world: &'a World, name: &str, tag: &str) -> Checkout<'a> {
    let checkout = world.checkout(name, tag);
    world.git(name, &["submodule", "update", "--quiet", "--init", "buildkit"]);
    checkout
}

/// The version that a build finds, and the commit.
fn resolved(checkout: &Checkout<'_>, arguments: &[&str]) -> (String, String) {
    let output = checkout.xtask(&[&["build", "--json"], arguments].concat()).output().expect("xtask starts");
    let report: serde_json::Value = serde_json::from_str(&text(&output)).expect("JSON");
    let field = |name: &str| report["metadata"][name].as_str().expect("a text").to_owned();
    (field("version"), field("commit"))
}

#[test]
fn nothing_in_the_submodule_is_changed_or_decides() {
    let Some(world) = World::new("submodule") else { return };
    let checkout = with_submodule(&world, "project", "v0.1.0");
    let submodule = "project/buildkit";
    let pinned = world.git("upstream", &["rev-parse", "v0.1.0^{commit}"]);
    let other = world.git("upstream", &["rev-parse", "v0.2.0^{commit}"]);
    // Tags of the contributor's own, upstream's moved, and another commit's files in place of the pinned one's.
    world.git(submodule, &["tag", "-a", "-m", "mine", "v9.9.9", &pinned]);
    world.git(submodule, &["tag", "--force", "v0.1.0", &other]);
    world.git(submodule, &["tag", "--delete", "v0.1.1"]);
    world.git(submodule, &["replace", &pinned, &other]);
    world.git(submodule, &["config", "fetch.prune", "true"]);
    world.git(submodule, &["config", "log.showSignature", "true"]);
    world.git(submodule, &["worktree", "add", "--quiet", "--detach", "../../mounted", "HEAD"]);
    fs::rename(world.path("mounted"), world.path("not-mounted")).expect("is renamed");
    world.git(submodule, &["sparse-checkout", "set", "--no-cone", "/go.mod"]);
    fs::write(world.path(submodule).join("go.mod"), "not a go.mod").expect("is written");
    for lock in ["refs/tags/v0.2.0.lock", "packed-refs.lock", "shallow.lock", "config.lock", "index.lock"] {
        fs::write(checkout.root.join(".git/modules/buildkit").join(lock), "").expect("is written");
    }
    leaves_the_submodule_alone(&checkout, || {
        assert_eq!(resolved(&checkout, &[]), ("v0.1.0".into(), pinned.clone()));
        let master = world.git("upstream", &["describe", "--match", "v[0-9]*", "--tags", "--abbrev=9", "master"]);
        assert_eq!(resolved(&checkout, &["--ref", "master"]).0, master);
    });
    // What was checked out is what upstream has.
    let files = checkout.root.join("target/upstream").join(&pinned).join("files");
    assert!(fs::read_to_string(files.join("go.mod")).expect("is read").starts_with("module github.com/moby/buildkit"));
    let quiet = world.checkout("quiet", "v0.1.0");
    quiet.build(&[]);
    assert!(contents(&quiet.dist("v0.1.0")) == contents(&checkout.dist("v0.1.0")), "the two builds differ");
}

#[test]
fn upstream_is_fetched_into_a_mirror_and_an_empty_submodule_stays_empty() {
    let Some(world) = World::new("empty") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    leaves_the_submodule_alone_if_empty(&checkout);
    // The mirror is shared by the worktrees of the checkout.
    world.git("project", &["worktree", "add", "--quiet", "--detach", "../second"]);
    let second = Checkout { world: &world, root: world.path("second") };
    world.cut_the_network();
    assert_eq!(resolved(&second, &[]).0, "v0.1.0");
    assert!(!second.root.join("target").exists(), "the second worktree has a mirror of its own");
}

fn leaves_the_submodule_alone_if_empty(checkout: &Checkout<'_>) {
    let stderr = checkout.build(&[]);
    assert!(stderr.contains(&format!("fetching tags from {URL}")), "{stderr}");
    assert_eq!(fs::read_dir(checkout.root.join("buildkit")).expect("lists").count(), 0);
    assert!(!checkout.root.join(".git/modules").exists());
}

#[test]
fn objects_of_the_submodule_are_not_fetched_again() {
    let Some(world) = World::new("objects") else { return };
    let checkout = with_submodule(&world, "project", "v0.1.0");
    // Tags alone come from upstream; its files are hidden from the server of this test.
    resolved(&checkout, &[]);
    let commit = world.git("upstream", &["rev-parse", "v0.1.0^{commit}"]);
    fs::remove_dir_all(checkout.root.join("target/upstream").join(&commit)).expect("is removed");
    fs::remove_dir_all(checkout.root.join("dist")).expect("is removed");
    world.cut_the_network();
    checkout.build(&[]);
}

#[test]
fn a_name_in_git_s_describe_syntax_is_not_a_tag() {
    let Some(world) = World::new("describe-syntax") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let commit = world.git("upstream", &["rev-parse", "v0.1.0^{commit}"]);
    checkout.build(&[]);
    let asked = format!("v99.0.0-g{}", &commit[..7]);
    let (message, status) = failure(&mut checkout.xtask(&["build", "--ref", &asked]));
    assert!(status == 1 && message.contains(&format!("{URL} has no tag {asked}")), "{message}");
}

#[test]
fn a_tag_that_upstream_made_later_names_the_build() {
    let Some(world) = World::new("later-tag") else { return };
    let commit = world.git("upstream", &["rev-parse", "master"]);
    world.git("upstream", &["tag", "-a", "-m", "candidate", "v0.3.0-rc1", "master"]);
    let checkout = world.checkout("project", "v0.3.0-rc1");
    assert_eq!(resolved(&checkout, &[]), ("v0.3.0-rc1".into(), commit.clone()));
    world.git("upstream", &["tag", "-a", "-m", "final", "v0.3.0", "master"]);
    assert_eq!(resolved(&checkout, &[]), ("v0.3.0".into(), commit));
}

#[test]
fn a_moved_tag_and_branches_whose_names_collide_are_followed() {
    let Some(world) = World::new("moved") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    world.git("upstream", &["branch", "topic", "v0.1.1"]);
    resolved(&checkout, &["--ref", "topic"]);
    world.git("upstream", &["branch", "--delete", "--force", "topic"]);
    world.git("upstream", &["branch", "topic/one", "v0.2.0"]);
    assert_eq!(resolved(&checkout, &["--ref", "topic/one"]).0, "v0.2.0");
    let (message, _) = failure(&mut checkout.xtask(&["build", "--ref", "topic"]));
    assert!(message.contains("has no branch topic"), "{message}");
}

#[test]
fn what_a_killed_run_left_in_the_mirror_is_repaired() {
    let Some(world) = World::new("left-over") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    checkout.build(&[]);
    let upstream = checkout.root.join("target/upstream");
    let commit = world.git("upstream", &["rev-parse", "v0.2.0^{commit}"]);
    for lock in ["refs/tags/v0.2.0.lock", "packed-refs.lock", "config.lock", "HEAD.lock", "objects/pack/tmp_pack_x"] {
        fs::write(upstream.join("mirror.git").join(lock), "").expect("is written");
    }
    for partial in [".mirror.git.partial-1".to_owned(), format!(".{commit}.partial-1")] {
        fs::create_dir(upstream.join(partial)).expect("is made");
    }
    assert_eq!(resolved(&checkout, &["--ref", "master"]).0.split('-').next(), Some("v0.2.0"));
    assert_eq!(resolved(&checkout, &["--ref", "v0.2.0"]).0, "v0.2.0");

    // After a power failure: references and packs of no length, files that are not as they were checked out.
    fs::write(upstream.join("mirror.git/refs/tags/v0.2.0"), "").expect("is written");
    assert_eq!(resolved(&checkout, &["--ref", "v0.2.0"]).0, "v0.2.0");
    for entry in fs::read_dir(upstream.join("mirror.git/objects/pack")).expect("lists").flatten() {
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o644)).expect("is changed");
        fs::write(entry.path(), "").expect("is written");
    }
    assert_eq!(resolved(&checkout, &["--ref", "v0.1.1"]).0, "v0.1.1");
    for (file, content) in [("cmd/buildctl/main.go", Some("not Go")), ("vendor/modules.txt", None), ("z.go", Some("x"))]
    {
        let path = upstream.join(&commit).join("files").join(file);
        match content {
            Some(content) => fs::write(&path, content).expect("is written"),
            None => fs::remove_file(&path).expect("is removed"),
        }
        fs::remove_dir_all(checkout.dist("v0.2.0")).expect("is removed");
        checkout.build(&["--ref", "v0.2.0"]);
    }
}

#[test]
fn two_clones_of_the_project_build_into_one_folder_at_once() {
    let Some(world) = World::new("one-out") else { return };
    let out = world.path("out");
    let clones: Vec<_> = ["one", "two", "three"].map(|name| world.checkout(name, "v0.2.0")).into();
    let runs: Vec<_> = clones
        .iter()
        .map(|clone| {
            let mut run = clone.xtask(&["build", &format!("--out={}", out.display())]);
            run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("xtask starts")
        })
        .collect();
    for run in runs {
        text(&run.wait_with_output().expect("is waited for"));
    }
    let names: Vec<_> = fs::read_dir(&out).expect("lists").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["v0.2.0"]);
}

/// Adds to a build what `image` and `verify-tini` would, so that it can be lost.
fn add_image_and_proof(dist: &Path) -> String {
    let path = dist.join("metadata.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("is read")).expect("JSON");
    let digest = format!("sha256:{}", "0".repeat(64));
    record["image"] = serde_json::json!({
        "layout": "image", "digest": digest, "size_bytes": 1, "tags": [], "base_name": "debian", "base_digest": null,
        "engine": "docker", "inputs": "0".repeat(64),
    });
    let text = serde_json::to_string_pretty(&record).expect("is written") + "\n";
    fs::write(&path, &text).expect("is written");
    let others = fs::read_to_string(dist.join("SHA256SUMS")).expect("is read");
    let others: String =
        others.lines().filter(|line| !line.ends_with("  metadata.json")).map(|l| format!("{l}\n")).collect();
    let mut sum = std::process::Command::new("sha256sum");
    let sum = text_of(sum.arg("metadata.json").current_dir(dist));
    fs::write(dist.join("SHA256SUMS"), others + &sum + "\n").expect("is written");
    text
}

fn text_of(command: &mut std::process::Command) -> String {
    text(&command.output().expect("starts"))
}

#[test]
fn a_branch_at_the_commit_of_a_release_leaves_its_image_and_a_replacement_is_announced() {
    let Some(world) = World::new("same-commit") else { return };
    world.git("upstream", &["branch", "v0.2", "v0.2.0"]);
    let checkout = world.checkout("project", "v0.2.0");
    checkout.build(&[]);
    let record = add_image_and_proof(&checkout.dist("v0.2.0"));
    let stderr = checkout.build(&["--ref", "v0.2"]);
    assert!(stderr.contains("nothing to do"), "{stderr}");
    assert_eq!(fs::read_to_string(checkout.dist("v0.2.0").join("metadata.json")).expect("is read"), record);
    // A branch of that name, whose builds are published apart.
    world.git("upstream", &["checkout", "--quiet", "-B", "master", "v0.2.0"]);
    let stderr = checkout.build(&["--ref", "master"]);
    assert!(stderr.contains("dist/v0.2.0 holds another build (of v0.2.0, with Go"), "{stderr}");
    assert!(stderr.contains("with its image and 0 proofs), which is replaced"), "{stderr}");
}

type Harm<'a> = &'a dyn Fn(&Path);

#[test]
fn a_build_that_was_changed_in_any_way_is_made_again() {
    let Some(world) = World::new("changed") else { return };
    let checkout = world.checkout("project", "v0.2.0");
    checkout.build(&[]);
    let dist = checkout.dist("v0.2.0");
    let whole = contents(&dist);
    let harms: [(&str, Harm<'_>); 3] = [
        ("junk", &|dist| {
            let path = dist.join("SHA256SUMS");
            let sums = fs::read_to_string(&path).expect("is read");
            fs::write(path, sums + "junk\n").expect("is written");
        }),
        ("mode of a program", &|dist| {
            fs::set_permissions(dist.join("buildctl"), fs::Permissions::from_mode(0o644)).expect("is changed");
        }),
        ("mode of a file", &|dist| {
            fs::set_permissions(dist.join("VERSION.txt"), fs::Permissions::from_mode(0o600)).expect("is changed");
        }),
    ];
    for (what, harm) in harms {
        harm(&dist);
        let stderr = checkout.build(&[]);
        assert!(!stderr.contains("nothing to do") && contents(&dist) == whole, "{what}: {stderr}");
    }
}

#[test]
fn a_place_where_a_build_would_be_lost_or_would_destroy_something_is_refused_first() {
    let Some(world) = World::new("places") else { return };
    let checkout = world.checkout("project", "v0.2.0");
    let commit = world.git("upstream", &["rev-parse", "v0.2.0^{commit}"]);
    fs::create_dir_all(checkout.root.join("dist")).expect("is made");
    let refused = |arguments: &[&str], part: &str| {
        let (message, status) = failure(&mut checkout.xtask(&[&["build"], arguments].concat()));
        assert!(status == 1 && message.contains(part) && message.contains("--out DIR"), "{message}");
        assert!(!message.contains("compile"), "{message}");
    };
    fs::write(checkout.dist("v0.2.0"), "a file").expect("is written");
    refused(&[], "was not created by `cargo xtask build`");
    fs::remove_file(checkout.dist("v0.2.0")).expect("is removed");
    fs::create_dir(checkout.dist("v0.2.0")).expect("is made");
    fs::write(checkout.dist("v0.2.0").join("thesis"), "mine").expect("is written");
    refused(&[], "was not created by `cargo xtask build`");
    fs::remove_dir_all(checkout.root.join("dist")).expect("is removed");
    checkout.build(&[]);
    refused(&["--out", &format!("target/upstream/{commit}/files/out")], "is inside");
    refused(&["--out", "buildkit"], "is inside");
}

#[test]
fn several_refs_and_ranges_are_built_in_one_run_and_the_rest_if_one_fails() {
    let Some(world) = World::new("several") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    let mut run = checkout.xtask(&["build", "--json", "--ref", "v0.1.0..v0.2.0", "--ref", "v9.9.9", "--ref", "master"]);
    let output = run.output().expect("xtask starts");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let asked: Vec<_> = report.as_array().expect("a list").iter().map(|one| one["asked"].as_str()).collect();
    assert_eq!(asked, ["v0.1.0", "v0.1.1", "v0.2.0", "v9.9.9", "master"].map(Some));
    assert!(report[3]["error"].as_str().expect("a text").contains("has no tag v9.9.9"), "{report}");
    assert_eq!(report[2]["metadata"]["version"], "v0.2.0");
    assert!(stderr.contains("  v9.9.9  failed") && stderr.contains("  v0.1.1  built "), "{stderr}");
    assert_eq!(fs::read_dir(checkout.root.join("dist")).expect("lists").count(), 4);

    let output = checkout.xtask(&["build", "--ref", "v0.1.0..v0.1.1"]).output().expect("xtask starts");
    let folders = ["v0.1.0", "v0.1.1"].map(|version| checkout.dist(version).display().to_string());
    assert_eq!(text(&output).lines().collect::<Vec<_>>(), folders);
    let (message, status) = failure(&mut checkout.xtask(&["build", "--ref", "v0.5.0..v0.9.0"]));
    assert!(status == 1 && message.contains("has no release from v0.5.0 to v0.9.0"), "{message}");
}

#[test]
fn clean_frees_older_builds_with_their_sources_and_shows_them_first() {
    let Some(world) = World::new("clean") else { return };
    let checkout = world.checkout("project", "v0.1.0");
    checkout.build(&["--ref", "v0.1.0"]);
    checkout.build(&["--ref", "v0.1.1"]);
    fs::create_dir(checkout.root.join("dist/.v0.1.0.partial-1-0")).expect("is made");
    fs::create_dir_all(checkout.root.join("dist/mine")).expect("is made");
    fs::create_dir_all(checkout.root.join("target/go/1.2.3/go")).expect("is made");
    let commits = ["v0.1.0", "v0.1.1"].map(|tag| world.git("upstream", &["rev-parse", &format!("{tag}^{{commit}}")]));
    let sources = commits.map(|commit| checkout.root.join("target/upstream").join(commit));
    let clean = |arguments: &[&str]| {
        let output = checkout.bare_xtask(&[&["clean", "--json"], arguments].concat()).output().expect("xtask starts");
        let report: serde_json::Value = serde_json::from_str(&text(&output)).expect("JSON");
        report["freed"].as_array().expect("a list").len()
    };
    assert_eq!(clean(&["--dry-run"]), 4);
    assert!(checkout.dist("v0.1.0").is_dir() && sources[0].is_dir());
    assert_eq!(clean(&[]), 4);
    assert!(!checkout.dist("v0.1.0").exists() && !sources[0].exists());
    assert!(checkout.dist("v0.1.1").is_dir() && sources[1].is_dir() && checkout.root.join("dist/mine").is_dir());
    assert_eq!(clean(&[]), 0);
    assert_eq!(clean(&["--keep", "0"]), 2);
    checkout.build(&[]);
}

/// The mirror or clone that a person names may belong to another user, as one that a company keeps on a shared disk.
#[test]
fn a_mirror_of_another_user_is_read_if_the_person_trusts_it_and_only_then() {
    let Some(world) = World::new("another-user") else { return };
    let checkout = world.checkout("project", "v0.2.0");
    // Git takes every repository for that of another user then; it is the variable of git's own tests.
    let git = support::on_path("git").expect("git is there");
    let bin = world.path("bin");
    fs::create_dir(&bin).expect("is made");
    let script = format!("#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec '{}' \"$@\"\n", git.display());
    fs::write(bin.join("git"), script).expect("is written");
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).expect("is executable");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("is set"));
    let config = fs::read_to_string(world.path("gitconfig")).expect("is read");
    let trust = |directories: &[&str]| {
        let lines: String = directories.iter().map(|directory| format!("directory = {directory}\n")).collect();
        fs::write(world.path("gitconfig"), format!("{config}[safe]\n{lines}")).expect("is written");
    };
    let checkout_alone = checkout.root.to_str().expect("is UTF-8");
    trust(&[checkout_alone]);
    let (message, _) = failure(checkout.xtask(&["build"]).env("PATH", &path));
    assert!(message.contains("git config --global --add safe.directory"), "{message}");
    let upstream = world.path("upstream/.git");
    trust(&[checkout_alone, upstream.to_str().expect("is UTF-8")]);
    text(&checkout.xtask(&["build"]).env("PATH", &path).output().expect("xtask starts"));
}
