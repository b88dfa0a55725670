//! Checks as rows of a table on standard error: verdict, name, and the evidence folded to the width
//! of the terminal.

use console::{Term, style};

use crate::dist::check::{Check, Verdict};
use crate::os::shell::one_line;
use crate::os::streams::print_stderr;

const NAME_WIDTH: usize = 26;
const WIDTH_ELSEWHERE: usize = 120;
const NARROWEST_EVIDENCE: usize = 40;

/// Prints a line above the rows.
pub fn heading(text: &str) {
    print_stderr(style(text).for_stderr().bold());
}

/// Prints one row.
pub fn row(check: &Check) {
    let (word, name) = match check.verdict {
        Verdict::Pass => (style("   pass").for_stderr().green(), style(&check.name).for_stderr()),
        Verdict::Fail => (style("   FAIL").for_stderr().red().bold(), style(&check.name).for_stderr().bold()),
        Verdict::NotRun => (style("not run").for_stderr().yellow(), style(&check.name).for_stderr()),
    };
    let terminal = Term::stderr();
    let width = if terminal.is_term() { usize::from(terminal.size().1) } else { WIDTH_ELSEWHERE };
    // An image decides how its files are called; a terminal must not obey it.
    let evidence = one_line(&check.evidence);
    let lines = fold(&evidence, width.saturating_sub(NAME_WIDTH + 12).max(NARROWEST_EVIDENCE));
    let padding = " ".repeat(NAME_WIDTH.saturating_sub(check.name.len()));
    let mut lines = lines.iter();
    print_stderr(format_args!("  {word}  {name}{padding} {}", lines.next().map_or("", String::as_str)));
    for line in lines {
        print_stderr(format_args!("{}{line}", " ".repeat(NAME_WIDTH + 12)));
    }
}

/// Prints the rows of a group: a single one if all checks differ only in their names.
pub fn rows(group: &str, checks: &[Check]) {
    match checks {
        [first, _, ..] if checks.iter().all(|check| check == &Check { name: check.name.clone(), ..first.clone() }) => {
            row(&Check { name: format!("{group} ({})", checks.len()), ..first.clone() });
        }
        _ => checks.iter().for_each(row),
    }
}

fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_folded_between_words() {
        assert_eq!(fold("one two three", 8), ["one two", "three"]);
        assert_eq!(
            (fold("", 8), fold("incomprehensibilities", 8)),
            (vec![String::new()], vec!["incomprehensibilities".into()])
        );
    }
}
