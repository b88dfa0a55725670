//! `cargo xtask build` whatever is set in the person's git and environment: the version and the bytes are the same.
//! With `XTASK_TEST_UPSTREAM=CLONE` on the real upstream.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::fs;

use support::{World, contents};

/// Settings that a person may well have, in the form `key=value`; each has broken or falsified something.
const SETTINGS: [&str; 32] = [
    "log.showSignature=true",
    "fetch.prune=true",
    "fetch.pruneTags=true",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=true",
    "fetch.writeCommitGraph=true",
    "fetch.unpackLimit=1",
    "fetch.output=compact",
    "transfer.fsckObjects=true",
    "transfer.hideRefs=refs/tags",
    "clone.defaultRemoteName=mine",
    "clone.rejectShallow=true",
    "clone.filterSubmodules=true",
    "submodule.buildkit.update=none",
    "submodule.buildkit.url=https://elsewhere.example/buildkit.git",
    "submodule.recurse=true",
    "core.sparseCheckout=true",
    "core.autocrlf=true",
    "core.eol=crlf",
    "core.hooksPath=/nonexistent/hooks",
    "core.attributesFile=/nonexistent/attributes",
    "core.fsmonitor=/bin/false",
    "core.untrackedCache=true",
    "core.abbrev=40",
    "core.quotePath=false",
    "core.symlinks=false",
    "core.logAllRefUpdates=always",
    "color.ui=always",
    "init.defaultBranch=trunk",
    "init.templateDir=/nonexistent/template",
    "safe.bareRepository=explicit",
    "format.pretty=raw",
];

/// Variables of the environment, likewise.
const VARIABLES: [(&str, &str); 20] = [
    ("GIT_DIR", "/nonexistent"),
    ("GIT_WORK_TREE", "/nonexistent"),
    ("GIT_INDEX_FILE", "/nonexistent"),
    ("GIT_OBJECT_DIRECTORY", "/nonexistent"),
    ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "/nonexistent"),
    ("GIT_COMMON_DIR", "/nonexistent"),
    ("GIT_NAMESPACE", "other"),
    ("GIT_CEILING_DIRECTORIES", "/"),
    ("GIT_REPLACE_REF_BASE", "refs/tags/"),
    ("GIT_SHALLOW_FILE", "/nonexistent"),
    ("GIT_GRAFT_FILE", "/nonexistent"),
    ("GIT_TEMPLATE_DIR", "/nonexistent"),
    ("GIT_DEFAULT_HASH", "sha256"),
    ("GIT_DEFAULT_REF_FORMAT", "reftable"),
    ("GIT_ATTR_SOURCE", "HEAD"),
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_QUARANTINE_PATH", "/nonexistent"),
    ("GIT_TRACE", "1"),
    ("GIT_PAGER", "false"),
    ("LC_ALL", "tr_TR.UTF-8"),
];

#[test]
fn no_setting_and_no_variable_has_a_say() {
    let Some((world, tag)) = World::small_or_real("settings") else { return };
    let checkout = world.checkout("project", tag);
    world.git("project", &["submodule", "update", "--quiet", "--init", "buildkit"]);
    checkout.build(&[]);
    let expected = [tag.to_owned(), world.git("project/buildkit", &["rev-parse", "HEAD"])];
    let whole = contents(&checkout.dist(tag));
    let with = |what: &str, variables: &[(&str, &str)], compiled: bool| {
        fs::remove_dir_all(checkout.root.join("target/upstream")).expect("is removed");
        if compiled {
            fs::remove_dir_all(checkout.root.join("dist")).expect("is removed");
        }
        let mut run = checkout.xtask(&["build", "--json"]);
        let output = run.envs(variables.iter().copied()).output().expect("xtask starts");
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let found = ["version", "commit"].map(|name| report["metadata"][name].as_str().expect("a text").to_owned());
        assert_eq!(found, expected, "{what}");
        assert!(contents(&checkout.dist(tag)) == whole, "{what} changes the bytes");
    };
    for (number, setting) in SETTINGS.iter().enumerate() {
        let (key, value) = setting.split_once('=').expect("key=value");
        let one = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", key), ("GIT_CONFIG_VALUE_0", value)];
        with(setting, &one, number % 8 == 0);
    }
    for (number, (name, value)) in VARIABLES.iter().enumerate() {
        with(name, &[(name, value)], number % 8 == 0);
    }
    // All of them at once, from the files of the person and of the checkout.
    let file = SETTINGS.iter().fold(fs::read_to_string(world.path("gitconfig")).expect("is read"), |file, setting| {
        let (key, value) = setting.split_once('=').expect("key=value");
        let (section, name) = key.rsplit_once('.').expect("a section");
        let section = section.split_once('.').map_or_else(|| section.to_owned(), |(a, b)| format!("{a} \"{b}\""));
        format!("{file}[{section}]\n{name} = {value}\n")
    });
    fs::write(world.path("gitconfig"), file).expect("is written");
    with("all settings of the person", &[], true);
    let own = fs::read_to_string(world.path("gitconfig")).expect("is read");
    let local = checkout.root.join(".git/config");
    fs::write(&local, fs::read_to_string(&local).expect("is read") + &own).expect("is written");
    with("all settings of the checkout", &VARIABLES, true);
}
