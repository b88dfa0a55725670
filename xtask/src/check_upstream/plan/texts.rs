//! The texts that are posted: the issue that tracks a version, and the comments that only this task makes.

use crate::dist::ReleaseName;
use crate::github::{BUILD_INPUT, BUILD_WORKFLOW, GitHubStep, Run, issue_marker, issue_title};
use crate::upstream::ReleaseTag;

/// The step that files the issue of a version, with comments in its text.
///
/// The markers are at the end, because GitHub does not render Markdown on a line that begins with a comment.
pub fn file(version: &ReleaseTag, comments: &[(String, String)]) -> GitHubStep {
    let release = ReleaseName::Upstream(version.clone());
    let comments: String = comments.iter().map(|(marker, text)| format!(" {text} {marker}")).collect();
    let body = format!(
        "Upstream has released [BuildKit {version}](https://github.com/moby/buildkit/releases/tag/{version}). \
         The workflow {BUILD_WORKFLOW} builds it for RISC-V64 and publishes it as {release}, which closes this \
         issue. To skip this version, close the issue as not planned.{comments} {}",
        issue_marker(version)
    );
    GitHubStep::FileIssue { version: version.clone(), title: issue_title(version), body }
}

/// The comment that asks a maintainer to act.
pub fn needs_attention_comment(version: &ReleaseTag, runs: &[&Run]) -> (String, String) {
    let urls: Vec<&str> = runs.iter().rev().map(|run| run.html_url.as_str()).collect();
    let text = format!(
        "Built {} times without a release, so this needs attention: {}. Find the cause in the logs of these runs and \
         fix it, then start another run with `gh workflow run {BUILD_WORKFLOW} -f {BUILD_INPUT}={version}`; or close \
         this issue as not planned.",
        urls.len(),
        urls.join(", ")
    );
    (format!("<!-- xtask:left-to-a-person {version} -->"), text)
}

/// The comment on the issue of a version that upstream does not have any more.
pub fn withdrawn_comment(version: &ReleaseTag) -> (String, String) {
    let text = format!(
        "Upstream does not list {version} among its stable releases any more, so it is not built, and this issue is \
         closed. Once upstream publishes it again, reopen this issue to have it built."
    );
    (format!("<!-- xtask:withdrawn {version} -->"), text)
}
