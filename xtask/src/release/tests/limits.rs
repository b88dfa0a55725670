//! Publishing where something ends or moves meanwhile: a list, a token, an issue.

use fakes::server::locked;

use super::{Scenario, TOKEN};
use crate::github::{GitHubStep, Issues, issue_marker};
use crate::reconcile::{Executor, Step};
use crate::release::plan::plan;

/// As many as one page has, and the fake shows no more: GitHub shows ten thousand, and has shown a thousand.
const SHOWN: usize = 100;

#[test]
fn a_release_behind_those_that_github_lists_is_published_once() {
    let scenario = Scenario::new(|_| ());
    let older = |label: &str| {
        let mut github = locked(&scenario.github);
        github.limit_results(SHOWN);
        (0..=SHOWN).for_each(|number| github.publish_earlier(&format!("{label}-{number}"), label, &[]));
    };
    older("before");
    scenario.publish().expect("is published");
    assert_eq!(scenario.left(), [""; 0]);
    older("after");
    assert_eq!(scenario.left(), [""; 0], "it is there, although no list shows it");
}

/// Files the issue that tracks the build.
fn file_issue(scenario: &Scenario) {
    let version = scenario.desired.name.upstream().expect("a version").clone();
    let issues = Issues { github: &scenario.remotes.github, repository: &scenario.remotes.repository };
    issues.file(&version, "Building", &issue_marker(&version)).expect("is filed");
}

#[test]
fn an_issue_that_is_transferred_meanwhile_fails_no_publication() {
    let scenario = Scenario::new(|_| ());
    file_issue(&scenario);
    let plan = plan(&scenario.desired, &scenario.remotes.observe(&scenario.desired).expect("is observed"));
    let plan = plan.expect("nothing is refused");
    assert!(plan.steps.contains(&Step::GitHub(GitHubStep::CloseIssue { issue: 1 })));
    locked(&scenario.github).transfer_issue(1);
    super::super::publish(&scenario.remotes, &scenario.desired, &plan, |_| ()).expect("is published");
    assert_eq!(locked(&scenario.github).snapshot()["issues"][0]["open"], true, "what is elsewhere is not touched");
    assert_eq!(scenario.left(), [""; 0]);
}

/// A workflow's token is valid as long as its job, a personal one until its date.
#[test]
fn a_token_that_expires_between_two_uploads_is_named_and_another_one_finishes() {
    let scenario = Scenario::new(|_| ());
    let plan = plan(&scenario.desired, &scenario.remotes.observe(&scenario.desired).expect("is observed"));
    let plan = plan.expect("nothing is refused");
    let is_upload = |step: &Step| matches!(step, Step::GitHub(GitHubStep::UploadAsset { .. }));
    let first = plan.steps.iter().position(is_upload).expect("files are uploaded");
    let mut executor =
        Executor::new(&scenario.remotes.github, &scenario.remotes.repository, &scenario.remotes.registry);
    plan.steps[..=first].iter().try_for_each(|step| executor.execute(step)).expect("is begun");
    locked(&scenario.github).expire(TOKEN);
    let next = plan.steps[first + 1..].iter().find(|step| is_upload(step)).expect("a second file");
    let error = format!("{:#}", executor.execute(next).expect_err("the token has expired"));
    assert!(error.contains("it is wrong or has expired; set GITHUB_TOKEN to a valid one"), "{error}");
    locked(&scenario.github).allow(TOKEN, &["contents=write", "issues=write"]);
    scenario.publish().expect("is finished");
    assert_eq!(scenario.left(), [""; 0]);
}
