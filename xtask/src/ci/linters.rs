//! Our own rules for workflows, then linters and validators by others. A linter runs if it is installed and
//! has files to read; `cargo xtask ci --install` installs them.
#![allow(clippy::disallowed_methods, reason = "reads files and the clock")]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::ci::{Outcome, Row, emulate, openapi, programs, readers, tools, workflows};
use crate::dist::names;
use crate::git;
use crate::os::process::{Run, run};
use crate::os::streams::write_stderr;

const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Source: GitHub, "Dependabot options reference".
const DEPENDABOT: &str = ".github/dependabot.yml";

/// One linter, and which files it reads.
struct Linter {
    program: &'static str,
    arguments: &'static [&'static str],
    reads: Reads,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Scripts whose first line names a shell.
    Shell,
    /// Workflows of GitHub Actions.
    Workflows,
    /// The settings of Dependabot.
    Dependabot,
    /// Both: what runs at GitHub by itself.
    Automation,
    /// Dockerfiles.
    Dockerfiles,
    /// SBOMs in `dist/`.
    Sboms,
    /// The workspace; it finds the files itself.
    Workspace,
}

const LINTERS: [Linter; 10] = [
    Linter { program: "shellcheck", arguments: &[], reads: Reads::Shell },
    Linter { program: "shfmt", arguments: &["--diff", "--indent=2"], reads: Reads::Shell },
    Linter { program: "actionlint", arguments: &[], reads: Reads::Workflows },
    Linter { program: "zizmor", arguments: &["--offline", "--persona", "pedantic"], reads: Reads::Automation },
    Linter {
        program: "check-jsonschema",
        arguments: &["--builtin-schema", "vendor.github-workflows"],
        reads: Reads::Workflows,
    },
    Linter {
        program: "check-jsonschema",
        arguments: &["--builtin-schema", "vendor.dependabot"],
        reads: Reads::Dependabot,
    },
    Linter { program: "hadolint", arguments: &[], reads: Reads::Dockerfiles },
    Linter { program: "pyspdxtools", arguments: &["--infile"], reads: Reads::Sboms },
    Linter {
        program: "cargo-deny",
        arguments: &["--locked", "check", "licenses", "bans", "sources"],
        reads: Reads::Workspace,
    },
    Linter { program: "cargo-machete", arguments: &["xtask"], reads: Reads::Workspace },
];

pub fn run(root: &Utf8Path) -> Result<Vec<Row>> {
    let listed = git::read(root, run!("git ls-files --cached --others --exclude-standard"))?;
    let tracked: Vec<Utf8PathBuf> =
        listed.lines().map(Utf8PathBuf::from).filter(|path| root.join(path).is_file()).collect();
    let own = [workflows::check(root, &files_for(root, Reads::Workflows, &tracked)), openapi::run(root)];
    own.into_iter()
        .chain(readers::run(root))
        .chain([emulate::run(root)])
        .chain(LINTERS.iter().map(|linter| lint(root, linter, &tracked)))
        .collect()
}

fn lint(root: &Utf8Path, linter: &Linter, tracked: &[Utf8PathBuf]) -> Result<Row> {
    let started = Instant::now();
    let row = |outcome| Ok(Row::new(linter.program, outcome, started));
    let files = files_for(root, linter.reads, tracked);
    if files.is_empty() && linter.reads != Reads::Workspace {
        return row(Outcome::Skipped("there are no files for it to read".to_owned()));
    }
    let Some(program) = tools::find(root, linter.program) else {
        return row(Outcome::Skipped("not installed".to_owned()));
    };
    let arguments = linter.arguments;
    let run = run!("{program} {arguments...}").directory(root).limit(LIMIT);
    // actionlint starts shellcheck.
    let run = run.env("PATH", programs::search_path(root));
    // The SBOM validator takes one file at a time.
    let runs: Vec<Run> = match linter.reads {
        Reads::Sboms => files.iter().map(|file| run.clone().arg(file.as_str())).collect(),
        _ => vec![run.args(files.iter().map(|file| file.as_str()))],
    };
    for run in &runs {
        let output = run.output()?;
        if !output.status.success() {
            write_stderr(format_args!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr));
            return row(Outcome::Failed(format!("it found something ({}); see above", output.status)));
        }
    }
    row(Outcome::Passed(match files.len() {
        0 => "the workspace".to_owned(),
        1 => files[0].to_string(),
        several => format!("{several} files"),
    }))
}

fn files_for(root: &Utf8Path, reads: Reads, tracked: &[Utf8PathBuf]) -> Vec<Utf8PathBuf> {
    let matching = |wanted: &dyn Fn(&Utf8Path) -> bool| tracked.iter().filter(|path| wanted(path)).cloned().collect();
    let is_workflow = |path: &Utf8Path| path.starts_with(".github/workflows") && path.extension() == Some("yml");
    match reads {
        Reads::Shell => matching(&|path| is_shell(&root.join(path))),
        Reads::Workflows => matching(&is_workflow),
        Reads::Dependabot => matching(&|path| path == DEPENDABOT),
        Reads::Automation => matching(&|path| is_workflow(path) || path == DEPENDABOT),
        Reads::Dockerfiles => matching(&|path| path.file_name().is_some_and(|name| name.starts_with("Dockerfile"))),
        Reads::Sboms => sboms(&root.join("dist")),
        Reads::Workspace => Vec::new(),
    }
}

fn is_shell(path: &Utf8Path) -> bool {
    let first_line = fs::read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let first_line = first_line.and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default();
    first_line.starts_with("#!") && (first_line.ends_with("sh") || first_line.ends_with("bash"))
}

fn sboms(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let versions = folder.read_dir_utf8().into_iter().flatten().flatten();
    let sboms_in = |folder: &Utf8Path| {
        let version = folder.file_name()?.parse().ok()?;
        Some([names::sbom(&version), names::image_sbom(&version)].map(|name| folder.join(name)))
    };
    let all = versions.filter_map(|version| sboms_in(version.path())).flatten();
    all.filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_at_github_by_itself_has_a_schema_and_is_audited() {
        let root = checkout();
        for path in [DEPENDABOT, ".github/workflows/ci.yml"].map(Utf8PathBuf::from) {
            assert!(root.join(&path).is_file(), "{path}");
            let tracked = [path.clone(), "image/entrypoint".into()];
            let readers = LINTERS.iter().filter(|linter| files_for(root, linter.reads, &tracked).contains(&path));
            let programs: Vec<&str> = readers.map(|linter| linter.program).collect();
            assert!(["zizmor", "check-jsonschema"].iter().all(|name| programs.contains(name)), "{path}: {programs:?}");
        }
    }

    fn checkout() -> &'static Utf8Path {
        Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout")
    }
}
