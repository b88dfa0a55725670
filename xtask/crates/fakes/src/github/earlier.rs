//! What a repository already has before this project is adopted in it: releases that `gh release create` made, and
//! issues that a workflow filed.

use crate::github::FakeGitHub;
use crate::github::assets::Asset;
use crate::github::releases::Release;
use crate::github::shapes;
use crate::message::Content;

impl FakeGitHub {
    /// Publishes a release with these assets, each with its name as its content. Without `--prerelease` it is a full
    /// release, whatever its tag. Source: GitHub CLI manual, `gh release create`.
    pub fn publish_earlier(&mut self, tag: &str, title: &str, assets: &[&str]) {
        let id = self.state.tick();
        let commit = shapes::sha("ours");
        let mut release = Release {
            id,
            tag: tag.to_owned(),
            commit: commit.clone(),
            name: Some(title.to_owned()),
            body: Some("Automated build of BuildKit for RISC-V64".to_owned()),
            is_draft: false,
            is_prerelease: false,
            published: Some(id),
            is_immutable: false,
            is_unlisted: false,
            assets: Vec::new(),
        };
        for name in assets {
            let content = Content::Memory(name.as_bytes().to_vec());
            release.assets.push(Asset {
                id: self.state.tick(),
                name: (*name).to_owned(),
                content_type: "application/octet-stream".to_owned(),
                label: None,
                digest: Some(format!("sha256:{}", content.sha256())),
                content: Some(content),
            });
        }
        self.state.tags.insert(tag.to_owned(), commit);
        self.state.releases.push(release);
    }

    /// Files an issue as a workflow, whose author is a bot.
    pub fn file_earlier_issue(&mut self, title: &str, labels: &[&str], is_open: bool) {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        self.state.ensure_labels(&labels);
        let mut issue = self.state.blank_issue(title.to_owned());
        issue.body = Some("This issue will track the build progress.".to_owned());
        issue.labels = labels;
        issue.is_open = is_open;
        issue.state_reason = (!is_open).then(|| "completed".to_owned());
        issue.closed = (!is_open).then_some(issue.id);
        self.state.issues.push(issue);
    }
}
