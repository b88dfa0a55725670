//! Releases that upstream withdrew.

use expect_test::expect;

use super::*;

#[test]
fn the_open_issue_of_a_release_that_upstream_withdrew_is_closed_with_a_comment() {
    let open = |reason| vec![issue(5, "v0.33.1", "open", reason)];
    let mut observed = Observed { issues: open(None), ours: vec![ours("v0.33.0")], ..world() };
    expect![[r#"
        v0.33.1    withdrawn         upstream does not have it any more, issue #5
        v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64
        gh issue comment 5 --body '<!-- xtask:withdrawn v0.33.1 -->
        Upstream does not list v0.33.1 among its stable releases any more, so it is not built, and this issue is closed. Once upstream publishes it again, reopen this issue to have it built.'
        gh issue close 5 --reason completed"#]].assert_eq(&text(&observed));
    assert!(
        observed.evaluate(&Desired::default()).iter().any(Status::is_doubtful),
        "our release may not be listed yet"
    );
    assert_eq!(observed.unread(&Desired::default()).into_iter().collect::<Vec<_>>(), [5]);

    observed.runs = vec![run(7, "v0.33.1", "in_progress")];
    expect![[r#"
        v0.33.1    withdrawn         upstream does not have it any more, issue #5
        v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64"#]]
    .assert_eq(&text(&observed));
    observed.runs = vec![run(7, "v0.33.1", "failure")];
    observed.comments = [(5, vec![comment("<!-- xtask:withdrawn v0.33.1 -->")])].into();
    expect![[r#"
        v0.33.1    withdrawn         upstream does not have it any more, issue #5
        v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64
        gh issue close 5 --reason completed"#]]
    .assert_eq(&text(&observed));

    observed.issues = vec![issue(5, "v0.33.1", "closed", Some("completed"))];
    expect!["v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64"]
        .assert_eq(&text(&observed));
    observed.upstream.insert("v0.33.1".parse().expect("a tag"));
    expect![[r#"
        v0.33.1    missing           1 build failed, issue #5 (closed)
        gh issue reopen 5
        gh issue comment 5 --body '<!-- xtask:run 7 -->
        Build started: https://github.com/o/n/actions/runs/7'
        gh workflow run buildkit-weekly-build.yml -f buildkit_ref=v0.33.1
        body=$(gh run list --workflow buildkit-weekly-build.yml --event workflow_dispatch --json databaseId,displayTitle,url --jq 'first(.[]|select(.displayTitle=="BuildKit v0.33.1"))|"<!-- xtask:run \(.databaseId) -->\nBuild started: \(.url)"') && issue=$(gh api 'repos/{owner}/{repo}/issues?state=all&per_page=100' --paginate --jq '.[]|select(.pull_request|not)|select(any(.labels[];.name=="buildkit-release") or .user.type=="Bot" or (.author_association|IN("OWNER","MEMBER","COLLABORATOR")))|select(((.body//"")|contains("<!-- xtask:tracking v0.33.1 -->")) or .title=="Building BuildKit v0.33.1 for RISC-V64").number' | sort -n | head -n 1) && gh issue comment "${issue:?}" --body "${body:?}""#]].assert_eq(&text(&observed));
}

#[test]
fn the_issue_of_a_candidate_or_of_a_release_of_ours_is_never_withdrawn() {
    let issues = vec![issue(5, "v0.34.0-rc1", "open", None), issue(6, "v0.32.9", "open", None)];
    let observed = Observed { issues, ours: vec![ours("v0.33.0"), ours("v0.32.9")], ..world() };
    let states: Vec<_> = observed
        .evaluate(&Desired::default())
        .iter()
        .map(|status| (status.version.to_string(), status.word()))
        .collect();
    assert_eq!(states, [("v0.33.0".to_owned(), "published"), ("v0.32.9".to_owned(), "published")]);
}
