//! The issue that tracks the build of a version, the run that builds it, and how both are found again:
//! labels, titles and markers that are invisible in the text.

use crate::upstream::version::ReleaseTag;

/// The workflow that builds a version and publishes it.
pub const BUILD_WORKFLOW: &str = "buildkit-weekly-build.yml";
/// The input of that workflow that names what to build.
pub const BUILD_INPUT: &str = "buildkit_ref";
/// The labels of an issue that tracks a build; the second one is how they are found.
pub const LABELS: [&str; 2] = ["build-in-progress", "buildkit-release"];

const TRACKING: &str = "<!-- xtask:tracking ";
/// How the marker of [`run_comment`] begins; the id of the run follows, and ` -->`.
pub const RUN_MARKER: &str = "<!-- xtask:run ";
/// How the text of [`run_comment`] begins; the address of the run follows.
pub const STARTED: &str = "Build started: ";

/// The title of the issue that tracks the build of a version.
pub fn issue_title(version: &ReleaseTag) -> String {
    format!("Building BuildKit {version} for RISC-V64")
}

/// What makes the tracking issue of a version known, invisible in its text.
pub fn issue_marker(version: &ReleaseTag) -> String {
    format!("{TRACKING}{version} -->")
}

/// The version that an issue tracks, by the marker in its text.
pub fn tracked_version(body: &str) -> Option<ReleaseTag> {
    let (_, rest) = body.split_once(TRACKING)?;
    rest.split_once(" -->")?.0.parse().ok()
}

/// The name of a run that builds a version: the workflow's `run-name`.
pub fn run_title(version: &ReleaseTag) -> String {
    format!("BuildKit {version}")
}

/// The body of a comment. The marker is alone on its line, because GitHub shows no Markdown on a line
/// that begins with an HTML comment.
pub fn comment_body(marker: &str, text: &str) -> String {
    format!("{marker}\n{text}")
}

/// The comment that names the run which builds a version, and its marker.
pub fn run_comment(run_id: u64, url: &str) -> (String, String) {
    (format!("{RUN_MARKER}{run_id} -->"), format!("{STARTED}{url}"))
}

/// The last comment on an issue, and its marker: where the release is.
pub fn published_comment(version: &ReleaseTag, url: &str) -> (String, String) {
    (format!("<!-- xtask:published {version} -->"), format!("Published: {url}"))
}
