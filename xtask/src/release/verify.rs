//! Checks what was published as any user sees it: without credentials, at the public URLs. Then
//! plans again, and nothing may be left to do.
//!
//! Public reads may lag behind the last write, and are limited. What was published is not at fault then, so that such
//! a read is tried for a while, and what could not be read is verified later.

use anyhow::{Context, Error, Result, bail, ensure};
use oci::reference::Reference;

use crate::dist::names::{METADATA, SHA256SUMS};
use crate::dist::{FileRecord, sha256sums};
use crate::github::{Release, Releases};
use crate::http::{Url, look_until_found};
use crate::os::terminal::{note, print_status};
use crate::published::{LARGEST_SUMS_BYTES, is_private, is_temporary};
use crate::release::download::{download, eventually};
use crate::release::plan::{Desired, Image, plan};
use crate::release::remotes::Remotes;

/// What could be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether anyone can pull the image, or `None` if that could not be read.
    pub is_public: Option<bool>,
    /// Why something could not be read without credentials; one reason for each.
    pub postponed: Vec<String>,
}

/// Fails if something is not as desired, or if something that was written cannot be seen with the credentials either.
pub fn verify(remotes: &Remotes, desired: &Desired) -> Result<Verified> {
    let mut verified = Verified { is_public: None, postponed: Vec::new() };
    let release = release(remotes, desired)?;
    if verified.unless_postponed(sums_match(&release))?.is_some() {
        print_status("verify", format_args!("{}: assets and {SHA256SUMS}, without credentials", desired.name));
    }
    verified.is_public = verified.unless_postponed(image(remotes, desired))?;
    nothing_is_left(remotes, desired)?;
    Ok(verified)
}

impl Verified {
    /// The result of a check, or `None` if it failed only because the public read is limited or lags.
    fn unless_postponed<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Err(error) if is_temporary(&error) => {
                self.postponed.push(format!("{error:#}"));
                Ok(None)
            }
            result => result.map(Some),
        }
    }
}

/// Reads the release as any user sees it, until it is as desired. Returns the public URL of its `SHA256SUMS`, and what
/// that must contain. Without a token, GitHub allows sixty requests an hour per IP address; after that the token is
/// used, which does not find a draft by its tag either.
fn release(remotes: &Remotes, desired: &Desired) -> Result<(Url, String)> {
    let anyone = remotes.github.anonymous();
    let by = |github| Releases { github, repository: &remotes.repository }.published(&desired.name);
    eventually(&remotes.github.url(""), || {
        let found = by(&anyone).or_else(|_| by(&remotes.github))?;
        let found = found.filter(|release| !release.draft).with_context(|| {
            format!("{} is not visible without credentials; is {} private?", desired.name, remotes.repository)
        });
        Ok(found.and_then(|release| sums(&release, desired)))
    })
}

/// Compares the assets with the build. Returns the URL of `SHA256SUMS`, and what it must contain.
fn sums(release: &Release, desired: &Desired) -> Result<(Url, String)> {
    let mut listed = Vec::new();
    for name in desired.record.published() {
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
        let sha256 = digest.map_or(Ok(ours.sha256.clone()), str::parse).map_err(Error::msg)?;
        let url = asset.browser_download_url.clone();
        listed.push((url, FileRecord { name, size_bytes: asset.size, sha256 }));
    }
    let (url, _) = listed.pop().context("a release has files")?;
    let url = url.parse().map_err(Error::msg)?;
    Ok((url, sha256sums(listed.iter().map(|(_, file)| file))))
}

/// Checks that the public `SHA256SUMS` matches the assets on GitHub. It may not be there yet.
fn sums_match((url, expected): &(Url, String)) -> Result<()> {
    let public = download(url, LARGEST_SUMS_BYTES)?;
    ensure!(public == expected.as_bytes(), "{url} does not match the assets of the release");
    Ok(())
}

/// Pulls the manifest by each tag and by its digest, without credentials. GitHub makes a new package private.
fn image(remotes: &Remotes, desired: &Desired) -> Result<bool> {
    let (image, anyone) = (&desired.image, remotes.registry.anonymous());
    let digest = &image.manifest.digest;
    let version_tags = image.tags.iter().filter(|tag| !tag.is_latest());
    for reference in version_tags.map(Reference::from).chain([Reference::from(digest)]) {
        let found = match look_until_found(image.repository.endpoint(), || anyone.manifest(&reference)) {
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
    let done = look_until_found(&remotes.github.url(""), || {
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
