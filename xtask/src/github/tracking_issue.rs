//! The issue that tracks the build of a version and the run that builds it, and how both are found
//! again: labels, titles and hidden markers.

use crate::github::documents::{AccountType, AuthorAssociation, Issue};
use crate::upstream::ReleaseTag;

/// The workflow that builds a version and publishes it.
pub const BUILD_WORKFLOW: &str = "buildkit-weekly-build.yml";
/// The workflow that runs `check-upstream`.
pub const TRACK_WORKFLOW: &str = "track-buildkit-releases.yml";
/// The input of [`BUILD_WORKFLOW`] that names what to build.
pub const BUILD_INPUT: &str = "buildkit_ref";
/// The labels of an issue that tracks a build, for people and for [`tracked_version`].
pub const LABELS: [&str; 2] = ["build-in-progress", "buildkit-release"];

const TRACKING: &str = "<!-- xtask:tracking ";
/// The start of the marker of [`run_comment`], followed by the id of the run and ` -->`.
pub const RUN_MARKER: &str = "<!-- xtask:run ";
/// The start of the text of [`run_comment`], followed by the URL of the run.
pub const STARTED: &str = "Build started: ";

const TITLE: [&str; 2] = ["Building BuildKit ", " for RISC-V64"];

/// The title of the issue that tracks the build of a version.
pub fn issue_title(version: &ReleaseTag) -> String {
    format!("{}{version}{}", TITLE[0], TITLE[1])
}

/// A hidden marker in the text of the issue that tracks a version.
pub fn issue_marker(version: &ReleaseTag) -> String {
    format!("{TRACKING}{version} -->")
}

/// The version that an issue of ours tracks: from the marker in its text, or from its title if the text was
/// edited.
///
/// Labels alone do not decide, because GitHub drops those that the token may not set ("Create an issue"). An
/// issue without our label is ours if its author has access to the repository: anyone else may open an issue
/// with our title and marker, and would decline a version by closing it.
pub fn tracked_version(issue: &Issue) -> Option<ReleaseTag> {
    let is_labelled = issue.labels.iter().any(|label| label.is(LABELS[1]));
    let is_ours = issue.pull_request.is_none() && (is_labelled || has_author_with_access(issue));
    let version = || issue.body.as_deref().and_then(marked_version).or_else(|| titled_version(&issue.title));
    is_ours.then(version).flatten()
}

/// Whether the author of an issue is an app, or has access to the repository.
pub fn has_author_with_access(issue: &Issue) -> bool {
    let is_bot = issue.user.as_ref().is_some_and(|user| user.r#type == AccountType::Bot);
    let has_access = matches!(
        issue.author_association,
        Some(AuthorAssociation::Owner | AuthorAssociation::Member | AuthorAssociation::Collaborator)
    );
    is_bot || has_access
}

fn marked_version(body: &str) -> Option<ReleaseTag> {
    let (_, rest) = body.split_once(TRACKING)?;
    rest.split_once(" -->")?.0.parse().ok()
}

fn titled_version(title: &str) -> Option<ReleaseTag> {
    title.strip_prefix(TITLE[0])?.strip_suffix(TITLE[1])?.parse().ok()
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tracked(edit: &Value) -> Option<String> {
        let mut issue = json!({
            "number": 4, "title": "Building BuildKit v0.33.0 for RISC-V64", "state": "open", "html_url": "",
            "body": "<!-- xtask:tracking v0.33.0 -->", "labels": [{"name": "Buildkit-Release"}],
            "user": {"type": "User"}, "author_association": "NONE",
        });
        for (name, value) in edit.as_object().expect("fields") {
            issue[name] = value.clone();
        }
        tracked_version(&serde_json::from_value(issue).expect("an issue")).map(|version| version.to_string())
    }

    #[test]
    fn an_issue_is_ours_by_its_label_or_by_its_author() {
        let ours = Some("v0.33.0".to_owned());
        assert_eq!(tracked(&json!({})), ours);
        assert_eq!(tracked(&json!({"labels": []})), None, "by anyone");
        assert_eq!(tracked(&json!({"labels": [{"name": null}], "author_association": "CONTRIBUTOR"})), None);
        assert_eq!(tracked(&json!({"labels": [], "user": {"type": "Bot"}})), ours);
        assert_eq!(tracked(&json!({"labels": [], "user": null, "author_association": "OWNER"})), ours);
        assert_eq!(tracked(&json!({"pull_request": {}})), None);
    }

    #[test]
    fn the_version_is_in_the_marker_or_in_the_whole_title() {
        assert_eq!(tracked(&json!({"title": "edited"})), Some("v0.33.0".to_owned()));
        assert_eq!(tracked(&json!({"body": null})), Some("v0.33.0".to_owned()));
        assert_eq!(tracked(&json!({"body": "edited", "title": "Building BuildKit v0.33.0 for RISC-V64!"})), None);
        assert_eq!(tracked(&json!({"body": "edited", "title": "Building BuildKit master for RISC-V64"})), None);
    }
}
