//! Whether this machine is thrown away after the job, so that packages may be installed on it without asking.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads a file and the environment")]

use std::fs::File;
use std::io::Read;

use camino::Utf8PathBuf;
use serde_json::{Map, Value};

/// A runner's settings take about 500 bytes.
const MOST_SETTINGS_BYTES: u64 = 64 * 1024;

/// How long this machine lives, and how that is known.
#[derive(Debug, PartialEq, Eq)]
pub enum Lifetime {
    OneJob(&'static str),
    Longer(&'static str),
}

impl Lifetime {
    /// The lifetime of this machine. `stated` is whether its owner says that it is ephemeral.
    pub fn here(stated: Option<bool>) -> Self {
        let environment = std::env::var("RUNNER_ENVIRONMENT").ok();
        Self::of(stated, environment.as_deref(), runner_settings().as_deref())
    }

    /// The statement of the owner counts before those of GitHub and the runner: a runner that takes one job can be on
    /// a machine that is used again.
    /// Source: GitHub, "Variables reference", `RUNNER_ENVIRONMENT`; "GitHub-hosted runners", a new machine for each job.
    fn of(stated: Option<bool>, environment: Option<&str>, settings: Option<&str>) -> Self {
        match stated {
            Some(true) => Self::OneJob("it is said to be ephemeral"),
            Some(false) => Self::Longer("it is said not to be ephemeral"),
            None if environment == Some("github-hosted") => Self::OneJob("it is GitHub's own"),
            None if settings.is_some_and(takes_one_job) => Self::OneJob("its runner takes one job"),
            None => Self::Longer("nothing says that it is thrown away after this job"),
        }
    }
}

/// The settings of the runner that runs this step, if it is GitHub's or made from it: `.runner`, in the directory
/// above the one for work. `RUNNER_TEMP` is `_temp` in the latter.
/// Source: actions/runner, `HostContext.GetDirectory`.
fn runner_settings() -> Option<String> {
    let temporary = Utf8PathBuf::from(std::env::var("RUNNER_TEMP").ok()?);
    let path = temporary.ancestors().nth(2)?.join(".runner");
    let mut text = String::new();
    File::open(path).ok()?.take(MOST_SETTINGS_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Whether GitHub removes the runner with these settings after one job. `config.sh --ephemeral` writes
/// `"ephemeral": true` and begins the file with a byte order mark; GitHub's just-in-time settings have
/// `"Ephemeral":"True"`, which the runner reads as the same.
/// Source: actions/runner, `RunnerSettings` and `IOUtil.SaveObject`; GitHub, "Secure use reference", just-in-time runners.
fn takes_one_job(settings: &str) -> bool {
    let json = settings.trim_start_matches('\u{feff}');
    let Ok(settings) = serde_json::from_str::<Map<String, Value>>(json) else { return false };
    settings.iter().any(|(name, value)| {
        let is_true =
            value.as_bool().unwrap_or_else(|| value.as_str().is_some_and(|it| it.eq_ignore_ascii_case("true")));
        name.eq_ignore_ascii_case("ephemeral") && is_true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const JUST_IN_TIME: &str =
        r#"{"AgentId":"7","AgentName":"a","Ephemeral":"True","ServerUrl":"https://x.example","WorkFolder":"_work"}"#;
    const CONFIGURED: &str = "\u{feff}{\n  \"agentId\": 7,\n  \"ephemeral\": true,\n  \"workFolder\": \"_work\"\n}";

    fn lifetime(stated: Option<bool>, environment: Option<&str>, settings: Option<&str>) -> Lifetime {
        Lifetime::of(stated, environment, settings)
    }

    #[test]
    fn the_machines_of_github_and_of_runners_for_one_job_are_ephemeral() {
        for (environment, settings) in [
            (Some("github-hosted"), None),
            (Some("self-hosted"), Some(JUST_IN_TIME)),
            (Some("self-hosted"), Some(CONFIGURED)),
            (None, Some(JUST_IN_TIME)),
        ] {
            let here = lifetime(None, environment, settings);
            assert!(matches!(here, Lifetime::OneJob(_)), "{environment:?} {settings:?}: {here:?}");
            assert!(matches!(lifetime(Some(false), environment, settings), Lifetime::Longer(_)));
        }
    }

    #[test]
    fn any_other_machine_is_kept_unless_its_owner_says_otherwise() {
        let kept = CONFIGURED.replace("true", "false");
        for (environment, settings) in [
            (None, None),
            (Some("self-hosted"), None),
            (Some("self-hosted"), Some(kept.as_str())),
            (Some("self-hosted"), Some("{}")),
            (Some("self-hosted"), Some("[true]")),
        ] {
            let here = lifetime(None, environment, settings);
            assert!(matches!(here, Lifetime::Longer(_)), "{environment:?} {settings:?}: {here:?}");
            assert!(matches!(lifetime(Some(true), environment, settings), Lifetime::OneJob(_)));
        }
    }

    #[test]
    fn mutated_settings_are_of_one_job_only_if_they_say_so() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, JUST_IN_TIME)?;
            if takes_one_job(&text) {
                let text = text.to_ascii_lowercase();
                assert!(text.contains("ephemeral") && text.contains("true"), "{text:?}");
            }
            Ok(())
        });
    }
}
