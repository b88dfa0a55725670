//! A token is sent in one header and appears nowhere else, whatever fails; and a token that is refused
//! results in one clear error.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes and reads the environment"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use fakes::script::{Script, header, response, silence};
use support::{Scratch, empty_checkout};

const TOKEN: &str = "ghs_0123456789abcdefSECRET";

/// The command for a task in a directory that passes for a checkout.
fn xtask(root: &Path, arguments: &[&str]) -> Command {
    empty_checkout(root);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(root).args(arguments).env_clear().env("PATH", std::env::var_os("PATH").expect("a PATH"));
    command.env("GITHUB_TOKEN", TOKEN).env("REGISTRY_PASSWORD", TOKEN).env("GITHUB_REPOSITORY", "someone/fork");
    command
}

/// Runs a command that must fail. The token must not be in its output, nor in any file that it leaves.
fn failure(root: &Path, command: &mut Command) -> String {
    let output = command.output().expect("xtask starts");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "it succeeded: {text}");
    assert!(!text.contains(TOKEN), "the token was printed: {text}");
    let left = Command::new("grep").args(["-r", "-l", TOKEN]).arg(root).output().expect("grep runs");
    assert!(left.stdout.is_empty(), "the token was written to {}", String::from_utf8_lossy(&left.stdout));
    text
}

#[test]
fn no_failure_prints_the_token() {
    let scratch = Scratch::new("secrets");
    let redirect = |to: &str| response(302, &[("Location", to)], "");
    let answers = [
        silence(),
        response(200, &[], "not JSON"),
        response(200, &[], "[]"),
        response(500, &[], "{}"),
        response(422, &[], r#"{"message":"Validation Failed","errors":[{"code":"invalid"}]}"#),
        response(403, &[("Retry-After", "3600")], r#"{"message":"You have exceeded a secondary rate limit"}"#),
        redirect("http://elsewhere.example/"),
        redirect("https://host.invalid/"),
    ];
    for answer in answers {
        let server = Script::start(move |_| answer.clone());
        let text = failure(
            scratch.path(),
            xtask(scratch.path(), &["check-upstream", "--execute"])
                .env("GITHUB_API_URL", server.url())
                .env("RUST_BACKTRACE", "1"),
        );
        let requests = server.requests();
        let is_authorized = |value: &str| value.contains(TOKEN);
        let is_used = requests.iter().any(|request| header(request, "authorization").is_some_and(is_authorized));
        assert!(is_used, "the token was not used: {requests:?}");
        assert!(requests.iter().all(|request| !request.uri().to_string().contains(TOKEN)), "{requests:?}");
        assert!(text.contains("error"), "{text}");
    }
    // A closed port, and a host that does not exist.
    for url in ["http://127.0.0.1:9", "https://host.invalid"] {
        failure(scratch.path(), xtask(scratch.path(), &["check-upstream"]).env("GITHUB_API_URL", url));
    }
    let message =
        failure(scratch.path(), xtask(scratch.path(), &["check-upstream"]).env("GITHUB_TOKEN", format!("{TOKEN}\n")));
    assert!(message.contains("GITHUB_TOKEN"), "{message}");
}

#[test]
fn a_refused_token_results_in_one_error() {
    let scratch = Scratch::new("refused");
    let error_for = |status: u16, headers: &'static [(&str, &str)], message: &'static str| {
        let server = Script::start(move |_| response(status, headers, format!(r#"{{"message":"{message}"}}"#)));
        let mut command = xtask(scratch.path(), &["check-upstream", "--execute"]);
        failure(scratch.path(), command.env("GITHUB_API_URL", server.url()))
    };
    let wrong = error_for(401, &[], "Bad credentials");
    assert!(wrong.contains("wrong or has expired") && wrong.contains("GITHUB_TOKEN"), "{wrong}");
    let permissions = &[("X-Accepted-GitHub-Permissions", "issues=write")];
    let insufficient = error_for(403, permissions, "Resource not accessible by integration");
    assert!(insufficient.contains("issues=write"), "{insufficient}");
    for text in [wrong, insufficient] {
        assert_eq!(text.matches("error").count(), 1, "{text}");
    }
}

#[test]
fn no_child_process_inherits_the_token() {
    let scratch = Scratch::new("children");
    let (bin, seen) = (scratch.path().join("bin"), scratch.path().join("seen"));
    fs::create_dir_all(&bin).expect("is created");
    let script = format!("#!/bin/sh\nenv >> {0}\necho \"$@\" >> {0}\nexit 1\n", seen.display());
    fs::write(bin.join("git"), script).expect("is written");
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).expect("is made executable");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a PATH"));
    let mut command = xtask(scratch.path(), &["check-upstream"]);
    failure(scratch.path(), command.env("PATH", path).env_remove("GITHUB_REPOSITORY").env("GH_TOKEN", TOKEN));
    assert!(fs::read_to_string(seen).expect("git was run for the remote").contains("PATH="));
}
