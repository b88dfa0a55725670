//! The issue that tracks the build of a version and the run that builds it, and how both are found
//! again: labels, titles and hidden markers.

use crate::upstream::ReleaseTag;

/// The workflow that builds a version and publishes it.
pub const BUILD_WORKFLOW: &str = "buildkit-weekly-build.yml";
/// The workflow that runs `check-upstream`.
pub const TRACK_WORKFLOW: &str = "track-buildkit-releases.yml";
/// The input of [`BUILD_WORKFLOW`] that names what to build.
pub const BUILD_INPUT: &str = "buildkit_ref";
/// The labels of an issue that tracks a build; the second one is how they are found.
pub const LABELS: [&str; 2] = ["build-in-progress", "buildkit-release"];

const TRACKING: &str = "<!-- xtask:tracking ";
/// The start of the marker of [`run_comment`], followed by the id of the run and ` -->`.
pub const RUN_MARKER: &str = "<!-- xtask:run ";
/// The start of the text of [`run_comment`], followed by the URL of the run.
pub const STARTED: &str = "Build started: ";

/// The title of the issue that tracks the build of a version.
pub fn issue_title(version: &ReleaseTag) -> String {
    format!("Building BuildKit {version} for RISC-V64")
}

/// A hidden marker in the text of the issue that tracks a version.
pub fn issue_marker(version: &ReleaseTag) -> String {
    format!("{TRACKING}{version} -->")
}

/// The version that an issue tracks, from the marker in its text.
pub fn tracked_version(body: &str) -> Option<ReleaseTag> {
    let (_, rest) = body.split_once(TRACKING)?;
    rest.split_once(" -->")?.0.parse().ok()
}

/// The name of a run that builds a version: the workflow's `run-name`.
pub fn run_title(version: &ReleaseTag) -> String {
    format!("BuildKit {version}")
}

/// The body of a comment. The marker is alone on its line, because GitHub does not render Markdown on a
/// line that begins with an HTML comment.
pub fn comment_body(marker: &str, text: &str) -> String {
    format!("{marker}\n{text}")
}

/// The marker and the text of the comment that links to the run.
pub fn run_comment(run_id: u64, url: &str) -> (String, String) {
    (format!("{RUN_MARKER}{run_id} -->"), format!("{STARTED}{url}"))
}

/// The marker and the text of the comment that links to the release.
pub fn published_comment(version: &ReleaseTag, url: &str) -> (String, String) {
    (format!("<!-- xtask:published {version} -->"), format!("Published: {url}"))
}
