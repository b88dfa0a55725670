//! Each check catches the defect that it is for, in an image made with just that defect.

use fakes::sample_image::{ENTRYPOINT, Item, LOADER, RISCV, X86_64, config, elf, good, layer};

use super::*;
use crate::dist::Verdict;

fn run_checks(items: &[Item], config: serde_json::Value) -> Vec<Check> {
    let mut tree = FileTree::default();
    tree.apply(layer(items).as_slice()).expect("a valid layer");
    // `tests/image_verdicts.rs` has copies.
    checks(&serde_json::from_value(config).expect("a configuration"), &tree, &|one, other| {
        Ok(one.content == other.content)
    })
}

/// Name and evidence of the only check that fails.
fn failure(items: &[Item], config: serde_json::Value) -> (String, String) {
    let failed: Vec<Check> =
        run_checks(items, config).into_iter().filter(|check| check.verdict == Verdict::Fail).collect();
    let [check] = failed.as_slice() else { panic!("not exactly one check fails: {failed:#?}") };
    (check.name.clone(), check.evidence.clone())
}

/// The good image with one file replaced or removed.
fn changed(path: &str, instead: Option<Item>) -> Vec<Item> {
    let is_it = |item: &Item| match item {
        Item::File(name, ..) | Item::Folder(name) | Item::Symlink(name, _) | Item::HardLink(name, _) => *name == path,
    };
    good().into_iter().filter(|item| !is_it(item)).chain(instead).collect()
}

fn assert_failure(items: &[Item], name: &str, part: &str) {
    let (failed, evidence) = failure(items, config(&ENTRYPOINT, &[]));
    assert!(failed == name && evidence.contains(part), "{failed}: {evidence}");
}

#[test]
fn the_good_image_passes_every_check() {
    let checks = run_checks(&good(), config(&ENTRYPOINT, &[]));
    assert_eq!(checks.len(), 11);
    assert!(checks.iter().all(|check| check.verdict == Verdict::Pass), "{checks:#?}");
}

#[test]
fn a_link_that_is_missing_dangling_circular_or_wrong_is_caught() {
    let link = |target| changed("sbin/docker-init", Some(Item::Symlink("sbin/docker-init", target)));
    assert_failure(
        &changed("sbin/docker-init", None),
        "docker-init-link",
        "/usr/sbin/docker-init, which is not in the image; in the",
    );
    assert_failure(&link("/usr/local/bin/tini"), "docker-init-link", "leads to /usr/local/bin/tini, which is not in");
    assert_failure(&link("docker-init"), "docker-init-link", "in a circle");
    assert_failure(&link("/usr/bin/sh"), "docker-init-link", "leads to /usr/bin/sh, not to /usr/bin/tini");
}

#[test]
fn a_tini_for_another_architecture_not_executable_or_not_elf_is_caught() {
    let tini = |mode, content| changed("usr/bin/tini", Some(Item::File("usr/bin/tini", mode, content)));
    assert_failure(&tini(0o755, elf(X86_64, None, &[])), "tini-architecture", "is for x86-64, not riscv64");
    assert_failure(&tini(0o755, b"#!/bin/sh\n".to_vec()), "tini-architecture", "is not an ELF program");
    assert_failure(&tini(0o644, elf(RISCV, None, &[])), "tini-present", "mode 0644");
    let missing = run_checks(&changed("usr/bin/tini", None), config(&ENTRYPOINT, &[]));
    let failed: Vec<&str> =
        missing.iter().filter(|check| check.verdict == Verdict::Fail).map(|check| check.name.as_str()).collect();
    assert_eq!(failed, ["tini-present", "docker-init-link"]);
}

#[test]
fn a_missing_elf_interpreter_or_library_is_caught() {
    let names_of = |items: &[Item]| {
        let checks = run_checks(items, config(&ENTRYPOINT, &[]));
        let failed = checks.into_iter().filter(|check| check.verdict == Verdict::Fail);
        failed.map(|check| (check.name, check.evidence)).collect::<Vec<_>>()
    };
    let failed = names_of(&changed("usr/lib/ld-linux-riscv64-lp64d.so.1", None));
    let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["tini-loads", "entrypoint-script", "runc"]);
    assert!(failed[0].1.contains(&format!("its ELF interpreter {LOADER} cannot be used")), "{}", failed[0].1);
    let failed = names_of(&changed("usr/lib/riscv64-linux-gnu/libc.so.6", None));
    assert!(failed[0].1.contains("the library libc.so.6 that /usr/bin/tini asks for"), "{}", failed[0].1);
}

#[test]
fn a_missing_runc_is_caught() {
    assert_failure(&changed("usr/sbin/runc", None), "runc", "buildkitd finds no worker");
}

#[test]
fn an_entrypoint_script_that_cannot_start_is_caught() {
    let script = |mode, text: &str| {
        changed("usr/bin/entrypoint", Some(Item::File("usr/bin/entrypoint", mode, text.as_bytes().to_vec())))
    };
    assert_failure(
        &changed("usr/bin/entrypoint", None),
        "entrypoint-script",
        "/usr/bin/entrypoint is not in the image",
    );
    assert_failure(&script(0o644, "#!/bin/sh\n"), "entrypoint-script", "set mode 0755");
    assert_failure(&script(0o755, "#!/bin/bash\n"), "entrypoint-script", "its interpreter /bin/bash: /bin/bash");
    assert_failure(&script(0o755, "exec\0"), "entrypoint-script", "neither ELF nor a script");
}

#[test]
fn an_entrypoint_of_tini_alone_is_caught_with_the_reason() {
    let (name, evidence) = failure(&good(), config(&["/usr/bin/tini", "--"], &[]));
    assert_eq!(name, "entrypoint");
    for part in [
        "buildx starts the container with flags",
        "exec --allow-insecure-entitlement=network.host failed",
        "script behind `--`",
    ] {
        assert!(evidence.contains(part), "{part} is not in: {evidence}");
    }
    let (name, evidence) = failure(&good(), config(&["/usr/bin/tini", "--", "buildkitd"], &[]));
    assert!(name == "entrypoint" && evidence.contains("becomes an argument of buildkitd"), "{evidence}");
}

/// As Docker Engine 20.10 and 28.5 answered, with runc 1.1.5 and 1.3.6.
#[test]
fn tini_by_its_name_needs_an_absolute_path() {
    let config = |path: &str| {
        let mut config = config(&["tini", "--", "/usr/bin/entrypoint"], &[]);
        config["config"]["Env"][0] = format!("PATH={path}").into();
        config
    };
    for relative in ["usr/bin:/usr/sbin:/usr/bin", "./usr/bin:/usr/sbin"] {
        let (failed, evidence) = failure(&good(), config(relative));
        assert!(failed == "entrypoint" && evidence.contains("relative to current directory"), "{failed}: {evidence}");
    }
    let passes = |path| run_checks(&good(), config(path)).iter().all(|check| check.verdict == Verdict::Pass);
    assert!(
        passes("/usr/sbin:/usr/bin") && passes("/usr/sbin:/usr/bin:usr/bin") && passes("nothing:/usr/sbin:/usr/bin")
    );
}

#[test]
fn a_wrong_command_environment_or_platform_is_caught() {
    let other = |pointer: &str, value: serde_json::Value| {
        let mut config = config(&ENTRYPOINT, &[]);
        *config.pointer_mut(pointer).expect("is there") = value;
        failure(&good(), config)
    };
    assert_eq!(other("/architecture", "amd64".into()).0, "platform");
    assert_eq!(other("/config/Cmd", serde_json::Value::Null).0, "command");
    assert_eq!(other("/config/Env/1", "TINI_VERBOSITY=1".into()).0, "environment");
    let (name, evidence) = other("/config/Env/1", "TINI_SUBREAPER=1".into());
    assert!(name == "environment" && evidence.contains("under qemu-user"), "{evidence}");
    assert_eq!(failure(&changed("usr/bin/buildkitd", None), config(&ENTRYPOINT, &[])).0, "command");
}
