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

/// The comment that names the run which builds a version, and its marker.
pub fn run_comment(run_id: u64, url: &str) -> (String, String) {
    (format!("<!-- xtask:run {run_id} -->"), format!("Build started: {url}"))
}

/// The last comment on an issue, and its marker: where the release is.
pub fn published_comment(version: &ReleaseTag, url: &str) -> (String, String) {
    (format!("<!-- xtask:published {version} -->"), format!("Published: {url}"))
}
