//! `verify --all`: everything ever published, by the digests that GitHub and the registry have, and the issue that says
//! whether any of it has changed.

use std::fmt::Display;

use anyhow::Result;

use crate::dist::names::SHA256SUMS;
use crate::dist::{ReleaseName, check_table};
use crate::github::{Executor, GitHubStep, Issues, Release, SWITCH_ISSUES_ON};
use crate::os::clock::Timestamp;
use crate::os::terminal::{self, note};
use crate::published::is_foreign;
use crate::verify::findings::Findings;
use crate::verify::issue::{self, All};
use crate::verify::{Found, Outcome, Verifier};

/// How often one release is looked at.
const MOST_LOOKS: usize = 4;

/// Verifies every release that is listed, newest first.
///
/// # Errors
/// If the releases cannot be listed.
pub fn verify(verifier: &Verifier) -> Result<Found> {
    let mut found = Found::default();
    check_table::heading(&format!("everything that {} has published, as anyone sees it", verifier.repository));
    for release in verifier.list()? {
        let Ok(name) = release.tag_name.parse::<ReleaseName>() else { continue };
        if is_of_others(&release) {
            found.foreign.push(release.tag_name);
            continue;
        }
        let mut release = Some(release);
        let findings = seen_twice(|| {
            let mut findings = Findings::quiet();
            verifier.verify(&mut findings, &name, release.take(), None);
            findings
        });
        findings.print_together(&name.to_string());
        found.releases.push((name, findings));
    }
    if !found.foreign.is_empty() {
        let (count, newest) = (found.foreign.len(), &found.foreign[0]);
        note(format_args!(
            "{count} were published in another way, without a record to compare with; the newest is {newest}"
        ));
    }
    Ok(found)
}

/// Looks again while something differs, until two looks say the same: a read may lag, or be refused once. What the owner
/// is told was seen twice.
pub fn seen_twice(mut look: impl FnMut() -> Findings) -> Findings {
    let mut earlier: Vec<Findings> = Vec::new();
    loop {
        let found = look();
        let is_seen = earlier.iter().any(|one| one.checks == found.checks);
        if found.failures().next().is_none() || is_seen || earlier.len() + 1 == MOST_LOOKS {
            return found;
        }
        earlier.push(found);
    }
}

/// Whether a release was published before this project. The page of one of ours names the list of digests.
fn is_of_others(release: &Release) -> bool {
    is_foreign(release) && !release.body.as_ref().is_some_and(|body| body.contains(SHA256SUMS))
}

/// Plans the issue about what has changed, prints the steps and executes them if `is_executed`.
pub fn report_changes(verifier: &Verifier, all: &All, is_executed: bool, as_json: bool) -> Result<Vec<GitHubStep>> {
    let (github, repository) = (&verifier.github, &verifier.repository);
    if !github.settings(repository)?.has_issues {
        note(format_args!("{repository} has no issues to report this in; {SWITCH_ISSUES_ON} switches them on"));
        return Ok(Vec::new());
    }
    let issues = Issues { github, repository };
    let known = issues.about_changes()?;
    let differs = Outcome::of(all.iter().map(|(_, findings)| findings)) == Outcome::Differs;
    let comments = match &known {
        Some(issue) if differs => issues.comments(issue.number)?,
        _ => Vec::new(),
    };
    if let Some(issue) = known.as_ref().filter(|issue| differs && issue::is_declined(issue)) {
        note(format_args!("{} was closed as not planned, and stays closed", issue.html_url));
    }
    if all.iter().any(|(_, findings)| !findings.undetermined.is_empty()) {
        note("not everything could be read, so that the issue is left as it is");
    }
    let steps = issue::plan(all, known.as_ref(), &comments, repository, &Timestamp::now()?.day());
    let print = |line: &dyn Display| terminal::print_step(as_json, line);
    if !steps.is_empty() {
        print(&format_args!("export GH_REPO={repository}"));
    }
    let mut executor = Executor::new(github, repository);
    for step in &steps {
        print(step);
        if is_executed {
            executor.execute(step)?;
        }
    }
    Ok(steps)
}
