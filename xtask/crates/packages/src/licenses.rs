//! The licenses of everything that is linked in, from the sources of upstream and its `vendor/`.
//!
//! Their texts are copied and never judged: a name is given only to a text that says its own.
#![allow(clippy::disallowed_methods, reason = "reads files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::request::{Module, Request};

/// Go's standard library, as the SBOM names it. It is not in `vendor/`, and has the license of Go's other libraries.
const STANDARD_LIBRARY: &str = "stdlib";
const GO_LIBRARY: &str = "golang.org/x/sys";
const LARGEST_TEXT_BYTES: u64 = 256 << 10;

/// Modules that have the same license files.
#[derive(Clone, Debug)]
pub struct Licensed {
    pub modules: BTreeSet<Module>,
    /// The text of each file, whole, with one line end at its end.
    pub texts: Vec<String>,
}

/// What is to be said about others' work.
#[derive(Clone, Debug)]
pub struct Licenses {
    /// Upstream's own license.
    pub own: String,
    /// Those of the modules, sorted by the first of them.
    pub linked: Vec<Licensed>,
    /// The files `NOTICE` of modules, which the Apache license wants passed on.
    pub notices: Vec<(Module, String)>,
}

/// Reads them.
///
/// # Errors
/// If a module has no license at all, or a file is larger than a license is.
pub fn read(request: &Request) -> Result<Licenses> {
    let own = text(&request.wanted.sources.join("LICENSE"))?;
    let mut linked: BTreeMap<Vec<String>, BTreeSet<Module>> = BTreeMap::new();
    let mut notices = Vec::new();
    for module in &request.wanted.modules {
        let path = if module.path == STANDARD_LIBRARY { GO_LIBRARY } else { &module.path };
        let folder = request.wanted.sources.join("vendor").join(path);
        ensure!(folder.is_dir(), "{folder} is not there, although {path} is linked in; run `cargo xtask build` again");
        let licenses = files(&folder, &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"])?;
        ensure!(!licenses.is_empty(), "{folder} has no license; look upstream which one it has");
        let texts: Result<Vec<String>> = licenses.iter().map(|path| text(path)).collect();
        linked.entry(texts?).or_default().insert(module.clone());
        for path in files(&folder, &["NOTICE"])? {
            notices.push((module.clone(), text(&path)?));
        }
    }
    let mut linked: Vec<Licensed> = linked.into_iter().map(|(texts, modules)| Licensed { modules, texts }).collect();
    linked.sort_by(|one, other| one.modules.cmp(&other.modules));
    Ok(Licenses { own, linked, notices })
}

impl Licenses {
    /// All of them in one text, each once, with the modules that it covers before it.
    pub fn third_party(&self) -> String {
        let heading = "The commands contain the following Go modules, under the licenses below their names.\n";
        let each = self.linked.iter().map(|licensed| {
            let names: Vec<String> =
                licensed.modules.iter().map(|module| format!("{} {}\n", module.path, module.version)).collect();
            format!("\n{}\n{}\n{}", "=".repeat(80), names.concat(), licensed.texts.join("\n"))
        });
        std::iter::once(heading.to_owned()).chain(each).collect()
    }

    /// The notices in one text; `None` if there is none.
    pub fn notice(&self) -> Option<String> {
        let each = self.notices.iter();
        let each = each.map(|(module, text)| format!("{} {}\n\n{text}", module.path, module.version));
        let all: Vec<String> = each.collect();
        (!all.is_empty()).then(|| all.join(&format!("\n{}\n", "=".repeat(80))))
    }
}

/// The files of a module whose names begin so, sorted by name. Sources are not among them.
fn files(folder: &Utf8Path, stems: &[&str]) -> Result<Vec<Utf8PathBuf>> {
    let entries = folder.read_dir_utf8().with_context(|| format!("cannot list {folder}"))?;
    let is_one = |name: &str| {
        let stem = name.to_uppercase();
        !stem.ends_with(".GO") && stems.iter().any(|known| stem.starts_with(known))
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {folder}"))?;
        if is_one(entry.file_name()) && entry.path().is_file() {
            found.push(entry.into_path());
        }
    }
    found.sort();
    Ok(found)
}

fn text(path: &Utf8Path) -> Result<String> {
    let size_bytes = path.metadata().with_context(|| format!("cannot read {path}"))?.len();
    ensure!(size_bytes <= LARGEST_TEXT_BYTES, "{path} has {size_bytes} bytes, which no license has");
    let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n").replace('\u{c}', "");
    let lines: Vec<&str> = text.trim_matches('\n').lines().map(str::trim_end).collect();
    Ok(lines.join("\n") + "\n")
}
