//! The image that a new one replaces, and why they differ: another base, time of Debian's packages or emulators, and
//! which packages have other versions.
#![allow(clippy::disallowed_methods, reason = "reads files")]

use std::collections::BTreeMap;
use std::fs;

use camino::Utf8Path;
use serde_json::Value;

use crate::dist::{Dist, ImageRecord};

/// So many packages are named; what is left is counted.
const MOST_NAMED: usize = 5;

/// Version by name.
type Packages = BTreeMap<String, String>;

/// An image and its Debian packages.
#[derive(Debug)]
pub struct Previous {
    record: ImageRecord,
    packages: Packages,
}

impl Previous {
    /// The image in a record, before it is replaced.
    pub fn of(dist: &Dist) -> Option<Self> {
        let record = dist.record.image.clone()?;
        Some(Self { packages: packages(&dist.folder, &record), record })
    }

    /// Why `record`, whose SBOM is in `folder`, has another digest; `None` if it has the same.
    pub fn differs_from(&self, folder: &Utf8Path, record: &ImageRecord) -> Option<String> {
        let new = Self { packages: packages(folder, record), record: record.clone() };
        (self.record.digest != new.record.digest).then(|| self.differences(&new))
    }

    fn differences(&self, new: &Self) -> String {
        let (old_record, new_record) = (&self.record, &new.record);
        let snapshot = |record: &ImageRecord| record.snapshot.clone().unwrap_or_else(|| "none".to_owned());
        let base = |record: &ImageRecord| record.base_digest.clone().unwrap_or_else(|| record.base_name.clone());
        let emulators = |record: &ImageRecord| record.emulators.as_ref().map_or("none".to_owned(), ToString::to_string);
        let inputs = [
            ("the base is", base(old_record), base(new_record)),
            ("Debian's packages are of", snapshot(old_record), snapshot(new_record)),
            ("the emulators are", emulators(old_record), emulators(new_record)),
        ];
        let inputs = inputs.into_iter().filter(|(_, old, new)| old != new);
        let mut reasons: Vec<String> =
            inputs.map(|(what, old, new)| format!("{what} {new} instead of {old}")).collect();
        // Without an SBOM of both, nothing is known of the packages.
        if !self.packages.is_empty() && !new.packages.is_empty() {
            reasons.extend(versions(&self.packages, &new.packages));
        }
        if reasons.is_empty() {
            reasons.push("the Dockerfile, a script, a label or the form of the layers is another".to_owned());
        }
        format!("this is another image than {}: {}", old_record.digest, reasons.join("; "))
    }
}

/// The packages whose versions differ, or that only one image has.
fn versions(old: &Packages, new: &Packages) -> Vec<String> {
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    let difference = |name: &String| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("{name} {new} instead of {old}")),
        (Some(old), None) => Some(format!("without {name} {old}")),
        (None, new) => new.map(|new| format!("with {name} {new}")),
    };
    let mut texts: Vec<String> = names.filter_map(difference).collect();
    if texts.len() > MOST_NAMED {
        let left = texts.split_off(MOST_NAMED).len();
        texts.push(format!("{left} more packages"));
    }
    texts
}

/// The Debian packages in the SBOM of an image; none if it cannot be read.
fn packages(folder: &Utf8Path, record: &ImageRecord) -> Packages {
    let read = || -> Option<Packages> {
        let text = fs::read(folder.join(&record.sbom.as_ref()?.name)).ok()?;
        let document: Value = serde_json::from_slice(&text).ok()?;
        let is_debian = |package: &&Value| {
            package["externalRefs"][0]["referenceLocator"].as_str().is_some_and(|purl| purl.starts_with("pkg:deb/"))
        };
        let of =
            |package: &Value| Some((package["name"].as_str()?.to_owned(), package["versionInfo"].as_str()?.to_owned()));
        document["packages"].as_array()?.iter().filter(is_debian).map(of).collect()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use oci::digest::{Digest, Sha256};

    use super::*;
    use crate::dist::samples;

    fn previous(packages: &[(&str, &str)]) -> Previous {
        let packages = packages.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
        Previous { record: samples::proved_record().image.expect("an image"), packages }
    }

    #[test]
    fn another_time_of_the_packages_is_named_with_what_it_changed() {
        let mut old = previous(&[("pigz", "2.8-1"), ("git", "1:2.47"), ("gone", "1")]);
        old.record.snapshot = Some("20261126T063508Z".to_owned());
        let mut new = previous(&[("pigz", "2.8-0"), ("git", "1:2.47"), ("come", "2")]);
        new.record.digest = Digest::from(Sha256::from_bytes(&[9; 32]));
        new.record.snapshot = Some("20261101T000000Z".to_owned());
        expect!["this is another image than sha256:e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2: Debian's packages are of 20261101T000000Z instead of 20261126T063508Z; without gone 1; pigz 2.8-0 instead of 2.8-1; with come 2"].assert_eq(&old.differences(&new));
    }

    #[test]
    fn what_is_the_same_is_not_said_and_much_is_counted() {
        let old = previous(&[]);
        assert_eq!(old.differs_from("/".into(), &old.record), None);
        expect!["this is another image than sha256:e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2: the Dockerfile, a script, a label or the form of the layers is another"].assert_eq(&old.differences(&previous(&[])));
        let many: Vec<(&str, &str)> = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, "1")).into();
        expect!["this is another image than sha256:e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2: without z 1; with a 1; with b 1; with c 1; with d 1; 3 more packages"].assert_eq(&previous(&[("z", "1")]).differences(&previous(&many)));
    }
}
