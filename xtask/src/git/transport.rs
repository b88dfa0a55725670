//! What a person may have had to configure so that git reaches upstream: a mirror, a proxy, a
//! certificate, credentials. Nothing else of their settings has a say in a repository of ours.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::git::read_only;
use crate::os::process::{Run, run};

/// Fetching upstream's history over a slow line takes minutes.
const FETCH_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Variables that say how to reach another machine. `GIT_SSL_NO_VERIFY` is not among them.
const VARIABLES: [&str; 11] = [
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_PROXY_COMMAND",
    "GIT_PROXY_SSL_CAINFO",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
];

/// The settings and variables that a person has for reaching other machines.
pub struct Transport {
    settings: Vec<(String, String)>,
    /// Directories whose repositories may belong to another user.
    trusted: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Transport {
    /// Those that hold in the checkout at `root`: of the system, the person, the checkout and the environment.
    ///
    /// # Errors
    /// If git cannot read its configuration.
    pub fn of(root: &Utf8Path) -> Result<Self> {
        let listed = read_only(root, run!("git config --list --show-scope --includes -z")).read();
        let (settings, trusted) = parse(&listed.context("git cannot read its configuration")?);
        let variables = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?))).collect();
        Ok(Self { settings, trusted, variables })
    }

    /// The person's `safe.directory`, as a file of settings. A mirror on this machine is read by a git of its own,
    /// which takes no settings from variables.
    pub fn trusted(&self) -> String {
        let escaped = |path: &String| path.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n");
        let lines = self.trusted.iter().map(|path| format!("directory = \"{}\"\n", escaped(path)));
        format!("[safe]\n{}", lines.collect::<String>())
    }

    /// Lets `run` reach other machines, for as long as that takes on a slow line. The settings go through
    /// git's own variables, for they may hold credentials, and are not printed.
    pub fn allow(&self, run: Run) -> Run {
        let run = run.limit(FETCH_LIMIT).env_hidden("GIT_CONFIG_COUNT", self.settings.len().to_string());
        let run = self.settings.iter().zip(0..).fold(run, |run, ((key, value), number)| {
            run.env_hidden(format!("GIT_CONFIG_KEY_{number}"), key)
                .env_hidden(format!("GIT_CONFIG_VALUE_{number}"), value)
        });
        self.variables.iter().fold(run, |run, (name, value)| run.env_hidden(*name, value))
    }
}

/// The settings of transport, and the trusted directories, in the output of `git config --list --show-scope -z`: for
/// each setting `scope NUL key LF value NUL`, or `scope NUL key NUL` for one that is true.
fn parse(listed: &str) -> (Vec<(String, String)>, Vec<String>) {
    let (mut settings, mut trusted) = (Vec::new(), Vec::new());
    let mut words = listed.split('\0');
    while let (Some(scope), Some(entry)) = (words.next(), words.next()) {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        // Git does not believe a repository that trusts itself; see git-config(1), `safe.directory`.
        if key == "safe.directory" && ["system", "global", "command"].contains(&scope) {
            trusted.push(value.to_owned());
        } else if is_of_transport(key) {
            settings.push((key.to_owned(), value.to_owned()));
        }
    }
    (settings, trusted)
}

/// Whether a setting says how to reach another machine and cannot weaken how its certificate is checked.
fn is_of_transport(key: &str) -> bool {
    let (Some((section, _)), Some((_, name))) = (key.split_once('.'), key.rsplit_once('.')) else { return false };
    match section {
        "url" => name == "insteadof",
        "http" => name != "sslverify",
        "credential" => true,
        "protocol" => name == "allow",
        "core" => ["askpass", "gitproxy", "sshcommand"].contains(&name),
        "ssh" => name == "variant",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    /// The output of git for settings of one scope, each `key LF value` or `key`.
    fn listed(scope: &str, settings: &[&str]) -> String {
        settings.iter().map(|setting| format!("{scope}\0{setting}\0")).collect()
    }

    #[test]
    fn only_what_leads_to_upstream_is_kept() {
        let settings = [
            "url.file:///m.insteadof\nhttps://a",
            "http.proxy\nhttp://p:1",
            "http.https://a/.extraheader\nX: y",
            "http.sslverify\nfalse",
            "http.https://a/.sslverify\nfalse",
            "credential.helper\nstore",
            "protocol.file.allow\nalways",
            "protocol.version\n0",
            "core.sshcommand\nssh -i k",
            "fetch.prune",
            "core.hookspath\n/h",
            "remote.upstream.url\nz",
            "log.showsignature\ntrue",
            "url.x.pushinsteadof\ny",
        ];
        let (kept, _) = parse(&listed("local", &settings));
        let keys: Vec<String> = kept.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            keys,
            [
                "url.file:///m.insteadof=https://a",
                "http.proxy=http://p:1",
                "http.https://a/.extraheader=X: y",
                "credential.helper=store",
                "protocol.file.allow=always",
                "core.sshcommand=ssh -i k",
            ]
        );
    }

    #[test]
    fn a_setting_without_a_value_is_true_and_odd_output_is_no_setting() {
        let (kept, _) = parse(&listed("global", &["credential.usehttppath"]));
        assert_eq!(kept, [("credential.usehttppath".to_owned(), "true".to_owned())]);
        for odd in ["", "\0\n\0.\0url\n\0", "global\0"] {
            assert_eq!(parse(odd), (Vec::new(), Vec::new()), "{odd:?}");
        }
    }

    #[test]
    fn a_person_may_trust_a_directory_and_a_checkout_may_not() {
        let path = "safe.directory\n/a \"b\"\\c";
        let all = ["system", "global", "local", "worktree", "command"].map(|scope| listed(scope, &[path])).concat();
        let (settings, trusted) = parse(&all);
        assert_eq!((settings, trusted.len()), (Vec::new(), 3));
        let transport = Transport { settings: Vec::new(), trusted: trusted[..1].to_vec(), variables: Vec::new() };
        assert_eq!(transport.trusted(), "[safe]\ndirectory = \"/a \\\"b\\\"\\\\c\"\n");
    }

    #[test]
    fn a_mutated_list_weakens_no_check_and_runs_no_hook() {
        let settings = [
            "url.file:///m.insteadof\nhttps://a",
            "http.https://a/.sslverify\nfalse",
            "credential.helper\nstore",
            "core.hookspath\n/h",
            "core.sshcommand\nssh -i k",
            "protocol.file.allow\nalways",
            "safe.directory\n/a",
        ];
        let listed = listed("global", &settings);
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, &listed)?;
            let (settings, trusted) = parse(&text);
            assert!(settings.len() + trusted.len() <= text.split('\0').count());
            for (key, _) in settings {
                assert!(!key.starts_with("http.") || !key.ends_with(".sslverify"), "{key}");
                assert!(!key.starts_with("core.") || !key.ends_with(".hookspath"), "{key}");
            }
            Ok(())
        });
    }
}
