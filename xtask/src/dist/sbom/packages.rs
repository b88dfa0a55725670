//! The Debian packages that an image has, from the database of its own dpkg, and the release of the distribution.
//!
//! Sources: dpkg(1) and dpkg-query(1) for the states; `/var/lib/dpkg/status.d` is where images without dpkg keep one
//! file for each package; os-release(5).

use std::collections::BTreeSet;

use crate::dist::sbom::control::{self, Paragraph};

/// The database.
pub const STATUS: &str = "var/lib/dpkg/status";
/// The same in parts.
pub const STATUS_PARTS: &str = "var/lib/dpkg/status.d/";
/// The files that name the distribution; the first that is there counts.
pub const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    /// `riscv64`, or `all`.
    pub architecture: String,
    pub version: String,
    /// Name and version of the source package.
    pub source: (String, String),
    pub homepage: Option<String>,
}

/// The distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// `debian`.
    pub id: String,
    /// `13`.
    pub version: Option<String>,
    /// `trixie`, if the release has such a name.
    pub codename: Option<String>,
}

/// The installed packages of a database, sorted.
///
/// Fails if one has no name, architecture or version.
pub fn installed(status: &str) -> Result<BTreeSet<Package>, String> {
    let paragraphs = control::paragraphs(status);
    paragraphs.iter().filter(|paragraph| is_installed(paragraph)).map(package).collect()
}

/// Whether the files of a package are there: all states but two. A part of a database in parts has no state.
fn is_installed(paragraph: &Paragraph<'_>) -> bool {
    let state = paragraph.get("Status").and_then(|status| status.split_whitespace().nth(2));
    !matches!(state, Some("not-installed" | "config-files"))
}

fn package(paragraph: &Paragraph<'_>) -> Result<Package, String> {
    let name = paragraph.get("Package").ok_or("a package in it has no name")?;
    let field = |field: &str| {
        let value = paragraph.get(field).filter(|value| !value.is_empty() && !value.contains(char::is_whitespace));
        value.map(str::to_owned).ok_or_else(|| format!("the package {name} has no {field}"))
    };
    let (name, architecture, version) = (field("Package")?, field("Architecture")?, field("Version")?);
    // "glibc (2.41-12)"; the version only if it differs, and no field if the name is the same too.
    let source = paragraph.get("Source").unwrap_or(&name);
    let (source, of_source) = source.split_once(" (").unwrap_or((source, &version));
    let source = (source.to_owned(), of_source.trim_end_matches(')').to_owned());
    // SPDX takes an address; Debian's field is free text.
    let is_address = |text: &&str| text.starts_with("http") && !text.contains(char::is_whitespace);
    let homepage = paragraph.get("Homepage").filter(is_address).map(str::to_owned);
    Ok(Package { name, architecture, version, source, homepage })
}

impl Distribution {
    /// The distribution that a file `os-release` names.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
        };
        Some(Self { id: value("ID")?, version: value("VERSION_ID"), codename: value("VERSION_CODENAME") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const SAMPLE: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: riscv64\nSource: glibc (2.41-12)\n\
        Version: 2.41-12+b1\nHomepage: https://x\n\n\
        Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
        Package: base-files\nArchitecture: riscv64\nVersion: 13.8\n";

    #[test]
    fn installed_packages_are_read_with_their_sources() {
        let found: Vec<Package> = installed(SAMPLE).expect("a database").into_iter().collect();
        let texts: Vec<String> = found
            .iter()
            .map(|package| format!("{} {} of {} {}", package.name, package.version, package.source.0, package.source.1))
            .collect();
        assert_eq!(texts, ["base-files 13.8 of base-files 13.8", "libc6 2.41-12+b1 of glibc 2.41-12"]);
        assert_eq!(found[1].homepage.as_deref(), Some("https://x"));
        for bad in ["Version: 1\n", "Package: a\nVersion: 1\n", "Package: a\nArchitecture: all\nVersion:\n"] {
            installed(bad).expect_err(bad);
        }
    }

    #[test]
    fn a_mutated_database_is_refused_or_read() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, SAMPLE)?;
            for package in installed(&text).unwrap_or_default() {
                assert!(!package.name.is_empty() && !package.version.is_empty());
            }
            Ok(())
        });
    }

    #[test]
    fn the_release_is_named() {
        let found = Distribution::parse("NAME=\"x\"\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\nID=debian\n");
        let found = found.expect("a distribution");
        assert_eq!(
            (found.id.as_str(), found.version.as_deref(), found.codename.as_deref()),
            ("debian", Some("13"), Some("trixie"))
        );
        assert_eq!(Distribution::parse("ID=\n"), None);
    }
}
