//! What all pipelines share: the builds that they publish, and the expected assets of each release.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::collections::BTreeMap;
use std::fmt::Display;

use anyhow::{Error, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::file_digest;
use serde_json::Value;

use crate::dist::image_config::URL;
use crate::dist::{Dist, ReleaseName, image_sbom, proofs};
use crate::github::Repository;
use crate::os::cargo::cargo;
use crate::os::process::this_program;
use crate::os::terminal::{note, print_status};
use crate::rehearse::fake_dist;
use crate::rehearse::scenario::{MASTER, REPLACED, Scenario};
use crate::upstream::Source;

#[derive(Clone, Debug)]
pub struct Build {
    pub source: Source,
    pub folder: Utf8PathBuf,
    /// Whether it is a fake dist rather than a real one.
    pub is_fake: bool,
    /// The repository that a real one was made for, as the labels of its image say.
    pub repository: Option<Repository>,
}

impl Build {
    pub fn release(&self) -> Result<ReleaseName> {
        ReleaseName::of(&self.source).map_err(Error::msg)
    }
}

/// All builds of the scenario.
#[derive(Debug)]
pub struct Fixtures {
    builds: Vec<Build>,
    /// The SHA-256 of each asset, by git tag of the release.
    expected: BTreeMap<String, BTreeMap<String, String>>,
}

impl Fixtures {
    /// Creates the builds below `folder`. Takes a real one from the checkout at `real` if it is proved.
    pub fn create(folder: &Utf8Path, scenario: Scenario, real: Option<&Utf8Path>) -> Result<Self> {
        let (mut builds, mut expected) = (Vec::new(), BTreeMap::new());
        for (r#ref, date_epoch) in scenario.built() {
            let source = fake_dist::source(r#ref, date_epoch)?;
            let found = real.and_then(|root| proved_dist(&root.join("dist").join(r#ref)));
            let build = match found {
                Some(dist) => {
                    let repository = repository_of(&dist)?;
                    Build { source: dist.record.source, folder: dist.folder, is_fake: false, repository }
                }
                None => {
                    let folder = folder.join(source.version.to_string());
                    fake_dist::make(&folder, &source)?;
                    Build { source, folder, is_fake: true, repository: None }
                }
            };
            let digest = |name: String| -> Result<_> {
                let (_, sha256) = file_digest(&build.folder.join(&name))?;
                Ok((name, sha256.to_string()))
            };
            let assets = Dist::open(&build.folder, Some(&build.folder))?.record.published().into_iter().map(digest);
            if !scenario.is_released_again(r#ref) {
                expected.insert(build.release()?.to_string(), assets.collect::<Result<_>>()?);
            }
            builds.push(build);
        }
        Ok(Self { builds, expected })
    }

    /// All builds, in the order in which they are built.
    pub fn builds(&self) -> &[Build] {
        &self.builds
    }

    /// The repository that the first real build was made for.
    pub fn repository(&self) -> Option<&Repository> {
        self.builds.iter().find_map(|build| build.repository.as_ref())
    }

    /// The build of a tag, or of master at a date.
    pub fn build(&self, r#ref: &str, date_epoch: Option<i64>) -> Option<&Build> {
        let fits = |build: &&Build| {
            build.source.r#ref.to_string() == r#ref
                && date_epoch.is_none_or(|date| build.source.source_date_epoch == date)
        };
        self.builds.iter().find(fits)
    }

    /// The commit of an upstream tag, built or not.
    pub fn commit(&self, tag: &str, date_epoch: i64) -> Result<String> {
        match self.build(tag, None).filter(|_| tag != MASTER) {
            Some(build) => Ok(build.source.commit.to_string()),
            None => Ok(fake_dist::source(tag, date_epoch)?.commit.to_string()),
        }
    }

    /// The problem that no user may ever see: a published release with an asset that is missing,
    /// incomplete or different, unless the scenario itself replaced it.
    pub fn partial_release(&self, github: &Value) -> Option<String> {
        let published = github["releases"].as_array().into_iter().flatten().filter(|release| release["draft"] == false);
        for release in published {
            let tag = release["tag"].as_str().unwrap_or_default();
            for (name, sha256) in self.expected.get(tag).into_iter().flatten() {
                let is_it = |asset: &&Value| asset["name"] == name.as_str();
                let asset = release["assets"].as_array().into_iter().flatten().find(is_it);
                let is_whole = |asset: &Value| {
                    let digest = |sha256: &dyn Display| format!("sha256:{sha256}");
                    let expected = [digest(sha256), digest(&oci::digest::sha256(REPLACED))];
                    let found = asset["digest"].as_str().unwrap_or_default();
                    asset["state"] == "uploaded" && expected.iter().any(|digest| digest == found)
                };
                if !asset.is_some_and(is_whole) {
                    return Some(format!("release {tag} is published, but {name} in it is missing or wrong"));
                }
            }
        }
        None
    }
}

/// A real build with its image, the image's SBOM and all proofs, and unchanged files.
fn proved_dist(folder: &Utf8Path) -> Option<Dist> {
    let dist = Dist::open(folder, Some(folder)).ok()?;
    let missing = proofs::missing(&dist.record);
    if !missing.is_empty() {
        let names: Vec<&str> = missing.into_iter().map(|(name, _)| name).collect();
        note(format_args!("{folder} is not proved ({}), so a fake dist is used instead", names.join(", ")));
        return None;
    }
    let has_sbom = dist.record.image.as_ref().is_some_and(|image| image_sbom::is_intact(folder, image));
    if !has_sbom {
        note(format_args!("{folder} has no SBOM of its image (`cargo xtask image`), so a fake dist is used instead"));
    }
    (has_sbom && dist.verify().is_ok()).then_some(dist)
}

fn repository_of(dist: &Dist) -> Result<Option<Repository>> {
    let Some(image) = &dist.record.image else { return Ok(None) };
    let manifest = oci::layout::verify(&dist.folder.join(&image.layout), &image.digest)?;
    Ok(manifest.annotations.get(URL).and_then(|url| Repository::of_page(url)))
}

/// The program that writes the indexes of packages, which cargo puts beside this one. It is compiled if it is new; in a
/// checkout without sources, as a test makes one, it has to be there.
pub fn packager(root: &Utf8Path) -> Result<Utf8PathBuf> {
    if root.join("Cargo.toml").is_file() {
        print_status("compile", "the program that writes the indexes of packages, if it is new");
        cargo(root).args(["build", "--quiet", "--locked", "--package", "packages"]).read()?;
    }
    let program = this_program()?.with_file_name("packager");
    ensure!(program.is_file(), "there is no {program}; `cargo build --package packages` compiles it");
    Ok(program)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use serde_json::json;

    #[test]
    fn a_partly_published_release_is_detected() {
        let folder = std::env::temp_dir().join(format!("xtask-fixtures-{}", std::process::id()));
        let folder = Utf8PathBuf::try_from(folder).expect("UTF-8");
        let fixtures = Fixtures::create(&folder, Scenario::New, None).expect("is filled");
        let tags: Vec<&String> = fixtures.expected.keys().collect();
        assert_eq!(tags[..2], ["buildkit-v0.30.0-riscv64", "buildkit-v0.31.0-riscv64"]);
        let assets: Vec<Value> = fixtures.expected[tags[0]]
            .iter()
            .map(|(name, sha256)| json!({ "name": name, "state": "uploaded", "digest": format!("sha256:{sha256}") }))
            .collect();
        let state = |assets: &[Value], is_draft: bool| json!({ "releases": [{ "tag": tags[0], "draft": is_draft, "assets": assets }] });
        assert_eq!(fixtures.partial_release(&state(&assets, false)), None);
        assert_eq!(fixtures.partial_release(&state(&assets[1..], true)), None);
        assert!(fixtures.partial_release(&state(&assets[1..], false)).is_some());
        let mut started = assets.clone();
        started[0]["state"] = json!("starter");
        assert!(fixtures.partial_release(&state(&started, false)).is_some());
        fs::remove_dir_all(&folder).expect("is removed");
    }
}
