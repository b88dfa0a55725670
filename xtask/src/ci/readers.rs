//! Client libraries by others read the fake GitHub at the end of a rehearsal, and have to read what its state is:
//! `PyGithub`, and `githubkit`, whose models are generated from GitHub's description of the version that we send.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;

use crate::ci::programs::{cargo, search_path};
use crate::ci::{Outcome, Row};
use crate::os::process::run;

const LIMIT: Duration = Duration::from_secs(60);

struct Reader {
    library: &'static str,
    /// What Python imports.
    module: &'static str,
    /// Below the checkout.
    script: &'static str,
}

const READERS: [Reader; 2] = [
    Reader { library: "PyGithub", module: "github", script: "xtask/witness/read_by_pygithub.py" },
    Reader { library: "githubkit", module: "githubkit", script: "xtask/witness/read_by_githubkit.py" },
];

pub fn run(root: &Utf8Path) -> Vec<Result<Row>> {
    READERS.iter().map(|reader| read(root, reader)).collect()
}

fn read(root: &Utf8Path, reader: &Reader) -> Result<Row> {
    let started = Instant::now();
    let row = |outcome| Ok(Row::new(reader.library, outcome, started));
    // Looked for and not imported: a library that is installed and broken is no reason to skip.
    let look = format!("import importlib.util as u, sys; sys.exit(u.find_spec({:?}) is None)", reader.module);
    let look = run!("python3 -c {look}").env("PATH", search_path(root)).limit(LIMIT).output();
    if !look.is_ok_and(|output| output.status.success()) {
        return row(Outcome::Skipped("not installed".to_owned()));
    }
    let script = root.join(reader.script);
    let rehearsal = cargo(root).args(["xtask", "rehearse", "--reader", script.as_str()]).echoed()?;
    row(if rehearsal.status.success() {
        Outcome::Passed("reads what the fake GitHub has after a rehearsal".to_owned())
    } else {
        Outcome::Failed("it reads something else than the fake GitHub has; see above".to_owned())
    })
}
