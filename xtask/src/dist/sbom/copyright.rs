//! The licenses that a Debian package declares in `/usr/share/doc/NAME/copyright`, as an SPDX expression.
//!
//! Source: "Machine-readable debian/copyright file 1.0" (DEP-5). The file is about the source package: what is
//! declared there holds for all binary packages that are built from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::dist::sbom::control::{self, Paragraph};
use crate::dist::sbom::licenses;

/// The longest expression that is kept; perl's has a tenth of this.
const MOST_LICENSES: usize = 500;

/// What a copyright file declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// What holds of the files of the package, all at once, sorted.
    all: BTreeSet<Term>,
    /// The texts of the licenses, by their names in lower case.
    texts: BTreeMap<String, String>,
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Term {
    /// A license as the file names it.
    License(String),
    All(Vec<Term>),
    Any(Vec<Term>),
}

impl Declared {
    /// What a file declares; `None` if it is not machine-readable, or names no license.
    pub fn parse(text: &str) -> Option<Self> {
        let paragraphs = control::paragraphs(text);
        let format = paragraphs.first()?.get("Format")?;
        if !format.contains("copyright-format") {
            return None;
        }
        let (mut all, mut texts) = (BTreeSet::new(), BTreeMap::new());
        for paragraph in &paragraphs {
            let Some(license) = paragraph.get("License") else { continue };
            let (name, body) = license.split_once('\n').unwrap_or((license, ""));
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            if !body.is_empty() {
                texts.entry(name.to_lowercase()).or_insert_with(|| body.to_owned());
            }
            if declares(paragraph) {
                match expression(&name)? {
                    Term::All(terms) => all.extend(terms),
                    term => all.extend([term]),
                }
            }
        }
        (!all.is_empty() && all.len() <= MOST_LICENSES).then_some(Self { all, texts })
    }

    /// The SPDX expression. `reference` gets the name and the text of each license that SPDX does not list, and
    /// returns its `LicenseRef-…`.
    pub fn expression(&self, reference: &mut dyn FnMut(&str, Option<&str>) -> String) -> String {
        let mut of = |name: &str| {
            let text = || self.texts.get(&name.to_lowercase()).map(String::as_str);
            licenses::identifier(name).unwrap_or_else(|| reference(name, text()))
        };
        let terms: BTreeSet<String> = self.all.iter().map(|term| term.spdx(&mut of)).collect();
        match terms.first().filter(|_| terms.len() == 1) {
            Some(only) => only.strip_prefix('(').and_then(|only| only.strip_suffix(')')).unwrap_or(only).to_owned(),
            None => terms.into_iter().collect::<Vec<_>>().join(" AND "),
        }
    }
}

/// Whether a paragraph is about files, or about the package as a whole. One that has neither is only the text of a
/// license, of which others say what it applies to.
fn declares(paragraph: &Paragraph<'_>) -> bool {
    paragraph.get("Files").is_some() || paragraph.get("Format").is_some()
}

impl Term {
    fn spdx(&self, of: &mut dyn FnMut(&str) -> String) -> String {
        let (terms, word) = match self {
            Self::License(name) => return of(name),
            Self::All(terms) => (terms, " AND "),
            Self::Any(terms) => (terms, " OR "),
        };
        // Packages name the same alternatives in either order.
        let terms: BTreeSet<String> = terms.iter().map(|term| term.spdx(of)).collect();
        if terms.len() == 1 {
            return terms.into_iter().collect();
        }
        format!("({})", terms.into_iter().collect::<Vec<_>>().join(word))
    }
}

/// Reads `GPL-1+ or Artistic, and Expat`: a comma separates what "and" would otherwise bind more tightly.
/// Source: DEP-5, "License field", "Syntax".
fn expression(text: &str) -> Option<Term> {
    let mut whole: Option<Term> = None;
    for part in text.split(',') {
        let mut words: Vec<&str> = part.split_whitespace().collect();
        let is_any = match words.first().map(|word| word.to_lowercase()) {
            Some(word) if whole.is_some() && ["and", "or"].contains(&word.as_str()) => {
                words.remove(0);
                word == "or"
            }
            _ => false,
        };
        let term = alternatives(&words)?;
        whole = Some(match whole {
            None => term,
            Some(before) if is_any => any(vec![before, term]),
            Some(before) => all(vec![before, term]),
        });
    }
    whole
}

fn alternatives(words: &[&str]) -> Option<Term> {
    let parts = words.split(|word| word.eq_ignore_ascii_case("or"));
    let terms = parts.map(|part| {
        let names = part.split(|word| word.eq_ignore_ascii_case("and"));
        let names = names.map(|name| (!name.is_empty()).then(|| Term::License(name.join(" "))));
        Some(all(names.collect::<Option<_>>()?))
    });
    Some(any(terms.collect::<Option<_>>()?))
}

fn all(mut terms: Vec<Term>) -> Term {
    if terms.len() == 1 { terms.remove(0) } else { Term::All(terms) }
}

fn any(mut terms: Vec<Term>) -> Term {
    if terms.len() == 1 { terms.remove(0) } else { Term::Any(terms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    fn declared(licenses: &[&str]) -> Option<String> {
        let files: String =
            licenses.iter().map(|license| format!("\nFiles: x\nCopyright: y\nLicense: {license}\n")).collect();
        let text = format!("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n{files}");
        let mut reference =
            |name: &str, text: Option<&str>| format!("LicenseRef[{name}: {}]", text.unwrap_or("no text"));
        Some(Declared::parse(&text)?.expression(&mut reference))
    }

    #[test]
    fn what_holds_of_some_files_holds_of_the_package() {
        let found = declared(&["GPL-2+", "LGPL-2.1+", "gpl-2+", "Expat and ISC"]);
        assert_eq!(found.as_deref(), Some("GPL-2.0-or-later AND ISC AND LGPL-2.1-or-later AND MIT"));
        let found = declared(&["GPL-1+ or Artistic", "Artistic or GPL-1+"]);
        assert_eq!(found.as_deref(), Some("Artistic-1.0 OR GPL-1.0-or-later"));
        assert_eq!(declared(&["ISC or isc"]).as_deref(), Some("ISC"));
        assert_eq!(declared(&[]), None);
    }

    #[test]
    fn a_comma_binds_less_tightly_than_and() {
        let found = declared(&["GPL-1+ or Artistic, and Expat"]);
        assert_eq!(found.as_deref(), Some("(Artistic-1.0 OR GPL-1.0-or-later) AND MIT"));
        let found = declared(&["GPL-1+ or Artistic and Expat", "ISC"]);
        assert_eq!(found.as_deref(), Some("((Artistic-1.0 AND MIT) OR GPL-1.0-or-later) AND ISC"));
        assert_eq!(declared(&["GPL-2 or"]), None);
    }

    #[test]
    fn a_license_that_spdx_does_not_list_is_taken_with_its_text() {
        let found = declared(&["Zlib", "Odd\n Do what\n .\n you like."]);
        assert_eq!(found.as_deref(), Some("LicenseRef[Odd: Do what\n\nyou like.] AND Zlib"));
        // A paragraph that has a license and no files only gives the text of one.
        let found = declared(&["Odd", "GPL-2+ with odd exception\n\nLicense: Odd\n Text.\n\nLicense: Other\n No."]);
        let expected = "LicenseRef[GPL-2+ with odd exception: no text] AND LicenseRef[Odd: Text.]";
        assert_eq!(found.as_deref(), Some(expected));
    }

    #[test]
    fn a_file_that_is_not_machine_readable_declares_nothing() {
        assert_eq!(Declared::parse("This is free software.\n\nLicense: GPL-2\n"), None);
        assert_eq!(Declared::parse(""), None);
    }

    #[test]
    fn a_mutated_file_gives_an_expression_of_bounded_size_or_none() {
        let sample =
            "Format: https://x/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-1+ or Artistic, and Expat\n Text\n .\n";
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, sample)?;
            if let Some(declared) = Declared::parse(&text) {
                let found = declared.expression(&mut |_, _| "R".to_owned());
                assert!(!found.is_empty() && found.len() <= 20 * text.len() + 20, "{found}");
            }
            Ok(())
        });
    }
}
