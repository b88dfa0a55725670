//! Lists that others can shape: damaged ones neither panic nor lead to more work than they list.

use crate::check_upstream::plan::{Desired, Listed, Observed, State, stable};
use crate::github::{Comment, GitHubStep, Issue, Run};
use crate::os::mutated_input;

const RELEASES: &str = r#"[{"tag_name":"v0.33.0","draft":false,"prerelease":false,"html_url":"https://github.com/r"},
    {"tag_name":"v0.33.1-rc1","draft":false,"prerelease":true,"html_url":"https://github.com/r"},
    {"tag_name":"v0.32.2","draft":false,"prerelease":false,"html_url":"https://github.com/r"}]"#;
const OURS: &str = r#"[{"tag_name":"buildkit-v0.33.0-riscv64","draft":true,"prerelease":false,"html_url":"https://g/1"},
    {"tag_name":"buildkit-v0.32.1-riscv64","draft":false,"prerelease":false,"html_url":"https://github.com/2"}]"#;
const RUNS: &str = r#"[{"id":7,"display_title":"BuildKit v0.33.0","status":"completed","conclusion":"failure",
    "html_url":"https://github.com/7"},{"id":8,"display_title":"BuildKit v0.32.2","status":"queued","conclusion":null,
    "html_url":"https://github.com/8"}]"#;
const ISSUES: &str = r#"[{"number":4,"title":"t","body":"<!-- xtask:tracking v0.33.0 -->","state":"open",
    "state_reason":null,"html_url":"https://github.com/4","labels":[{"name":"buildkit-release"}],"pull_request":null},{"number":5,"title":"t",
    "body":"<!-- xtask:tracking v0.32.2 -->","state":"closed","state_reason":"completed",
    "html_url":"https://github.com/5","labels":[],"user":{"type":"Bot"},"pull_request":null}]"#;
const COMMENTS: &str = r#"[{"body":"<!-- xtask:run 7 -->\nBuild started: https://github.com/7"}]"#;

#[test]
fn a_damaged_list_yields_stable_versions_of_that_list_or_an_error() {
    arbtest::arbtest(|source| {
        let Ok(listed) = serde_json::from_str::<Vec<Listed>>(&mutated_input::text(source, RELEASES)?) else {
            return Ok(());
        };
        if let Ok(versions) = stable(&listed) {
            assert!((1..=listed.len()).contains(&versions.len()));
            for version in versions {
                let is_source = |listed: &Listed| listed.tag_name == version.to_string() && !listed.prerelease;
                assert!(version.is_stable() && listed.iter().any(is_source), "{version}");
            }
        }
        Ok(())
    });
}

#[test]
fn damaged_lists_start_at_most_one_build_of_a_version_that_is_listed() {
    arbtest::arbtest(|source| {
        let upstream: Vec<Listed> = serde_json::from_str(RELEASES).expect("a list");
        // Most damaged lists are not JSON; each one is then left out, as if it were empty.
        let runs: Vec<Run> = serde_json::from_str(&mutated_input::text(source, RUNS)?).unwrap_or_default();
        let issues: Vec<Issue> = serde_json::from_str(&mutated_input::text(source, ISSUES)?).unwrap_or_default();
        let ours: Vec<Listed> = serde_json::from_str(&mutated_input::text(source, OURS)?).unwrap_or_default();
        let comments: Vec<Comment> = serde_json::from_str(&mutated_input::text(source, COMMENTS)?).unwrap_or_default();
        let upstream = stable(&upstream).expect("stable releases");
        let comments = [(4, comments)].into();
        let observed = Observed { upstream: upstream.clone(), runs, issues, ours, comments, ..Observed::default() };
        let statuses = observed.evaluate(&Desired::default());
        assert!(statuses.len() <= upstream.len() + observed.ours.len() + observed.issues.len());
        for status in &statuses {
            // A comment for each run and one for attention, two steps for each issue, a dispatch and its record.
            let bound = observed.runs.len() + 1 + 2 * observed.issues.len() + 2 + 1;
            assert!(status.steps.len() <= bound, "{status}");
            let is_dispatch = |step: &&GitHubStep| matches!(step, GitHubStep::Dispatch { .. });
            let builds = status.steps.iter().filter(is_dispatch).count();
            let is_due = matches!(status.state, State::Missing { .. }) && !status.is_held_back;
            assert_eq!(builds, usize::from(is_due), "{status}");
            assert!(builds == 0 || upstream.contains(&status.version), "{status}");
        }
        assert!(observed.unread(&Desired::default()).len() <= observed.issues.len());
        Ok(())
    });
}
