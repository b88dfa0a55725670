//! Reads what a command prints for `--help`, in the forms of the Go package `urfave/cli`, versions 1 to 3.
//!
//! `BuildKit` has no other description of its commands for a machine. What does not look like help is left out: a
//! command without options is still a command.

use serde::{Deserialize, Serialize};

/// More than any command prints.
const LARGEST_LINES: usize = 1000;

/// One command, as its help describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What it does, in one line.
    pub about: String,
    /// How it is called, if its help has more than the usual line.
    pub usage: String,
    pub subcommands: Vec<Subcommand>,
    /// Its own options, and those of the commands above it.
    pub options: Vec<Flag>,
    pub global_options: Vec<Flag>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subcommand {
    pub name: String,
    pub aliases: Vec<String>,
    pub about: String,
}

/// One option.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// Without its hyphens.
    pub long: String,
    pub short: Option<char>,
    /// The name of its value, or `None` for a switch.
    pub value: Option<String>,
    /// Whether it can be given more than once.
    pub is_repeated: bool,
    pub about: String,
}

impl Command {
    /// Reads the help of one command.
    pub fn parse(text: &str) -> Self {
        let mut command = Self::default();
        let mut section = "";
        for line in text.lines().take(LARGEST_LINES) {
            let is_heading = line.ends_with(':') && line.starts_with(|first: char| first.is_ascii_uppercase());
            if is_heading {
                section = line.trim_end_matches(':');
                continue;
            }
            match section {
                "NAME" => command.about.push_str(line.split_once(" - ").map_or("", |(_, about)| about.trim())),
                "USAGE" | "DESCRIPTION" => {
                    command.usage.push_str(line.trim_end());
                    command.usage.push('\n');
                }
                "COMMANDS" => command.subcommands.extend(subcommand(line)),
                "OPTIONS" => command.options.extend(flag(line)),
                "GLOBAL OPTIONS" => command.global_options.extend(flag(line)),
                _ => {}
            }
        }
        command.usage = unindented(&command.usage);
        command
    }
}

/// `build, b         build`, but not the help that every command has.
fn subcommand(line: &str) -> Option<Subcommand> {
    let (names, about) = columns(line);
    let mut names = names.split(", ").map(str::to_owned);
    let name = names.next().filter(|name| is_name(name) && name != "help")?;
    Some(Subcommand { name, aliases: names.filter(|alias| is_name(alias)).collect(), about })
}

/// `--output string, -o string [ --output string, -o string ]   Define …`, but neither help nor version, which every
/// command has.
fn flag(line: &str) -> Option<Flag> {
    let (names, about) = columns(line);
    let (names, repeated) = names.split_once(" [ ").map_or((names, false), |(once, _)| (once, true));
    let mut flag = Flag { is_repeated: repeated || about.contains("accepts multiple inputs"), ..Flag::default() };
    for form in names.split(", ") {
        let (name, value) = form.split_once(' ').map_or((form, None), |(name, value)| (name, Some(value)));
        match name.strip_prefix("--").filter(|name| is_name(name)) {
            Some(long) => long.clone_into(&mut flag.long),
            None => flag.short = name.strip_prefix('-').and_then(|name| name.parse().ok()),
        }
        flag.value = value.map(str::to_owned).or(flag.value);
    }
    // In a user namespace the daemon has other defaults, and only a switch shows them: they are those of this machine.
    flag.about = if flag.value.is_none() { about.trim_end_matches(" (default: true)").to_owned() } else { about };
    (!flag.long.is_empty() && !["help", "version"].contains(&flag.long.as_str())).then_some(flag)
}

/// What is left and right of the first gap of two spaces.
fn columns(line: &str) -> (&str, String) {
    let line = line.trim();
    line.split_once("  ").map_or((line, String::new()), |(left, right)| (left, right.trim().to_owned()))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The text without the indentation that all of its lines share, and without empty lines around it.
fn unindented(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let shared = text.lines().filter(|line| !line.is_empty()).map(indent).min().unwrap_or(0);
    let lines: Vec<&str> = text.lines().map(|line| line.get(shared..).unwrap_or_default()).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutated_input;

    const BUILD: &str = "\
NAME:
   buildctl build - build

USAGE:
   
     To build and push an image using Dockerfile:
       $ buildctl build --frontend dockerfile.v0

OPTIONS:
   --output string, -o string [ --output string, -o string ]  Define exports
   --progress string                                          Set type of progress (auto, plain) (default: \"auto\")
   --no-cache                                                 Disable cache for all the vertices
   --rootless                                                 rootless containers (default: true)
   --help, -h                                                 show help

GLOBAL OPTIONS:
   --debug        enable debug output in logs
   --addr string  buildkitd address (default: \"unix:///run/buildkit/buildkitd.sock\")
";
    const APP: &str = "\
NAME:
   buildctl - build utility

USAGE:
   buildctl [global options] command [command options] [arguments...]

COMMANDS:
     du        disk usage
     build, b  build
     help, h   Shows a list of commands or help for one command

GLOBAL OPTIONS:
   --addr value   buildkitd address [$BUILDKIT_HOST]
   --local value  Allow access (accepts multiple inputs)
   --version, -v  print the version
";

    #[test]
    fn options_are_read_with_their_names_and_values() {
        let command = Command::parse(BUILD);
        let texts: Vec<String> = command
            .options
            .iter()
            .map(|flag| format!("{}/{:?}/{:?}/{}/{}", flag.long, flag.short, flag.value, flag.is_repeated, flag.about))
            .collect();
        assert_eq!(
            texts,
            [
                "output/Some('o')/Some(\"string\")/true/Define exports",
                "progress/None/Some(\"string\")/false/Set type of progress (auto, plain) (default: \"auto\")",
                "no-cache/None/None/false/Disable cache for all the vertices",
                "rootless/None/None/false/rootless containers",
            ]
        );
        assert_eq!(command.about, "build");
        assert_eq!(
            command.usage,
            "To build and push an image using Dockerfile:\n  $ buildctl build --frontend dockerfile.v0"
        );
        assert_eq!(command.global_options.len(), 2);
    }

    #[test]
    fn the_help_of_older_releases_is_read_too() {
        let command = Command::parse(APP);
        let names: Vec<&str> = command.subcommands.iter().map(|command| command.name.as_str()).collect();
        assert_eq!(names, ["du", "build"]);
        assert_eq!(command.subcommands[1].aliases, ["b"]);
        let [addr, local] = command.global_options.as_slice() else { panic!("{command:?}") };
        assert_eq!((addr.value.as_deref(), addr.is_repeated, local.is_repeated), (Some("value"), false, true));
    }

    #[test]
    fn mutated_help_is_read_without_a_panic() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, BUILD)?;
            let command = Command::parse(&text);
            assert!(command.options.iter().all(|flag| is_name(&flag.long)));
            assert!(command.options.len() + command.subcommands.len() <= text.lines().count());
            Ok(())
        });
    }
}
