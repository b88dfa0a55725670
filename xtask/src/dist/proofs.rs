//! The proofs that an image needs before it is published, and those that are missing.

use crate::dist::check::Verdict;
use crate::dist::record::{Metadata, Proof};

/// All proofs. Each level of `smoke` proves something else: that the programs start, that buildx
/// can use the image, and that a build for two platforms works in it.
pub const REQUIRED: [&str; 4] = ["verify-tini", "smoke exec", "smoke builder", "smoke machine"];

/// The proofs of the recorded image, in the order of [`REQUIRED`].
pub fn valid(record: &Metadata) -> impl Iterator<Item = &Proof> {
    let digest = record.image_digest();
    let of = move |name: &&str| record.proofs.iter().find(|proof| proof.name == *name);
    REQUIRED.iter().filter_map(of).filter(move |proof| Some(&proof.image_digest) == digest)
}

/// The number of checks of a proof with that verdict.
pub fn count(proof: &Proof, verdict: Verdict) -> usize {
    proof.checks.iter().filter(|check| check.verdict == verdict).count()
}

/// The missing proofs, each with the reason.
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
