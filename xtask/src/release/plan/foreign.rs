//! What was published here in another way, before this project: recognised by the files that are missing, listed while `latest`
//! is not adopted, and left alone.

use crate::dist::names::{METADATA, SHA256SUMS};
use crate::github::Release;
use crate::published::is_foreign;
use crate::release::plan::{Desired, Observed, PlanBuilder, image};

/// The first names of a longer list show what it is about.
const MOST_NAMES: usize = 20;

/// The published release of that name, if it was made in another way.
pub(super) fn of_the_same_name<'a>(desired: &Desired, observed: &'a Observed) -> Option<&'a Release> {
    let name = desired.name.to_string();
    observed.releases.iter().find(|release| release.tag_name == name && is_foreign(release))
}

/// Why the version is not published again, and how to go on. It is the only reason: whatever else differs from what
/// another way has published needs no answer. The tag of an immutable release is never free again.
/// Source: GitHub Docs, "Immutable releases".
pub(super) fn refusal(desired: &Desired, release: &Release) -> String {
    let (name, repository, tag) = (&desired.name, &desired.image.repository, &desired.image.tags[0]);
    let settings = match repository.is_github() {
        true => format!(", at {}", repository.settings_pages()),
        false => String::new(),
    };
    let replace = match release.immutable {
        true => String::new(),
        false => format!(
            " Or, if nobody needs its files any more, remove it (gh release delete {name} --cleanup-tag) and its image \
             {repository}:{tag}{settings}, and run this again."
        ),
    };
    format!(
        "{name} was published in another way, without {METADATA} and {SHA256SUMS}, and is left alone, as is its image. \
         Do nothing: later versions are published beside it.{replace} See docs/ADOPTING.md"
    )
}

/// Lists the releases that are left alone, until `latest` refers to an image of this project.
pub(super) fn list(desired: &Desired, observed: &Observed, plan: &mut PlanBuilder) {
    if !image::has_foreign_latest(&desired.image, &observed.registry) {
        return;
    }
    let names: Vec<&str> = observed
        .releases
        .iter()
        .filter(|release| is_foreign(release))
        .map(|release| release.tag_name.as_str())
        .collect();
    if names.is_empty() {
        return;
    }
    let more = match names.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let some: Vec<&str> = names.iter().copied().take(MOST_NAMES).collect();
    plan.note(format!(
        "{} of BuildKit here without a record of this project, left alone: {}{more}",
        if names.len() == 1 { "1 release".to_owned() } else { format!("{} releases", names.len()) },
        some.join(", ")
    ));
}
