//! What a task found out: named checks with a verdict and the evidence for it, as they are printed,
//! written as JSON, and kept as proof in `metadata.json`.

use serde::{Deserialize, Serialize};

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It could not be looked at; the evidence says why.
    NotRun,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, the same at every run: `tini-runs`.
    pub name: String,
    /// Its outcome.
    pub verdict: Verdict,
    /// What was seen, in one sentence; for a failure also what to do next.
    pub evidence: String,
}

impl Check {
    /// A check that holds.
    pub fn pass(name: &str, evidence: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict: Verdict::Pass, evidence: evidence.into() }
    }

    /// A check that does not hold.
    pub fn fail(name: &str, evidence: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict: Verdict::Fail, evidence: evidence.into() }
    }

    /// Whether it does not hold.
    pub fn is_failure(&self) -> bool {
        self.verdict == Verdict::Fail
    }

    /// A check that could not be looked at.
    pub fn not_run(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict: Verdict::NotRun, evidence: why.into() }
    }
}
