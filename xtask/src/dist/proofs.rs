//! What must be proved of an image before it is published, and what was.

use crate::dist::check::Verdict;
use crate::dist::record::{Metadata, Proof};

/// Every proof that there is. Each level of `smoke` proves what no other does: that the programs
/// start, that buildx can use the image, and that a build for two platforms works in it.
pub const REQUIRED: [&str; 4] = ["verify-tini", "smoke exec", "smoke builder", "smoke machine"];

/// The proofs that are of this very image, in the order in which they are required.
pub fn valid(record: &Metadata) -> impl Iterator<Item = &Proof> {
    let digest = record.image_digest();
    let of = move |name: &&str| record.proofs.iter().find(|proof| proof.name == *name);
    REQUIRED.iter().filter_map(of).filter(move |proof| Some(&proof.image_digest) == digest)
}

/// How many checks of a proof came out like that.
pub fn count(proof: &Proof, verdict: Verdict) -> usize {
    proof.checks.iter().filter(|check| check.verdict == verdict).count()
}

/// What is not proved: the name of the proof, and why it does not count.
pub fn missing(record: &Metadata) -> Vec<(&'static str, String)> {
    let mut missing = Vec::new();
    for name in REQUIRED {
        let Some(proof) = valid(record).find(|proof| proof.name == name) else {
            let is_there = record.proofs.iter().any(|proof| proof.name == name);
            missing.push((name, if is_there { "is of another image" } else { "was not run" }.to_owned()));
            continue;
        };
        let failed = proof.checks.iter().filter(|check| check.is_failure());
        missing.extend(failed.map(|check| (name, format!("failed at {}: {}", check.name, check.evidence))));
        if count(proof, Verdict::Pass) == 0 {
            missing.push((name, "has no check that passed".to_owned()));
        }
    }
    missing
}
