//! `cargo xtask release`: publishes a build, on GitHub and in a registry, by making what is public
//! equal to what was built. Running it again is the whole recovery.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use remotes::Remotes;
use serde_json::json;

use crate::cli::Target;
use crate::dist::Dist;
use crate::os::github_actions;
use crate::os::terminal::{self, note, print_status};
use crate::reconcile::Executor;
use crate::release::plan::{Desired, Plan, plan};

mod desired;
mod notes;
mod plan;
mod remotes;
mod verify;

/// Publish a build: the release on GitHub, the image in a registry, the issue that tracked it
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask release                            what would be done, as lines for a shell
  cargo xtask release --execute                  do it; again after a break, to do the rest
  cargo xtask release --dist dist/v0.32.2 --json the plan as JSON on standard output
  cargo xtask release --repo me/fork --registry 127.0.0.1:5000

Environment: GITHUB_TOKEN or GH_TOKEN (contents, packages and issues: write). For a registry:
REGISTRY_USERNAME and REGISTRY_PASSWORD; for ghcr.io GITHUB_ACTOR and the token will do. Without them
only what anyone sees is compared, so that drafts are not seen.

What is published is never changed, a tag of a version never moves, and `latest` only goes forward.
Exit status: 0 done or planned, 1 refused or failed, 2 bad arguments.")]
pub struct Release {
    /// The folder that `build` and `image` made [default: the only one in dist/ of this checkout]
    #[arg(long, value_name = "DIR")]
    dist: Option<Utf8PathBuf>,
    #[command(flatten)]
    target: Target,
    /// The registry that the image is pushed to
    #[arg(long, value_name = "HOST", default_value = "ghcr.io")]
    registry: String,
    /// Do it; otherwise nothing is touched
    #[arg(long)]
    execute: bool,
    /// Publish although proofs are missing; the notes say which
    #[arg(long)]
    unproved: bool,
    /// A Sigstore bundle that says where all this comes from; it is attached to the image
    #[arg(long, value_name = "FILE", env = "PROVENANCE", hide_env_values = true)]
    provenance: Option<Utf8PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task in the checkout at `root`.
///
/// # Errors
/// Everything that stands against publishing, at once; then each step's own.
pub fn run(root: &Utf8Path, arguments: &Release) -> Result<ExitCode> {
    let (github, repository) = arguments.target.open(root)?;
    let dist = Dist::open(root, arguments.dist.as_deref())?;
    // A workflow sets the variable to nothing where there is no bundle.
    let provenance = arguments.provenance.as_deref().filter(|path| !path.as_str().is_empty());
    let mut desired = desired::read(&dist, &repository, &arguments.registry, provenance)?;
    desired.is_unproved = arguments.unproved;
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
    let plan = plan(&desired, &observed)?;
    plan.same.iter().for_each(|what| print_status("same", what));
    plan.notes.iter().for_each(note);
    if plan.is_standing {
        return report(&desired, &plan, None, arguments.json);
    }
    let tell = |line: &dyn Display| terminal::print_step(arguments.json, line);
    if !plan.steps.is_empty() {
        tell(&format_args!("export GH_REPO={}", remotes.repository));
    }
    if !arguments.execute {
        plan.steps.iter().for_each(|step| tell(step));
        let left = plan.steps.len();
        print_status(
            "release",
            format_args!("{left} steps to {}; nothing was touched, --execute makes them", desired.name),
        );
        return report(&desired, &plan, None, arguments.json);
    }
    apply(&remotes, &plan, tell)?;
    let is_public = verify::verify(&remotes, &desired)?;
    print_status("release", format_args!("{} is published: {}", desired.name, desired.page()));
    report(&desired, &plan, Some(is_public), arguments.json)
}

/// Makes the steps. Each is said as its turn comes, in the very words of the plan.
fn apply(remotes: &Remotes, plan: &Plan, tell: impl Fn(&dyn Display)) -> Result<()> {
    let mut executor = Executor::new(&remotes.github, &remotes.repository, &remotes.registry);
    plan.steps.iter().try_for_each(|step| {
        tell(step);
        executor.execute(step)
    })
}

/// The result as data, and in GitHub Actions as a table on the page of the run. `is_public` is said
/// of what was published: whether everyone can pull the image.
fn report(desired: &Desired, plan: &Plan, is_public: Option<bool>, as_json: bool) -> Result<ExitCode> {
    let (image, digest) = (&desired.image, &desired.image.manifest.digest);
    let tags: Vec<String> = image.tags.iter().map(ToString::to_string).collect();
    let state = match is_public {
        None if plan.is_standing => "published earlier, of the same commit",
        None => "planned",
        Some(true) => "published",
        Some(false) => "published; **the image is private**",
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
            "public": is_public, "done": is_public.is_some() || plan.steps.is_empty(),
        });
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(ExitCode::SUCCESS)
}
