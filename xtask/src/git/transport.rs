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
    variables: Vec<(&'static str, String)>,
}

impl Transport {
    /// Those that hold in the checkout at `root`: of the system, the person, the checkout and the environment.
    ///
    /// # Errors
    /// If git cannot read its configuration.
    pub fn of(root: &Utf8Path) -> Result<Self> {
        let listed = read_only(root, run!("git config --list --includes -z")).read();
        let settings = parse(&listed.context("git cannot read its configuration")?);
        let variables = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?))).collect();
        Ok(Self { settings, variables })
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

/// The settings of transport in the output of `git config --list -z`: `key LF value NUL`, or `key NUL` for a
/// setting that is true.
fn parse(listed: &str) -> Vec<(String, String)> {
    let settings = listed.split('\0').map(|entry| entry.split_once('\n').unwrap_or((entry, "true")));
    let kept = settings.filter(|(key, _)| is_of_transport(key));
    kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
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

    #[test]
    fn only_what_leads_to_upstream_is_kept() {
        let listed = "url.file:///m.insteadof\nhttps://a\0http.proxy\nhttp://p:1\0http.https://a/.extraheader\nX: y\0\
                      http.sslverify\nfalse\0http.https://a/.sslverify\nfalse\0credential.helper\nstore\0\
                      protocol.file.allow\nalways\0protocol.version\n0\0core.sshcommand\nssh -i k\0fetch.prune\0\
                      core.hookspath\n/h\0remote.upstream.url\nz\0log.showsignature\ntrue\0url.x.pushinsteadof\ny\0";
        let keys: Vec<String> = parse(listed).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
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
        assert_eq!(parse("credential.usehttppath\0"), [("credential.usehttppath".to_owned(), "true".to_owned())]);
        assert_eq!(parse(""), []);
        assert_eq!(parse("\0\n\0.\0url\n\0"), []);
    }

    #[test]
    fn a_mutated_list_weakens_no_check_and_runs_no_hook() {
        let listed = "url.file:///m.insteadof\nhttps://a\0http.https://a/.sslverify\nfalse\0credential.helper\nstore\0\
                      core.hookspath\n/h\0core.sshcommand\nssh -i k\0protocol.file.allow\nalways\0";
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, listed)?;
            let settings = parse(&text);
            assert!(settings.len() <= text.split('\0').count());
            for (key, _) in settings {
                assert!(!key.starts_with("http.") || !key.ends_with(".sslverify"), "{key}");
                assert!(!key.starts_with("core.") || !key.ends_with(".hookspath"), "{key}");
            }
            Ok(())
        });
    }
}
