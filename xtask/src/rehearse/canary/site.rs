//! The repository of the canary: whether it was made for it, and what an earlier run left there.

use std::fmt;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use serde::Deserialize;

use crate::credentials::TOKEN_VARIABLES;
use crate::dist::ReleaseName;
use crate::git::read_only;
use crate::github::{
    BUILD_WORKFLOW, GitHub, GitHubStep, Issue, IssueState, LABELS, Releases, Repository, Run, issue_title, run_title,
};
use crate::os::process::run;
use crate::os::shell::quoted;
use crate::reconcile::Step;
use crate::registry::Registry;
use crate::upstream::ReleaseTag;

/// The description of a repository that was made for the canary. No other has it by accident.
const DESCRIPTION: &str = "xtask canary";
/// Upstream began at v0.1, so that no version of this line is a real one.
const LINE: (u64, u64) = (0, 0);
const TAGS: &str = "buildkit-v0.0.";
/// A canary makes one issue.
const MOST_ISSUE_PAGES: usize = 10;

/// The repository as GitHub describes it.
#[derive(Deserialize)]
pub struct Document {
    full_name: String,
    description: Option<String>,
    pub private: bool,
    pub has_issues: bool,
    pub default_branch: String,
    owner: Owner,
}

#[derive(Deserialize)]
struct Owner {
    r#type: String,
}

#[derive(Deserialize)]
struct GitRef {
    r#ref: String,
}

#[derive(Deserialize)]
struct LabelName {
    name: String,
}

#[derive(Deserialize)]
struct Runs {
    workflow_runs: Vec<Run>,
}

pub struct Site {
    pub github: GitHub,
    pub repository: Repository,
    pub registry: Registry,
    pub document: Document,
    /// The version of this run, which no other run has: GitHub never gives the tag of an immutable release away again.
    pub version: ReleaseTag,
}

/// Something of the canary's own that is removed.
pub enum Removal {
    /// By the path in the API, and what it is.
    Delete(String, String),
    Close(u64),
}

impl fmt::Display for Removal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete(path, what) => write!(out, "gh api --method DELETE {}  # {what}", quoted(path)),
            Self::Close(issue) => Step::from(GitHubStep::CloseIssue { issue: *issue }).fmt(out),
        }
    }
}

/// What is in the repository.
pub struct Observed {
    pub removals: Vec<Removal>,
    /// What is not the canary's.
    foreign: Vec<String>,
    pub has_workflow: bool,
}

fn is_ours(version: &ReleaseTag) -> bool {
    version.line() == LINE
}

fn is_our_release(tag: &str) -> bool {
    tag.parse::<ReleaseName>().is_ok_and(|name| name.upstream().is_some_and(is_ours))
}

/// Whether the title, made of the version by `title`, is one of the canary's.
fn is_our_title(found: &str, title: impl Fn(&ReleaseTag) -> String) -> bool {
    let versions = found.split(' ').filter_map(|word| word.parse::<ReleaseTag>().ok());
    versions.into_iter().any(|version| is_ours(&version) && title(&version) == found)
}

/// Refuses a repository that this checkout has as a remote. Without git nobody knows, and it is refused too.
pub fn refuse_remotes(root: &Utf8Path, repository: &Repository) -> Result<()> {
    let command = read_only(root, run!("git remote --verbose"));
    let command = TOKEN_VARIABLES.iter().fold(command, |command, name| command.env_remove(*name));
    let remotes = command.read().context("the remotes of this checkout are unknown, and the canary may not be one")?;
    let urls = remotes.lines().filter_map(|line| line.split_whitespace().nth(1));
    for remote in urls.filter_map(|url| Repository::of_remote(url).ok()) {
        let is_it = remote.to_string().eq_ignore_ascii_case(&repository.to_string());
        ensure!(!is_it, "{repository} is a remote of this checkout; the canary needs a repository of its own");
    }
    Ok(())
}

/// Reads the repository, and refuses one that was not made for the canary.
pub fn document(github: &GitHub, repository: &Repository) -> Result<Document> {
    let found: Option<Document> = github.read(&format!("repos/{repository}"))?;
    let make = format!("gh repo create {repository} --public --add-readme --description '{DESCRIPTION}'");
    let document =
        found.with_context(|| format!("{repository} does not exist, or the token may not see it: {make}"))?;
    // GitHub leads a name that a repository had before to the one that it has now.
    ensure!(
        document.full_name.eq_ignore_ascii_case(&repository.to_string()),
        "{repository} is now {}; the canary is asked for by its name",
        document.full_name
    );
    ensure!(
        document.description.as_deref() == Some(DESCRIPTION),
        "{repository} was not made for the canary: its description is not {DESCRIPTION:?}; make another one: {make}"
    );
    Ok(document)
}

impl Site {
    fn path(&self, rest: &str) -> String {
        format!("repos/{}/{rest}", self.repository)
    }

    pub fn observe(&self) -> Result<Observed> {
        let mut observed = Observed { removals: Vec::new(), foreign: Vec::new(), has_workflow: false };
        let delete = |path: String, what: String| Removal::Delete(self.path(&path), what);
        for release in (Releases { github: &self.github, repository: &self.repository }).all()? {
            if is_our_release(&release.tag_name) {
                observed.removals.push(delete(format!("releases/{}", release.id), release.tag_name));
            } else {
                observed.foreign.push(format!("the release {}", release.tag_name));
            }
        }
        let refs: Option<Vec<GitRef>> = self.github.read(&self.path(&format!("git/matching-refs/tags/{TAGS}")))?;
        for name in refs.iter().flatten().filter_map(|found| found.r#ref.strip_prefix("refs/tags/")) {
            if is_our_release(name) {
                observed.removals.push(delete(format!("git/refs/tags/{name}"), "the git tag".to_owned()));
            }
        }
        if self.document.has_issues {
            self.observe_issues(&mut observed)?;
        }
        let runs = format!("actions/workflows/{BUILD_WORKFLOW}/runs?event=workflow_dispatch&per_page=100");
        if let Some(runs) = self.github.read::<Runs>(&self.path(&runs))? {
            observed.has_workflow = true;
            // GitHub removes a run only when it is completed; the next canary does that.
            let is_over = |run: &&Run| run.conclusion.is_some() && is_our_title(&run.display_title, run_title);
            for run in runs.workflow_runs.iter().filter(is_over) {
                observed.removals.push(delete(format!("actions/runs/{}", run.id), run.display_title.clone()));
            }
        }
        Ok(observed)
    }

    fn observe_issues(&self, observed: &mut Observed) -> Result<()> {
        let (issues, has_more) = self.github.begin::<Issue>(&self.path("issues?state=all"), MOST_ISSUE_PAGES)?;
        ensure!(!has_more, "{} has more issues than any canary files", self.repository);
        for issue in issues {
            if issue.pull_request.is_some() || !is_our_title(&issue.title, issue_title) {
                observed.foreign.push(format!("the issue {}", issue.number));
            } else if issue.state == IssueState::Open {
                observed.removals.push(Removal::Close(issue.number));
            }
        }
        let labels: Vec<LabelName> = self.github.list(&self.path("labels"))?;
        for LabelName { name } in labels.into_iter().filter(|label| LABELS.contains(&label.name.as_str())) {
            observed.removals.push(Removal::Delete(self.path(&format!("labels/{name}")), "the label".to_owned()));
        }
        Ok(())
    }

    /// The first tag of the package that no canary pushes, and whether there is any tag.
    pub fn foreign_tag(&self) -> Result<(Option<String>, bool)> {
        let is_ours = |tag: &str| tag.parse().is_ok_and(|version| is_ours(&version)) || tag.starts_with("sha256-");
        let tags = self.registry.tags()?;
        let is_there = !tags.is_empty();
        Ok((tags.into_iter().find(|tag| !is_ours(tag)), is_there))
    }

    /// The path of the package in GitHub's API.
    pub fn package(&self) -> String {
        let kind = if self.document.owner.r#type == "Organization" { "orgs" } else { "users" };
        let (owner, name) = self.registry.repository().path().split_once('/').unwrap_or_default();
        format!("{kind}/{owner}/packages/container/{name}")
    }
}

impl Observed {
    pub fn refuse_foreign(&self, repository: &Repository) -> Result<()> {
        ensure!(
            self.foreign.is_empty(),
            "{repository} was not made for the canary alone: it has {}; nothing is changed",
            self.foreign.join(", ")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_that_never_were_are_the_canary_s() {
        for (tag, ours) in [
            ("buildkit-v0.0.20261126171714-riscv64", true),
            ("buildkit-v0.32.2-riscv64", false),
            ("buildkit-v20260804-dev", false),
            ("v0.0.1", false),
        ] {
            assert_eq!(is_our_release(tag), ours, "{tag}");
        }
        for (title, ours) in [
            ("Building BuildKit v0.0.1 for RISC-V64", true),
            ("Building BuildKit v0.1.1 for RISC-V64", false),
            ("Re: Building BuildKit v0.0.1 for RISC-V64", false),
            ("v0.0.1", false),
        ] {
            assert_eq!(is_our_title(title, issue_title), ours, "{title}");
        }
    }
}
