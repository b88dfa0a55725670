//! `cargo xtask check-upstream`: compares upstream's releases with ours, and starts a build of what is
//! missing. Each run starts from what GitHub shows, however the previous run ended.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::process::ExitCode;

use anyhow::{Error, Result, bail, ensure};
use camino::Utf8Path;
use clap::Args;
use lists::Lists;
use serde_json::json;

use crate::check_upstream::plan::{Observed, State, Status, stable};
use crate::cli::Target;
use crate::dist::ReleaseName;
use crate::github::{Executor, GitHub, GitHubStep, Issues, Releases, Repository, SWITCH_ISSUES_ON, Workflow};
use crate::os::{github_actions, terminal};
use crate::upstream::ReleaseTag;

mod lists;
mod plan;

const UPSTREAM_LIST: &str = "repos/moby/buildkit/releases";
/// How often the result is observed before the task fails.
const ATTEMPTS: usize = 5;

/// Track upstream's releases: file the issue, start the build, close the issue
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask check-upstream                  print the status of each version, and the plan as shell commands
  cargo xtask check-upstream --execute        execute the plan; needs a token
  cargo xtask check-upstream --repo you/fork  use another repository than that of the remote `origin`
  cargo xtask check-upstream --json           print status and plan as JSON on stdout

These versions are built: upstream's newest release, the newest patch release of each minor version that we have
published, and every version that has an open issue. A version is built up to three times; after that it needs
attention. To skip a version, close its issue as not planned.

Environment:
  GITHUB_TOKEN, GH_TOKEN   the token; --execute needs the permissions actions:write, issues:write, contents:read
  GITHUB_REPOSITORY        same as --repo
  GITHUB_OUTPUT            receives `dispatched` (versions, separated by spaces) and `dispatched_count`
  GITHUB_STEP_SUMMARY      receives the table

Exit status: 0 everything is as desired, or needs attention; 1 GitHub refused, or does not show the result;
2 bad arguments.")]
pub struct CheckUpstream {
    #[command(flatten)]
    target: Target,
    /// Execute the plan; without this, it is only printed
    #[arg(long)]
    execute: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The two repositories under comparison.
struct Subject {
    github: GitHub,
    repository: Repository,
    upstream: BTreeSet<ReleaseTag>,
    lists: Lists,
    /// Whether our repository has issues; `None` until it is needed.
    has_issues: Option<bool>,
}

/// Runs the task in the checkout at `root`.
pub fn run(root: &Utf8Path, arguments: &CheckUpstream) -> Result<ExitCode> {
    let (github, repository) = arguments.target.open(root)?;
    if !github.has_token() {
        ensure!(!arguments.execute, "--execute needs a token: set GITHUB_TOKEN");
        terminal::note("GITHUB_TOKEN is not set: drafts are not visible");
    }
    let path = lists::cache_path(root, github.url("").as_str(), &repository.to_string());
    compare(github, repository, &path, arguments)?;
    Ok(ExitCode::SUCCESS)
}

/// One pass, with the lists that the previous one cached at `path`.
fn compare(github: GitHub, repository: Repository, path: &Utf8Path, arguments: &CheckUpstream) -> Result<()> {
    let (mut subject, is_unchanged) = Subject::open(github, repository, Lists::open(path))?;
    let mut statuses = if is_unchanged { subject.evaluate_cached() } else { subject.observe()? };
    if subject.has_issues == Some(false) {
        terminal::note(format_args!(
            "{} has no issues, so builds are started but not tracked there; {SWITCH_ISSUES_ON} switches them on",
            subject.repository
        ));
    }
    let steps = planned_steps(&statuses);
    let print = |line: &dyn Display| terminal::print_step(arguments.json, line);
    statuses.iter().for_each(|status| print(status));
    if !steps.is_empty() {
        print(&format_args!("\nexport GH_REPO={}", subject.repository));
    }
    let mut executor = Executor::new(&subject.github, &subject.repository);
    for step in &steps {
        print(step);
        if arguments.execute {
            executor.execute(step)?;
        }
    }
    if arguments.execute && !steps.is_empty() {
        statuses = subject.verify()?;
        print(&"");
        statuses.iter().for_each(|status| print(status));
    }
    subject.lists.is_settled = statuses.iter().all(Status::is_settled);
    subject.lists.save(path)?;
    report(&subject, &statuses, &steps, arguments)
}

/// The steps of all versions.
fn planned_steps(statuses: &[Status]) -> Vec<GitHubStep> {
    statuses.iter().flat_map(|status| &status.steps).cloned().collect()
}

impl Subject {
    /// Reads upstream's list. Also returns whether nothing has changed since everything was settled, which
    /// takes two requests.
    fn open(github: GitHub, repository: Repository, mut lists: Lists) -> Result<(Self, bool)> {
        let has_changed = lists.upstream.refresh(&github, UPSTREAM_LIST)?;
        let upstream = stable(&lists.upstream.entries()).map_err(Error::msg)?;
        let mut subject = Self { github, repository, upstream, lists, has_issues: None };
        let is_unchanged = subject.lists.is_settled && !has_changed && !subject.refresh_ours()?;
        Ok((subject, is_unchanged))
    }

    fn refresh_ours(&mut self) -> Result<bool> {
        self.lists.ours.refresh(&self.github, &format!("repos/{}/releases", self.repository))
    }

    /// The status of every version from the cached lists alone, if no run and no issue can matter.
    fn evaluate_cached(&self) -> Vec<Status> {
        let (upstream, ours) = (self.upstream.clone(), self.lists.ours.entries());
        Observed { upstream, ours, ..Observed::default() }.evaluate()
    }

    /// The status of every version. The order of the requests is that of [`Observed`], and matters.
    fn observe(&mut self) -> Result<Vec<Status>> {
        let runs = Workflow { github: &self.github, repository: &self.repository }.runs()?;
        let has_issues = match self.has_issues {
            Some(known) => known,
            None => *self.has_issues.insert(self.github.settings(&self.repository)?.has_issues),
        };
        let issues = Issues { github: &self.github, repository: &self.repository };
        let issues = if has_issues { issues.tracking()? } else { Vec::new() };
        self.refresh_ours()?;
        let (github, repository) = (&self.github, &self.repository);
        let (upstream, ours) = (self.upstream.clone(), self.lists.ours.entries());
        let mut observed =
            Observed { upstream, runs, issues, ours, are_issues_off: !has_issues, ..Observed::default() };
        for status in observed.evaluate().into_iter().filter(Status::is_doubtful) {
            let release = ReleaseName::Upstream(status.version);
            let published = Releases { github, repository }.published(&release)?;
            observed.ours.extend(published.map(Into::into));
        }
        for issue in observed.unread() {
            observed.comments.insert(issue, Issues { github, repository }.comments(issue)?);
        }
        Ok(observed.evaluate())
    }

    /// Observes until nothing is left to do, because a list can be slightly older than the last write.
    fn verify(&mut self) -> Result<Vec<Status>> {
        let mut left = Vec::new();
        for _ in 0..ATTEMPTS {
            let statuses = self.observe()?;
            left = planned_steps(&statuses);
            if left.is_empty() {
                return Ok(statuses);
            }
            self.github.pause();
        }
        let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
        bail!(
            "all steps were executed, but GitHub does not show these results yet; run this again:\n{}",
            lines.join("\n")
        )
    }
}

fn report(subject: &Subject, statuses: &[Status], steps: &[GitHubStep], arguments: &CheckUpstream) -> Result<()> {
    let is_done = arguments.execute || steps.is_empty();
    if arguments.json {
        let upstream = json!({ "releases": subject.upstream.len(), "newest": subject.upstream.last() });
        let report = json!({ "upstream": upstream, "wanted": statuses, "steps": steps, "done": is_done });
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    terminal::print_status(
        "upstream",
        match (steps.len(), is_done) {
            (0, _) => "nothing to do".to_owned(),
            (count, true) => format!("{count} steps executed; nothing is left to do"),
            (count, false) => format!("{count} steps planned; --execute runs them"),
        },
    );
    for status in statuses.iter().filter(|status| matches!(status.state, State::NeedsAttention { .. })) {
        terminal::note(format_args!("{} needs attention: {}", status.version, status.evidence()));
    }
    let rows: String = statuses
        .iter()
        .map(|status| format!("| {} | {} | {} |\n", status.version, status.word(), status.evidence()))
        .collect();
    github_actions::summary(&format!("| BuildKit | for RISC-V64 | |\n|---|---|---|\n{rows}\n"))?;
    let dispatched = steps.iter().filter_map(|step| match step {
        GitHubStep::Dispatch { version, .. } if is_done => Some(version.to_string()),
        _ => None,
    });
    let dispatched: Vec<String> = dispatched.collect();
    github_actions::output("dispatched", &dispatched.join(" "))?;
    github_actions::output("dispatched_count", &dispatched.len().to_string())
}

#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;
