//! What a newcomer types and the command line does not take, answered with what it does take.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

/// What other programs call a run that changes nothing.
const DRY_RUN: [&str; 4] = ["--dry-run", "--dryrun", "--plan", "-n"];

/// Adds a tip to the error about an argument that `command` does not take, if one of its options is meant.
pub fn add(command: &Command, words: &[OsString], error: &mut Error) {
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return };
    let task = words.iter().find_map(|word| command.find_subcommand(word));
    let (ErrorKind::UnknownArgument, Some(task)) = (error.kind(), task) else { return };
    let tip = if unknown.starts_with('-') { plan(task, unknown) } else { option_for(command, task, words, unknown) };
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
}

/// A task changes something only with `--execute`, if it has that.
fn plan(task: &Command, unknown: &str) -> Option<String> {
    let execute = task.get_arguments().find(|argument| argument.get_id() == "execute")?;
    let help = execute.get_help().map(StyledStr::to_string).unwrap_or_default();
    DRY_RUN.contains(&unknown).then(|| format!("there is '--execute' instead: {help}"))
}

/// The first option of the task that takes the value.
fn option_for(command: &Command, task: &Command, words: &[OsString], value: &str) -> Option<String> {
    let position = words.iter().position(|word| word == value)?;
    let takes_value = |option: &&Arg| option.get_action().takes_values() && !option.is_hide_set();
    task.get_arguments().filter(takes_value).find_map(|option| {
        let flag = format!("--{}", option.get_long()?);
        // A build is named by its version, and `--dist` by the path.
        let is_version = option.get_id() == "dist" && value.starts_with('v');
        let value = if is_version { format!("dist/{value}") } else { value.to_owned() };
        let tip = format!("use '{flag} {value}'");
        let replaced = [OsString::from(flag), OsString::from(value)];
        let words = [&words[..position], &replaced, &words[position + 1..]].concat();
        command.clone().try_get_matches_from(words).is_ok().then_some(tip)
    })
}
