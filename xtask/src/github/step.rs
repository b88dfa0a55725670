//! One change on GitHub: as it is planned, as it is printed, and as it is executed.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8PathBuf;
use oci::digest::Sha256;
use serde::Serialize;

use crate::dist::ReleaseName;
use crate::github::changed_issue::CHANGED_LABEL;
use crate::github::errors::Refused;
use crate::github::repository::Repository;
use crate::github::tracking_issue::{
    BUILD_INPUT, BUILD_WORKFLOW, LABELS, RUN_MARKER, STARTED, comment_body, issue_marker, issue_title, run_comment,
    run_title,
};
use crate::github::{EventType, GitHub, Issues, Releases, Workflow};
use crate::os::shell::{one_line, quoted};
use crate::os::terminal::note;
use crate::upstream::{CommitId, ReleaseTag};

/// One change. Its `Display` is shell code that makes the same change with GitHub's own `gh`, run in
/// the checkout with `GH_REPO` set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum GitHubStep {
    /// File the issue that tracks the build of a version.
    FileIssue {
        version: ReleaseTag,
        title: String,
        /// Contains a hidden marker by which the issue is found again.
        body: String,
    },
    /// File the issue that says that what is published has changed.
    ReportChange { title: String, body: String },
    /// Reopen an issue.
    ReopenIssue { issue: u64 },
    /// Start a build.
    Dispatch {
        version: ReleaseTag,
        /// How many runs of that version existed when this was planned.
        known_runs: usize,
    },
    /// Comment on the tracking issue with the run that builds the version.
    RecordRun { version: ReleaseTag },
    /// Comment on an issue.
    Comment {
        issue: u64,
        /// Hidden, and in no other comment, so that the comment is made once.
        marker: String,
        /// On one line.
        text: String,
    },
    /// Close an issue as completed.
    CloseIssue { issue: u64 },
    /// Create a draft release.
    DraftRelease {
        release: ReleaseName,
        /// In Markdown.
        #[serde(skip)]
        notes: String,
    },
    /// Correct the title, the notes and the prerelease flag of a draft.
    EditDraft {
        release: ReleaseName,
        /// The default branch, if the draft was to be tagged anywhere else.
        target: Option<String>,
        /// In Markdown.
        #[serde(skip)]
        notes: String,
    },
    /// Remove an asset from a draft.
    RemoveAsset { release: ReleaseName, asset: String, why: String },
    /// Upload an asset to a draft.
    UploadAsset { release: ReleaseName, asset: String, path: Utf8PathBuf, size_bytes: u64, sha256: Sha256 },
    /// Publish a draft.
    PublishRelease {
        release: ReleaseName,
        /// Whether GitHub marks it as the latest release.
        is_latest: bool,
    },
    /// Send the event that a release is published. It may arrive twice.
    SendEvent { event: EventType, release: ReleaseName },
}

/// The file with the notes of a release, relative to the checkout. The printed plan refers to it.
pub fn notes_file(release: &ReleaseName) -> Utf8PathBuf {
    format!("target/release-notes/{release}.md").into()
}

impl Serialize for ReleaseName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Source: GitHub CLI manual, <https://cli.github.com/manual/>, page by command. Where `gh` has a
/// command that sends the same as [`Executor::execute`], it is printed; an uploaded asset alone differs
/// in its content type, which `gh` derives from the name.
impl fmt::Display for GitHubStep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileIssue { title, body, .. } => new_issue(out, title, body, &LABELS),
            Self::ReportChange { title, body } => new_issue(out, title, body, &[CHANGED_LABEL]),
            Self::ReopenIssue { issue } => write!(out, "gh issue reopen {issue}"),
            Self::Dispatch { version, .. } => {
                write!(out, "gh workflow run {BUILD_WORKFLOW} -f {BUILD_INPUT}={version}")
            }
            // Variables, because neither the number of the issue nor the run is known when this is
            // planned; `:?` stops with an error if the list does not show them yet.
            Self::RecordRun { version } => {
                let body = format!(r#""{RUN_MARKER}\(.databaseId) -->\n{STARTED}\(.url)""#);
                let run = format!(r#"first(.[]|select(.displayTitle=="{}"))|{body}"#, run_title(version));
                // The conditions of `tracked_version`.
                let issue = format!(
                    r#".[]|select(.pull_request|not)|select(any(.labels[];.name=="{}") or .user.type=="Bot" or (.author_association|IN("OWNER","MEMBER","COLLABORATOR")))|select(((.body//"")|contains("{}")) or .title=="{}").number"#,
                    LABELS[1],
                    issue_marker(version),
                    issue_title(version)
                );
                write!(
                    out,
                    "body=$(gh run list --workflow {BUILD_WORKFLOW} --event workflow_dispatch \
                     --json databaseId,displayTitle,url --jq {}) && \
                     issue=$(gh api 'repos/{{owner}}/{{repo}}/issues?state=all&per_page=100' --paginate --jq {} | \
                     sort -n | head -n 1) && \
                     gh issue comment \"${{issue:?}}\" --body \"${{body:?}}\"",
                    quoted(&run),
                    quoted(&issue)
                )
            }
            Self::Comment { issue, marker, text } => {
                write!(out, "gh issue comment {issue} --body {}", quoted(&comment_body(marker, text)))
            }
            Self::CloseIssue { issue } => write!(out, "gh issue close {issue} --reason completed"),
            Self::DraftRelease { release, .. } => {
                let (title, notes) = (release.title(), notes_file(release));
                write!(out, "gh release create {release} --draft --title {} --notes-file {notes}", quoted(&title))?;
                if release.is_prerelease() { out.write_str(" --prerelease") } else { Ok(()) }
            }
            Self::EditDraft { release, target, .. } => {
                let (title, notes) = (release.title(), notes_file(release));
                let prerelease = release.is_prerelease();
                let title = quoted(&title);
                write!(
                    out,
                    "gh release edit {release} --title {title} --notes-file {notes} --prerelease={prerelease}"
                )?;
                target.iter().try_for_each(|branch| write!(out, " --target {}", quoted(branch)))
            }
            Self::RemoveAsset { release, asset, why } => {
                write!(out, "gh release delete-asset {release} {} --yes  # {}", quoted(asset), one_line(why))
            }
            Self::UploadAsset { release, path, .. } => {
                write!(out, "gh release upload {release} {}", quoted(path.as_str()))
            }
            Self::PublishRelease { release, is_latest } => {
                write!(out, "gh release edit {release} --draft=false --latest={is_latest}")
            }
            Self::SendEvent { event, release } => {
                let (event, tag) = (format!("event_type={event}"), format!("client_payload[release_tag]={release}"));
                write!(out, "gh api 'repos/{{owner}}/{{repo}}/dispatches' --silent -f {event} -f {}", quoted(&tag))
            }
        }
    }
}

/// `gh issue create` fails if a label does not exist, and `gh label create --force` gives an existing one a random color.
/// The API itself creates missing labels.
fn new_issue(out: &mut fmt::Formatter<'_>, title: &str, body: &str, labels: &[&str]) -> fmt::Result {
    let (title, body) = (quoted(&format!("title={title}")), quoted(&format!("body={body}")));
    write!(out, "gh api 'repos/{{owner}}/{{repo}}/issues' --silent -f {title} -f {body}")?;
    labels.iter().try_for_each(|label| write!(out, " -f 'labels[]={label}'"))
}

/// An issue that was transferred or deleted since it was listed is nobody's: what it is about is done without it, and a
/// write does not follow it to another repository.
fn skip_if_gone(issue: u64, written: Result<()>) -> Result<()> {
    match written {
        Err(error) if error.downcast_ref().is_some_and(Refused::is_gone) => {
            note(format_args!("the issue #{issue} was transferred or deleted meanwhile; it is left alone: {error:#}"));
            Ok(())
        }
        other => other,
    }
}

/// Executes steps in one repository, and passes results of earlier steps to later ones.
///
/// A step ensures a state: if GitHub is already in it, nothing happens.
pub struct Executor<'a> {
    github: &'a GitHub,
    repository: &'a Repository,
    releases: BTreeMap<ReleaseName, u64>,
    issues: BTreeMap<ReleaseTag, u64>,
    runs: BTreeMap<ReleaseTag, (u64, String)>,
}

impl<'a> Executor<'a> {
    pub fn new(github: &'a GitHub, repository: &'a Repository) -> Self {
        let (releases, issues, runs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { github, repository, releases, issues, runs }
    }

    /// Executes one step. If it fails, earlier steps keep their effect and running the task again
    /// continues from there.
    pub fn execute(&mut self, step: &GitHubStep) -> Result<()> {
        let (github, repository) = (self.github, self.repository);
        let issues = Issues { github, repository };
        let releases = Releases { github, repository };
        match step {
            GitHubStep::FileIssue { version, title, body } => {
                self.issues.insert(version.clone(), issues.file(version, title, body)?.number);
                Ok(())
            }
            GitHubStep::ReportChange { title, body } => issues.report_change(title, body),
            GitHubStep::ReopenIssue { issue } => issues.reopen(*issue),
            GitHubStep::Dispatch { version, known_runs } => {
                let run = Workflow { github, repository }.dispatch(version, *known_runs)?;
                self.runs.insert(version.clone(), run);
                Ok(())
            }
            GitHubStep::RecordRun { version } => {
                let (run_id, url) = self.runs.get(version).context("a run was recorded before it was started")?;
                // An issue that was just filed may not be in the list yet.
                let missing = || format!("the issue that tracks {version} is missing; run this again");
                let issue = match self.issues.get(version) {
                    Some(issue) => *issue,
                    None => issues.of(version)?.with_context(missing)?.number,
                };
                let (marker, text) = run_comment(*run_id, url);
                issues.comment(issue, &marker, &text)
            }
            GitHubStep::Comment { issue, marker, text } => skip_if_gone(*issue, issues.comment(*issue, marker, text)),
            GitHubStep::CloseIssue { issue } => skip_if_gone(*issue, issues.close(*issue)),
            GitHubStep::DraftRelease { release, notes } => {
                let draft = releases.draft(release, notes)?;
                // The list may have been out of date when this was planned.
                ensure!(draft.draft, "{release} was published in the meantime; run this again to see what is left");
                let has_commit = draft.target_commitish.parse::<CommitId>().is_ok();
                if draft.body.as_ref() != Some(notes) || has_commit {
                    let settings = has_commit.then(|| github.settings(repository)).transpose()?;
                    let branch = settings.map(|settings| settings.default_branch);
                    releases.edit(draft.id, release, notes, branch.as_deref())?;
                }
                self.releases.insert(release.clone(), draft.id);
                Ok(())
            }
            GitHubStep::EditDraft { release, target, notes } => {
                releases.edit(self.draft(release)?, release, notes, target.as_deref())
            }
            GitHubStep::RemoveAsset { release, asset, .. } => {
                let draft = releases.by_id(self.draft(release)?)?;
                let found = draft.assets.iter().find(|found| found.name == *asset);
                found.map_or(Ok(()), |found| releases.remove_asset(found.id))
            }
            GitHubStep::UploadAsset { release, asset, path, size_bytes, sha256 } => {
                releases.upload(self.draft(release)?, asset, path, (*size_bytes, sha256))
            }
            GitHubStep::PublishRelease { release, is_latest } => releases.publish(self.draft(release)?, *is_latest),
            GitHubStep::SendEvent { event, release } => event.send(github, repository, release),
        }
    }

    /// The id of a release that is still a draft.
    fn draft(&mut self, release: &ReleaseName) -> Result<u64> {
        if let Some(id) = self.releases.get(release) {
            return Ok(*id);
        }
        let releases = Releases { github: self.github, repository: self.repository };
        match releases.find(release)? {
            Some(found) if found.draft => Ok(*self.releases.entry(release.clone()).or_insert(found.id)),
            Some(_) => bail!("{release} was published in the meantime; run this again to see what is left"),
            None => bail!("the draft of {release} is missing; run this again to create it"),
        }
    }
}

#[cfg(test)]
mod tests;
