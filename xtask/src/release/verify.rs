//! Checks what was published as any user sees it: without credentials, at the public URLs. Then
//! plans again, and nothing may be left to do.

use anyhow::{Context, Result, bail, ensure};
use oci::reference::Reference;

use crate::dist::names::{self, METADATA, SHA256SUMS};
use crate::dist::{FileRecord, sha256sums};
use crate::github::{Release, Releases};
use crate::http::Http;
use crate::os::terminal::{note, print_status};
use crate::release::plan::{Desired, Image, plan};
use crate::release::remotes::{Remotes, is_private};

/// A list may be slightly older than the last write.
const ATTEMPTS: usize = 4;
const LARGEST_SUMS_BYTES: u64 = 1 << 20;

/// Returns whether anyone can pull the image. Fails if something is not as desired.
pub fn verify(remotes: &Remotes, desired: &Desired) -> Result<bool> {
    let release = release(remotes, desired)?;
    sums(&release, desired)?;
    print_status("verify", format_args!("{}: assets and {SHA256SUMS}, without credentials", desired.name));
    let is_public = image(remotes, desired)?;
    nothing_is_left(remotes, desired)?;
    Ok(is_public)
}

/// The release as any user sees it. Without a token, GitHub allows sixty requests an hour per IP
/// address; after that the token is used, which does not find a draft by its tag either.
fn release(remotes: &Remotes, desired: &Desired) -> Result<Release> {
    let anyone = remotes.github.anonymous();
    let by = |github| Releases { github, repository: &remotes.repository }.published(&desired.name);
    let found = retry(remotes, || {
        let found = by(&anyone).or_else(|_| by(&remotes.github))?;
        Ok(found.filter(|release| !release.draft))
    })?;
    found.with_context(|| {
        format!("{} is not visible without credentials; is {} private?", desired.name, remotes.repository)
    })
}

/// Checks that the public `SHA256SUMS` matches the assets on GitHub.
fn sums(release: &Release, desired: &Desired) -> Result<()> {
    let mut listed = Vec::new();
    for name in names::files(&desired.record.source.version) {
        let asset = release.assets.iter().find(|asset| asset.name == name);
        let asset = asset.with_context(|| format!("{} is published without {name}", desired.name))?;
        let ours = desired.files.iter().find(|file| file.name == name);
        let ours = ours.with_context(|| format!("{name} is missing from the build directory"))?;
        // The record may be that of an earlier run (see `plan::release`).
        let is_of_an_earlier_run = [METADATA, SHA256SUMS].contains(&name.as_str());
        ensure!(
            is_of_an_earlier_run || asset.is_complete(ours.size_bytes, &ours.sha256),
            "the public {name} has {} bytes, {:?}, but the build has {} bytes, sha256:{}",
            asset.size,
            asset.digest,
            ours.size_bytes,
            ours.sha256
        );
        let digest = asset.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:"));
        let sha256 = digest.map_or(Ok(ours.sha256.clone()), str::parse).map_err(anyhow::Error::msg)?;
        let url = asset.browser_download_url.clone();
        listed.push((url, FileRecord { name, size_bytes: asset.size, sha256 }));
    }
    let (url, _) = listed.pop().context("a release has files")?;
    let url = url.parse().map_err(anyhow::Error::msg)?;
    let public = Http::default().get(&url, LARGEST_SUMS_BYTES)?;
    let expected = sha256sums(listed.iter().map(|(_, file)| file));
    ensure!(public == expected.as_bytes(), "{url} does not match the assets of the release");
    Ok(())
}

/// Pulls the manifest by each tag and by its digest, without credentials. GitHub makes a new package private.
fn image(remotes: &Remotes, desired: &Desired) -> Result<bool> {
    let (image, anyone) = (&desired.image, remotes.registry.anonymous());
    let digest = &image.manifest.digest;
    let version_tags = image.tags.iter().filter(|tag| !tag.is_latest());
    for reference in version_tags.map(Reference::from).chain([Reference::from(digest)]) {
        let found = match anyone.manifest(&reference) {
            Ok(Some(found)) => found.descriptor.digest,
            Ok(None) => return Ok(nobody_can_pull(image, &format!("{reference} is not visible without credentials"))),
            // The error names the page where the package can be made public.
            Err(error) if is_private(&error) && image.repository.is_github() => {
                return Ok(nobody_can_pull(image, &format!("{error:#}")));
            }
            Err(error) if is_private(&error) => {
                return Ok(nobody_can_pull(image, "its registry needs credentials to be read"));
            }
            Err(error) => return Err(error),
        };
        ensure!(found == *digest, "{}:{reference} refers to {found}, not to {digest}", image.repository);
    }
    print_status("verify", format_args!("{}@{digest}: by digest and by tag, without credentials", image.repository));
    Ok(true)
}

/// A prominent note but no failure: the first publication of a package is always private.
fn nobody_can_pull(image: &Image, why: &str) -> bool {
    note(format_args!("NOBODY CAN PULL {} YET: {why}", image.repository));
    note("once the image is public, run this again to verify it; nothing is published twice");
    false
}

/// Observes and plans again: the plan must be empty.
fn nothing_is_left(remotes: &Remotes, desired: &Desired) -> Result<()> {
    let mut left = Vec::new();
    let done = retry(remotes, || {
        left = plan(desired, &remotes.observe(desired)?)?.steps;
        Ok(left.is_empty().then_some(()))
    })?;
    if done.is_none() {
        let lines: String = left.iter().map(|step| format!("\n  {step}")).collect();
        bail!("all steps were executed, but these still seem to be missing; run this again:{lines}");
    }
    print_status("verify", "all was compared again; nothing is left to do");
    Ok(())
}

/// Repeats until there is a value, at most [`ATTEMPTS`] times.
fn retry<T>(remotes: &Remotes, mut observe: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    for number in 1.. {
        let found = observe()?;
        if found.is_some() || number == ATTEMPTS {
            return Ok(found);
        }
        remotes.github.pause();
    }
    Ok(None)
}
