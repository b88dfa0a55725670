//! Refuses to publish if test results are missing.

use crate::dist::proofs::missing;
use crate::release::plan::{Desired, PlanBuilder};

/// With `--unproved`, missing test results are notes instead.
pub(super) fn require(desired: &Desired, plan: &mut PlanBuilder) {
    for (name, why) in missing(&desired.record) {
        if desired.is_unproved {
            plan.note(format!("`{name}` {why}; the notes say so"));
        } else {
            let task = name.replace("smoke ", "smoke --level ");
            plan.refuse(format!("`{name}` {why}: run `cargo xtask {task}`, or use --unproved"));
        }
    }
}
