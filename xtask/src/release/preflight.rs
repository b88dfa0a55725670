//! What can be known before the first write is said before it: a release that stops in the middle costs a draft and
//! the time of its uploads. Nothing is changed here.

use anyhow::{Result, ensure};

use crate::github::GitHubStep;
use crate::os::terminal::note;
use crate::reconcile::Step;
use crate::registry::RegistryError;
use crate::release::plan::{Desired, Plan};
use crate::release::remotes::Remotes;

/// Fails if the plan has a step that the credentials do not permit, and names all reasons at once.
pub fn check(remotes: &Remotes, desired: &Desired, plan: &Plan) -> Result<()> {
    let is_of_release = |step: &Step| {
        matches!(
            step,
            Step::GitHub(
                GitHubStep::DraftRelease { .. }
                    | GitHubStep::EditDraft { .. }
                    | GitHubStep::RemoveAsset { .. }
                    | GitHubStep::UploadAsset { .. }
                    | GitHubStep::PublishRelease { .. }
            )
        )
    };
    let mut refusals = Vec::new();
    if plan.steps.iter().any(|step| matches!(step, Step::GitHub(_))) {
        let release = plan.steps.iter().any(is_of_release).then_some(&desired.name);
        let issue = plan.steps.iter().find_map(issue_of);
        refusals.extend(remotes.github.refusals(&remotes.repository, release, issue)?);
    }
    if plan.steps.iter().any(|step| matches!(step, Step::GitHub(GitHubStep::PublishRelease { .. }))) {
        let rules = remotes.github.tag_rules(&remotes.repository, &desired.name)?;
        rules.notes.iter().for_each(note);
        refusals.extend(rules.refusals);
    }
    if plan.steps.iter().any(|step| matches!(step, Step::Registry(_))) {
        match remotes.registry.check_push() {
            // A limit of requests passes, and any other failure is not about permissions.
            Err(error) if error.downcast_ref::<RegistryError>().is_some_and(RegistryError::is_about_access) => {
                refusals.push(error.to_string());
            }
            checked => checked?,
        }
    }
    ensure!(refusals.is_empty(), "nothing was changed, because it could not be finished:\n  {}", refusals.join("\n  "));
    Ok(())
}

fn issue_of(step: &Step) -> Option<u64> {
    match step {
        Step::GitHub(GitHubStep::Comment { issue, .. } | GitHubStep::CloseIssue { issue }) => Some(*issue),
        _ => None,
    }
}
