//! The points at GitHub: the account, a release, an issue, a run of the workflow.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::Instant;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::github::{
    BUILD_WORKFLOW, GitHubStep, Issue, IssueState, Issues, LABELS, Releases, StateReason, Workflow,
    has_author_with_access,
};
use crate::http::{Http, Response, UnexpectedStatus, look_until_found};
use crate::reconcile::Step;
use crate::rehearse::canary::Canary;
use crate::rehearse::canary::points::{Found, Point, Rows, expected};

const RATE_LIMIT: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
const LARGEST_ASSET_BYTES: u64 = 1 << 20;
const MARKER: &str = "<!-- xtask:canary -->";

#[derive(Deserialize)]
struct Permissions {
    push: bool,
}

#[derive(Deserialize)]
struct Permitted {
    permissions: Option<Permissions>,
}

/// Looks until there is something, and says how long that took.
fn look<T>(canary: &Canary<'_>, look: impl FnMut() -> Result<Option<T>>) -> Result<Option<(T, String)>> {
    let started = Instant::now();
    let found = look_until_found(&canary.site.github.url(""), look)?;
    Ok(found.map(|found| (found, format!("after {:.1} s", started.elapsed().as_secs_f64()))))
}

fn late<T>(what: &str) -> Found<T> {
    Found::Differs(format!("{what} is not there after half a minute"))
}

pub fn account(canary: &Canary<'_>, rows: &mut Rows) {
    let github = &canary.site.github;
    let path = format!("repos/{}", canary.site.repository);
    rows.check(Point::Token, || {
        let response = github.get(&path)?;
        let scopes =
            response.header("x-oauth-scopes").map(|scopes| format!("a classic token with the scopes {scopes}"));
        let kind = scopes.unwrap_or_else(|| "not a classic token, so it names no scopes".to_owned());
        match response.json::<Permitted>()?.permissions {
            Some(Permissions { push: true }) => Ok(expected(kind)),
            Some(_) => Ok(Found::Differs(format!("it may not; {kind}"))),
            None => Ok(Found::Differs(format!("GitHub does not say; {kind}"))),
        }
    });
    rows.check(Point::RateLimit, || {
        let limits = |response: &Response| {
            let values = RATE_LIMIT.map(|name| response.header(name).and_then(|value| value.parse::<u64>().ok()));
            values.iter().all(Option::is_some).then(|| values[0].unwrap_or_default())
        };
        let with_token = limits(&github.get(&path)?);
        let without = limits(&github.anonymous().get(&path)?);
        let text = |limit: Option<u64>| limit.map_or("no header".to_owned(), |limit| format!("{limit} an hour"));
        let found = format!("with the token {}, without {}", text(with_token), text(without));
        Ok(if with_token.is_some() && without.is_some() { expected(found) } else { Found::Differs(found) })
    });
}

pub fn release(canary: &mut Canary<'_>, rows: &mut Rows) {
    const REST: [Point; 5] = [Point::Target, Point::DraftHidden, Point::Upload, Point::Publish, Point::ReadRelease];
    let (site, steps) = (canary.site, canary.steps);
    let releases = Releases { github: &site.github, repository: &site.repository };
    if rows.check(Point::Draft, || canary.execute(&steps.draft).map(|()| expected("it was accepted"))).is_none() {
        rows.not_done(&[Point::ListAfterWrite], "there is no draft");
        return rows.not_done(&REST, "there is no draft");
    }
    let listed = rows.check(Point::ListAfterWrite, || {
        let found = look(canary, || releases.find(&steps.release))?;
        Ok(found.map_or_else(|| late("it"), |(release, after)| Found::Expected(release, after)))
    });
    let Some(draft) = listed else { return rows.not_done(&REST, "the draft is not listed") };
    let path = format!("repos/{}/releases/{}", site.repository, draft.id);
    rows.check(Point::Target, || {
        let found = site.github.read::<Value>(&path)?.unwrap_or_default();
        let target = found["target_commitish"].as_str().unwrap_or_default().to_owned();
        Ok(if target == site.document.default_branch { expected(target) } else { Found::Differs(target) })
    });
    rows.check(Point::DraftHidden, || match site.github.anonymous().read::<Value>(&path)? {
        None => Ok(expected("404")),
        Some(_) => Ok(Found::Differs("anyone reads it".to_owned())),
    });
    rows.check(Point::Upload, || {
        canary.execute(&steps.upload)?;
        let asset = releases.by_id(draft.id)?.assets.pop().context("the draft has no asset")?;
        let found =
            format!("{}, {} bytes, {}", asset.state, asset.size, asset.digest.as_deref().unwrap_or("no digest"));
        // The step itself compares state, size and digest, but does without a digest.
        Ok(if asset.digest.is_some() { expected(found) } else { Found::Differs(found) })
    });
    if rows.check(Point::Publish, || publish(canary, &path)).is_none() {
        return rows.not_done(&[Point::ReadRelease], "the release is not published");
    }
    rows.check(Point::ReadRelease, || read_release(canary));
}

fn publish(canary: &mut Canary<'_>, path: &str) -> Result<Found<()>> {
    let (site, release) = (canary.site, &canary.steps.release);
    canary.execute(&canary.steps.publish)?;
    let tag = format!("repos/{}/git/ref/tags/{release}", site.repository);
    let Some((tag, after)) = look(canary, || site.github.read::<Value>(&tag))? else {
        return Ok(late("the git tag"));
    };
    let published = site.github.read::<Value>(path)?.unwrap_or_default();
    let immutable = match published["immutable"].as_bool() {
        Some(true) => "immutable",
        Some(false) => "not immutable",
        None => "without the field `immutable`",
    };
    let commit = tag["object"]["sha"].as_str().unwrap_or("nothing");
    Ok(expected(format!("the tag is at {commit} {after}; the release is {immutable}")))
}

fn read_release(canary: &Canary<'_>) -> Result<Found<()>> {
    let (site, steps) = (canary.site, canary.steps);
    if site.document.private {
        return Ok(Found::NotDone(format!("{} is private", site.repository)));
    }
    let anyone = site.github.anonymous();
    let releases = Releases { github: &anyone, repository: &site.repository };
    let found = look(canary, || {
        let assets = releases.published(&steps.release)?.map(|release| release.assets).unwrap_or_default();
        let Some(asset) = assets.first() else { return Ok(None) };
        let url = asset.browser_download_url.parse().map_err(anyhow::Error::msg)?;
        match Http::default().get(&url, LARGEST_ASSET_BYTES) {
            Err(error) if error.downcast_ref::<UnexpectedStatus>().is_some_and(|found| found.status == 404) => Ok(None),
            bytes => bytes.map(Some),
        }
    })?;
    Ok(match found {
        None => late("it"),
        Some((bytes, after)) if bytes == steps.content => expected(after),
        Some((bytes, _)) => Found::Differs(format!("other bytes, {} of them", bytes.len())),
    })
}

pub fn issue(canary: &mut Canary<'_>, rows: &mut Rows) {
    const REST: [Point; 3] = [Point::Author, Point::Comment, Point::Close];
    let (site, steps) = (canary.site, canary.steps);
    if !site.document.has_issues {
        rows.not_done(&[Point::Labels], "issues are switched off in the settings of the repository");
        return rows.not_done(&REST, "there is no issue");
    }
    let issues = Issues { github: &site.github, repository: &site.repository };
    let mut filed = None;
    rows.check(Point::Labels, || {
        canary.execute(&steps.issue)?;
        let Some((issue, after)) = look(canary, || issues.of(&site.version))? else { return Ok(late("it")) };
        let has = |label: &&str| issue.labels.iter().any(|found| found.is(label));
        let missing: Vec<&str> = LABELS.into_iter().filter(|label| !has(label)).collect();
        let found = format!("the issue {} is listed {after}", issue.number);
        filed = Some(issue);
        Ok(if missing.is_empty() {
            expected(found)
        } else {
            Found::Differs(format!("{found}, without {}", missing.join(", ")))
        })
    });
    let Some(issue) = filed else { return rows.not_done(&REST, "there is no issue") };
    let path = format!("repos/{}/issues/{}", site.repository, issue.number);
    rows.check(Point::Author, || {
        let raw = site.github.read::<Value>(&path)?.unwrap_or_default();
        let [kind, association] = [&raw["user"]["type"], &raw["author_association"]];
        let found = format!("type {kind}, author_association {association}");
        Ok(if has_author_with_access(&issue) { expected(found) } else { Found::Differs(found) })
    });
    rows.check(Point::Comment, || {
        let (marker, text) = (MARKER.to_owned(), "A comment of the canary.".to_owned());
        canary.execute(&GitHubStep::Comment { issue: issue.number, marker, text }.into())?;
        let found = look(canary, || {
            let comments = issues.comments(issue.number)?;
            let is_ours = |body: &Option<String>| body.as_ref().is_some_and(|body| body.contains(MARKER));
            Ok(comments.into_iter().find(|comment| is_ours(&comment.body)))
        })?;
        Ok(found.map_or_else(|| late("it"), |(_, after)| expected(after)))
    });
    rows.check(Point::Close, || {
        canary.execute(&Step::from(GitHubStep::CloseIssue { issue: issue.number }))?;
        let closed: Issue = site.github.read(&path)?.context("the issue is gone")?;
        let is_completed = closed.state_reason == Some(StateReason::Completed);
        let reason = closed.state_reason.map_or_else(|| "nothing".to_owned(), |reason| reason.to_string());
        let found = format!("{}, state_reason {reason}", closed.state);
        Ok(if closed.state == IssueState::Closed && is_completed { expected(found) } else { Found::Differs(found) })
    });
}

pub fn dispatch(canary: &mut Canary<'_>, has_workflow: bool, rows: &mut Rows) {
    let (site, steps) = (canary.site, canary.steps);
    rows.check(Point::Dispatch, || {
        if !has_workflow {
            return Ok(Found::NotDone(format!("the repository has no workflow {BUILD_WORKFLOW}")));
        }
        canary.execute(&steps.dispatch)?;
        let workflow = Workflow { github: &site.github, repository: &site.repository };
        let found = look(canary, || Ok(workflow.runs_of(&site.version)?.pop()))?;
        Ok(found.map_or_else(
            || late("the run"),
            |(run, after)| expected(format!("{} is listed {after}; the next canary removes it", run.html_url)),
        ))
    });
}
