//! Checks with a verdict and its evidence, as tasks print them, write them as JSON and record them in
//! `metadata.json`.

use serde::{Deserialize, Serialize};

use crate::os::shell::abridged;

/// Evidence is printed and recorded, and an image may choose what is in it.
const MOST_EVIDENCE_BYTES: usize = 4 << 10;

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It could not be checked; the evidence gives the reason.
    NotRun,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The same at every run: `tini-runs`.
    pub name: String,
    pub verdict: Verdict,
    /// What was seen, in one sentence; for a failure also what to do next.
    pub evidence: String,
}

impl Check {
    /// A check with that verdict.
    pub fn new(name: &str, verdict: Verdict, evidence: impl Into<String>) -> Self {
        let evidence = abridged(&evidence.into(), MOST_EVIDENCE_BYTES).into_owned();
        Self { name: name.to_owned(), verdict, evidence }
    }

    /// A check that holds.
    pub fn pass(name: &str, evidence: impl Into<String>) -> Self {
        Self::new(name, Verdict::Pass, evidence)
    }

    /// A check that does not hold.
    pub fn fail(name: &str, evidence: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fail, evidence)
    }

    /// Whether it does not hold.
    pub fn is_failure(&self) -> bool {
        self.verdict == Verdict::Fail
    }

    /// A check that could not be run.
    pub fn not_run(name: &str, why: impl Into<String>) -> Self {
        Self::new(name, Verdict::NotRun, why)
    }
}
