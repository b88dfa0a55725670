//! Refuses to publish what was not proved.

use super::{Draft, Wanted};
use crate::dist::proofs::lacking;

/// Refuses what is not proved, unless that was said to be known.
pub(super) fn require(wanted: &Wanted, draft: &mut Draft) {
    for (name, why) in lacking(&wanted.record) {
        if wanted.is_unproved {
            draft.note(format!("`{name}` {why}; the notes say so"));
        } else {
            let task = name.replace("smoke ", "smoke --level ");
            draft.refuse(format!("`{name}` {why}: run `cargo xtask {task}`, or say --unproved"));
        }
    }
}
