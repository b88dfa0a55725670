//! The state as the rehearsal needs it: complete, for comparison, and as a page, for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::digest::sha256;
use crate::github::FakeGitHub;
use crate::github::assets::Asset;
use crate::github::issues::Issue;
use crate::github::releases::Release;

/// A workflow run that is not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRun {
    pub id: u64,
    /// The ref that it was dispatched with; `None` for a scheduled run, which builds master.
    pub buildkit_ref: Option<String>,
}

impl FakeGitHub {
    /// The state without ids and times: equal for two rehearsals that end in the same state.
    pub fn snapshot(&self) -> Value {
        let latest = self.state.latest(false).map(|release| release.id);
        let asset = |asset: &Asset| json!({"name": asset.name, "size": asset.size_bytes(), "digest": asset.digest, "state": asset.state()});
        let release = |release: &Release| {
            let mut assets: Vec<&Asset> = release.assets.iter().collect();
            assets.sort_by(|one, other| one.name.cmp(&other.name));
            json!({
                "tag": release.tag, "name": release.name, "body": release.body, "target": release.commit,
                "draft": release.is_draft, "prerelease": release.is_prerelease, "latest": Some(release.id) == latest,
                "assets": assets.into_iter().map(asset).collect::<Vec<_>>(),
            })
        };
        let issue = |issue: &Issue| {
            let comments: Vec<&String> = issue.comments.iter().map(|comment| &comment.body).collect();
            json!({
                "title": issue.title, "body": issue.body, "open": issue.is_open, "reason": issue.state_reason,
                "labels": issue.labels, "comments": comments, "pull_request": issue.is_pull_request,
            })
        };
        let mut labels: Vec<&String> = self.state.labels.iter().map(|label| &label.name).collect();
        labels.sort();
        let runs = self.state.runs.iter().map(
            |run| json!({"title": run.title, "event": run.event, "status": run.status, "conclusion": run.conclusion}),
        );
        // An event may be sent twice, and what listens to it must bear that.
        let events: BTreeSet<String> =
            self.state.events.iter().map(|(kind, payload)| format!("{kind} {payload}")).collect();
        let pages = self.state.pages.iter().map(|(path, content)| (path.clone(), sha256(content).into()));
        json!({
            "pages": pages.collect::<serde_json::Map<_, Value>>(),
            "releases": self.state.releases.iter().map(release).collect::<Vec<_>>(),
            "issues": self.state.issues.iter().map(issue).collect::<Vec<_>>(),
            "labels": labels,
            "runs": runs.collect::<Vec<_>>(),
            "events": events,
            "tags": self.state.tags,
        })
    }

    /// Replaces a text in everything that was posted here: a pipeline that continues from a checkpoint
    /// has its registry on another port.
    pub fn replace_text(&mut self, from: &str, to: &str) {
        let releases = self.state.releases.iter_mut().filter_map(|release| release.body.as_mut());
        let issues = self.state.issues.iter_mut();
        let issues = issues
            .flat_map(|issue| issue.body.iter_mut().chain(issue.comments.iter_mut().map(|comment| &mut comment.body)));
        releases.chain(issues).for_each(|text| *text = text.replace(from, to));
    }

    /// The page of a release as a person would see it, as text. `None` if it is not published.
    pub fn release_page(&self, tag: &str) -> Option<String> {
        let release = self.state.releases.iter().find(|release| release.tag == tag && !release.is_draft)?;
        let is_latest = self.state.latest(false).is_some_and(|latest| latest.id == release.id);
        let badge = match (release.is_prerelease, is_latest) {
            (true, _) => "  [Pre-release]",
            (_, true) => "  [Latest]",
            _ => "",
        };
        let mut page = format!("{}{badge}\n", release.name.as_deref().unwrap_or(tag));
        // Writing to a String cannot fail.
        let _ = writeln!(page, "https://github.com/{}/releases/tag/{tag}\n", self.repository);
        let _ = writeln!(page, "{}\n", release.body.as_deref().unwrap_or_default().trim_end());
        let _ = writeln!(page, "Assets {}", release.assets.len());
        let widest = release.assets.iter().map(|asset| asset.name.len()).max().unwrap_or(0);
        for asset in &release.assets {
            let digest = asset.digest.as_deref().unwrap_or(asset.state());
            let _ = writeln!(page, "  {:<widest$}  {:>11}  {digest}", asset.name, asset.size_bytes());
        }
        Some(page)
    }
}
