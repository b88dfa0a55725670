//! A backlog: `--since` and `--limit`.

use expect_test::expect;

use super::*;

/// Upstream has a history, and we have the newest release.
fn backlog() -> Observed {
    let upstream = ["v0.12.9", "v0.13.0", "v0.13.1", "v0.14.0", "v0.15.0", "v0.33.0"];
    Observed {
        upstream: upstream.map(|tag| tag.parse().expect(tag)).into(),
        ours: vec![ours("v0.33.0")],
        ..Observed::default()
    }
}

fn states(observed: &Observed, desired: &Desired) -> String {
    observed.evaluate(desired).iter().map(|status| format!("{status}\n")).collect()
}

#[test]
fn a_backlog_is_every_release_since_a_version_a_few_at_a_time_and_newest_first() {
    let since = |limit| Desired { since: Some("v0.13.0".parse().expect("a tag")), limit };
    let mut observed = backlog();
    expect![[r#"
        v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64
    "#]]
    .assert_eq(&states(&observed, &Desired::default()));
    expect![[r#"
        v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64
        v0.15.0    missing           never built
        v0.14.0    missing           never built
        v0.13.1    held back         never built
        v0.13.0    held back         never built
    "#]]
    .assert_eq(&states(&observed, &since(2)));
    let steps = |observed: &Observed| {
        let statuses = observed.evaluate(&since(2));
        let with_steps = statuses.iter().filter(|status| !status.steps.is_empty());
        with_steps.map(|status| status.version.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(steps(&observed), "v0.15.0 v0.14.0");

    // A build in progress takes one of the places, so that a pass that is repeated does not start more.
    let building = |id, number, version: &str| (run(id, version, "queued"), issue(number, version, "open", None));
    let (runs, issues): (Vec<_>, Vec<_>) = [building(8, 2, "v0.14.0"), building(7, 1, "v0.15.0")].into_iter().unzip();
    (observed.runs, observed.issues) = (runs, issues);
    let comments = |id| vec![comment(&format!("<!-- xtask:run {id} -->"))];
    observed.comments = [(1, comments(7)), (2, comments(8))].into();
    expect![[r#"
        v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64
        v0.15.0    building          https://github.com/o/n/actions/runs/7, issue #1
        v0.14.0    building          https://github.com/o/n/actions/runs/8, issue #2
        v0.13.1    held back         never built
        v0.13.0    held back         never built
    "#]]
    .assert_eq(&states(&observed, &since(2)));
    assert_eq!(steps(&observed), "");

    // What failed is built again before what is older.
    observed.runs[0] = run(8, "v0.14.0", "failure");
    assert_eq!(steps(&observed), "v0.14.0");
    expect![[r#"
        v0.33.0    published         https://github.com/o/n/releases/tag/buildkit-v0.33.0-riscv64
        v0.15.0    building          https://github.com/o/n/actions/runs/7, issue #1
        v0.14.0    held back         1 build failed, issue #2
        v0.13.1    held back         never built
        v0.13.0    held back         never built
    "#]]
    .assert_eq(&states(&observed, &since(1)));
    let started = observed.evaluate(&Desired::default());
    let started: Vec<_> = started.iter().map(|status| status.version.to_string()).collect();
    assert_eq!(started, ["v0.33.0", "v0.15.0", "v0.14.0"], "what was started is completed without --since");
    assert_eq!(states(&observed, &since(0)).matches("held back").count(), 3);
}
