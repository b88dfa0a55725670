//! The results of many pipelines: counts for each kind of fault, as a table and as JSON.

use serde_json::{Value, json};

use crate::os::terminal::{self, print_line};
use crate::rehearse::faults::Fault;
use crate::rehearse::faulty_runs::Outcome;

/// The counts for one kind of fault. A pipeline with several faults is counted for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    pipelines: u32,
    /// No task had to be rerun.
    survived: u32,
    /// A task was rerun.
    repeated: u32,
    diverged: u32,
}

#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(Fault, Row)>,
    all: Row,
    failures: Vec<Outcome>,
}

impl Report {
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut report = Self { rows: Fault::ALL.map(|fault| (fault, Row::default())).into(), ..Self::default() };
        for outcome in outcomes {
            report.all.count(outcome);
            for (fault, row) in &mut report.rows {
                if outcome.schedule.0.iter().any(|one| one.fault == *fault) {
                    row.count(outcome);
                }
            }
            if !outcome.problems.is_empty() {
                report.failures.push(outcome.clone());
            }
        }
        report
    }

    /// Whether every pipeline ended in the state of the fault-free one.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// Prints the table, and each pipeline that diverged with the command that reproduces it.
    pub fn print(&self) {
        let line = |name: &str, columns: [&str; 4]| {
            print_line(format_args!(
                "  {name:<16} {:>8} {:>12} {:>12} {:>10}",
                columns[0], columns[1], columns[2], columns[3]
            ));
        };
        line("fault", ["pipelines", "no rerun", "rerun", "diverged"]);
        let all = ("all", &self.all);
        for (name, row) in self.rows.iter().map(|(fault, row)| (fault.name(), row)).chain([all]) {
            let columns = [row.pipelines, row.survived, row.repeated, row.diverged].map(|count| count.to_string());
            line(name, columns.each_ref().map(String::as_str));
        }
        for outcome in &self.failures {
            let problems = outcome.problems.join("\n            ");
            terminal::print_error(&anyhow::anyhow!(
                "the pipeline with {} diverged:\n            {problems}",
                outcome.schedule
            ));
            terminal::note(format_args!("to reproduce it: cargo xtask rehearse --faults {}", outcome.schedule));
        }
    }

    pub fn json(&self) -> Value {
        let row = |name: &str, row: &Row| {
            json!({
                "fault": name, "pipelines": row.pipelines, "by_itself": row.survived, "run_again": row.repeated,
                "diverged": row.diverged,
            })
        };
        let failures: Vec<Value> = self
            .failures
            .iter()
            .map(|outcome| json!({ "faults": outcome.schedule.to_string(), "problems": outcome.problems }))
            .collect();
        json!({
            "broken": self.all.pipelines,
            "diverged": self.all.diverged,
            "by_fault": self.rows.iter().map(|(fault, counts)| row(fault.name(), counts)).collect::<Vec<_>>(),
            "failures": failures,
        })
    }
}

impl Row {
    fn count(&mut self, outcome: &Outcome) {
        self.pipelines += 1;
        let is_well = outcome.problems.is_empty();
        self.diverged += u32::from(!is_well);
        self.survived += u32::from(is_well && outcome.repeats == 0);
        self.repeated += u32::from(is_well && outcome.repeats > 0);
    }
}
