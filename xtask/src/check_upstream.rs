//! `cargo xtask check-upstream`: compares upstream's releases with ours, and has built what is
//! missing. Each run starts from what GitHub shows; none depends on how the one before it ended.

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
use crate::github::repository::Repository;
use crate::github::step::{Executor, GitHubStep};
use crate::github::{GitHub, Issues, Releases, Workflow};
use crate::os::{github_actions, terminal};
use crate::upstream::version::ReleaseTag;

mod lists;
pub mod plan;

const UPSTREAM_LIST: &str = "repos/moby/buildkit/releases";
/// How often GitHub is asked whether it shows what was done.
const LOOKS: usize = 5;

/// Compare upstream's releases with ours: file the issue, start the build, close the issue
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask check-upstream                  where each wanted version stands, and what would be done
  cargo xtask check-upstream --execute        the same, and do it; needs a token
  cargo xtask check-upstream --repo you/fork  another repository than that of the remote `origin`
  cargo xtask check-upstream --json           the same as JSON on standard output

Wanted are upstream's newest release, the newest patch to every minor line that we have published, and what was
begun. A build that fails is tried three times and then left to a person; whoever closes its issue as not planned
has the version left out.

Environment:
  GITHUB_TOKEN, GH_TOKEN   the token; --execute needs the permissions actions:write, issues:write, contents:read
  GITHUB_REPOSITORY        as --repo
  GITHUB_OUTPUT            gets `dispatched` (versions, by blanks) and `dispatched_count`
  GITHUB_STEP_SUMMARY      gets the table

Exit status: 0 all is as it should be, or was left to a person; 1 GitHub refused, or does not show what was done;
2 bad arguments.")]
pub struct CheckUpstream {
    #[command(flatten)]
    target: Target,
    /// Do what is to be done, instead of only printing it
    #[arg(long)]
    execute: bool,
    /// Print states and steps as JSON
    #[arg(long)]
    json: bool,
}

/// What is compared, and by whom.
struct Subject {
    github: GitHub,
    repository: Repository,
    upstream: BTreeSet<ReleaseTag>,
    lists: Lists,
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// Where GitHub refuses or cannot be reached, where upstream's list is no list of releases, and where
/// something does not show that was done.
pub fn run(root: &Utf8Path, arguments: &CheckUpstream) -> Result<ExitCode> {
    let (github, repository) = arguments.target.open(root)?;
    if !github.has_token() {
        ensure!(!arguments.execute, "--execute changes things on GitHub: put a token into GITHUB_TOKEN");
        terminal::note("there is no token in GITHUB_TOKEN: drafts are not seen");
    }
    let path = lists::place(root, github.url("").as_str(), &repository.to_string());
    compare(github, repository, &path, arguments)?;
    Ok(ExitCode::SUCCESS)
}

/// One pass, with what is kept at `path` from the one before.
fn compare(github: GitHub, repository: Repository, path: &Utf8Path, arguments: &CheckUpstream) -> Result<()> {
    let (mut subject, is_quiet) = Subject::open(github, repository, Lists::open(path))?;
    let mut statuses = if is_quiet { subject.as_kept() } else { subject.observe()? };
    let steps = planned_steps(&statuses);
    let tell = |line: &dyn Display| terminal::print_step(arguments.json, line);
    statuses.iter().for_each(|status| tell(status));
    if !steps.is_empty() {
        tell(&format_args!("\nexport GH_REPO={}", subject.repository));
    }
    let mut executor = Executor::new(&subject.github, &subject.repository);
    for step in &steps {
        tell(step);
        if arguments.execute {
            executor.execute(step)?;
        }
    }
    if arguments.execute && !steps.is_empty() {
        statuses = subject.verify()?;
        tell(&"");
        statuses.iter().for_each(|status| tell(status));
    }
    subject.lists.is_settled = statuses.iter().all(Status::is_settled);
    subject.lists.save(path)?;
    report(&subject, &statuses, &steps, arguments)
}

/// What is to be done, version after version.
fn planned_steps(statuses: &[Status]) -> Vec<GitHubStep> {
    statuses.iter().flat_map(|status| &status.steps).cloned().collect()
}

impl Subject {
    /// Reads upstream's list, and says whether nothing has changed since all was settled: two requests.
    fn open(github: GitHub, repository: Repository, mut lists: Lists) -> Result<(Self, bool)> {
        let has_moved = lists.upstream.refresh(&github, UPSTREAM_LIST)?;
        let upstream = stable(&lists.upstream.entries()).map_err(Error::msg)?;
        let mut subject = Self { github, repository, upstream, lists };
        let is_quiet = subject.lists.is_settled && !has_moved && !subject.refresh_ours()?;
        Ok((subject, is_quiet))
    }

    fn refresh_ours(&mut self) -> Result<bool> {
        self.lists.ours.refresh(&self.github, &format!("repos/{}/releases", self.repository))
    }

    /// Where everything stands if no run and no issue is to be looked at.
    fn as_kept(&self) -> Vec<Status> {
        let (upstream, ours) = (self.upstream.clone(), self.lists.ours.entries());
        Observed { upstream, ours, ..Observed::default() }.evaluate()
    }

    /// Where everything stands. The order is that of [`Observed`], and matters.
    fn observe(&mut self) -> Result<Vec<Status>> {
        let runs = Workflow { github: &self.github, repository: &self.repository }.runs()?;
        let issues = Issues { github: &self.github, repository: &self.repository }.tracking()?;
        self.refresh_ours()?;
        let (github, repository) = (&self.github, &self.repository);
        let (upstream, ours) = (self.upstream.clone(), self.lists.ours.entries());
        let mut observed = Observed { upstream, runs, issues, ours, ..Observed::default() };
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

    /// Looks again until nothing is to be done: a list can be a moment older than the last write.
    fn verify(&mut self) -> Result<Vec<Status>> {
        let mut left = Vec::new();
        for _ in 0..LOOKS {
            let statuses = self.observe()?;
            left = planned_steps(&statuses);
            if left.is_empty() {
                return Ok(statuses);
            }
            self.github.pause();
        }
        let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
        bail!("all steps were made, and still GitHub shows these as to be done; run this again:\n{}", lines.join("\n"))
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
            (0, _) => "nothing is to be done".to_owned(),
            (count, true) => format!("{count} steps made; nothing is left to be done"),
            (count, false) => format!("{count} steps to be made; --execute makes them"),
        },
    );
    for status in statuses.iter().filter(|status| matches!(status.state, State::NeedsAttention { .. })) {
        terminal::note(format_args!("{} is left to a person: {}", status.version, status.evidence()));
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
