//! `package --again`: the recorded packages once more, and where one differs from the recorded one.

use anyhow::{Error, Result, ensure};
use camino::Utf8Path;
use packages::version::Format;
use serde::Serialize;

use crate::dist::{Dist, FileRecord};
use crate::os::files::Staging;
use crate::os::shell::one_line;
use crate::os::terminal::print_error;
use crate::package::{make, packager};
use crate::upstream::relative;

/// A package that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub name: String,
    /// What differs, and a likely cause.
    why: String,
}

/// Makes them below `target/`, where they stay if one differs. Returns what was made, and what differs.
///
/// # Errors
/// If the packages in `folder` are not those of the record, or cannot be made here.
pub fn run(
    root: &Utf8Path,
    dist: &Dist,
    folder: &Utf8Path,
    repository: &str,
) -> Result<(Vec<FileRecord>, Vec<Difference>)> {
    let recorded = &dist.record.packages;
    let formats = formats_of(recorded);
    ensure!(!formats.is_empty(), "{folder} has no packages to be made again; run `cargo xtask package`");
    dist.verify_packages()?;
    let kept = root.join("target/again-packages");
    let staging = Staging::new(&kept)?;
    let made = make(root, dist, folder, formats, repository, staging.path())?;
    let differences =
        differences(recorded, &made, |name| packager::explain(root, &folder.join(name), &staging.path().join(name)));
    if !differences.is_empty() {
        staging.publish()?;
        let of = |one: &Difference| format!("{}: {}", one.name, one.why);
        let (all, kept) = (differences.iter().map(of).collect::<Vec<_>>().join("; "), relative(root, &kept));
        print_error(&Error::msg(format!("{folder} has other packages than were made again in {kept}: {all}")));
    }
    Ok((made, differences))
}

/// The formats of recorded packages.
fn formats_of(recorded: &[FileRecord]) -> Vec<Format> {
    let has =
        |format: &Format| recorded.iter().any(|file| Utf8Path::new(&file.name).extension() == Some(format.name()));
    Format::ALL.into_iter().filter(has).collect()
}

/// What differs, which `explain` is asked about. Every recorded package has to be made, and nothing else.
fn differences(
    recorded: &[FileRecord],
    made: &[FileRecord],
    explain: impl Fn(&str) -> Result<String>,
) -> Vec<Difference> {
    let is_among = |files: &[FileRecord], name: &str| files.iter().any(|file| file.name == name);
    let why = |file: &FileRecord| {
        if !is_among(made, &file.name) {
            "nothing makes a package of this name".to_owned()
        } else if !is_among(recorded, &file.name) {
            "the record does not have it".to_owned()
        } else {
            explain(&file.name)
                .unwrap_or_else(|error| one_line(&format!("it differs, and cannot be taken apart here: {error:#}")))
        }
    };
    let missing = made.iter().filter(|file| !is_among(recorded, &file.name));
    let differing = recorded.iter().filter(|file| !made.contains(file)).chain(missing);
    differing.map(|file| Difference { name: file.name.clone(), why: why(file) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::samples;

    const NAMES: [&str; 2] = ["buildkit_0.32.2-1_riscv64.deb", "buildkit-0.32.2-1.riscv64.rpm"];

    fn file(name: &str, size_bytes: u64) -> FileRecord {
        FileRecord { name: name.to_owned(), size_bytes, ..samples::proved_record().files[0].clone() }
    }

    #[test]
    fn the_formats_of_what_is_recorded_are_made_again() {
        assert_eq!(formats_of(&[NAMES[0], NAMES[1], "VERSION.txt"].map(|name| file(name, 1))), Format::ALL);
        assert_eq!(formats_of(&[file(NAMES[1], 1)]), [Format::Rpm]);
    }

    /// Who adds a package to a release and to its record would pass if only what is made were looked for.
    #[test]
    fn every_recorded_package_has_to_be_made_and_nothing_else() {
        let of = |recorded: &[FileRecord], made: &[FileRecord]| {
            let found = differences(recorded, made, |name| match name.ends_with("deb") {
                true => Ok("explained".to_owned()),
                false => Err(Error::msg("no\nheader")),
            });
            found.into_iter().map(|one| format!("{}: {}", one.name, one.why)).collect::<Vec<_>>()
        };
        let both = NAMES.map(|name| file(name, 1));
        assert_eq!(of(&both, &both), [""; 0]);
        let more = [both[0].clone(), both[1].clone(), file("evil_1_riscv64.deb", 1)];
        assert_eq!(of(&more, &both), ["evil_1_riscv64.deb: nothing makes a package of this name"]);
        assert_eq!(of(&both[..1], &both), [format!("{}: the record does not have it", NAMES[1])]);
        let others = NAMES.map(|name| file(name, 2));
        let why = ["explained", "it differs, and cannot be taken apart here: no header"];
        assert_eq!(of(&others, &both), [0, 1].map(|index| format!("{}: {}", NAMES[index], why[index])));
    }
}
