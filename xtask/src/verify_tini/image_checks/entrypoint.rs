//! The entrypoint: tini with its options, `--`, and a script that takes what every caller sends.

use oci::documents::Execution;
use oci::elf::Format;
use oci::file_tree::FileTree;

use crate::dist::Check;
use crate::verify_tini::image_checks::elf::TINI;
use crate::verify_tini::image_checks::start::{Start, Unknown};
use crate::verify_tini::image_checks::{BUILDX_FLAGS, DOCKER_INIT, json};

/// What `tini -p` takes: tini 0.19, `signal_names` in `src/tini.c`.
const SIGNALS: [&str; 28] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "SYS",
];

pub fn entrypoint(execution: &Execution, start: &Start<'_>) -> Check {
    let name = "entrypoint";
    let shown = json(execution.entrypoint());
    let expected = format!("[\"{TINI}\", \"--\", SCRIPT]; set ENTRYPOINT in the Dockerfile");
    let Some((first, words)) = execution.entrypoint().split_first().filter(|(first, _)| is_tini(first, start)) else {
        return Check::fail(name, format!("{shown}, not {expected}"));
    };
    if let Some(folder) = start.relative_folder(first) {
        return Check::fail(
            name,
            format!(
                "{shown}: {first} is found in {folder:?}, a relative directory of PATH, and runc refuses that (`cannot run \
                 executable found relative to current directory`); set an absolute PATH in the Dockerfile"
            ),
        );
    }
    let words = match after_options(words) {
        Ok(words) => words,
        Err(why) => return Check::fail(name, format!("{shown}: {why}; it should be {expected}")),
    };
    match words {
        [] => Check::fail(
            name,
            format!(
                "{shown} alone: buildx starts the container with flags and no command, and tini would run the first \
                 flag as a program (`[FATAL tini] exec {BUILDX_FLAGS} failed`), so `docker buildx inspect --bootstrap` \
                 fails; put a script behind `--` that runs buildkitd if the first argument is a flag"
            ),
        ),
        [daemon, ..] if daemon.rsplit('/').next() == Some("buildkitd") => Check::fail(
            name,
            format!(
                "{shown}: any command becomes an argument of buildkitd, so `docker run IMAGE ls -la {DOCKER_INIT}` \
                 cannot work; put a script behind `--` that runs a given command"
            ),
        ),
        [script] => Check::pass(name, format!("{first}, then {script}")),
        _ => Check::fail(name, format!("{shown}, not {expected}")),
    }
}

pub fn entrypoint_script(execution: &Execution, start: &Start<'_>) -> Check {
    let name = "entrypoint-script";
    let words = execution.entrypoint().split_first().map(|(_, words)| after_options(words));
    let Some(Ok([script, ..])) = words else {
        return Check::not_run(name, "the entrypoint names no script");
    };
    let unknown = if has_execvp_of_posix(start.tree) { Unknown::ForShell } else { Unknown::Refused };
    let found = start.find(script).and_then(|(place, node)| Ok((start.check(&place, node, unknown)?, place)));
    match found {
        Ok((how, place)) => Check::pass(name, format!("{place} can be started: {how}")),
        Err(why) => Check::fail(name, why),
    }
}

/// tini starts its child by `execvp`; musl's does not do what POSIX demands of it.
fn has_execvp_of_posix(tree: &FileTree) -> bool {
    tree.resolve(TINI).is_ok_and(|(_, node)| match &node.format {
        Format::Elf(linkage) => !linkage.needed.iter().any(|library| library.contains("musl")),
        _ => false,
    })
}

/// Whether a word of the entrypoint starts tini: by its path, by a link to it, or by its name.
fn is_tini(word: &str, start: &Start<'_>) -> bool {
    let real = |name: &str| start.find(name).ok().map(|(place, _)| place);
    word == TINI || real(word).is_some_and(|place| Some(place) == real(TINI))
}

/// The words behind the options of tini and `--`. Source: `tini -h` and the option string `p:hvwgle:s` of tini 0.19.
fn after_options(words: &[String]) -> Result<&[String], String> {
    let mut words = words;
    loop {
        let Some((word, rest)) = words.split_first() else { return Err(NO_END.to_owned()) };
        words = rest;
        if word == "--" {
            return Ok(words);
        }
        let mut letters = word.strip_prefix('-').filter(|letters| !letters.is_empty()).ok_or(NO_END)?.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'v' | 'w' | 'g' => {}
                's' => {
                    return Err("under qemu-user `tini -s` exits (`PR_SET_CHILD_SUBREAPER is unavailable`)".to_owned());
                }
                'h' | 'l' => return Err(format!("`tini -{letter}` prints a text and exits")),
                'p' | 'e' => {
                    let attached = letters.as_str();
                    let value = if attached.is_empty() {
                        let (value, rest) =
                            words.split_first().ok_or_else(|| format!("`tini -{letter}` has no value"))?;
                        words = rest;
                        value
                    } else {
                        attached
                    };
                    let is_signal = || value.strip_prefix("SIG").is_some_and(|name| SIGNALS.contains(&name));
                    if !(if letter == 'p' { is_signal() } else { value.parse::<u8>().is_ok() }) {
                        return Err(format!("tini refuses {value:?} as the value of -{letter}"));
                    }
                    break;
                }
                _ => return Err(format!("tini has no option {letter:?}")),
            }
        }
    }
}

const NO_END: &str = "it has no `--`, so tini would take the caller's flags for its own";
