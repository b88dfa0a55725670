//! `cargo xtask release`: publishes a build on GitHub and in a registry, by making what is public
//! equal to what was built. To recover from an interrupted run, run it again.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use clap::builder::FalseyValueParser;
use remotes::Remotes;
use serde_json::json;

use crate::cli::Target;
use crate::dist::{Dist, ReleaseName};
use crate::github::{EventType, GitHubStep, Repository};
use crate::os::github_actions;
use crate::os::shell::quoted;
use crate::os::streams::print_json;
use crate::os::terminal::{self, note, print_status};
use crate::reconcile::{Executor, Step};
use crate::release::plan::{Desired, Plan, plan};
use crate::release::verify::Verified;

mod desired;
mod download;
mod notes;
mod plan;
mod preflight;
mod remotes;
mod verify;

/// Publish a build: create the GitHub release, push the image, close the tracking issue
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask release                   print the plan as shell commands
  cargo xtask release --execute         publish; run it again to continue an
                                        interrupted run
  cargo xtask release --dist dist/v0.32.2 --json
                                        print the plan as JSON
  cargo xtask release --repo me/fork --registry 127.0.0.1:5000
  cargo xtask release --adopt-latest    also move a `latest` that this project
                                        did not publish

Environment: GITHUB_TOKEN or GH_TOKEN (permissions: contents, packages and issues, write). For the registry: \
REGISTRY_USERNAME and REGISTRY_PASSWORD; for ghcr.io, GITHUB_ACTOR and the token are enough. Without a token, \
the plan is based on public data only, which does not include drafts. ADOPT_LATEST and RELEASE_EVENT are the \
same as --adopt-latest and --event.

Before the first write it asks whether the tokens permit all of it, without a change. A published release is \
never changed, a version tag never moves, and `latest` only moves forward. What was published is then read \
without credentials. If those reads are limited or lag, it is reported as not verified, with the command that \
verifies it later.

Exit status: 0 published or planned, 1 refused or failed, 2 bad arguments.")]
pub struct Release {
    /// The directory that `build` and `image` created [default: the only one in dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    dist: Option<Utf8PathBuf>,
    #[command(flatten)]
    target: Target,
    /// The registry to push the image to
    #[arg(long, value_name = "HOST", default_value = "ghcr.io")]
    registry: String,
    /// Publish; without this, the plan is only printed
    #[arg(long)]
    execute: bool,
    /// Publish even if test results are missing; the release notes list them
    #[arg(long)]
    unproved: bool,
    /// Move `latest` to this build of master even from an image that names no commit, as one from `docker push`
    #[arg(long, env = "ADOPT_LATEST", hide_env = true, value_parser = FalseyValueParser::new())]
    adopt_latest: bool,
    /// Send this event (`repository_dispatch`) once a release of upstream's is published, and again with each run
    #[arg(long, value_name = "TYPE", env = "RELEASE_EVENT", hide_env = true)]
    event: Option<EventType>,
    /// A Sigstore provenance bundle to attach to the image
    #[arg(long, value_name = "FILE", env = "PROVENANCE")]
    provenance: Option<Utf8PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The step that sends the event. Nothing shows whether it was sent before, so that it is not part of the plan's
/// comparison. Packages are made of upstream's releases, not of master.
fn send(event: &EventType, release: &ReleaseName) -> Option<Step> {
    release.upstream()?;
    Some(GitHubStep::SendEvent { event: event.clone(), release: release.clone() }.into())
}

/// Runs the task in the checkout at `root`.
pub fn run(root: &Utf8Path, arguments: &Release) -> Result<ExitCode> {
    let (github, repository) = arguments.target.open(root)?;
    let dist = Dist::open(root, arguments.dist.as_deref())?;
    let provenance = arguments.provenance.as_deref();
    let mut desired = desired::read(&dist, &repository, &arguments.registry, provenance)?;
    desired.is_unproved = arguments.unproved;
    desired.adopts_latest = arguments.adopt_latest;
    desired::write_notes(root, &desired)?;
    let remotes = Remotes::open(github, repository, &desired)?;
    if arguments.execute {
        remotes.require_credentials()?;
    }

    print_status(
        "compare",
        format_args!("{} and {} with {}", remotes.repository, desired.image.repository, dist.folder),
    );
    let observed = if arguments.execute { remotes.observe(&desired)? } else { remotes.observe_public(&desired)? };
    let mut plan = plan(&desired, &observed)?;
    plan.steps.extend(arguments.event.as_ref().and_then(|event| send(event, &desired.name)));
    plan.same.iter().for_each(|what| print_status("same", what));
    plan.notes.iter().for_each(note);
    if plan.is_unchanged {
        print_status("release", plan.summary(&desired.name));
        return report(&desired, &plan, None, arguments.json);
    }
    let print = |line: &dyn Display| terminal::print_step(arguments.json, line);
    if !plan.steps.is_empty() {
        print(&format_args!("export GH_REPO={}", remotes.repository));
    }
    if !arguments.execute {
        plan.steps.iter().for_each(|step| print(step));
        print_status("release", plan.summary(&desired.name));
        return report(&desired, &plan, None, arguments.json);
    }
    let verified = publish(&remotes, &desired, &plan, print)?;
    print_status("release", format_args!("{} is published: {}", desired.name, desired.page()));
    for why in &verified.postponed {
        note(format_args!("PUBLISHED BUT NOT VERIFIED: {why}"));
    }
    if !verified.postponed.is_empty() {
        let command = arguments.again(&dist.folder, &remotes.repository);
        note(format_args!("all that was written was acknowledged; to verify it later: {command}"));
    }
    report(&desired, &plan, Some(&verified), arguments.json)
}

impl Release {
    /// The command that compares and verifies the same build again. Nothing is published twice.
    fn again(&self, folder: &Utf8Path, repository: &Repository) -> String {
        let mut words = vec!["cargo", "xtask", "release", "--execute", "--dist", folder.as_str()];
        let repository = repository.to_string();
        words.extend(["--repo", &repository, "--registry", &self.registry]);
        words.extend(self.unproved.then_some("--unproved"));
        words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// Asks for permission, executes the plan, and verifies what is published.
fn publish(remotes: &Remotes, desired: &Desired, plan: &Plan, print: impl Fn(&dyn Display)) -> Result<Verified> {
    preflight::check(remotes, desired, plan)?;
    apply(remotes, plan, print)?;
    verify::verify(remotes, desired)
}

/// Executes the steps, and prints each one first, exactly as in the plan.
fn apply(remotes: &Remotes, plan: &Plan, print: impl Fn(&dyn Display)) -> Result<()> {
    let mut executor = Executor::new(&remotes.github, &remotes.repository, &remotes.registry);
    plan.steps.iter().try_for_each(|step| {
        print(step);
        executor.execute(step)
    })
}

/// Prints the result as JSON, and in GitHub Actions writes it to the job summary. `verified` is `None` if nothing was
/// published.
fn report(desired: &Desired, plan: &Plan, verified: Option<&Verified>, as_json: bool) -> Result<ExitCode> {
    let (image, digest) = (&desired.image, &desired.image.manifest.digest);
    let tags: Vec<String> = image.tags.iter().map(ToString::to_string).collect();
    let is_public = verified.and_then(|verified| verified.is_public);
    let state = match verified {
        None if plan.is_unchanged => "published earlier, from the same commit",
        None => "planned",
        Some(_) if is_public == Some(false) => "published; **the image is private**",
        Some(verified) if !verified.postponed.is_empty() => "published; **not verified without credentials**",
        Some(_) => "published",
    };
    github_actions::summary(&format!(
        "| | |\n|---|---|\n| release | [{}]({}) |\n| image | `{}@{digest}` |\n| tags | {} |\n| state | {state} |\n| steps | {} |\n",
        desired.name,
        desired.page(),
        image.repository,
        tags.join(", "),
        plan.steps.len(),
    ))?;
    if as_json {
        let report = json!({
            "release": desired.name, "url": desired.page(), "image": image.repository.to_string(), "digest": digest,
            "tags": tags, "steps": plan.steps, "same": plan.same, "notes": plan.notes,
            "public": is_public, "unverified": verified.map_or(&[][..], |verified| &verified.postponed),
            "done": verified.is_some() || plan.steps.is_empty(),
        });
        print_json(&report);
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
pub mod tests;
