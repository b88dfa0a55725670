//! What the issue has to say of everything that is published, and the steps to that: one issue, however often what
//! changed is found, closed when all is right again.

use std::fmt::Write as _;

use oci::digest::sha256;

use crate::dist::ReleaseName;
use crate::github::{CHANGED_MARKER, CHANGED_TITLE, Comment, GitHubStep, Issue, IssueState, Repository, StateReason};
use crate::verify::Outcome;
use crate::verify::findings::Findings;

/// A hundred releases, each with all its checks, would not fit into an issue.
const MOST_LINES: usize = 50;

/// What is found of each release.
pub type All = [(ReleaseName, Findings)];

/// The steps that make the issue say what was found. `day` is that of the run. A run that could not read everything
/// changes nothing: the next one would have to say it again.
pub fn plan(
    all: &All,
    issue: Option<&Issue>,
    comments: &[Comment],
    repository: &Repository,
    day: &str,
) -> Vec<GitHubStep> {
    if all.iter().any(|(_, findings)| !findings.undetermined.is_empty()) {
        return Vec::new();
    }
    match (Outcome::of(all.iter().map(|(_, findings)| findings)), issue) {
        (Outcome::Differs, None) => {
            let body = format!("{CHANGED_MARKER}\n{}\n{}{}", marker(all), report(all), advice(repository));
            vec![GitHubStep::ReportChange { title: CHANGED_TITLE.to_owned(), body }]
        }
        (Outcome::Differs, Some(issue)) if !is_declined(issue) => {
            let marker = marker(all);
            let texts = comments.iter().filter_map(|comment| comment.body.as_ref()).chain(&issue.body);
            let is_said = texts.into_iter().any(|text| text.contains(&marker));
            let reopen = (!is_open(issue)).then_some(GitHubStep::ReopenIssue { issue: issue.number });
            let text = report(all).trim_end().to_owned();
            let comment = (!is_said).then_some(GitHubStep::Comment { issue: issue.number, marker, text });
            reopen.into_iter().chain(comment).collect()
        }
        (Outcome::Right, Some(issue)) if is_open(issue) => {
            let (issue, marker) = (issue.number, format!("<!-- xtask:right {day} -->"));
            let text = format!("All {} releases, and their images, are as they were published.", all.len());
            vec![GitHubStep::Comment { issue, marker, text }, GitHubStep::CloseIssue { issue }]
        }
        _ => Vec::new(),
    }
}

fn is_open(issue: &Issue) -> bool {
    issue.state == IssueState::Open
}

/// Whether somebody closed it as not planned: the change is known.
pub fn is_declined(issue: &Issue) -> bool {
    issue.state == IssueState::Closed && issue.state_reason == Some(StateReason::NotPlanned)
}

/// Hidden where just these checks are said to differ. Evidence may read differently each time.
fn marker(all: &All) -> String {
    let names = all
        .iter()
        .flat_map(|(name, findings)| findings.failures().map(move |check| format!("{name} {}\n", check.name)));
    format!("<!-- xtask:changed {} -->", &sha256(names.collect::<String>().as_bytes()).to_string()[..16])
}

/// A line for each check that differs. Evidence may quote anyone, so it is no Markdown.
fn report(all: &All) -> String {
    let lines: Vec<String> = all
        .iter()
        .flat_map(|(name, findings)| {
            findings.failures().map(move |check| {
                let evidence = check.evidence.replace('`', "'");
                format!("- {name}, {}: `{evidence}`\n", check.name)
            })
        })
        .collect();
    let mut text = lines.iter().take(MOST_LINES).cloned().collect::<String>();
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- and {more} more");
    }
    text
}

fn advice(repository: &Repository) -> String {
    format!(
        "\nWhat was published never changes by itself. `cargo xtask verify TAG --repo {repository}` shows more, and with \
         `--rebuild` whether the files are what the source gives. If nobody with access to {repository} made the change, \
         someone else has that access. This issue is closed once all is as it was; if the change is meant to stay, close \
         it as not planned.\n"
    )
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use expect_test::expect;

    use super::*;

    fn all(failures: &[&str], undetermined: bool) -> Vec<(ReleaseName, Findings)> {
        let mut findings = Findings::quiet();
        findings.add_evidence("release", Ok("is there".to_owned()));
        failures.iter().for_each(|name| findings.add_evidence(name, Err(anyhow!("`another`\n@everyone"))));
        if undetermined {
            findings.add_evidence("page", Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
        }
        vec![("buildkit-v0.32.2-riscv64".parse().expect("a name"), findings)]
    }

    fn planned(all: &All, issue: Option<&Issue>) -> Vec<GitHubStep> {
        plan(all, issue, &[], &"o/n".parse().expect("a repository"), "20261126")
    }

    fn filed() -> Issue {
        let steps = planned(&all(&["image-tag"], false), None);
        let [GitHubStep::ReportChange { title, body }] = &steps[..] else { panic!("{steps:?}") };
        Issue::sample(7, title, body)
    }

    #[test]
    fn one_issue_is_filed_and_says_each_change_once() {
        let issue = filed();
        expect![[r#"
            <!-- xtask:changed -->
            <!-- xtask:changed ed77975c33f68569 -->
            - buildkit-v0.32.2-riscv64, image-tag: `'another' @everyone`

            What was published never changes by itself. `cargo xtask verify TAG --repo o/n` shows more, and with `--rebuild` whether the files are what the source gives. If nobody with access to o/n made the change, someone else has that access. This issue is closed once all is as it was; if the change is meant to stay, close it as not planned.
        "#]]
        .assert_eq(issue.body.as_deref().unwrap_or_default());
        assert_eq!(planned(&all(&["image-tag"], false), Some(&issue)), []);
        let more = all(&["image-tag", "files"], false);
        let steps = planned(&more, Some(&issue));
        let [GitHubStep::Comment { issue: 7, marker, text }] = &steps[..] else { panic!("{steps:?}") };
        assert!(text.contains("files: `'another' @everyone`") && !text.ends_with('\n'), "{text}");
        let comments = [Comment { body: Some(format!("{marker}\n{text}")) }];
        assert_eq!(plan(&more, Some(&issue), &comments, &"o/n".parse().expect("a repository"), "20261126"), []);
    }

    #[test]
    fn it_is_closed_when_all_is_right_again_and_stays_when_something_could_not_be_read() {
        let issue = filed();
        assert_eq!(planned(&all(&["files"], true), None), []);
        assert_eq!(planned(&all(&[], true), Some(&issue)), []);
        let steps = planned(&all(&[], false), Some(&issue));
        assert!(
            matches!(&steps[..], [GitHubStep::Comment { issue: 7, .. }, GitHubStep::CloseIssue { issue: 7 }]),
            "{steps:?}"
        );
        assert_eq!(planned(&all(&[], false), None), []);
        let closed = Issue { state: IssueState::Closed, state_reason: Some(StateReason::Completed), ..issue };
        assert_eq!(planned(&all(&[], false), Some(&closed)), []);
        assert_eq!(planned(&all(&["image-tag"], false), Some(&closed)), [GitHubStep::ReopenIssue { issue: 7 }]);
        let declined = Issue { state_reason: Some(StateReason::NotPlanned), ..closed };
        assert_eq!(planned(&all(&["image-tag"], false), Some(&declined)), []);
    }

    #[test]
    fn what_it_says_is_bounded() {
        let names: Vec<String> = (0..2000).map(|number| format!("check-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = report(&all(&names, false));
        assert!(text.len() < 65_536 && text.ends_with("- and 1950 more\n"), "{}", text.len());
    }
}
