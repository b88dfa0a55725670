//! `check-upstream` and `release` against emulate, an emulator of GitHub's releases, issues and comments by others:
//! `xtask/witness/emulate.py` says how, and what emulate cannot do.
#![allow(
    clippy::disallowed_methods,
    reason = "reads and writes files, asks the clock and for the path of this program"
)]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::ci::programs::{search_path, tools};
use crate::ci::tools::{NODE_PACKAGE, execute, pip};
use crate::ci::{Outcome, Row};
use crate::os::process::run;

/// emulate and its dependencies, each at one version.
const PACKAGES: [&str; 4] = ["emulate@0.12.2", "commander@14.0.3", "picocolors@1.1.1", "yaml@2.9.1"];
const SCRIPT: &str = "xtask/witness/emulate.py";
const LIMIT: Duration = Duration::from_secs(10 * 60);

fn directory(root: &Utf8Path) -> Utf8PathBuf {
    tools(root).join("emulate")
}

/// Installs emulate with the Node.js that it needs.
pub fn install(root: &Utf8Path) -> Result<String> {
    let directory = directory(root);
    let (installed, wanted) = (directory.join("installed"), [&PACKAGES[..], &[NODE_PACKAGE]].concat().join("\n"));
    if !fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        let environment = run!("python3 -m venv --clear {directory}");
        execute("python3 -m venv", &environment)?;
        execute(&format!("pip install {NODE_PACKAGE}"), &pip(&directory).arg(NODE_PACKAGE))?;
        let path = format!("{directory}/bin:{}", search_path(root));
        let npm = run!("npm install --silent --no-save --ignore-scripts --prefix {directory} {PACKAGES...}");
        execute(&format!("npm install {}", PACKAGES.join(" ")), &npm.env("PATH", path))?;
        fs::write(&installed, wanted).with_context(|| format!("cannot write {installed}"))?;
    }
    Ok(PACKAGES[0].to_owned())
}

pub fn run(root: &Utf8Path) -> Result<Row> {
    let started = Instant::now();
    let row = |outcome| Ok(Row::new("emulate", outcome, started));
    let directory = directory(root);
    if !directory.join("installed").is_file() {
        return row(Outcome::Skipped("not installed".to_owned()));
    }
    let (node, emulate) = (directory.join("bin/node"), directory.join("node_modules/emulate/dist/index.js"));
    let work = root.join("target/ci/emulate");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {work}"))?;
    }
    let xtask = std::env::current_exe().context("cannot find the path of this program")?;
    let xtask = Utf8PathBuf::try_from(xtask).context("this program's path is not UTF-8")?;
    let rehearsal = run!("python3 {SCRIPT} run {node} {emulate} {xtask} {work}").directory(root).limit(LIMIT);
    row(if rehearsal.env("PATH", search_path(root)).echoed()?.status.success() {
        Outcome::Passed(
            "has the releases and issues of the fake GitHub after a rehearsal; its runs are the fake's".to_owned(),
        )
    } else {
        Outcome::Failed("a task fails with it, or it ends in another state than the fake GitHub; see above".to_owned())
    })
}
