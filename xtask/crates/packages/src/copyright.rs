//! The file `copyright` of a Debian package.
//!
//! Sources: "Machine-readable debian/copyright file 1.0"; Debian Policy, "Copyright information" (a license in
//! `/usr/share/common-licenses` is referred to instead of copied).

use std::fmt::Write as _;

use crate::licenses::{Licensed, Licenses};

/// A license that Debian has in one place for all packages.
struct Common {
    /// Its name there.
    name: &'static str,
    /// The beginning of its first line.
    title: &'static str,
    /// In that line or in the next.
    version: &'static str,
    /// Ends of its last line, the latest first: not every copy has the appendix.
    ends: &'static [&'static str],
}

const APACHE: Common = Common {
    name: "Apache-2.0",
    title: "Apache License",
    version: "Version 2.0",
    ends: &[
        "limitations under the License.",
        "END OF TERMS AND CONDITIONS",
        "of your accepting any such warranty or additional liability.",
    ],
};
const COMMON: [Common; 3] = [
    APACHE,
    Common {
        name: "MPL-2.0",
        title: "Mozilla Public License",
        version: "2.0",
        ends: &["the Mozilla Public License, v. 2.0.", "https://mozilla.org/MPL/2.0/."],
    },
    Common {
        name: "GPL-2",
        title: "GNU GENERAL PUBLIC LICENSE",
        version: "Version 2",
        ends: &["Public License instead of this License.", "END OF TERMS AND CONDITIONS"],
    },
];
/// No notice that mentions a license is as long as the license.
const FEWEST_LINES: usize = 100;

/// Texts that name themselves, by a sentence that only they have.
const NAMES: [(&str, &str); 6] = [
    ("Neither the name of", "BSD-3-clause"),
    ("Redistributions in binary form must reproduce", "BSD-2-clause"),
    ("Permission is hereby granted, free of charge", "Expat"),
    ("Permission to use, copy, modify, and distribute this software for any", "ISC"),
    ("Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
    ("Licensed under the Apache License, Version 2.0", "Apache-2.0-notice"),
];

/// The whole file.
pub fn document(licenses: &Licenses, own_page: &str, maintainer: &str, year: &str) -> String {
    let mut out = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: BuildKit\n\
         Upstream-Contact: https://github.com/moby/buildkit/issues\n\
         Source: https://github.com/moby/buildkit\n\
         Comment:\n \
         {own_page} builds this package from upstream's\n \
         sources. The commands are linked statically: the modules below vendor/ are\n \
         in them, and Go's standard library, which has the license of\n \
         golang.org/x/sys.\n"
    );
    let mut paragraphs = Paragraphs::default();
    let mut files = |files: &str, copyrights: &[String], names: Vec<String>| {
        let (copyrights, names) = (copyrights.join("\n "), names.join(" and "));
        let _ = write!(out, "\nFiles: {files}\nCopyright: {copyrights}\nLicense: {names}\n");
    };
    files("*", &["The BuildKit authors".to_owned()], vec![paragraphs.name(&licenses.own)]);
    files("debian/*", &[format!("{year} {maintainer}")], vec![APACHE.name.to_owned()]);
    for Licensed { modules, texts } in &licenses.linked {
        let paths = modules.iter().filter(|module| module.path != "stdlib");
        let paths: Vec<String> = paths.map(|module| format!("vendor/{}/*", module.path)).collect();
        let names = texts.iter().map(|text| paragraphs.name(text)).collect();
        files(&paths.join("\n "), &copyrights(texts), names);
    }
    paragraphs.write(&mut out);
    out
}

/// The licenses that files refer to, each once.
#[derive(Default)]
struct Paragraphs(Vec<Paragraph>);

struct Paragraph {
    name: String,
    text: String,
    /// The words of the text: two copies that differ in their lines are one license.
    words: String,
}

impl Paragraphs {
    /// The name under which the license is in the file; the second text of the same kind has a number.
    fn name(&mut self, text: &str) -> String {
        let text = shortened(text);
        let lines: Vec<&str> = text.lines().filter(|line| copyright(line).is_none()).collect();
        let text = lines.join("\n").trim_matches('\n').to_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let words = words.join(" ");
        if let Some(known) = self.0.iter().find(|known| known.words == words) {
            return known.name.clone();
        }
        let kind = kind(&text, &words);
        let numbered = (2..).map(|number| format!("{kind}-{number}"));
        let is_free = |name: &String| self.0.iter().all(|known| known.name != *name);
        let name = std::iter::once(kind.to_owned()).chain(numbered).find(is_free).expect("numbers do not end");
        self.0.push(Paragraph { name: name.clone(), text, words });
        name
    }

    fn write(mut self, out: &mut String) {
        self.0.sort_by(|one, other| one.name.cmp(&other.name));
        for Paragraph { name, text, .. } in &self.0 {
            let _ = writeln!(out, "\nLicense: {name}");
            for line in text.lines() {
                let _ = writeln!(out, " {}", if line.trim().is_empty() { "." } else { line });
            }
        }
    }
}

/// What a text calls itself; the text of a common license is nothing but the reference to it.
fn kind(text: &str, words: &str) -> &'static str {
    let common = COMMON.iter().find(|common| text == common.reference()).map(|common| common.name);
    let named = || NAMES.iter().find(|(sentence, _)| words.contains(sentence)).map(|(_, name)| *name);
    common.or_else(named).unwrap_or("other")
}

/// Who has the copyright, in the words of the texts.
fn copyrights(texts: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()).filter_map(copyright) {
        if !found.contains(&line) {
            found.push(line);
        }
    }
    if found.is_empty() { vec!["The authors of these modules".to_owned()] } else { found }
}

/// What follows the word in a line that says who has the copyright; not a template, and not a sentence about it.
fn copyright(line: &str) -> Option<String> {
    let line = line.trim().trim_start_matches(['/', '#', '*']).trim();
    let rest = line.strip_prefix("Copyright ")?;
    let unsigned = ["(c)", "(C)", "©"].iter().find_map(|sign| rest.strip_prefix(sign));
    let is_claim =
        unsigned.is_some() || rest.starts_with(|first: char| first.is_ascii_digit()) || rest.starts_with("The ");
    let owner = unsigned.unwrap_or(rest).trim();
    let is_template = owner.contains("yyyy") || owner.contains("<year>") || owner.is_empty();
    (is_claim && !is_template).then(|| owner.to_owned())
}

/// The text with a reference in place of each license that Debian has in one place.
fn shortened(text: &str) -> String {
    COMMON.iter().fold(text.to_owned(), |text, common| {
        let lines: Vec<&str> = text.lines().collect();
        let Some((first, last)) = common.find(&lines) else { return text };
        let reference = common.reference();
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
        let ending = |end: &&str| lines[first..].iter().rposition(|line| line.trim().ends_with(end));
        let length = self.ends.iter().find_map(ending).filter(|length| *length > FEWEST_LINES)?;
        Some((first, first + length))
    }

    fn reference(&self) -> String {
        format!("On Debian systems, the text of this license is in\n/usr/share/common-licenses/{}.", self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::mutated_input;
    use crate::request::Module;

    fn apache(end: &str) -> String {
        let body = "   a line of its terms\n".repeat(150);
        format!("\n      Apache License\n   Version 2.0, January 2004\n{body}\n   {end}\n")
    }

    fn linked(path: &str, texts: &[&str]) -> Licensed {
        let module = Module { path: path.to_owned(), version: "v1.0.0".to_owned() };
        Licensed { modules: BTreeSet::from([module]), texts: texts.iter().map(|text| (*text).to_owned()).collect() }
    }

    const MIT: &str = "Copyright (c) 2014 Ann\n\nPermission is hereby granted, free of charge, to any\nperson\n";
    const MIT_WRAPPED: &str = "Copyright © 2015 Bob\n\nPermission is hereby granted, free\nof charge, to any person\n";

    #[test]
    fn each_license_is_there_once_and_a_common_one_is_referred_to() {
        let own = apache("limitations under the License.");
        let licenses = Licenses {
            linked: vec![
                linked("example.com/a", &[&apache("END OF TERMS AND CONDITIONS")]),
                linked("example.com/b", &[MIT]),
                linked("example.com/c", &[MIT_WRAPPED, "Words of its own.\n"]),
            ],
            own,
            notices: Vec::new(),
        };
        let text = document(&licenses, "https://example.com", "me <me@example.com>", "2026");
        let stanzas: Vec<&str> = text.split("\n\n").skip(1).collect();
        assert_eq!(
            stanzas,
            [
                "Files: *\nCopyright: The BuildKit authors\nLicense: Apache-2.0",
                "Files: debian/*\nCopyright: 2026 me <me@example.com>\nLicense: Apache-2.0",
                "Files: vendor/example.com/a/*\nCopyright: The authors of these modules\nLicense: Apache-2.0",
                "Files: vendor/example.com/b/*\nCopyright: 2014 Ann\nLicense: Expat",
                "Files: vendor/example.com/c/*\nCopyright: 2015 Bob\nLicense: Expat and other",
                "License: Apache-2.0\n On Debian systems, the text of this license is in\n \
                 /usr/share/common-licenses/Apache-2.0.",
                "License: Expat\n Permission is hereby granted, free of charge, to any\n person",
                "License: other\n Words of its own.\n",
            ]
        );
    }

    /// A paragraph or a field of its own would change what the file says of others' licenses.
    #[test]
    fn a_mutated_license_stays_inside_its_field() {
        let whole = format!("{}{MIT}License: X\n\nFiles: *\n", apache("END OF TERMS AND CONDITIONS"));
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, &whole)?;
            let licenses = Licenses { own: whole.clone(), linked: vec![linked("a", &[&text])], notices: Vec::new() };
            let document = document(&licenses, "https://example.com", "me", "2026");
            let fields = |name: &str| document.lines().filter(|line| line.starts_with(name)).count();
            assert_eq!((fields("Files:"), fields("Copyright:")), (3, 3), "{document}");
            assert!(fields("License:") <= 5, "{document}");
            let is_of_field = |line: &str| line.is_empty() || line.starts_with([' ', 'F', 'U', 'S', 'C', 'L']);
            assert!(document.lines().all(is_of_field), "{document}");
            assert!(document.len() <= 2 * (text.len() + whole.len()) + 2000);
            Ok(())
        });
    }

    #[test]
    fn a_sentence_about_copyright_names_nobody() {
        for line in ["copyright notice, this list", "Copyright [yyyy] [name of copyright owner]", "Copyright notices"] {
            assert_eq!(copyright(line), None, "{line}");
        }
        assert_eq!(copyright("   Copyright 2013-2016 Docker, Inc.").as_deref(), Some("2013-2016 Docker, Inc."));
    }
}
