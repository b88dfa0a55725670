//! The folder of a build against the list of what a release has, both ways, and against its record.

use crate::dist::names::{self, METADATA, SHA256SUMS};
use crate::release::plan::{Desired, PlanBuilder};

/// Nothing may be missing or changed, and nothing else may be there: what nobody expects is not
/// published, and what lies in the folder unpublished was perhaps meant to be.
pub(super) fn compare(desired: &Desired, plan: &mut PlanBuilder) {
    let expected = names::files(&desired.record.source.version);
    for name in &expected {
        let Some(file) = desired.files.iter().find(|file| file.name == *name) else {
            plan.refuse(format!("{name} is missing in the folder of the build; `cargo xtask build` makes it"));
            continue;
        };
        let recorded = desired.record.files.iter().find(|recorded| recorded.name == *name);
        let is_as_built =
            recorded.is_some_and(|recorded| (recorded.size_bytes, &recorded.sha256) == (file.size_bytes, &file.sha256));
        // The record cannot hold its own digest, nor that of the list which holds its own.
        if !is_as_built && ![METADATA, SHA256SUMS].contains(&name.as_str()) {
            plan.refuse(format!(
                "{} is not what was built: it has {} bytes, sha256:{}, and the record says otherwise; build again",
                file.path, file.size_bytes, file.sha256
            ));
        }
    }
    for file in desired.files.iter().filter(|file| !expected.contains(&file.name)) {
        plan.refuse(format!("{} belongs to no release; take it out of the folder of the build", file.path));
    }
}
