//! What is found of one release: a row of the table for each check, as it is made.

use anyhow::{Error, Result};
use serde::Serialize;

use crate::dist::{Check, Verdict, check_table};
use crate::os::shell::one_line;
use crate::published::is_unreachable;

/// Evidence may quote what others wrote.
const LONGEST_EVIDENCE: usize = 600;

/// The checks of one release.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    pub checks: Vec<Check>,
    /// Names of the checks that something was in the way of: they say nothing about what is published.
    pub undetermined: Vec<String>,
    /// Whether rows are not printed as they are found.
    #[serde(skip)]
    is_quiet: bool,
}

impl Findings {
    /// Of one of many releases, which are printed together.
    pub fn quiet() -> Self {
        Self { is_quiet: true, ..Self::default() }
    }

    /// Prints one row, if nothing differs, or those that do.
    pub fn print_together(&self, name: &str) {
        let is_of_interest = |check: &&Check| check.is_failure() || self.undetermined.contains(&check.name);
        let rows: Vec<&Check> = self.checks.iter().filter(is_of_interest).collect();
        if rows.is_empty() {
            let passed = self.checks.iter().filter(|check| check.verdict == Verdict::Pass).count();
            check_table::row(&Check::pass(name, format!("{passed} checks")));
        }
        for check in rows {
            let evidence = format!("{}: {}", check.name, check.evidence);
            check_table::row(&Check { name: name.to_owned(), evidence, ..check.clone() });
        }
    }

    /// Adds a check: its evidence if it passes, or the error that says what differs. An error of the network decides
    /// nothing. Returns what was checked.
    pub fn add<T>(&mut self, name: &str, result: Result<(T, String)>) -> Option<T> {
        match result {
            Ok((checked, evidence)) => {
                self.row(Check::pass(name, short(&evidence)));
                Some(checked)
            }
            Err(error) => {
                self.fail(name, &error);
                None
            }
        }
    }

    /// The same for a check that has nothing but evidence.
    pub fn add_evidence(&mut self, name: &str, result: Result<String>) {
        self.add(name, result.map(|evidence| ((), evidence)));
    }

    /// Adds a check that something was in the way of.
    pub fn undetermined(&mut self, name: &str, error: &Error) {
        self.undetermined.push(name.to_owned());
        self.row(Check::not_run(name, short(&format!("could not be determined: {error:#}"))));
    }

    fn fail(&mut self, name: &str, error: &Error) {
        if is_unreachable(error) {
            self.undetermined(name, error);
        } else {
            self.row(Check::fail(name, short(&format!("{error:#}"))));
        }
    }

    /// Whether a check was made and passed.
    pub fn has_passed(&self, name: &str) -> bool {
        self.checks.iter().any(|check| check.name == name && check.verdict == Verdict::Pass)
    }

    /// Adds checks that cannot be made here.
    pub fn not_run(&mut self, names: &[&str], why: &str) {
        names.iter().for_each(|name| self.row(Check::not_run(name, short(why))));
    }

    fn row(&mut self, check: Check) {
        if !self.is_quiet {
            check_table::row(&check);
        }
        self.checks.push(check);
    }

    /// The checks that differ.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.is_failure())
    }
}

fn short(evidence: &str) -> String {
    let line = one_line(evidence);
    match line.char_indices().nth(LONGEST_EVIDENCE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn what_differs_is_told_from_what_could_not_be_read() {
        let mut findings = Findings::default();
        findings.add_evidence("a", Ok("is there".to_owned()));
        findings.add_evidence("b", Err(anyhow!("is gone")));
        findings.add_evidence("c", Err(Error::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))));
        findings.not_run(&["d"], &"x\n".repeat(10_000));
        let verdicts: Vec<Verdict> = findings.checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail, Verdict::NotRun, Verdict::NotRun]);
        assert_eq!(findings.undetermined, ["c"]);
        assert_eq!(findings.failures().map(|check| check.name.as_str()).collect::<Vec<_>>(), ["b"]);
        let longest = findings.checks.iter().map(|check| check.evidence.chars().count()).max();
        assert_eq!(longest, Some(LONGEST_EVIDENCE + 1));
    }
}
