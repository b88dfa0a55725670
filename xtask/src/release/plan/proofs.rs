//! Refuses to publish what was not proved.

use super::{Desired, PlanBuilder};
use crate::dist::proofs::missing;

/// Refuses what is not proved, unless that was said to be known.
pub(super) fn require(desired: &Desired, plan: &mut PlanBuilder) {
    for (name, why) in missing(&desired.record) {
        if desired.is_unproved {
            plan.note(format!("`{name}` {why}; the notes say so"));
        } else {
            let task = name.replace("smoke ", "smoke --level ");
            plan.refuse(format!("`{name}` {why}: run `cargo xtask {task}`, or say --unproved"));
        }
    }
}
