//! `verify --rebuild`: the files, the packages and the image of a release are made again, from upstream's source and Debian's snapshot,
//! by the tasks that made them, and every byte is compared.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use oci::documents::Manifest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::credentials::TOKEN_VARIABLES;
use crate::dist::{FileRecord, ImageRecord, Metadata};
use crate::github::Repository;
use crate::os::process::{Run, run, this_program};
use crate::verify::assets::AS_RECORDED;
use crate::verify::findings::Findings;

mod difference;

const FILES: &str = "rebuild-files";
const PACKAGES: &str = "rebuild-packages";
const IMAGE: &str = "rebuild-image";
const SBOM: &str = "rebuild-sbom";
/// As long as a compilation may take on a slow board, and a bit.
const LIMIT: Duration = Duration::from_secs(8 * 60 * 60);

/// What `build --again --json` prints.
#[derive(Deserialize)]
struct Again {
    files: Vec<FileOfBoth>,
}

#[derive(Deserialize)]
struct FileOfBoth {
    name: String,
    same: bool,
}

/// What `package --again --json` prints.
#[derive(Deserialize)]
struct PackagesAgain {
    packages: Vec<FileRecord>,
    differences: Vec<DifferingPackage>,
}

#[derive(Deserialize)]
struct DifferingPackage {
    name: String,
    why: String,
}

/// What `image --json` prints.
#[derive(Deserialize)]
struct Imaged {
    image: ImageRecord,
}

/// A release whose files are in a directory, where `metadata.json` is the record.
pub struct Rebuild<'a> {
    pub root: &'a Utf8Path,
    pub folder: &'a Utf8Path,
    pub record: &'a Metadata,
    pub repository: &'a Repository,
    /// The manifest of the published image.
    pub manifest: &'a [u8],
}

impl Rebuild<'_> {
    /// Makes all of it again. That something cannot be made here says nothing about what is published.
    pub fn check(&self, findings: &mut Findings) {
        if !findings.has_passed(AS_RECORDED) {
            return findings.not_run(&[FILES, PACKAGES, IMAGE, SBOM], "the files are not those of the record");
        }
        match self.files() {
            Ok(again) => findings.add_evidence(FILES, self.compared(&again)),
            Err(error) => findings.undetermined(FILES, &error),
        }
        if self.record.packages.is_empty() {
            findings.not_run(&[PACKAGES], "it was published without packages, and its record names none");
        } else if !findings.has_passed(FILES) {
            // Packing asks the commands for their help, so they are run.
            findings.not_run(&[PACKAGES], "the commands are not known to be what the source gives, and are not run");
        } else {
            match self.packages() {
                Ok(again) => findings.add_evidence(PACKAGES, same_packages(&again)),
                Err(error) => findings.undetermined(PACKAGES, &error),
            }
        }
        match self.image() {
            Ok(again) => {
                findings.add_evidence(IMAGE, self.same_image(&again));
                findings.add_evidence(SBOM, self.same_sbom(&again));
            }
            Err(error) => {
                findings.undetermined(IMAGE, &error);
                findings.not_run(&[SBOM], "there is no image to list");
            }
        }
    }

    fn files(&self) -> Result<Again> {
        let (program, folder) = (this_program()?, self.folder);
        self.task(run!("{program} build --again {folder} --json"))
    }

    fn compared(&self, again: &Again) -> Result<String> {
        let work = self.root.join("target/again").join(self.record.source.version.to_string());
        let differing: Vec<String> = again
            .files
            .iter()
            .filter(|file| !file.same)
            .map(|file| {
                let name = &file.name;
                let why = difference::explain(&self.folder.join(name), &work.join(name));
                format!("{name}: {why}")
            })
            .collect();
        ensure!(differing.is_empty(), "{} (what was made again is in {work})", differing.join("; "));
        let names: Vec<&str> = again.files.iter().map(|file| file.name.as_str()).collect();
        let go = self.record.go.version;
        Ok(format!("every byte of {} is what Go {go} makes of {}", names.join(", "), self.record.source.commit))
    }

    /// Packs the published commands, as the repository that published them does.
    fn packages(&self) -> Result<PackagesAgain> {
        let (program, folder, repository) = (this_program()?, self.folder, self.repository.to_string());
        self.task(run!("{program} package --again --dist {folder} --repo {repository} --json"))
    }

    /// Builds the image on the recorded base, with the packages of the recorded snapshot and the recorded emulators.
    fn image(&self) -> Result<ImageRecord> {
        let image = self.record.image.as_ref().context("the record names no image")?;
        let digest = image.base_digest.as_ref().context("the record does not name the digest of the base")?;
        let snapshot =
            image.snapshot.as_ref().context("the record names no snapshot: its packages were those of the day")?;
        let snapshot = date_of(snapshot).with_context(|| format!("{snapshot:?} is no snapshot of Debian's"))?;
        let base = format!("{}@{digest}", image.base_name.split('@').next().unwrap_or_default());
        let emulators = image.emulators.as_ref().map_or("none", oci::image_name::ImageName::as_str);
        let (program, folder, repository) = (this_program()?, self.folder, self.repository.to_string());
        let inputs = ["--base", &base, "--snapshot", &snapshot, "--emulators", emulators, "--repo", &repository];
        let made: Imaged = self.task(run!("{program} image --dist {folder} --no-cache {inputs...} --json"))?;
        Ok(made.image)
    }

    fn same_image(&self, again: &ImageRecord) -> Result<String> {
        let published = self.recorded_image();
        if again.digest == published.digest {
            let snapshot = published.snapshot.as_deref().unwrap_or_default();
            return Ok(format!("every byte: {} again, with Debian's packages of {snapshot}", again.digest));
        }
        let layout = self.folder.join(&again.layout);
        let ours = oci::layout::verify(&layout, &again.digest)?;
        let config = difference::text(&layout.join(ours.config.digest.blob()))?;
        let theirs: Manifest =
            serde_json::from_slice(self.manifest).context("the published manifest cannot be read")?;
        bail!("made again it is {}: {}", again.digest, difference::of_images(&theirs, &ours, &config))
    }

    fn same_sbom(&self, again: &ImageRecord) -> Result<String> {
        let (published, again) = (self.recorded_image().sbom.as_ref(), again.sbom.as_ref());
        let sha256 = |file: Option<&FileRecord>| file.map(|file| file.sha256.to_string()).unwrap_or_default();
        ensure!(
            sha256(published) == sha256(again),
            "made again it is sha256:{}: it lists other packages, or another commit of this repository wrote it",
            sha256(again)
        );
        Ok("the list of what is in the image is the same".to_owned())
    }

    fn recorded_image(&self) -> &ImageRecord {
        self.record.image.as_ref().expect("a record without an image is refused before")
    }

    /// Runs a task of this program, and passes its status on. One that compares and finds a difference prints it, too.
    fn task<T: DeserializeOwned>(&self, task: Run) -> Result<T> {
        let task = TOKEN_VARIABLES.iter().fold(task, |task, name| task.env_remove(*name));
        let task = task.directory(self.root).limit(LIMIT);
        let output = task.echoed()?;
        let last = output.stderr.lines().rfind(|line| line.contains("error") || line.contains("because"));
        serde_json::from_slice(&output.stdout).with_context(|| {
            let why = last.unwrap_or("it does not say why").trim();
            format!("`{task}` could not make it again ({}): {why}", output.status)
        })
    }
}

fn same_packages(again: &PackagesAgain) -> Result<String> {
    let differing: Vec<String> = again.differences.iter().map(|one| format!("{}: {}", one.name, one.why)).collect();
    ensure!(differing.is_empty(), "{} (what was made again is in target/again-packages)", differing.join("; "));
    let names: Vec<&str> = again.packages.iter().map(|file| file.name.as_str()).collect();
    Ok(format!("every byte of {} is what this checkout makes of the published commands", names.join(", ")))
}

/// The date of a snapshot as `--snapshot` takes it: `20260804T122740Z` is 2026-08-04T12:27:40Z.
fn date_of(snapshot: &str) -> Option<String> {
    let (day, time) = snapshot.strip_suffix('Z')?.split_once('T')?;
    let is_number = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(day, 8) && is_number(time, 6))
        .then(|| format!("{}-{}-{}T{}:{}:{}Z", &day[..4], &day[4..6], &day[6..], &time[..2], &time[2..4], &time[4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_differs_is_named_with_what_differs_in_it() {
        let of = |differences: &str| {
            let printed = format!(
                r#"{{"unchanged":false,"overlay":null,"packages":[{{"name":"a.deb","size_bytes":1,"sha256":"{}"}}],"differences":{differences}}}"#,
                "0".repeat(64)
            );
            same_packages(&serde_json::from_str(&printed).expect("is what `package` prints"))
                .map_err(|error| error.to_string())
        };
        let same = "every byte of a.deb is what this checkout makes of the published commands";
        assert_eq!(of("[]").as_deref(), Ok(same));
        let why = "a.deb: x differs (what was made again is in target/again-packages)";
        assert_eq!(of(r#"[{"name":"a.deb","why":"x differs"}]"#).expect_err("differs"), why);
    }

    #[test]
    fn a_snapshot_is_named_as_the_task_takes_it() {
        assert_eq!(date_of("20260804T122740Z").as_deref(), Some("2026-08-04T12:27:40Z"));
        for other in ["", "20260804", "20260804T122740", "2026-08-04T12:27:40Z", "20260804T1227400Z", "ä260804T122740Z"]
        {
            assert_eq!(date_of(other), None, "{other}");
        }
    }
}
