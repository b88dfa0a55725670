//! The packages of every published release, for `package --repository DIR --from-releases`: each is what its record, the
//! list of digests beside it and GitHub say it is, or none is taken.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;

use anyhow::{Context, Error, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{file_digest, sha256};
use packages::version::Format;

use crate::dist::names::{self, METADATA, SHA256SUMS};
use crate::dist::{FileRecord, Metadata, ReleaseName, sha256sums};
use crate::github::{Asset, GitHub, Release, Releases, Repository};
use crate::http::Http;
use crate::os::terminal::{note, print_status, size};
use crate::published::{self, LARGEST_RECORD_BYTES, LARGEST_SUMS_BYTES, is_foreign};

/// A package has some twenty megabytes.
const LARGEST_PACKAGE_BYTES: u64 = 256 << 20;
/// Who follows master takes its newest package. There is one a week, and GitHub Pages has room for 27 versions in all.
const MOST_OF_MASTER: usize = 4;
/// More than GitHub Pages has room for.
const MOST_RELEASES: usize = 200;

/// Downloads the packages into `folder`, where those of an earlier run are used again, and returns their paths. Of master
/// only the newest are taken.
///
/// # Errors
/// If a package is not what was recorded: what is published would change, or miss something.
pub fn packages(github: &GitHub, repository: &Repository, folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut releases: Vec<(ReleaseName, Release)> = Vec::new();
    for release in (Releases { github, repository }).all()? {
        let Ok(name) = release.tag_name.parse::<ReleaseName>() else { continue };
        if !release.draft && !is_foreign(&release) {
            releases.push((name, release));
        }
    }
    releases.sort_by(|(one, _), (other, _)| other.cmp(one));
    let (of_upstream, mut of_master): (Vec<_>, Vec<_>) =
        releases.into_iter().partition(|(name, _)| name.upstream().is_some());
    if of_master.len() > MOST_OF_MASTER {
        note(format_args!("of master's {} releases the newest {MOST_OF_MASTER} are taken", of_master.len()));
        of_master.truncate(MOST_OF_MASTER);
    }
    ensure!(of_upstream.len() <= MOST_RELEASES, "{repository} has more than {MOST_RELEASES} releases of BuildKit");
    fs::create_dir_all(folder).with_context(|| format!("cannot create {folder}"))?;
    let (mut paths, mut without) = (Vec::new(), Vec::new());
    for (name, release) in of_upstream.iter().chain(&of_master) {
        let found = of_release(name, release, folder);
        let found =
            found.with_context(|| format!("{name} cannot be taken; `cargo xtask verify {name}` checks all of it"))?;
        if found.is_empty() {
            without.push(name.to_string());
        }
        paths.extend(found);
    }
    if !without.is_empty() {
        note(format_args!("{} releases have no packages: {}", without.len(), without.join(", ")));
    }
    Ok(paths)
}

/// The packages of one release.
fn of_release(name: &ReleaseName, release: &Release, folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let text = published::small_asset(asset(release, METADATA)?, LARGEST_RECORD_BYTES)?;
    let record = Metadata::parse(&text).with_context(|| format!("{METADATA} cannot be used"))?;
    let recorded = ReleaseName::of(&record.source).map_err(Error::msg)?;
    ensure!(recorded == *name, "{METADATA} is of {recorded}");
    if record.packages.is_empty() {
        return Ok(Vec::new());
    }
    let sums = published::small_asset(asset(release, SHA256SUMS)?, LARGEST_SUMS_BYTES)?;
    let sums = String::from_utf8(sums).ok().with_context(|| format!("{SHA256SUMS} is not text"))?;
    let lines: BTreeSet<&str> = sums.lines().collect();
    let of_record = FileRecord { name: METADATA.to_owned(), size_bytes: text.len() as u64, sha256: sha256(&text) };
    for file in record.packages.iter().chain([&of_record]) {
        let is_listed = lines.contains(sha256sums([file]).trim_end_matches('\n'));
        ensure!(is_listed, "{SHA256SUMS} has another digest, or none, of {}", file.name);
    }
    // Names that are made here stay in the directory.
    let version = names::package_version(&record.source).map_err(Error::msg)?;
    let expected = Format::ALL.map(|format| version.file_name(format));
    let mut paths = Vec::new();
    for file in &record.packages {
        ensure!(expected.contains(&file.name), "{METADATA} names {:?}, which no package of it is called", file.name);
        paths.push(download(asset(release, &file.name)?, file, folder)?);
    }
    Ok(paths)
}

fn asset<'a>(release: &'a Release, name: &str) -> Result<&'a Asset> {
    release.assets.iter().find(|asset| asset.name == name).with_context(|| format!("{name} is not among its files"))
}

/// Downloads a package, unless an earlier run did.
fn download(asset: &Asset, recorded: &FileRecord, folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let (name, path) = (&recorded.name, folder.join(&recorded.name));
    ensure!(asset.is_complete(recorded.size_bytes, &recorded.sha256), "{name} is another file than was recorded");
    ensure!(recorded.size_bytes <= LARGEST_PACKAGE_BYTES, "{name} has {} bytes", recorded.size_bytes);
    if path.is_file() && file_digest(&path)? == (recorded.size_bytes, recorded.sha256.clone()) {
        return Ok(path);
    }
    print_status("download", format_args!("{name} ({})", size(recorded.size_bytes)));
    let (partial, url) = (folder.join(format!("{name}.partial")), published::url_of(asset)?);
    let create = || File::create(&partial).with_context(|| format!("cannot create {partial}"));
    let open = || Ok(Box::new(Http::default().open(&url)?) as Box<dyn Read>);
    let found = published::download(name, recorded.size_bytes, open, create)?;
    ensure!(
        found == *recorded,
        "{name} arrives with {} bytes, sha256:{}, and {METADATA} has {} bytes, sha256:{}",
        found.size_bytes,
        found.sha256,
        recorded.size_bytes,
        recorded.sha256
    );
    fs::rename(&partial, &path).with_context(|| format!("cannot create {path}"))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use fakes::github::FakeGitHub;
    use fakes::server::locked;

    use super::*;
    use crate::release::tests::Scenario;

    const RELEASE: &str = "buildkit-v0.32.2-riscv64";
    const DEB: &str = "buildkit_0.32.2-1_riscv64.deb";
    const RPM: &str = "buildkit-0.32.2-1.riscv64.rpm";

    fn of(scenario: &Scenario, folder: &str) -> Result<Vec<Utf8PathBuf>> {
        let (github, repository) = (scenario.remotes.github.anonymous(), &scenario.remotes.repository);
        packages(&github, repository, &scenario.folder.join(folder))
    }

    #[test]
    fn the_packages_of_a_release_are_taken_as_they_were_recorded() {
        let scenario = Scenario::new(|_| ());
        scenario.publish().expect("is published");
        let found = of(&scenario, "one").expect("are taken");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, [RPM, DEB]);
        for path in &found {
            let published = scenario.folder.join("dist").join(path.file_name().expect("a name"));
            assert_eq!(fs::read(path).expect("is read"), fs::read(published).expect("is read"));
        }
        // What is there is not downloaded again; what is damaged there is.
        fs::write(&found[0], "damaged").expect("is written");
        assert_eq!(of(&scenario, "one").expect("are taken"), found);
        assert_ne!(fs::read(&found[0]).expect("is read"), b"damaged");
        locked(&scenario.github).corrupt_asset(RELEASE, DEB, Vec::new());
        assert_eq!(of(&scenario, "one").expect("are there"), found);
    }

    #[test]
    fn a_release_with_something_else_is_refused() {
        type Tamper = fn(&mut FakeGitHub);
        let cases: [(Tamper, &str); 6] = [
            (|github| github.put_asset(RELEASE, DEB, b"another".to_vec()), "is another file than was recorded"),
            (|github| github.corrupt_asset(RELEASE, RPM, b"another".to_vec()), "arrives with"),
            (|github| github.take_asset(RELEASE, DEB), "is not among its files"),
            (|github| github.put_asset(RELEASE, SHA256SUMS, Vec::new()), "has another digest, or none, of"),
            (|github| github.put_asset(RELEASE, METADATA, b"{}".to_vec()), "cannot be used"),
            (|github| github.take_asset(RELEASE, METADATA), "is not among its files"),
        ];
        for (tamper, why) in cases {
            let scenario = Scenario::new(|_| ());
            scenario.publish().expect("is published");
            tamper(&mut locked(&scenario.github));
            let error = format!("{:#}", of(&scenario, "one").expect_err(why));
            assert!(error.contains(why) && error.contains("cargo xtask verify buildkit-v0.32.2-riscv64"), "{error}");
            assert!(!scenario.folder.join("one").join(RPM).exists() || why != "arrives with", "it is not kept");
        }
    }
}
