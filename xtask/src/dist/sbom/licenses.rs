//! Debian's short names of licenses, as identifiers of SPDX.
//!
//! Only what means one license alone is translated. A name that does not, such as `MIT` or `public-domain`, stays a
//! name with its own text. Sources: "Machine-readable debian/copyright file 1.0", "Short name"; SPDX License List.

/// Names that SPDX spells in another way or in other letters, in lower case.
const NAMES: [(&str, &str); 37] = [
    ("0bsd", "0BSD"),
    ("apache-1.0", "Apache-1.0"),
    ("apache-1.1", "Apache-1.1"),
    ("apache-2", "Apache-2.0"),
    ("apache-2.0", "Apache-2.0"),
    ("artistic", "Artistic-1.0"),
    ("artistic-1", "Artistic-1.0"),
    ("artistic-1.0", "Artistic-1.0"),
    ("artistic-2", "Artistic-2.0"),
    ("artistic-2.0", "Artistic-2.0"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("bsd-3-clause-attribution", "BSD-3-Clause-Attribution"),
    ("bsd-4-clause", "BSD-4-Clause"),
    ("bsd-4-clause-uc", "BSD-4-Clause-UC"),
    ("beerware", "Beerware"),
    ("bsl-1.0", "BSL-1.0"),
    ("cc-by-3.0", "CC-BY-3.0"),
    ("cc-by-sa-3.0", "CC-BY-SA-3.0"),
    ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
    ("cc0", "CC0-1.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("curl", "curl"),
    ("expat", "MIT"),
    ("fsfap", "FSFAP"),
    ("fsful", "FSFUL"),
    ("fsfullr", "FSFULLR"),
    ("isc", "ISC"),
    ("mpl-1.1", "MPL-1.1"),
    ("mpl-2.0", "MPL-2.0"),
    ("ms-pl", "MS-PL"),
    ("oldap-2.8", "OLDAP-2.8"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("unicode-dfs-2016", "Unicode-DFS-2016"),
    ("w3c", "W3C"),
    ("x11", "X11"),
    ("zlib", "Zlib"),
];
/// Families whose names end with a version, and with a plus sign for any later one; with the versions that exist.
const FAMILIES: [(&str, &str, &[&str]); 5] = [
    ("agpl", "AGPL", &["3.0"]),
    ("gfdl-niv", "GFDL", &["1.1", "1.2", "1.3"]),
    ("gfdl", "GFDL", &["1.1", "1.2", "1.3"]),
    ("gpl", "GPL", &["1.0", "2.0", "3.0"]),
    ("lgpl", "LGPL", &["2.0", "2.1", "3.0"]),
];
/// Exceptions of which SPDX lists the very text, in lower case.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("bison-2.2", "Bison-exception-2.2"),
    ("font", "Font-exception-2.0"),
    ("libtool", "Libtool-exception"),
    ("linux-syscall-note", "Linux-syscall-note"),
];

/// The identifier of a license, or the expression of one with an exception.
pub fn identifier(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    if let Some((license, exception)) = name.split_once(" with ") {
        let exception = exception.trim().strip_suffix(" exception")?;
        let known = EXCEPTIONS.iter().find(|(known, _)| *known == exception)?.1;
        return Some(format!("{} WITH {known}", of_family(license)?));
    }
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, identifier)| (*identifier).to_owned());
    known.or_else(|| of_family(&name))
}

fn of_family(name: &str) -> Option<String> {
    let (short, family, versions) = FAMILIES.iter().find(|(short, ..)| {
        name.strip_prefix(short).is_some_and(|rest| rest.starts_with('-') && rest[1..].starts_with(char::is_numeric))
    })?;
    let rest = &name[short.len() + 1..];
    let (version, or_later) = match rest.strip_suffix('+').or_else(|| rest.strip_suffix("-or-later")) {
        Some(version) => (version, true),
        None => (rest.strip_suffix("-only").unwrap_or(rest), false),
    };
    let version = versions.iter().find(|known| **known == version || known.strip_suffix(".0") == Some(version))?;
    let variant = if *short == "gfdl-niv" { "-no-invariants" } else { "" };
    let later = if or_later { "-or-later" } else { "-only" };
    Some(format!("{family}-{version}{variant}{later}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_kept_and_a_plus_means_any_later_one() {
        let pairs = [
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2.0-or-later", "GPL-2.0-or-later"),
            ("lgpl-2.1", "LGPL-2.1-only"),
            ("LGPL-2+", "LGPL-2.0-or-later"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("GFDL-1.2", "GFDL-1.2-only"),
            ("Expat", "MIT"),
            ("ZLIB", "Zlib"),
            ("GPL-2+ with Libtool exception", "GPL-2.0-or-later WITH Libtool-exception"),
        ];
        for (name, identifier) in pairs {
            assert_eq!(super::identifier(name).as_deref(), Some(identifier), "{name}");
        }
    }

    #[test]
    fn a_name_that_means_several_licenses_is_not_guessed() {
        let names =
            ["MIT", "BSD", "GPL", "LGPL", "GPL-4", "GPL-2.1+", "public-domain", "GPL-2 with odd exception", "GPL-", ""];
        for name in names {
            assert_eq!(identifier(name), None, "{name}");
        }
    }
}
