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

use crate::check_upstream::plan::{Desired, Listed, Observed, State, Status, stable};
use crate::cli::Target;
use crate::dist::ReleaseName;
use crate::github::{Executor, GitHub, GitHubStep, Issues, Releases, Repository, SWITCH_ISSUES_ON, Workflow};
use crate::os::streams::print_json;
use crate::os::{github_actions, terminal};
use crate::upstream::ReleaseTag;

mod lists;
mod plan;

const UPSTREAM_LIST: &str = "repos/moby/buildkit/releases";
/// Half of the runs that GitHub is asked for, so that what is in progress is always among them.
const HIGHEST_LIMIT: usize = 50;

/// Track upstream's releases: file the issue, start the build, close the issue
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask check-upstream            the status of each version, and the plan
                                        as shell commands
  cargo xtask check-upstream --execute  execute the plan; needs a token
  cargo xtask check-upstream --json     status and plan as JSON
  cargo xtask check-upstream --repo you/fork
  cargo xtask check-upstream --since v0.13.0 --limit 4 --execute
                                        build every stable release from v0.13.0
                                        on, newest first, four at once; run it
                                        daily until nothing is held back

These versions are built: upstream's newest release, the newest patch release of each of the two newest minor \
versions that we have published, and every version that has an open issue. Nothing older than what we have \
published is built, unless --since names it. A version is built up to three times; after that it needs \
attention. To skip a version, close its issue as not planned.

Environment:
  GITHUB_TOKEN, GH_TOKEN   the token; --execute needs the permissions
                           actions:write, issues:write, contents:read
  GITHUB_REPOSITORY        same as --repo
  BUILDKIT_SINCE           same as --since
  BUILDKIT_LIMIT           same as --limit
  GITHUB_OUTPUT            receives `dispatched` (versions, separated by spaces)
                           and `dispatched_count`
  GITHUB_STEP_SUMMARY      receives the table

Exit status: 0 everything is as desired, held back, or needs attention; 1 GitHub refused, or does not show the \
result; 2 bad arguments.")]
pub struct CheckUpstream {
    #[command(flatten)]
    target: Target,
    /// Build every stable release from this one on [default: only what is newer than what we have published]
    #[arg(long, value_name = "VERSION", env = "BUILDKIT_SINCE", hide_env = true)]
    since: Option<ReleaseTag>,
    /// How many builds may be in progress at once, up to 50; the others are held back for a later pass
    #[arg(long, value_name = "N", env = "BUILDKIT_LIMIT", default_value = "2", hide_env = true, value_parser = limit)]
    limit: usize,
    /// Execute the plan; without this, it is only printed
    #[arg(long)]
    execute: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| *limit <= HIGHEST_LIMIT);
    limit.ok_or_else(|| format!("{text:?} is not a number up to {HIGHEST_LIMIT}"))
}

/// The two repositories under comparison.
struct Subject {
    github: GitHub,
    repository: Repository,
    upstream: BTreeSet<ReleaseTag>,
    lists: Lists,
    desired: Desired,
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
    let desired = Desired { since: arguments.since.clone(), limit: arguments.limit };
    let (mut subject, is_unchanged) = Subject::open(github, repository, Lists::open(path), desired)?;
    // Another --since wants other versions than the pass that found everything done.
    let cached = is_unchanged.then(|| subject.evaluate_cached());
    let cached = cached.filter(|statuses| statuses.iter().all(Status::is_done));
    let mut statuses = cached.map_or_else(|| subject.observe(), Ok)?;
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
        let held_back = versions(&statuses, |status| status.is_held_back);
        statuses = subject.verify(&held_back)?;
        print(&"");
        statuses.iter().for_each(|status| print(status));
    }
    subject.lists.is_done = statuses.iter().all(Status::is_done);
    subject.lists.save(path)?;
    report(&subject, &statuses, &steps, arguments)
}

fn versions(statuses: &[Status], is_wanted: impl Fn(&Status) -> bool) -> Vec<ReleaseTag> {
    statuses.iter().filter(|status| is_wanted(status)).map(|status| status.version.clone()).collect()
}

/// The steps of all versions.
fn planned_steps(statuses: &[Status]) -> Vec<GitHubStep> {
    statuses.iter().flat_map(|status| &status.steps).cloned().collect()
}

impl Subject {
    /// Reads upstream's list. Also returns whether nothing has changed since everything was done, which
    /// takes two requests.
    fn open(github: GitHub, repository: Repository, mut lists: Lists, desired: Desired) -> Result<(Self, bool)> {
        let has_changed = lists.upstream.refresh(&github, UPSTREAM_LIST)?;
        let upstream = stable(&lists.upstream.entries()).map_err(Error::msg)?;
        let mut subject = Self { github, repository, upstream, lists, desired, has_issues: None };
        let is_unchanged = subject.lists.is_done && !has_changed && !subject.refresh_ours()?;
        Ok((subject, is_unchanged))
    }

    fn refresh_ours(&mut self) -> Result<bool> {
        self.lists.ours.refresh(&self.github, &format!("repos/{}/releases", self.repository))
    }

    /// The status of every version from the cached lists alone, if no run and no issue can matter.
    fn evaluate_cached(&self) -> Vec<Status> {
        let (upstream, ours) = (self.upstream.clone(), self.lists.ours.entries());
        Observed { upstream, ours, ..Observed::default() }.evaluate(&self.desired)
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
        for status in observed.evaluate(&self.desired).into_iter().filter(Status::is_doubtful) {
            let release = ReleaseName::Upstream(status.version);
            let published = Releases { github, repository }.published(&release)?;
            observed.ours.extend(published.map(Into::into));
        }
        for version in observed.withdrawn(&self.desired) {
            let found: Option<Listed> = github.read(&format!("{UPSTREAM_LIST}/tags/{version}"))?;
            observed.upstream.extend(stable(found.as_slice()).unwrap_or_default());
        }
        for issue in observed.unread(&self.desired) {
            observed.comments.insert(issue, Issues { github, repository }.comments(issue)?);
        }
        Ok(observed.evaluate(&self.desired))
    }

    /// Observes until nothing is left to do, because a list can be slightly older than the last write. What was
    /// held back stays so, even if a build has ended meanwhile.
    fn verify(&mut self, held_back: &[ReleaseTag]) -> Result<Vec<Status>> {
        let mut left = Vec::new();
        let done = self.github.clock().look_until_found(|| {
            let mut statuses = self.observe()?;
            for status in statuses.iter_mut().filter(|status| held_back.contains(&status.version)) {
                status.hold_back();
            }
            left = planned_steps(&statuses);
            Ok(left.is_empty().then_some(statuses))
        })?;
        if let Some(statuses) = done {
            return Ok(statuses);
        }
        let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
        bail!(
            "all steps were executed, but GitHub does not show these results yet; run this again in a few minutes:\n{}",
            lines.join("\n")
        )
    }
}

fn report(subject: &Subject, statuses: &[Status], steps: &[GitHubStep], arguments: &CheckUpstream) -> Result<()> {
    let is_done = arguments.execute || steps.is_empty();
    if arguments.json {
        let upstream = json!({ "releases": subject.upstream.len(), "newest": subject.upstream.last() });
        let Desired { since, limit } = &subject.desired;
        let report = json!({
            "upstream": upstream, "since": since, "limit": limit, "wanted": statuses, "steps": steps, "done": is_done,
        });
        print_json(&report);
    }
    let held_back = versions(statuses, |status| status.is_held_back);
    let number = if steps.len() == 1 { "1 step".to_owned() } else { format!("{} steps", steps.len()) };
    terminal::print_status(
        "upstream",
        match (steps.len(), is_done, held_back.is_empty()) {
            (0, _, true) => "nothing to do".to_owned(),
            (0, _, false) => "nothing to do yet".to_owned(),
            (_, true, true) => format!("{number} executed; nothing is left to do"),
            (_, true, false) => format!("{number} executed"),
            (_, false, _) => format!("{number} planned; --execute executes the plan"),
        },
    );
    if let [newest, ..] = &held_back[..] {
        let (count, limit) = (held_back.len(), subject.desired.limit);
        let text = format!("{count} for a later pass, {newest} next: at most {limit} in progress at once (--limit)");
        terminal::print_status("held back", text);
    }
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
