//! Man pages and shell completion, from the commands' own help.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use clap::{Arg, ArgAction, Command as Clap};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::help::{Command, Flag};
use crate::request::{Help, Request};

/// The man page of each command and subcommand: its file name, and its text in roff.
pub fn man_pages(request: &Request, date: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let page = |help: &Help| {
        let title = help.command.join("-");
        let parsed = Command::parse(&help.text);
        let command = shallow(&title, &help.command.join(" "), &parsed);
        let man = Man::new(command)
            .title(title.to_uppercase())
            .section("1")
            .date(date)
            .source(format!("BuildKit {}", request.upstream_version))
            .manual("BuildKit");
        let mut text = Vec::new();
        man.render(&mut text).with_context(|| format!("cannot write the man page of {title}"))?;
        Ok((format!("{title}.1"), text))
    };
    request.wanted.help.iter().map(page).collect()
}

/// The completion of a command for the three shells: in the directories that both families of distributions search.
pub fn completions(request: &Request, name: &str, directories: [&str; 3]) -> Vec<(Utf8PathBuf, Vec<u8>)> {
    let Some(command) = deep(request, &[name.to_owned()]) else { return Vec::new() };
    let [bash, zsh, fish] = directories;
    [
        (Shell::Bash, format!("{bash}/{name}")),
        (Shell::Zsh, format!("{zsh}/_{name}")),
        (Shell::Fish, format!("{fish}/{name}.fish")),
    ]
    .into_iter()
    .map(|(shell, path)| {
        let mut script = Vec::new();
        generate(shell, &mut command.clone(), name, &mut script);
        (path.into(), script)
    })
    .collect()
}

/// A command without the options of its subcommands, for its man page.
fn shallow(title: &str, called: &str, parsed: &Command) -> Clap {
    let subcommands = parsed
        .subcommands
        .iter()
        .map(|sub| Clap::new(sub.name.clone()).about(sub.about.clone()).disable_help_flag(true));
    let command = Clap::new(title.to_owned())
        .bin_name(called.to_owned())
        .display_name(title.to_owned())
        .about(parsed.about.clone())
        .disable_help_subcommand(true)
        .subcommands(subcommands)
        .args(flags(parsed));
    // The usual line of the usage is what the synopsis says; an example is worth a paragraph.
    if parsed.usage.lines().count() > 1 { command.after_help(parsed.usage.clone()) } else { command }
}

/// A command with all that is below it.
fn deep(request: &Request, path: &[String]) -> Option<Clap> {
    let help = request.wanted.help.iter().find(|help| help.command == path)?;
    let parsed = Command::parse(&help.text);
    let subcommands = parsed.subcommands.iter().filter_map(|sub| {
        let command = deep(request, &[path, std::slice::from_ref(&sub.name)].concat())?;
        Some(command.visible_aliases(sub.aliases.clone()))
    });
    Some(
        Clap::new(path.last()?.clone())
            .about(parsed.about.clone())
            .disable_help_subcommand(true)
            .subcommands(subcommands.collect::<Vec<_>>())
            .args(flags(&parsed)),
    )
}

fn flags(parsed: &Command) -> Vec<Arg> {
    let globals = parsed.global_options.iter();
    let globals = globals.filter(|global| !parsed.options.iter().any(|own| own.long == global.long));
    parsed.options.iter().chain(globals).map(arg).collect()
}

fn arg(flag: &Flag) -> Arg {
    let arg = Arg::new(flag.long.clone()).long(flag.long.clone()).help(flag.about.clone());
    let arg = match flag.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match &flag.value {
        Some(value) => {
            arg.value_name(value.clone()).action(if flag.is_repeated { ArgAction::Append } else { ArgAction::Set })
        }
        None => arg.action(ArgAction::SetTrue),
    }
}
