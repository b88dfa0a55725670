//! The repositories of APT and DNF at the pages of the repository: whether their indexes lead to the packages of a release
//! as they were recorded. Signatures are left to APT and DNF, which have the key from before.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Read};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;
use oci::digest::{Sha256, sha256};
use packages::index::{Channel, SHA256SUMS};
use packages::version::{ARCHITECTURE, Format};

use crate::dist::{FileRecord, Metadata, names};
use crate::http::{Http, Url};
use crate::published::{self, is_unreachable, package_sums, page, text_page};
use crate::verify::findings::Findings;
use crate::verify::repositories::indexes::{Packages, apt_packages, digest_in_release, dnf_packages, repomd};

mod indexes;

/// Ours have some kilobytes for each version.
const LARGEST_INDEX_BYTES: u64 = 16 << 20;
/// The check.
const REPOSITORIES: &str = "repositories";

/// The indexes, as a client reads them.
pub struct Repositories {
    url: Url,
    /// Of each package, by its path.
    sums: BTreeMap<Utf8PathBuf, Sha256>,
    /// What APT's and DNF's index of each channel have, if there is one.
    apt: BTreeMap<Channel, Packages>,
    dnf: BTreeMap<Channel, Packages>,
}

impl Repositories {
    /// Reads those at `url`. None if there are none.
    ///
    /// # Errors
    /// If an index is not what leads to it says, or cannot be read.
    pub fn read(url: &Url) -> Result<Option<Self>> {
        let Some(sums) = text(url, SHA256SUMS)? else { return Ok(None) };
        let sums = package_sums(&sums).with_context(|| format!("{url}/{SHA256SUMS} is not a list of packages"))?;
        let mut found = Self { url: url.clone(), sums, apt: BTreeMap::new(), dnf: BTreeMap::new() };
        for channel in Channel::ALL {
            found.apt.extend(apt_index(url, channel)?.map(|index| (channel, index)));
            found.dnf.extend(dnf_index(url, channel)?.map(|index| (channel, index)));
        }
        let indexes = found.apt.values().chain(found.dnf.values());
        if let Some(path) = indexes.flat_map(Packages::keys).find(|path| !found.sums.contains_key(*path)) {
            bail!("an index has {path}, and {url}/{SHA256SUMS} does not");
        }
        Ok(Some(found))
    }

    /// Compares the packages of a record; `has_downloads` downloads them too. None if none of them is there.
    fn check(&self, record: &Metadata, has_downloads: bool) -> Result<Option<String>> {
        let version = names::package_version(&record.source).map_err(Error::msg)?;
        let channel = Channel::of(&version.with_revision());
        let mut missing = Vec::new();
        for package in &record.packages {
            let is_deb = package.name == version.file_name(Format::Deb);
            let (format, index) =
                if is_deb { (Format::Deb, self.apt.get(&channel)) } else { (Format::Rpm, self.dnf.get(&channel)) };
            let name = version.name_in_repository(format);
            let Some((path, sha256)) = self.sums.iter().find(|(path, _)| path.as_str().ends_with(&format!("/{name}")))
            else {
                missing.push(name);
                continue;
            };
            ensure!(*sha256 == package.sha256, "{SHA256SUMS} has another digest of {path}");
            let listed = index.and_then(|index| index.get(path));
            let listed = listed.with_context(|| format!("the index of {channel} does not have {name}"))?;
            ensure!(*listed == package.sha256, "the index of {channel} has another digest of {name} than its record");
            if has_downloads {
                self.download(path.as_str(), package)?;
            }
        }
        match missing.as_slice() {
            [] => {
                let how = if has_downloads { "as they arrive and in every index" } else { "in every index" };
                Ok(Some(format!("{} of {channel}: the digests of the record, {how}", self.url)))
            }
            missing if missing.len() == record.packages.len() => Ok(None),
            missing => bail!("{}/{SHA256SUMS} does not have {}", self.url, missing.join(", ")),
        }
    }

    fn download(&self, path: &str, package: &FileRecord) -> Result<()> {
        let url = self.url.join(path);
        let open = || Ok(Box::new(Http::default().open(&url)?) as Box<dyn Read>);
        let found = published::download(&package.name, package.size_bytes, open, || Ok(io::sink()))?;
        ensure!(found == *package, "{url} arrives with another digest, {}", found.sha256);
        Ok(())
    }
}

/// Adds the check of a release's packages.
pub fn check(findings: &mut Findings, found: &Result<Option<Repositories>>, record: &Metadata, has_downloads: bool) {
    if record.packages.is_empty() {
        return findings.not_run(&[REPOSITORIES], "the release has no packages");
    }
    match found {
        Err(error) if is_unreachable(error) => findings.undetermined(REPOSITORIES, error),
        Err(error) => findings.add_evidence(REPOSITORIES, Err(anyhow!("{error:#}"))),
        Ok(None) => findings.not_run(&[REPOSITORIES], "the pages have no repositories of APT and DNF"),
        Ok(Some(repositories)) => match repositories.check(record, has_downloads) {
            Ok(None) => findings.not_run(&[REPOSITORIES], &format!("{} does not have its packages", repositories.url)),
            Ok(Some(evidence)) => findings.add_evidence(REPOSITORIES, Ok(evidence)),
            Err(error) => findings.add_evidence(REPOSITORIES, Err(error)),
        },
    }
}

/// The text at a path; `None` if there is none.
fn text(url: &Url, path: &str) -> Result<Option<String>> {
    text_page(url, path, LARGEST_INDEX_BYTES)
}

/// A file whose digest something else names.
fn bytes_of(url: &Url, path: &str, digest: &Sha256) -> Result<Vec<u8>> {
    let bytes = page(url, path, LARGEST_INDEX_BYTES)?.with_context(|| format!("{url}/{path} is not there"))?;
    ensure!(sha256(&bytes) == *digest, "{url}/{path} is not what leads to it says");
    Ok(bytes)
}

/// The context of an index that cannot be read.
fn unreadable(url: &Url, path: impl Display) -> String {
    format!("{url}/{path} is not an index of ours")
}

/// APT's list of packages, through what is signed or, if nothing is, through `Release`.
fn apt_index(url: &Url, channel: Channel) -> Result<Option<Packages>> {
    let folder = format!("apt/dists/{channel}");
    let signed = text(url, &format!("{folder}/InRelease"))?;
    let release = signed.map_or_else(|| text(url, &format!("{folder}/Release")), |text| Ok(Some(text)))?;
    let Some(release) = release else { return Ok(None) };
    let component = format!("main/binary-{ARCHITECTURE}");
    let digest = digest_in_release(&release, &format!("{component}/Packages"));
    let digest = digest.with_context(|| unreadable(url, format!("{folder}/Release")))?;
    let path = format!("{folder}/{component}/by-hash/SHA256/{digest}");
    let list =
        String::from_utf8(bytes_of(url, &path, &digest)?).with_context(|| format!("{url}/{path} is not text"))?;
    apt_packages(Utf8Path::new("apt"), &list).map(Some).with_context(|| unreadable(url, path))
}

/// DNF's list of packages.
fn dnf_index(url: &Url, channel: Channel) -> Result<Option<Packages>> {
    let folder = format!("rpm/{channel}");
    let path = format!("{folder}/repodata/repomd.xml");
    let Some(leads) = text(url, &path)? else { return Ok(None) };
    let primary = repomd(&leads).with_context(|| unreadable(url, path))?;
    let path = format!("{folder}/{}", primary.path());
    let packed = bytes_of(url, &path, &primary.packed)?;
    let mut list = String::new();
    let mut unpacked = MultiGzDecoder::new(&*packed).take(LARGEST_INDEX_BYTES + 1);
    // An error of reading would count as one of the network, and decide nothing.
    let read = unpacked.read_to_string(&mut list);
    read.map_err(|error| anyhow!("{url}/{path} is not gzip of text: {error}"))?;
    ensure!(list.len() as u64 <= LARGEST_INDEX_BYTES, "{url}/{path} is too large");
    ensure!(sha256(list.as_bytes()) == primary.open, "what is in {url}/{path} is not what leads to it says");
    dnf_packages(Utf8Path::new(&folder), &list).map(Some).with_context(|| unreadable(url, path))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use fakes::script::{Script, response};
    use fakes::server::locked;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::indexes::tests::{dnf_list, repomd_of};
    use super::*;
    use crate::dist::{Verdict, samples};

    type Files = BTreeMap<String, Vec<u8>>;

    const DEB: &[u8] = b"a Debian package";
    const RPM: &[u8] = b"an RPM";
    const DEB_PATH: &str = "apt/pool/main/b/buildkit/buildkit_0.32.2-1_riscv64.deb";
    const RPM_PATH: &str = "rpm/stable/packages/buildkit-0.32.2-1.riscv64.rpm";

    fn record() -> Metadata {
        let file = |name: &str, content: &[u8]| FileRecord {
            name: name.to_owned(),
            size_bytes: content.len() as u64,
            sha256: sha256(content),
        };
        let packages = vec![file("buildkit-0.32.2-1.riscv64.rpm", RPM), file("buildkit_0.32.2-1_riscv64.deb", DEB)];
        Metadata { packages, ..samples::proved_record() }
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(content).expect("is packed");
        packed.finish().expect("is packed")
    }

    /// Repositories whose indexes name these digests.
    fn site(sums: [&str; 2], apt: &str, dnf: &str) -> Files {
        let list = format!("Package: buildkit\nFilename: {}\nSHA256: {apt}\n\n", DEB_PATH.replace("apt/", ""));
        let of_dnf = dnf_list(&[(RPM_PATH.trim_start_matches("rpm/stable/"), &dnf.parse().expect("a digest"))]);
        let packed = gzip(of_dnf.as_bytes());
        let (of_list, of_packed) = (sha256(list.as_bytes()), sha256(&packed));
        let release = format!("SHA256:\n {of_list}  1 main/binary-riscv64/Packages\n");
        let repomd = repomd_of(&of_packed, &sha256(of_dnf.as_bytes()));
        let texts = [
            ("SHA256SUMS".to_owned(), format!("{}  {DEB_PATH}\n{}  {RPM_PATH}\n", sums[0], sums[1]).into_bytes()),
            ("apt/dists/stable/Release".to_owned(), release.into_bytes()),
            (format!("apt/dists/stable/main/binary-riscv64/by-hash/SHA256/{of_list}"), list.into_bytes()),
            ("rpm/stable/repodata/repomd.xml".to_owned(), repomd.into_bytes()),
            (format!("rpm/stable/repodata/{of_packed}-primary.xml.gz"), packed),
            (DEB_PATH.to_owned(), DEB.to_vec()),
            (RPM_PATH.to_owned(), RPM.to_vec()),
        ];
        texts.into()
    }

    fn right() -> Files {
        let [deb, rpm] = [DEB, RPM].map(|content| sha256(content).to_string());
        site([&deb, &rpm], &deb, &rpm)
    }

    /// The verdict and the evidence, by the indexes alone and with the packages.
    fn verify(files: Files) -> [(Verdict, String); 2] {
        let files = Arc::new(Mutex::new(files));
        let script = Script::start(move |request| {
            let found = locked(&files).get(request.uri().path().trim_start_matches('/')).cloned();
            found.map_or_else(|| response(404, &[], ""), |content| response(200, &[], content))
        });
        let repositories = Repositories::read(&script.url().parse().expect("a URL"));
        [false, true].map(|has_downloads| {
            let mut findings = Findings::default();
            check(&mut findings, &repositories, &record(), has_downloads);
            let check = findings.checks.pop().expect("a check");
            (check.verdict, check.evidence)
        })
    }

    #[test]
    fn repositories_lead_to_the_recorded_packages_or_differ() {
        let found = verify(right());
        assert!(found.iter().all(|(verdict, _)| *verdict == Verdict::Pass), "{found:?}");
        let [deb, rpm, other] = [DEB, RPM, b"another"].map(|content| sha256(content).to_string());
        let without = |path: &str| right().into_iter().filter(|(name, _)| !name.contains(path)).collect::<Files>();
        let with = |path: &str, content: &[u8]| {
            let mut files = right();
            files.iter_mut().filter(|(name, _)| name.contains(path)).for_each(|(_, text)| *text = content.to_vec());
            files
        };
        for (files, why) in [
            (site([&other, &rpm], &deb, &rpm), "SHA256SUMS has another digest of apt/pool"),
            (site([&deb, &other], &deb, &rpm), "SHA256SUMS has another digest of rpm/stable"),
            (
                site([&deb, &rpm], &other, &rpm),
                "the index of stable has another digest of buildkit_0.32.2-1_riscv64.deb",
            ),
            (
                site([&deb, &rpm], &deb, &other),
                "the index of stable has another digest of buildkit-0.32.2-1.riscv64.rpm",
            ),
            (with("by-hash", b"another"), "is not what leads to it says"),
            (with("primary", b"another"), "is not what leads to it says"),
            (without("by-hash"), "is not there"),
            (without("Release"), "the index of stable does not have"),
            (with("SHA256SUMS", b"<html>"), "is not a list of packages"),
            (with("Release", b"SHA256:\n"), "has no digest of main/binary-riscv64/Packages"),
            (without("repomd"), "the index of stable does not have buildkit-0.32.2-1.riscv64.rpm"),
        ] {
            let found = verify(files);
            let is_it = |(verdict, evidence): &(Verdict, String)| *verdict == Verdict::Fail && evidence.contains(why);
            assert!(found.iter().all(is_it), "{why}: {found:?}");
        }
        // Only a download shows what the package itself is.
        let found = verify(with(".deb", b"another package"));
        assert_eq!([found[0].0, found[1].0], [Verdict::Pass, Verdict::Fail], "{found:?}");
        let nothing = |files: Files| files.into_iter().filter(|(name, _)| name == "SHA256SUMS").collect::<Files>();
        for files in [Files::new(), nothing(with("SHA256SUMS", b""))] {
            let found = verify(files);
            assert!(found.iter().all(|(verdict, _)| *verdict == Verdict::NotRun), "{found:?}");
        }
    }

    #[test]
    fn any_index_is_refused_or_read_within_bounds() {
        let with = |packed: &[u8], open: &Sha256| {
            let (mut files, digest) = (right(), sha256(packed));
            files.insert("rpm/stable/repodata/repomd.xml".to_owned(), repomd_of(&digest, open).into_bytes());
            files.insert(format!("rpm/stable/repodata/{digest}-primary.xml.gz"), packed.to_vec());
            let [found, _] = verify(files);
            assert_eq!(found.0, Verdict::Fail, "{}", found.1);
            found.1
        };
        let bomb = gzip(&vec![b' '; usize::try_from(LARGEST_INDEX_BYTES).expect("fits") + 2]);
        assert!(with(&bomb, &sha256(b"")).contains("is too large"));
        assert!(with(b"damaged", &sha256(b"")).contains("is not gzip of text"));
        // A client reads both members of such a file.
        let [one, two] = [&b"one"[..], b"two"].map(gzip);
        assert!(with(&[one, two].concat(), &sha256(b"one")).contains("is not what leads to it says"));
        assert!(with(&gzip(b"one"), &sha256(b"one")).contains("is not an index of ours"));
    }

    #[test]
    fn an_index_has_no_package_that_the_list_of_all_has_not() {
        let [deb, rpm] = [DEB, RPM].map(|content| sha256(content).to_string());
        let mut files = site([&deb, &rpm], &deb, &rpm);
        files.insert("SHA256SUMS".to_owned(), format!("{rpm}  {RPM_PATH}\n").into_bytes());
        let [found, _] = verify(files);
        assert_eq!(found.0, Verdict::Fail);
        assert!(found.1.contains(&format!("an index has {DEB_PATH}, and ")), "{}", found.1);
    }
}
