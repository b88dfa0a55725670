//! The proofs that an image and packages need before they are published: which are missing, and when a new one replaces
//! an older one. A check that was not run proves nothing.

use crate::dist::check::Verdict;
use crate::dist::record::{Metadata, Proof};

mod required;

use required::MULTI_PLATFORM;
pub use required::{PACKAGES, REQUIRED, Required, SMOKE_BUILDER, SMOKE_MACHINE};

/// The proofs that this record needs: that of packages only if it has some.
pub fn required(record: &Metadata) -> impl Iterator<Item = Required> {
    let has_packages = !record.packages.is_empty();
    REQUIRED.into_iter().filter(move |required| has_packages || required.name != PACKAGES)
}

/// The needed proofs of the recorded image and packages, in the order of [`REQUIRED`].
pub fn valid(record: &Metadata) -> impl Iterator<Item = &Proof> {
    let of = move |required: Required| record.proofs.iter().find(|proof| proof.name == required.name);
    required(record).filter_map(of).filter(move |proof| proof.subject.is_in(record))
}

/// The number of checks of a proof with that verdict.
pub fn count(proof: &Proof, verdict: Verdict) -> usize {
    proof.checks.iter().filter(|check| check.verdict == verdict).count()
}

/// The missing proofs, each with the reason: a proof is there if all its required checks passed and none failed.
pub fn missing(record: &Metadata) -> Vec<(&'static str, String)> {
    let mut missing = Vec::new();
    for required in required(record) {
        let name = required.name;
        let Some(proof) = valid(record).find(|proof| proof.name == name) else {
            let is_there = record.proofs.iter().any(|proof| proof.name == name);
            let of_what = if name == PACKAGES { "is of other packages" } else { "is of another image" };
            missing.push((name, if is_there { of_what } else { "was not run" }.to_owned()));
            continue;
        };
        let failed = proof.checks.iter().filter(|check| check.is_failure());
        missing.extend(failed.map(|check| (name, format!("failed at {}: {}", check.name, check.evidence))));
        missing.extend(not_run(&required, record, proof).map(|why| (name, why)));
    }
    missing
}

/// The required checks that were not run, in one sentence; `None` if all were.
fn not_run(required: &Required, record: &Metadata, proof: &Proof) -> Option<String> {
    let has_emulators = record.image.as_ref().is_some_and(|image| image.emulators.is_some());
    let has_format = |format: &str| record.packages.iter().any(|package| package.name.ends_with(format));
    let was_run = |name: &str| {
        let is_impossible = match name {
            MULTI_PLATFORM => !has_emulators,
            name if required.name == PACKAGES => !name.split_once('-').is_some_and(|(format, _)| has_format(format)),
            _ => false,
        };
        is_impossible || has(proof, name, Verdict::Pass) || has(proof, name, Verdict::Fail)
    };
    let names: Vec<&str> = required.checks.iter().copied().filter(|name| !was_run(name)).collect();
    let first = *names.first()?;
    let others = if names.len() > 1 { format!(" and {} others", names.len() - 1) } else { String::new() };
    let evidence = proof.checks.iter().find(|check| check.name == first).map(|check| check.evidence.as_str());
    let why = evidence.unwrap_or("there is no such check in the record");
    Some(format!("is not proved: of its {} required checks, {first}{others} did not run: {why}", required.checks.len()))
}

fn has(proof: &Proof, name: &str, verdict: Verdict) -> bool {
    proof.checks.iter().any(|check| check.name == name && check.verdict == verdict)
}

/// Adds a proof to the record, in place of an older one of the same name. If the older one is stronger, it is kept
/// instead, and returned.
pub fn add(record: &mut Metadata, proof: Proof) -> Option<Proof> {
    let stronger = record.proofs.iter().find(|old| old.name == proof.name && !replaces(&proof, old));
    if let Some(stronger) = stronger {
        return Some(stronger.clone());
    }
    record.proofs.retain(|old| old.name != proof.name);
    record.proofs.push(proof);
    None
}

/// Whether `new` replaces `old`, of the same name. A failure always does, as does any result of something else.
/// Otherwise `new` has to pass every required check that `old` passed or failed: a run with fewer tools neither
/// takes a proof away nor hides a failure.
fn replaces(new: &Proof, old: &Proof) -> bool {
    let was_decided = |name: &str| has(old, name, Verdict::Pass) || has(old, name, Verdict::Fail);
    let required = REQUIRED.iter().find(|required| required.name == new.name).map_or(&[][..], |found| found.checks);
    new.subject != old.subject
        || count(new, Verdict::Fail) > 0
        || required.iter().filter(|name| was_decided(name)).all(|name| has(new, name, Verdict::Pass))
}

/// Says which proof was kept, and why.
pub fn kept(stronger: &Proof, new: &Proof) -> String {
    let passed = |proof: &Proof| count(proof, Verdict::Pass);
    let failed = match count(stronger, Verdict::Fail) {
        0 => String::new(),
        count => format!(" and failed {count}"),
    };
    format!(
        "metadata.json keeps the result of `{}` from {}, which passed {} checks{failed}: this run passed {}, and did not \
         run all of those",
        stronger.name,
        stronger.began,
        passed(stronger),
        passed(new)
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use oci::digest::{Digest, Sha256};

    use super::required::{SMOKE_PACKAGES, VERIFY_TINI};
    use super::*;
    use crate::dist::check::Check;
    use crate::dist::record::{FileRecord, Subject};
    use crate::dist::samples;

    /// `verify-tini` with every check, changed.
    fn proof(change: impl Fn(&mut Check)) -> Proof {
        let mut proof = samples::proved_record().proofs.swap_remove(0);
        proof.checks.iter_mut().for_each(change);
        proof
    }

    fn set(name: &'static str, verdict: Verdict) -> impl Fn(&mut Check) {
        move |check| {
            if check.name == name {
                check.verdict = verdict;
            }
        }
    }

    /// What `--engine none` gives.
    fn without_engine() -> Proof {
        let of_files = &VERIFY_TINI[..11];
        proof(|check| {
            if !of_files.contains(&check.name.as_str()) {
                *check = Check::not_run(&check.name, "no engine: asked for none");
            }
        })
    }

    fn reasons(proof: Proof) -> Vec<String> {
        let mut record = samples::proved_record();
        record.proofs[0] = proof;
        missing(&record).into_iter().map(|(name, why)| format!("`{name}` {why}")).collect()
    }

    fn is_kept(old: &Proof, new: &Proof) -> bool {
        let mut record = samples::proved_record();
        record.proofs = vec![old.clone()];
        let kept = add(&mut record, new.clone());
        let [left] = record.proofs.as_slice() else { panic!("not one proof: {:?}", record.proofs) };
        assert_eq!(left, if kept.is_some() { old } else { new });
        kept.is_some()
    }

    #[test]
    fn a_required_check_that_was_not_run_is_no_proof() {
        assert_eq!(reasons(proof(|_| ())), Vec::<String>::new());
        expect!["`verify-tini` is not proved: of its 25 required checks, version and 13 others did not run: no engine: asked for none"]
            .assert_eq(&reasons(without_engine()).join("\n"));
        expect!["`verify-tini` is not proved: of its 25 required checks, sigterm did not run: the sample"]
            .assert_eq(&reasons(proof(set("sigterm", Verdict::NotRun))).join("\n"));
        let mut older = proof(|_| ());
        older.checks.retain(|check| check.name != "runc");
        expect!["`verify-tini` is not proved: of its 25 required checks, runc did not run: there is no such check in the record"]
            .assert_eq(&reasons(older).join("\n"));
    }

    #[test]
    fn a_failed_check_is_no_proof_whether_required_or_not() {
        for name in ["sigterm", "host-init"] {
            let reasons = reasons(proof(set(name, Verdict::Fail)));
            assert!(
                reasons.len() == 1 && reasons[0].starts_with(&format!("`verify-tini` failed at {name}")),
                "{reasons:?}"
            );
        }
    }

    #[test]
    fn a_weaker_run_neither_takes_a_proof_away_nor_hides_a_failure() {
        let (full, failed) = (proof(|_| ()), proof(set("sigterm", Verdict::Fail)));
        for (old, new, expected) in [
            (&full, &without_engine(), true),
            (&failed, &without_engine(), true),
            (&failed, &proof(set("sigterm", Verdict::NotRun)), true),
            (&failed, &full, false),
            (&full, &failed, false),
            (&full, &full, false),
            (&without_engine(), &full, false),
            (&full, &proof(set("host-init", Verdict::Pass)), false),
        ] {
            assert_eq!(is_kept(old, new), expected, "{old:?}\n{new:?}");
        }
        let mut of_another_image = without_engine();
        of_another_image.subject = Subject::Image { image_digest: Digest::from(Sha256::from_bytes(&[9; 32])) };
        assert!(!is_kept(&full, &of_another_image));
        assert!(!is_kept(&of_another_image, &full));
    }

    #[test]
    fn packages_need_a_proof_of_their_own_and_of_these_very_bytes() {
        let mut record = samples::proved_record();
        let package = |name: &str, byte| FileRecord {
            name: name.to_owned(),
            size_bytes: 18,
            sha256: Sha256::from_bytes(&[byte; 32]),
        };
        let reasons = |record: &Metadata| {
            let reasons = missing(record).into_iter().map(|(name, why)| format!("`{name}` {why}"));
            reasons.collect::<Vec<_>>().join("\n")
        };
        let of = |record: &Metadata, names: &[&str]| Proof {
            name: PACKAGES.to_owned(),
            subject: Subject::Packages { packages: record.packages.clone() },
            checks: names.iter().map(|name| Check::pass(name, "the sample")).collect(),
            ..record.proofs[0].clone()
        };
        record.packages = vec![package("buildkit_0.32.2-1_riscv64.deb", 1)];
        expect!["`smoke packages` was not run"].assert_eq(&reasons(&record));

        let of_deb: Vec<&str> = SMOKE_PACKAGES.into_iter().filter(|name| name.starts_with("deb-")).collect();
        record.proofs.push(of(&record, &of_deb));
        assert_eq!(reasons(&record), "", "without an RPM its checks are not needed");

        record.packages.push(package("buildkit-0.32.2-1.riscv64.rpm", 2));
        expect!["`smoke packages` is of other packages"].assert_eq(&reasons(&record));

        record.proofs.pop();
        record.proofs.push(of(&record, &of_deb));
        expect!["`smoke packages` is not proved: of its 13 required checks, rpm-installs did not run: there is no such check in the record"]
            .assert_eq(&reasons(&record));

        let text = serde_json::to_string(&record).expect("is written");
        assert_eq!(serde_json::from_str::<Metadata>(&text).expect("is read"), record);
    }

    #[test]
    fn the_stronger_proof_is_named() {
        expect!["metadata.json keeps the result of `verify-tini` from 2026-11-22T22:38:41Z, which passed 25 checks: this run passed 11, and did not run all of those"]
            .assert_eq(&kept(&proof(|_| ()), &without_engine()));
        expect!["metadata.json keeps the result of `verify-tini` from 2026-11-22T22:38:41Z, which passed 24 checks and failed 1: this run passed 11, and did not run all of those"]
            .assert_eq(&kept(&proof(set("sigterm", Verdict::Fail)), &without_engine()));
    }
}
