//! The file `copyright` of a Debian package.
//!
//! Sources: "Machine-readable debian/copyright file 1.0"; Debian Policy, "Copyright information" (a license in
//! `/usr/share/common-licenses` is referred to instead of copied).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::licenses::{Licensed, Licenses};

/// Where a license that Debian has in one place for all packages begins and ends, and its name there.
const COMMON: [Common; 2] = [
    Common {
        name: "Apache-2.0",
        title: "Apache License",
        version: "Version 2.0",
        ends: &["limitations under the License.", "END OF TERMS AND CONDITIONS"],
    },
    Common {
        name: "MPL-2.0",
        title: "Mozilla Public License",
        version: "2.0",
        ends: &["defined by the Mozilla Public License, v. 2.0.", "file, You can obtain one at"],
    },
];

/// No mention of a license, such as its usual notice in a source file, is as long as it.
const FEWEST_LINES: usize = 100;

struct Common {
    name: &'static str,
    /// The line that it begins with, or its beginning.
    title: &'static str,
    /// In that line or in the next.
    version: &'static str,
    /// Beginnings or ends of its last line; the first of them that is there counts.
    ends: &'static [&'static str],
}

/// Texts that name themselves, by a sentence that only they have.
const NAMES: [(&str, &str); 5] = [
    ("Neither the name of", "BSD-3-clause"),
    ("Redistributions in binary form must reproduce", "BSD-2-clause"),
    ("Permission is hereby granted, free of charge", "Expat"),
    ("Permission to use, copy, modify, and distribute this software for any", "ISC"),
    ("Licensed under the Apache License, Version 2.0", "Apache-2.0-notice"),
];

/// The whole file.
pub fn document(licenses: &Licenses, own_page: &str, maintainer: &str, year: &str) -> String {
    let mut licensed = vec![stanza("*", &licenses.own, "The BuildKit authors")];
    licensed.push(Stanza {
        files: "debian/*".to_owned(),
        copyrights: vec![format!("{year} {maintainer}")],
        text: reference(&COMMON[0]),
        name: COMMON[0].name,
    });
    licensed.extend(licenses.linked.iter().map(of_modules));

    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut out = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: BuildKit\n\
         Upstream-Contact: https://github.com/moby/buildkit/issues\n\
         Source: https://github.com/moby/buildkit\n\
         Comment:\n This package is built from upstream's sources by {own_page}. The\n commands are linked statically: the modules below vendor/ are in them, and Go's\n \
         standard library, which has the license of golang.org/x/sys.\n"
    );
    for stanza in &licensed {
        let name = unique(&mut names, stanza.name, &stanza.text);
        let copyrights = stanza.copyrights.join("\n ");
        let _ = write!(out, "\nFiles: {}\nCopyright: {copyrights}\nLicense: {name}\n", stanza.files);
    }
    let mut texts: Vec<(&String, &String)> = names.iter().map(|(text, name)| (name, text)).collect();
    texts.sort();
    for (name, text) in texts {
        let lines = text.lines().map(|line| if line.trim().is_empty() { " .".to_owned() } else { format!(" {line}") });
        let _ = write!(out, "\nLicense: {name}\n{}\n", lines.collect::<Vec<_>>().join("\n"));
    }
    out
}

/// Files of one license.
struct Stanza {
    files: String,
    copyrights: Vec<String>,
    name: &'static str,
    text: String,
}

fn of_modules(licensed: &Licensed) -> Stanza {
    let paths = licensed.modules.iter().filter(|module| module.path != "stdlib");
    let files: Vec<String> = paths.map(|module| format!("vendor/{}/*", module.path)).collect();
    stanza(&files.join("\n "), &licensed.text, "The authors of these modules")
}

fn stanza(files: &str, text: &str, authors: &str) -> Stanza {
    let mut copyrights: Vec<String> = Vec::new();
    for line in text.lines().filter_map(copyright) {
        if !copyrights.contains(&line) {
            copyrights.push(line);
        }
    }
    if copyrights.is_empty() {
        copyrights.push(authors.to_owned());
    }
    let text = shortened(text);
    let text: Vec<&str> = text.lines().filter(|line| copyright(line).is_none()).collect();
    let text = text.join("\n").trim_matches('\n').to_owned();
    Stanza { files: files.to_owned(), copyrights, name: name(&text), text }
}

/// What a text calls itself; the text of a common license is nothing but the reference to it.
fn name(text: &str) -> &'static str {
    let common = COMMON.iter().find(|common| text == reference(common)).map(|common| common.name);
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    common
        .or_else(|| NAMES.iter().find(|(sentence, _)| flat.contains(sentence)).map(|(_, name)| *name))
        .unwrap_or("other")
}

/// The name of a text: the second text of the same kind has a number.
fn unique(names: &mut BTreeMap<String, String>, kind: &str, text: &str) -> String {
    if let Some(name) = names.get(text) {
        return name.clone();
    }
    let is_taken = |name: &String| names.values().any(|taken| taken == name);
    let numbered = (2..).map(|number| format!("{kind}-{number}"));
    let name = std::iter::once(kind.to_owned()).chain(numbered).find(|name| !is_taken(name));
    let name = name.expect("numbers do not end");
    names.insert(text.to_owned(), name.clone());
    name
}

/// What follows the word in a line that says who has the copyright; not a template, and not a sentence about it.
fn copyright(line: &str) -> Option<String> {
    let line = line.trim().trim_start_matches(['/', '#', '*']).trim();
    let rest = line.strip_prefix("Copyright ").or_else(|| line.strip_prefix("copyright "))?;
    let rest = ["(c)", "(C)", "©", "&copy;"].iter().find_map(|sign| rest.strip_prefix(sign)).unwrap_or(rest).trim();
    let is_claim = rest.starts_with(|first: char| first.is_ascii_digit())
        || line.contains("(c)")
        || line.contains('©')
        || rest.starts_with("The ")
        || rest.starts_with("the ");
    let is_template = rest.contains("[yyyy]") || rest.contains("{yyyy}") || rest.contains("notice");
    (is_claim && !is_template && !rest.is_empty()).then(|| rest.to_owned())
}

/// The text with a reference in place of each license that Debian has in one place.
fn shortened(text: &str) -> String {
    COMMON.iter().fold(text.to_owned(), |text, common| {
        let lines: Vec<&str> = text.lines().collect();
        let Some((first, last)) = common.find(&lines) else { return text };
        let reference = reference(common);
        [&lines[..first], &[reference.as_str()], &lines[last + 1..]].concat().join("\n")
    })
}

impl Common {
    /// Its first and its last line.
    fn find(&self, lines: &[&str]) -> Option<(usize, usize)> {
        let begins = |at: &usize| {
            let line = lines[*at].trim();
            let next = lines.get(at + 1).map_or("", |line| line.trim());
            line.starts_with(self.title) && (line.contains(self.version) || next.starts_with(self.version))
        };
        let first = (0..lines.len()).find(begins)?;
        let last = self.ends.iter().find_map(|end| {
            let is_end = |line: &&str| line.trim().ends_with(end) || line.trim().starts_with(end);
            lines[first..].iter().rposition(is_end).map(|at| first + at)
        });
        Some((first, last.filter(|last| last - first > FEWEST_LINES)?))
    }
}

fn reference(common: &Common) -> String {
    let name = common.name;
    format!("On Debian systems, the text of this license is in\n/usr/share/common-licenses/{name}.")
}
