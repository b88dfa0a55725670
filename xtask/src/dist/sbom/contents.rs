//! What an SBOM of an image needs to know of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use anyhow::{Context, Error, Result, anyhow, ensure};
use oci::digest::{Sha256, sha256_of};
use oci::layout::Image;

use crate::dist::sbom::copyright::Declared;
use crate::dist::sbom::packages::{self, Distribution, OS_RELEASE, Package, STATUS, STATUS_PARTS};

/// The folder of the copyright files, one folder in it for each package.
const DOCUMENTS: &str = "usr/share/doc/";
const COPYRIGHT: &str = "/copyright";
/// What upstream's daemon looks for on PATH. Source: moby/buildkit, `solver/llbsolver/ops/exec_binfmt.go`.
const EMULATORS: &str = "usr/bin/buildkit-qemu-";
/// Of one file, and of all together; Debian's database has 0.2 MB, all copyright files 2.3 MB.
const MOST_FILE_BYTES: u64 = 16 << 20;
const MOST_BYTES: usize = 64 << 20;

/// See the head of this file.
#[derive(Debug)]
pub struct Contents {
    pub distribution: Distribution,
    /// Each with what it declares, if that can be read by a machine.
    pub packages: Vec<(Package, Option<Declared>)>,
    /// Name and digest of each emulator, sorted by name.
    pub emulators: Vec<(String, Sha256)>,
}

impl Contents {
    /// Reads them from the layers.
    ///
    /// Fails if a layer does not match its digest, or if the image has no database of packages.
    pub fn read(image: &Image) -> Result<Self> {
        let tree = image.files()?;
        let os_release = OS_RELEASE.iter().find_map(|path| tree.resolve(path).ok()).map(|(path, _)| path);
        let os_release = os_release.context("the image has no os-release file, so its distribution is unknown")?;
        let is_database = |path: &str| {
            path == STATUS || path.strip_prefix(STATUS_PARTS).is_some_and(|name| !name.ends_with(".md5sums"))
        };
        let is_copyright = |path: &str| path.starts_with(DOCUMENTS) && path.ends_with(COPYRIGHT);
        let is_text = |path: &str| path == &os_release[1..] || is_database(path) || is_copyright(path);
        let (mut texts, mut emulators, mut left_bytes) = (BTreeMap::new(), BTreeMap::new(), MOST_BYTES);
        image.contents(
            &tree,
            |path, _| is_text(path) || path.starts_with(EMULATORS),
            |paths, _, content| {
                if let Some(path) = paths.iter().find(|path| path.starts_with(EMULATORS)) {
                    let name = path.rsplit('/').next().unwrap_or(path);
                    emulators.insert(name.to_owned(), sha256_of(&mut { content })?);
                    return Ok(());
                }
                let text = text(content).with_context(|| format!("cannot read {}", paths[0]))?;
                let too_much =
                    || anyhow!("the texts in the image have more than {MOST_BYTES} bytes, which is the limit");
                for path in paths {
                    left_bytes = left_bytes.checked_sub(text.len()).ok_or_else(too_much)?;
                    texts.insert((*path).to_owned(), text.clone());
                }
                Ok(())
            },
        )?;
        let distribution = texts.get(&os_release[1..]).and_then(|text| Distribution::parse(text));
        let distribution = distribution.with_context(|| format!("{os_release} of the image names no distribution"))?;
        let mut installed = BTreeSet::new();
        let mut databases = texts.iter().filter(|(path, _)| is_database(path)).peekable();
        ensure!(databases.peek().is_some(), "the image has no /{STATUS}; its base must be Debian, or made of Debian");
        for (path, text) in databases {
            installed.extend(packages::installed(text).map_err(Error::msg).with_context(|| format!("/{path}"))?);
        }
        let declared = |package: &Package| {
            let (path, _) = tree.resolve(&format!("{DOCUMENTS}{}{COPYRIGHT}", package.name)).ok()?;
            Declared::parse(texts.get(&path[1..])?)
        };
        let packages = installed.into_iter().map(|package| (package.clone(), declared(&package))).collect();
        Ok(Self { distribution, packages, emulators: emulators.into_iter().collect() })
    }
}

/// A text file. What is not UTF-8 in it is replaced: some old copyright files are in Latin-1.
fn text(content: &mut dyn Read) -> Result<String> {
    let mut bytes = Vec::new();
    content.take(MOST_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MOST_FILE_BYTES, "it has more than {MOST_FILE_BYTES} bytes, which is the limit");
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
