//! Checks with a verdict and its evidence, as tasks print them, write them as JSON and record them in
//! `metadata.json`.

use serde::{Deserialize, Serialize};

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

    /// A check that could not be run.
    pub fn not_run(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict: Verdict::NotRun, evidence: why.into() }
    }
}
