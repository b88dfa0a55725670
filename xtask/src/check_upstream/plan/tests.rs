//! Which versions are wanted, each state, and its plan as text.

use expect_test::expect;

use super::*;

mod backlog;
mod withdrawn;

const URL: &str = "https://github.com/o/n";

fn listed(tag_name: &str) -> Listed {
    let html_url = format!("{URL}/releases/tag/{tag_name}");
    Listed { tag_name: tag_name.to_owned(), draft: false, prerelease: false, html_url }
}

fn ours(version: &str) -> Listed {
    listed(&format!("buildkit-{version}-riscv64"))
}

/// Parses a state as GitHub names it.
fn state<T: serde::de::DeserializeOwned>(word: &str) -> T {
    serde_json::from_value(word.into()).expect("is a state")
}

fn run(id: u64, version: &str, outcome: &str) -> Run {
    let (status, conclusion) = match outcome {
        "queued" | "in_progress" => (outcome, None),
        conclusion => ("completed", Some(state(conclusion))),
    };
    Run {
        id,
        display_title: format!("BuildKit {version}"),
        status: Some(state(status)),
        conclusion,
        html_url: format!("{URL}/actions/runs/{id}"),
    }
}

fn issue(number: u64, version: &str, is: &str, reason: Option<&str>) -> Issue {
    let body = format!("text <!-- xtask:tracking {version} -->");
    let issue = Issue::sample(number, "as somebody has edited it", &body);
    Issue { state: state(is), state_reason: reason.map(state), ..issue }
}

fn comment(text: &str) -> Comment {
    Comment { body: Some(text.to_owned()) }
}

/// Upstream has v0.33.0 and nothing else, and we have nothing.
fn world() -> Observed {
    Observed { upstream: ["v0.33.0".parse().expect("a tag")].into(), ..Observed::default() }
}

/// Every state and every step, one per line.
fn text(observed: &Observed) -> String {
    let statuses = observed.evaluate(&Desired::default());
    let states = statuses.iter().map(ToString::to_string);
    let steps = statuses.iter().flat_map(|status| &status.steps).map(ToString::to_string);
    states.chain(steps).collect::<Vec<_>>().join("\n")
}

#[test]
fn only_stable_releases_count_and_a_list_without_any_is_an_error() {
    let mut list: Vec<Listed> =
        ["v0.17.3", "dockerfile/1.10.0", "v0.18.0-rc1", "v0.9.0", "v0.18.0", "v0.19.0", "v0.20.0"].map(listed).into();
    list[5].draft = true;
    list[6].prerelease = true;
    let found: Vec<_> = stable(&list).expect("releases").iter().map(ToString::to_string).collect();
    assert_eq!(found, ["v0.9.0", "v0.17.3", "v0.18.0"]);
    let none = stable(&list[1..3]).expect_err("none is stable");
    assert_eq!(none, "upstream's list of 2 releases has no stable one, so it cannot be right");
}

#[test]
fn the_newest_release_and_patches_to_our_newest_lines_are_wanted() {
    let wanted = |published: &[&str], open: &[&str]| {
        let upstream =
            ["v0.8.3", "v0.9.3", "v0.10.0", "v0.10.6", "v0.11.0", "v0.11.6", "v0.12.0", "v0.12.1", "v0.13.0"];
        let observed = Observed {
            upstream: upstream.map(|tag| tag.parse().expect(tag)).into(),
            ours: published.iter().map(|version| ours(version)).chain([listed("buildkit-v20251209-dev")]).collect(),
            issues: open.iter().map(|version| issue(1, version, "open", None)).collect(),
            ..Observed::default()
        };
        observed
            .evaluate(&Desired::default())
            .iter()
            .map(|status| status.version.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(wanted(&[], &[]), "v0.13.0");
    assert_eq!(wanted(&["v0.10.6"], &[]), "v0.13.0 v0.10.6");
    assert_eq!(wanted(&["v0.10.0", "v0.12.1"], &[]), "v0.13.0 v0.12.1 v0.10.6");
    let history = ["v0.8.0", "v0.9.0", "v0.10.0", "v0.11.0", "v0.12.0"];
    assert_eq!(wanted(&history, &[]), "v0.13.0 v0.12.1 v0.11.6", "patches of our two newest minor versions only");
    assert_eq!(wanted(&["v0.12.0", "v0.14.0"], &[]), "v0.12.1", "older than our newest");
    assert_eq!(wanted(&["v0.11.7", "v0.13.0"], &[]), "v0.13.0", "older than our newest of its line");
    assert_eq!(wanted(&["v0.14.0"], &[]), "", "older than our newest");
    assert_eq!(wanted(&["v0.13.0"], &["v0.12.0"]), "v0.13.0 v0.12.0", "what was started is completed");
    assert_eq!(wanted(&["v0.13.0"], &["v0.99.0"]), "v0.99.0 v0.13.0", "withdrawn: its issue is to be closed");
}

#[test]
fn a_new_version_gets_an_issue_and_then_a_recorded_run() {
    expect![[r#"
        v0.33.0    missing           never built
        gh api 'repos/{owner}/{repo}/issues' --silent -f 'title=Building BuildKit v0.33.0 for RISC-V64' -f 'body=Upstream has released [BuildKit v0.33.0](https://github.com/moby/buildkit/releases/tag/v0.33.0). The workflow buildkit-weekly-build.yml builds it for RISC-V64 and publishes it as buildkit-v0.33.0-riscv64, which closes this issue. To skip this version, close the issue as not planned. <!-- xtask:tracking v0.33.0 -->' -f 'labels[]=build-in-progress' -f 'labels[]=buildkit-release'
        gh workflow run buildkit-weekly-build.yml -f buildkit_ref=v0.33.0
        body=$(gh run list --workflow buildkit-weekly-build.yml --event workflow_dispatch --json databaseId,displayTitle,url --jq 'first(.[]|select(.displayTitle=="BuildKit v0.33.0"))|"<!-- xtask:run \(.databaseId) -->\nBuild started: \(.url)"') && issue=$(gh api 'repos/{owner}/{repo}/issues?state=all&per_page=100' --paginate --jq '.[]|select(.pull_request|not)|select(any(.labels[];.name=="buildkit-release") or .user.type=="Bot" or (.author_association|IN("OWNER","MEMBER","COLLABORATOR")))|select(((.body//"")|contains("<!-- xtask:tracking v0.33.0 -->")) or .title=="Building BuildKit v0.33.0 for RISC-V64").number' | sort -n | head -n 1) && gh issue comment "${issue:?}" --body "${body:?}""#]].assert_eq(&text(&world()));
}

#[test]
fn a_run_of_another_version_is_ignored() {
    let runs = vec![run(7, "v0.33.0-rc1", "in_progress"), run(6, "master", "queued")];
    assert!(text(&Observed { runs, ..world() }).starts_with("v0.33.0    missing           never built\n"));
}

#[test]
fn a_pass_continues_after_a_crash_that_followed_the_issue_or_the_run() {
    let mut observed = Observed { issues: vec![issue(4, "v0.33.0", "open", None)], ..world() };
    let statuses = observed.evaluate(&Desired::default());
    assert_eq!(statuses[0].to_string(), "v0.33.0    missing           never built, issue #4");
    assert_eq!(statuses[0].steps[0].to_string(), "gh workflow run buildkit-weekly-build.yml -f buildkit_ref=v0.33.0");
    assert_eq!(statuses[0].steps.len(), 2);

    observed.runs = vec![run(7, "v0.33.0", "queued")];
    let building = "v0.33.0    building          https://github.com/o/n/actions/runs/7, issue #4";
    expect![[r#"
        v0.33.0    building          https://github.com/o/n/actions/runs/7, issue #4
        gh issue comment 4 --body '<!-- xtask:run 7 -->
        Build started: https://github.com/o/n/actions/runs/7'"#]]
    .assert_eq(&text(&observed));
    observed.comments = [(4, vec![comment("<!-- xtask:run 7 -->\nBuild started")])].into();
    assert_eq!(text(&observed), building);
}

#[test]
fn the_issue_names_a_run_that_somebody_started_by_hand() {
    let observed = Observed { runs: vec![run(7, "v0.33.0", "in_progress")], ..world() };
    let steps = &observed.evaluate(&Desired::default())[0].steps;
    assert_eq!(steps.len(), 1);
    assert!(steps[0].to_string().contains(&format!(
        " as not planned. Build started: {URL}/actions/runs/7 <!-- xtask:run 7 --> <!-- xtask:tracking v0.33.0 -->'"
    )));
}

#[test]
fn a_failed_build_is_retried_and_then_needs_attention_with_one_comment() {
    let mut observed = Observed {
        issues: vec![issue(4, "v0.33.0", "open", Some("reopened"))],
        comments: [(4, (7..10).map(|id| comment(&format!("<!-- xtask:run {id} -->"))).collect())].into(),
        runs: vec![run(8, "v0.33.0", "success"), run(7, "v0.33.0", "cancelled")],
        ours: vec![Listed { draft: true, ..ours("v0.33.0") }],
        ..world()
    };
    let statuses = observed.evaluate(&Desired::default());
    assert_eq!(
        statuses[0].to_string(),
        "v0.33.0    missing           2 builds left no release, 1 of them failed, a draft exists, issue #4"
    );
    assert!(statuses[0].is_doubtful());
    assert_eq!(statuses[0].steps[0], GitHubStep::Dispatch { version: statuses[0].version.clone(), known_runs: 2 });

    observed.runs.insert(0, run(9, "v0.33.0", "failure"));
    observed.ours.clear();
    expect![[r#"
        v0.33.0    needs attention   3 builds left no release, 2 of them failed, issue #4
        gh issue comment 4 --body '<!-- xtask:left-to-a-person v0.33.0 -->
        Built 3 times without a release, so this needs attention: https://github.com/o/n/actions/runs/7, https://github.com/o/n/actions/runs/8, https://github.com/o/n/actions/runs/9. Find the cause in the logs of these runs and fix it, then start another run with `gh workflow run buildkit-weekly-build.yml -f buildkit_ref=v0.33.0`; or close this issue as not planned.'"#]].assert_eq(&text(&observed));
    observed.comments.entry(4).or_default().push(comment("<!-- xtask:left-to-a-person v0.33.0 -->"));
    assert_eq!(observed.evaluate(&Desired::default())[0].steps, []);

    // Somebody starts another run by hand.
    observed.runs.insert(0, run(10, "v0.33.0", "queued"));
    expect![[r#"
        v0.33.0    building          https://github.com/o/n/actions/runs/10, issue #4
        gh issue comment 4 --body '<!-- xtask:run 10 -->
        Build started: https://github.com/o/n/actions/runs/10'"#]]
    .assert_eq(&text(&observed));
}

#[test]
fn an_issue_closed_too_early_is_reopened_unless_it_is_not_planned() {
    for reason in [Some("completed"), None] {
        let observed = Observed { issues: vec![issue(4, "v0.33.0", "closed", reason)], ..world() };
        let steps: Vec<_> = observed.evaluate(&Desired::default())[0].steps.iter().map(ToString::to_string).collect();
        assert_eq!(
            steps[..2],
            ["gh issue reopen 4", "gh workflow run buildkit-weekly-build.yml -f buildkit_ref=v0.33.0"]
        );
    }
    for reason in ["not_planned", "duplicate"] {
        let observed = Observed { issues: vec![issue(4, "v0.33.0", "closed", Some(reason))], ..world() };
        assert_eq!(
            text(&observed),
            format!(
                "v0.33.0    declined          its issue was closed as {reason}; reopen it to build this version, issue #4 (closed)"
            )
        );
    }
}

#[test]
fn every_open_issue_of_a_published_version_is_closed() {
    let mut observed = Observed {
        ours: vec![ours("v0.33.0")],
        issues: vec![issue(9, "v0.33.0", "open", None), issue(4, "v0.33.0", "open", None)],
        comments: [(9, vec![comment("<!-- xtask:published v0.33.0 -->")])].into(),
        ..world()
    };
    let line = "v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64, issue #4";
    expect![[r#"
        v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64, issue #4
        gh issue comment 4 --body '<!-- xtask:published v0.33.0 -->
        Published: https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64'
        gh issue close 4 --reason completed
        gh issue close 9 --reason completed"#]]
    .assert_eq(&text(&observed));
    observed.runs = vec![run(7, "v0.33.0", "in_progress")];
    assert_eq!(text(&observed), line, "the run itself will close it");
    assert!(!observed.evaluate(&Desired::default())[0].is_done());
    for issue in &mut observed.issues {
        issue.state = IssueState::Closed;
    }
    expect![
        "v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64, issue #4 (closed)"
    ]
    .assert_eq(&text(&observed));
    assert!(observed.evaluate(&Desired::default())[0].is_done());
}

#[test]
fn only_what_a_list_may_not_show_yet_is_looked_up() {
    let doubtful = |observed: &Observed| observed.evaluate(&Desired::default())[0].is_doubtful();
    let issue_and_runs = |issues: Vec<Issue>, runs: Vec<Run>| Observed { issues, runs, ..world() };
    assert!(!doubtful(&world()), "never built, and nobody says otherwise");
    assert!(!doubtful(&issue_and_runs(vec![issue(1, "v0.33.0", "open", None)], vec![])));
    assert!(doubtful(&issue_and_runs(vec![issue(1, "v0.33.0", "closed", Some("completed"))], vec![])));
    for outcome in ["success", "failure"] {
        assert!(doubtful(&issue_and_runs(vec![], vec![run(1, "v0.33.0", outcome)])), "{outcome}");
    }
    let building = vec![run(1, "v0.33.0", "queued")];
    assert!(!doubtful(&issue_and_runs(vec![issue(1, "v0.33.0", "open", None)], building.clone())));
    assert!(!doubtful(&issue_and_runs(vec![], building.clone())));
    assert!(doubtful(&issue_and_runs(vec![issue(1, "v0.33.0", "closed", Some("completed"))], building)));
    assert!(!doubtful(&Observed { ours: vec![ours("v0.33.0")], ..world() }));
}

#[test]
fn the_comments_of_an_issue_are_read_before_a_run_is_recorded_in_it() {
    let observed = Observed { issues: vec![issue(3, "v0.33.0", "open", None)], ..world() };
    let steps = &observed.evaluate(&Desired::default())[0].steps;
    assert!(steps.iter().any(|step| matches!(step, GitHubStep::RecordRun { .. })), "{steps:?}");
    assert_eq!(observed.unread(&Desired::default()).into_iter().collect::<Vec<_>>(), [3]);
}

#[test]
fn only_a_draft_of_the_version_itself_is_named() {
    let draft = |version: &str| Listed { draft: true, ..ours(version) };
    let evidence = |ours: Vec<Listed>| Observed { ours, ..world() }.evaluate(&Desired::default())[0].evidence();
    let without = evidence(Vec::new());
    assert_eq!(evidence(vec![draft("v0.33.0-rc1")]), without);
    assert_ne!(evidence(vec![draft("v0.33.0")]), without);
}
