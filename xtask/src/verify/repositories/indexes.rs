//! Reads the indexes of APT and DNF in the very form that `package --repository` writes, which is that of `createrepo_c`
//! and of Debian. Whatever has another form is refused: a client could read something else in it than we do.

use std::collections::BTreeMap;
use std::str::Split;

use anyhow::{Context, Error, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::Sha256;

/// The digest of each package, by its path below the directory of all indexes of a format.
pub type Packages = BTreeMap<Utf8PathBuf, Sha256>;

const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
const REPOMD: &str =
    r#"<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">"#;
const METADATA: &str = r#"<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages=""#;
/// The elements of DNF's list of packages. Those in the namespace `rpm:` describe a package, and are not read.
const ELEMENTS: [&str; 14] = [
    "package",
    "name",
    "arch",
    "version",
    "checksum",
    "summary",
    "description",
    "packager",
    "url",
    "time",
    "size",
    "location",
    "format",
    "file",
];

/// DNF's list of packages, as `repomd.xml` names it.
#[derive(Debug, PartialEq, Eq)]
pub struct Primary {
    /// Of the compressed file, whose name it is too.
    pub packed: Sha256,
    /// Of what is in it.
    pub open: Sha256,
}

impl Primary {
    /// Its place in the directory of the repository.
    pub fn path(&self) -> String {
        path_of(&self.packed, "primary")
    }
}

fn path_of(packed: &Sha256, kind: &str) -> String {
    format!("repodata/{packed}-{kind}.xml.gz")
}

/// The lines of a text, each of which has to be what is expected of it.
struct Lines<'a> {
    lines: Split<'a, char>,
    number: usize,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self { lines: text.split('\n'), number: 0 }
    }

    /// What the next line has between `before` and `after`: no part of the markup.
    fn value(&mut self, before: &str, after: &str) -> Result<&'a str> {
        self.number += 1;
        let value = self.lines.next().and_then(|line| line.strip_prefix(before)?.strip_suffix(after));
        let value = value.filter(|value| !value.contains(['<', '>', '&', '"', '\'', '\r']));
        value.with_context(|| format!("line {} is not {before}…{after}", self.number))
    }

    fn exactly(&mut self, line: &str) -> Result<()> {
        let rest = self.value(line, "")?;
        ensure!(rest.is_empty(), "line {} is not {line}", self.number);
        Ok(())
    }

    fn digest(&mut self, before: &str, after: &str) -> Result<Sha256> {
        self.value(before, after)?.parse().map_err(Error::msg)
    }

    fn number(&mut self, before: &str, after: &str) -> Result<usize> {
        self.value(before, after)?.parse().with_context(|| format!("line {} has no number", self.number))
    }
}

/// Reads `repomd.xml`.
pub fn repomd(text: &str) -> Result<Primary> {
    let mut lines = Lines::of(text);
    lines.exactly(XML)?;
    lines.exactly(REPOMD)?;
    lines.number("  <revision>", "</revision>")?;
    let primary = data(&mut lines, "primary")?;
    data(&mut lines, "filelists")?;
    data(&mut lines, "other")?;
    lines.exactly("</repomd>")?;
    lines.exactly("")?;
    ensure!(lines.lines.next().is_none(), "something follows </repomd>");
    Ok(primary)
}

fn data(lines: &mut Lines<'_>, kind: &str) -> Result<Primary> {
    lines.exactly(&format!("  <data type=\"{kind}\">"))?;
    let packed = lines.digest("    <checksum type=\"sha256\">", "</checksum>")?;
    let open = lines.digest("    <open-checksum type=\"sha256\">", "</open-checksum>")?;
    lines.exactly(&format!("    <location href=\"{}\"/>", path_of(&packed, kind)))?;
    for element in ["timestamp", "size", "open-size"] {
        lines.number(&format!("    <{element}>"), &format!("</{element}>"))?;
    }
    lines.exactly("  </data>")?;
    Ok(Primary { packed, open })
}

/// Reads DNF's list of the packages in `folder`.
pub fn dnf_packages(folder: &Utf8Path, text: &str) -> Result<Packages> {
    let mut lines = Lines::of(text);
    lines.exactly(XML)?;
    let count = lines.number(METADATA, "\">")?;
    let (_, list) = text.split_once("\">\n").context("it ends early")?;
    let list = list.strip_suffix("</metadata>").context("it does not end with </metadata>")?;
    // Without comments, sections of raw text, entities of its own and elements that are named in another way, what
    // looks like an element is one.
    for tag in list.split('<').skip(1) {
        let name = tag.trim_start_matches('/').split([' ', '>', '/']).next().unwrap_or_default();
        let is_of_rpm = name
            .strip_prefix("rpm:")
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        ensure!(is_of_rpm || ELEMENTS.contains(&name), "it has an element that no such list has");
    }
    let opened = list.split('<').filter(|tag| tag.split([' ', '>', '/']).next() == Some("package")).count();
    ensure!(opened == count, "it has {opened} packages, and says {count}");
    let mut packages = Packages::new();
    for entry in list.split_inclusive("</package>\n") {
        let entry = entry.strip_prefix("<package type=\"rpm\">\n").and_then(|entry| entry.strip_suffix("</package>\n"));
        let entry = entry.context("something is not in a package")?;
        let digest = only(entry, "<checksum", "  <checksum type=\"sha256\" pkgid=\"YES\">", "</checksum>")?;
        let path = only(entry, "<location", "  <location href=\"", "\"/>")?;
        add(&mut packages, folder.join(path), digest)?;
    }
    ensure!(packages.len() == count, "a package is in another one");
    Ok(packages)
}

/// What the only line with `mark` has between `before` and `after`.
fn only<'a>(entry: &'a str, mark: &str, before: &str, after: &str) -> Result<&'a str> {
    let found: Vec<_> = entry.split('\n').filter(|line| line.contains(mark)).collect();
    let [line] = found.as_slice() else { bail!("a package has {} of {mark:?}", found.len()) };
    Lines::of(line).value(before, after)
}

fn add(packages: &mut Packages, path: Utf8PathBuf, digest: &str) -> Result<()> {
    let digest = digest.parse().map_err(Error::msg)?;
    ensure!(packages.insert(path, digest).is_none(), "it has a package twice");
    Ok(())
}

/// Reads APT's list of packages, whose paths are below `folder`.
pub fn apt_packages(folder: &Utf8Path, text: &str) -> Result<Packages> {
    let is_control = |character: char| character.is_control() && character != '\n';
    ensure!(!text.contains(is_control), "it has a control character");
    ensure!(text.is_empty() || text.ends_with("\n\n"), "its last paragraph has no end");
    let mut packages = Packages::new();
    for paragraph in text.split_terminator("\n\n") {
        ensure!(paragraph.split('\n').all(|line| !line.trim().is_empty()), "it has an empty line in a paragraph");
        // APT ignores the case of a field's name.
        let field = |name: &str| {
            let fields = paragraph.split('\n').filter(|line| !line.starts_with(' '));
            let mut found = fields
                .filter(|line| line.split(':').next().is_some_and(|field| field.trim().eq_ignore_ascii_case(name)));
            let (first, second) = (found.next(), found.next());
            let value = first.filter(|_| second.is_none()).and_then(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.with_context(|| format!("a paragraph has no {name}, or several"))
        };
        add(&mut packages, folder.join(field("Filename")?), field("SHA256")?)?;
    }
    Ok(packages)
}

/// The digest of a list of packages in `Release`, or in `InRelease`.
pub fn digest_in_release(text: &str, name: &str) -> Result<Sha256> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = lines.filter(|line| line.last() == Some(&name));
    match (found.next().as_deref(), found.next()) {
        (Some([digest, _, _]), None) => digest.parse().map_err(Error::msg),
        (None, _) => bail!("it has no digest of {name}"),
        _ => bail!("it has several digests of {name}, or none in the right form"),
    }
}

#[cfg(test)]
pub mod tests {
    use oci::digest::sha256;

    use super::*;
    use crate::os::mutated_input;

    /// What `packager` writes of these packages, which is what `createrepo_c` writes of them.
    pub fn dnf_list(packages: &[(&str, &Sha256)]) -> String {
        let entry = |(path, digest): &(&str, &Sha256)| {
            format!(
                "<package type=\"rpm\">\n  <name>buildkit</name>\n  <arch>riscv64</arch>\n  \
                 <version epoch=\"0\" ver=\"0.32.2\" rel=\"1\"/>\n  \
                 <checksum type=\"sha256\" pkgid=\"YES\">{digest}</checksum>\n  <summary>a &amp; b</summary>\n  \
                 <packager>A &lt;a@example.org&gt;</packager>\n  \
                 <time file=\"1\" build=\"1\"/>\n  <location href=\"{path}\"/>\n  <format>\n    \
                 <rpm:license>Apache-2.0</rpm:license>\n    <file>/usr/bin/buildctl</file>\n  </format>\n</package>\n"
            )
        };
        let entries: String = packages.iter().map(entry).collect();
        format!("{XML}\n{METADATA}{}\">\n{entries}</metadata>", packages.len())
    }

    pub fn repomd_of(packed: &Sha256, open: &Sha256) -> String {
        let data = |kind| {
            format!(
                "  <data type=\"{kind}\">\n    <checksum type=\"sha256\">{packed}</checksum>\n    \
                 <open-checksum type=\"sha256\">{open}</open-checksum>\n    <location href=\"{}\"/>\n    \
                 <timestamp>1</timestamp>\n    <size>2</size>\n    <open-size>3</open-size>\n  </data>\n",
                path_of(packed, kind)
            )
        };
        let all: String = ["primary", "filelists", "other"].map(data).concat();
        format!("{XML}\n{REPOMD}\n  <revision>1</revision>\n{all}</repomd>\n")
    }

    fn digests() -> [Sha256; 2] {
        [sha256(b"a"), sha256(b"b")]
    }

    #[test]
    fn a_list_in_another_form_is_refused() {
        let [one, other] = digests();
        let list = dnf_list(&[("packages/a.rpm", &one), ("packages/b.rpm", &other)]);
        let expected: Packages =
            [("rpm/packages/a.rpm".into(), one.clone()), ("rpm/packages/b.rpm".into(), other.clone())].into();
        assert_eq!(dnf_packages("rpm".into(), &list).expect("is read"), expected);
        assert_eq!(dnf_packages("rpm".into(), &dnf_list(&[])).expect("is read"), Packages::new());
        let location = "<location href=\"packages/a.rpm\"/>";
        for (old, new) in [
            // What a client reads is hidden, or what it does not read is shown.
            (location, "<location href=\"evil.rpm\"/><!--\n  <location href=\"packages/a.rpm\"/>\n-->"),
            (location, "<location xml:base=\"https://example.org\" href=\"packages/a.rpm\"/>"),
            (location, "<x:location href=\"evil.rpm\"/>\n  <location href=\"packages/a.rpm\"/>"),
            (location, "<location href=\"evil.rpm\"/>\n  <location href=\"packages/a.rpm\"/>"),
            (location, "<location href='packages/a.rpm'/>"),
            (location, "<location href=\"packages/b.rpm\"/>"),
            ("a &amp; b", "<![CDATA["),
            (XML, "<?xml version=\"1.0\" encoding=\"UTF-7\"?>"),
            (XML, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE x>"),
            ("packages=\"2\"", "packages=\"3\""),
            ("</package>\n<package", "</package>\n\n<package"),
            ("  <summary>", "  <package>"),
            ("</metadata>", "</metadata>\n"),
            ("pkgid=\"YES\"", "pkgid=\"NO\""),
        ] {
            assert!(list.contains(old), "{old}");
            dnf_packages("rpm".into(), &list.replacen(old, new, 1)).expect_err(new);
        }

        let list =
            format!("Package: a\nFilename: pool/a.deb\nSHA256: {one}\n\nFilename: pool/b.deb\nSHA256: {other}\n\n");
        let expected: Packages = [("apt/pool/a.deb".into(), one), ("apt/pool/b.deb".into(), other)].into();
        assert_eq!(apt_packages("apt".into(), &list).expect("is read"), expected);
        for (old, new) in [
            ("Package: a", "filename: evil.deb"),
            ("Package: a", "Filename : evil.deb"),
            ("Package: a", "Package: a\n \nSHA256: x"),
            ("Filename: pool/a.deb", "Filename: pool/b.deb"),
            ("Filename: pool/a.deb", "Filename:\tpool/a.deb"),
            ("Package: a", "\n"),
        ] {
            apt_packages("apt".into(), &list.replacen(old, new, 1)).expect_err(new);
        }
        apt_packages("apt".into(), list.trim_end()).expect_err("the last one is not whole");
    }

    /// A text without its digests and numbers.
    fn form(text: &str) -> String {
        text.split(['<', '>']).filter(|part| part.parse::<usize>().is_err() && part.parse::<Sha256>().is_err()).fold(
            String::new(),
            |form, part| match part.split_once("repodata/") {
                Some((before, _)) => form + before + "\n",
                None => form + part + "\n",
            },
        )
    }

    #[test]
    fn any_repomd_is_refused_or_has_the_one_form() {
        let [packed, open] = digests();
        let sample = repomd_of(&packed, &open);
        assert_eq!(repomd(&sample).expect("is read"), Primary { packed, open });
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, &sample)?;
            if let Ok(found) = repomd(&text) {
                assert_eq!(form(&text), form(&sample), "{text}");
                let data = text.split("</data>").next().expect("a part");
                for part in
                    [format!(">{}<", found.packed), format!(">{}<", found.open), format!("\"{}\"", found.path())]
                {
                    assert!(data.contains(&part), "{part}: {text}");
                }
            }
            Ok(())
        });
    }

    #[test]
    fn any_list_is_refused_or_read_whole() {
        let [one, other] = digests();
        let dnf = dnf_list(&[("packages/a.rpm", &one), ("packages/b.rpm", &other)]);
        let apt =
            format!("Package: a\nFilename: pool/a.deb\nSHA256: {one}\n\nFilename: pool/b.deb\nSHA256: {other}\n\n");
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, &dnf)?;
            if let Ok(found) = dnf_packages("rpm".into(), &text) {
                let counts =
                    ["<package ", "<location ", "<checksum ", "</package>"].map(|mark| text.matches(mark).count());
                assert_eq!(counts, [found.len(); 4], "{text}");
                let is_read = |(path, digest): (&Utf8PathBuf, &Sha256)| {
                    text.contains(&format!("\"{}\"", path.as_str().trim_start_matches("rpm/")))
                        && text.contains(&digest.to_string())
                };
                assert!(found.iter().all(is_read) && !text.contains("<!"), "{text}");
            }
            let text = mutated_input::text(source, &apt)?;
            if let Ok(found) = apt_packages("apt".into(), &text) {
                let fields =
                    |name: &str| text.lines().filter(|line| line.to_ascii_lowercase().starts_with(name)).count();
                assert_eq!([fields("filename:"), fields("sha256:")], [found.len(); 2], "{text}");
            }
            Ok(())
        });
    }

    #[test]
    fn a_release_names_a_list_once() {
        let [one, other] = digests();
        let name = "main/binary-riscv64/Packages";
        let text = format!("SHA256:\n {one} 1 {name}\n {other} 1 {name}.gz\n");
        assert_eq!(digest_in_release(&text, name).expect("is read"), one);
        for text in [
            "SHA256:\n".to_owned(),
            format!("{text} {other} 1 {name}\n"),
            format!(" {one} {name}\n"),
            format!(" 0a 1 {name}\n"),
        ] {
            digest_in_release(&text, name).expect_err(&text);
        }
    }
}
