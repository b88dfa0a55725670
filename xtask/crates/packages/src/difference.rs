//! Where two packages of one name differ, and why that may be: each is taken apart into named parts, and the parts are
//! compared. Either may be hostile: nothing is unpacked to the disk, and what is read is bounded.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail, ensure};
use camino::Utf8Path;
use oci::digest::Sha256;

mod deb;
mod rpm;

/// Of a package, packed and unpacked; `buildkit` has 18 and 72 MB.
const MOST_BYTES: u64 = 1 << 30;
/// `buildkit` has a hundred.
const MOST_PARTS: usize = 20_000;
/// Smaller texts are compared line by line.
const MOST_TEXT_BYTES: usize = 64 << 10;
/// So many parts are named; the others are counted.
const MOST_NAMED: usize = 4;
/// Of a name or of a line, both of which others wrote.
const LONGEST_QUOTE: usize = 80;

/// Digests of other parts.
const SUMS: [&str; 4] = ["control.tar.xz: ./md5sums", "control.tar.gz: ./md5sums", "header", "signature"];

/// The parts of a package, by names such as `data.tar: ./usr/bin/buildctl`. What is packed has a part of its own, whose
/// name the names of its members begin with.
type Parts = BTreeMap<String, Part>;

/// A file, a field or a packed archive.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// Mode, owner, time; empty if it has none.
    attributes: String,
    size_bytes: u64,
    /// Of the content, or of what stands for it.
    sha256: Sha256,
    /// A small text.
    text: Option<String>,
}

impl Part {
    fn new(attributes: String, content: &[u8]) -> Self {
        let text = (content.len() <= MOST_TEXT_BYTES).then(|| std::str::from_utf8(content).ok().map(str::to_owned));
        let (size_bytes, sha256) = (content.len() as u64, oci::digest::sha256(content));
        Self { attributes, size_bytes, sha256, text: text.flatten() }
    }
}

/// What differs between a published package and the same one made again, in a sentence.
///
/// # Errors
/// If one of them is not a package, or more than a package may be.
pub fn explain(published: &Utf8Path, again: &Utf8Path) -> Result<String> {
    Ok(compare(&parts(published)?, &parts(again)?))
}

fn parts(file: &Utf8Path) -> Result<Parts> {
    match file.extension() {
        Some("deb") => deb::parts(file),
        Some("rpm") => rpm::parts(file),
        _ => bail!("{file} is neither a .deb nor an .rpm"),
    }
}

/// Adds a part; a name that is there already gets a number, so that a second file of one name does not hide.
fn add(parts: &mut Parts, name: &str, part: Part) -> Result<()> {
    ensure!(parts.len() < MOST_PARTS, "it has more than {MOST_PARTS} parts");
    let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name} ({number})")));
    let name = names.into_iter().find(|name| !parts.contains_key(name)).expect("numbers do not end");
    parts.insert(name, part);
    Ok(())
}

fn compare(published: &Parts, again: &Parts) -> String {
    let mut names: Vec<&String> = published.keys().chain(again.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differing: Vec<&str> =
        names.iter().filter(|name| published.get(**name) != again.get(**name)).map(|name| name.as_str()).collect();
    // What only follows from another difference is not worth a word: that an archive differs, if one of its members does.
    let has_member = |archive: &str| {
        differing.iter().any(|name| name.strip_prefix(archive).is_some_and(|rest| rest.starts_with(": ")))
    };
    let is_cause = |name: &&str| !has_member(name) && !SUMS.contains(name);
    let causes: Vec<&str> = differing.iter().copied().filter(is_cause).collect();
    let named = if causes.is_empty() { differing } else { causes };
    let mut differences: Vec<Difference<'_>> =
        named.into_iter().map(|name| Difference { name, parts: (published.get(name), again.get(name)) }).collect();
    differences.sort_by_key(Difference::kind);
    if differences.is_empty() {
        return "only between its parts: another program wrote it".to_owned();
    }
    let mut sentences: Vec<String> = differences.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    if differences.len() > MOST_NAMED {
        sentences.push(format!("{} more differ", differences.len() - MOST_NAMED));
    }
    format!("{} (likely {})", sentences.join("; "), cause(&differences))
}

/// A likely cause.
fn cause(differences: &[Difference<'_>]) -> &'static str {
    let is_any = |is: fn(&Difference<'_>) -> bool| differences.iter().any(is);
    if is_any(|one| one.name.contains("/usr/bin/") && one.kind() == Kind::Content) {
        "the commands in it are others than those beside it"
    } else if is_any(|one| one.kind() == Kind::Added) {
        "somebody added to it, or another commit of this repository made it"
    } else if is_any(|one| one.kind() != Kind::Attributes && one.name.contains(": ")) {
        "another commit of this repository made it, or with another --repo"
    } else {
        "another program packed it"
    }
}

/// One part in both packages.
struct Difference<'a> {
    name: &'a str,
    /// In the published package, and in the one made again.
    parts: (Option<&'a Part>, Option<&'a Part>),
}

/// In the order of what a reader wants to know first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Added,
    Missing,
    Content,
    Attributes,
}

impl Difference<'_> {
    fn kind(&self) -> Kind {
        match self.parts {
            (Some(one), Some(other)) if one.sha256 != other.sha256 => Kind::Content,
            (Some(_), Some(_)) => Kind::Attributes,
            (Some(_), None) => Kind::Added,
            (None, _) => Kind::Missing,
        }
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ", quote(self.name))?;
        let (one, other) = match self.parts {
            (Some(one), Some(other)) => (one, other),
            (Some(_), None) => return out.write_str("is only in the published one"),
            (None, _) => return out.write_str("is not in the published one"),
        };
        if self.kind() == Kind::Attributes {
            return write!(out, "is `{}`, and made again `{}`", quote(&one.attributes), quote(&other.attributes));
        }
        if let (Some(one), Some(other)) = (&one.text, &other.text) {
            let pairs = one.lines().zip(other.lines()).enumerate();
            if let Some((index, (one, other))) = pairs.into_iter().find(|(_, (one, other))| one != other) {
                return write!(out, "has `{}` in line {}, and made again `{}`", quote(one), index + 1, quote(other));
            }
        }
        write!(out, "has other content ({} bytes, and made again {})", one.size_bytes, other.size_bytes)
    }
}

/// Others' text in one line, without what a terminal would obey.
fn quote(text: &str) -> String {
    let mut characters = text.chars().map(|character| if character.is_control() { '?' } else { character });
    let start: String = characters.by_ref().take(LONGEST_QUOTE).collect();
    if characters.next().is_some() { start + "…" } else { start }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn of(parts: &[(&str, &str, &str)]) -> Parts {
        let part = |(name, attributes, content): &(&str, &str, &str)| {
            ((*name).to_owned(), Part::new((*attributes).to_owned(), content.as_bytes()))
        };
        parts.iter().map(part).collect()
    }

    #[test]
    fn what_differs_is_named_with_a_likely_cause() {
        let published = of(&[
            ("control.tar.xz", "", "packed 1"),
            ("control.tar.xz: ./control", "644", "Package: buildkit\nVersion: 1\n"),
            ("data.tar.xz", "", "packed"),
            ("data.tar.xz: ./usr/lib/x", "644", "x"),
        ]);
        let with = |changes: &[(&str, &str, &str)]| {
            let mut parts = of(&[("data.tar.xz", "", "packed"), ("data.tar.xz: ./usr/lib/x", "644", "x")]);
            parts.extend(of(changes));
            parts
        };
        let control = ("control.tar.xz: ./control", "644", "Package: buildkit\nVersion: 2\n");
        let packed = ("control.tar.xz", "", "packed 2");
        expect!["control.tar.xz: ./control has `Version: 1` in line 2, and made again `Version: 2` (likely another commit of this repository made it, or with another --repo)"]
            .assert_eq(&compare(&published, &with(&[packed, control])));
        let same = ("control.tar.xz: ./control", "644", "Package: buildkit\nVersion: 1\n");
        expect![
            "control.tar.xz has `packed 1` in line 1, and made again `packed 2` (likely another program packed it)"
        ]
        .assert_eq(&compare(&published, &with(&[packed, same])));
        let command = ("data.tar.xz: ./usr/bin/buildctl", "755", "x");
        expect!["data.tar.xz: ./usr/bin/buildctl is not in the published one; control.tar.xz: ./control is `644`, and made again `755` (likely another commit of this repository made it, or with another --repo)"]
            .assert_eq(&compare(&published, &with(&[packed, (same.0, "755", same.2), command])));
    }

    #[test]
    fn a_second_file_of_one_name_does_not_hide() {
        let mut parts = Parts::new();
        ["a", "b", "c"].iter().for_each(|content| {
            add(&mut parts, "x", Part::new(String::new(), content.as_bytes())).expect("is added");
        });
        assert_eq!(parts.keys().collect::<Vec<_>>(), ["x", "x (2)", "x (3)"]);
    }
}
