//! What GitHub, or anyone who writes on it, can shape: no parser panics, and every result is bounded.

use fakes::script::{Script, response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::github::documents::{Asset, Comment, Comparison, Dispatched, Issue, Release, Runs};
use crate::github::errors::explain;
use crate::github::lists::MAX_PAGES;
use crate::github::repository::Repository;
use crate::github::tracking_issue::{issue_marker, issue_title, tracked_version};
use crate::github::{GitHub, next_of};
use crate::os::mutated_input;

const LINK: &str = r#"<https://api.github.com/x?page=1>; rel="prev", <https://api.github.com/x?a=1,2>; rel="next""#;
const RELEASE: &str = r#"{"id":1,"tag_name":"buildkit-v0.32.2-riscv64","target_commitish":"main","name":"BuildKit","body":"text","draft":true,
    "prerelease":false,"html_url":"https://github.com/o/n","upload_url":"https://uploads.github.com/a{?name,label}",
    "assets":[{"id":2,"name":"buildctl","state":"uploaded","size":7,"digest":"sha256:00",
    "browser_download_url":"https://github.com/o/n/d"}]}"#;
const ISSUE: &str = r#"{"number":4,"title":"Building","body":"<!-- xtask:tracking v0.32.2 -->","state":"closed",
    "state_reason":"not_planned","html_url":"https://github.com/o/n/issues/4","labels":["x",{"name":"buildkit-release"}],
    "user":{"type":"User"},"author_association":"NONE","pull_request":{"url":[[{}]]}}"#;
const RUNS: &str = r#"{"workflow_runs":[{"id":7,"display_title":"BuildKit v0.32.2","status":"completed",
    "conclusion":"timed_out","html_url":"https://github.com/o/n/actions/runs/7"}]}"#;

/// The length of all strings that a document keeps cannot exceed that of its JSON.
fn parse<T: DeserializeOwned>(text: &str, kept: impl Fn(&T) -> usize) {
    if let Ok(document) = serde_json::from_str::<T>(text) {
        assert!(kept(&document) <= text.len(), "{text}");
    }
}

#[test]
fn a_damaged_link_header_yields_a_part_of_itself_or_nothing() {
    assert_eq!(next_of(LINK), Some("https://api.github.com/x?a=1,2"));
    arbtest::arbtest(|source| {
        let link = mutated_input::text(source, LINK)?;
        if let Some(next) = next_of(&link) {
            assert!(link.contains(&format!("<{next}>")) && !next.contains('>'), "{link}");
        }
        Ok(())
    });
}

#[test]
fn damaged_documents_neither_panic_nor_grow() {
    arbtest::arbtest(|source| {
        let text = |value: &Option<String>| value.as_ref().map_or(0, String::len);
        parse(&mutated_input::text(source, RELEASE)?, |release: &Release| {
            let asset = |asset: &Asset| asset.name.len() + asset.browser_download_url.len() + text(&asset.digest);
            let own = release.tag_name.len()
                + release.target_commitish.len()
                + release.html_url.len()
                + release.upload_url.len();
            own + text(&release.name) + text(&release.body) + release.assets.iter().map(asset).sum::<usize>()
        });
        let issue = mutated_input::text(source, ISSUE)?;
        parse(&issue, |issue: &Issue| issue.title.len() + issue.html_url.len() + text(&issue.body));
        parse(&issue, |comment: &Comment| text(&comment.body));
        let runs = mutated_input::text(source, RUNS)?;
        parse(&runs, |runs: &Runs| {
            runs.workflow_runs.iter().map(|run| run.display_title.len() + run.html_url.len()).sum()
        });
        parse(&mutated_input::text(source, r#"{"workflow_run_id":7,"html_url":"u"}"#)?, |run: &Dispatched| {
            run.html_url.len()
        });
        parse(&mutated_input::text(source, r#"{"status":"ahead"}"#)?, |found: &Comparison| {
            found.status.to_string().len()
        });
        Ok(())
    });
}

#[test]
fn deeply_nested_documents_are_rejected() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    serde_json::from_str::<Issue>(&ISSUE.replace("[[{}]]", &nested)).expect_err("too deep");
    assert_eq!(explain(422, nested.as_bytes(), None, true), "GitHub answered 422");
}

#[test]
fn an_explanation_is_one_short_line_whatever_github_answers() {
    let long = "x\u{1b}[2J\n".repeat(100_000);
    let body = serde_json::json!({ "message": long, "errors": vec![long.as_str(); 3] }).to_string();
    let check = |explanation: &str| {
        assert!(explanation.chars().count() < 2500, "{} characters", explanation.chars().count());
        assert!(!explanation.contains(char::is_control), "{explanation}");
    };
    for status in [401, 403, 404, 422, 500] {
        check(&explain(status, body.as_bytes(), Some(&long), true));
        check(&explain(status, body.as_bytes(), None, false));
    }
    arbtest::arbtest(|source| {
        let sample = br#"{"message":"Validation Failed","errors":[{"code":"already_exists"}]}"#;
        check(&explain(source.arbitrary()?, &mutated_input::bytes(source, sample)?, None, source.arbitrary()?));
        Ok(())
    });
}

#[test]
fn a_tracked_version_is_named_by_an_issue_of_ours() {
    let sample = ISSUE.replace(r#"{"url":[[{}]]}"#, "null");
    arbtest::arbtest(|source| {
        let text = mutated_input::text(source, &sample)?;
        let Ok(issue) = serde_json::from_str::<Issue>(&text) else { return Ok(()) };
        if let Some(version) = tracked_version(&issue) {
            let is_marked = issue.body.is_some_and(|body| body.contains(&issue_marker(&version)));
            assert!(is_marked || issue.title == issue_title(&version), "{text}");
            assert!(issue.labels.iter().any(|label| label.is("buildkit-release")), "{text}");
            assert!(version.to_string().len() < 64, "{version}");
        }
        Ok(())
    });
}

#[test]
fn a_repository_is_short_and_prints_as_it_was_parsed() {
    arbtest::arbtest(|source| {
        let text = mutated_input::text(source, "gounthar/docker-for-riscv64")?;
        let bounded = |repository: &Repository| {
            let text = repository.to_string();
            assert!(text.len() <= 201 && text.matches('/').count() == 1, "{text}");
            assert!(!text.contains(|c: char| !c.is_ascii_graphic()), "{text}");
        };
        if let Ok(repository) = text.parse::<Repository>() {
            assert_eq!(repository.to_string(), text);
            bounded(&repository);
        }
        for remote in ["https://github.com/o/n.git", "git@github.com:o/n.git", "ssh://git@github.com/o/n"] {
            if let Ok(repository) = Repository::of_remote(&mutated_input::text(source, remote)?) {
                bounded(&repository);
            }
        }
        Ok(())
    });
}

#[test]
fn a_list_without_end_stops_at_the_page_limit() {
    let server = Script::start(|_| response(200, &[("Link", r#"</repos/o/n/issues?page=2>; rel="next""#)], "[1]"));
    let github = GitHub::new(server.url().parse().expect("a URL"), None);
    let error = github.list::<Value>("repos/o/n/issues").expect_err("no end");
    assert!(error.to_string().starts_with("a list has more than 100 pages: "), "{error}");
    assert_eq!(server.requests().len(), MAX_PAGES);
}

#[test]
fn a_list_does_not_continue_on_another_site() {
    let server = Script::start(|_| response(200, &[("Link", r#"<https://github.example/x>; rel="next""#)], "[1]"));
    let github = GitHub::new(server.url().parse().expect("a URL"), None);
    let error = github.list::<Value>("repos/o/n/issues").expect_err("another site");
    assert!(error.to_string().ends_with("is on another site, which is not followed"), "{error}");
    assert_eq!(server.requests().len(), 1);
}
