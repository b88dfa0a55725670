//! Looking at what was published as anyone would: without credentials, at the public addresses, and
//! once more at the whole, of which nothing may be left to do.

use anyhow::{Context, Result, bail, ensure};
use oci::reference::Reference;

use crate::dist::names::{self, METADATA, SHA256SUMS};
use crate::dist::{FileRecord, sha256sums};
use crate::github::Releases;
use crate::github::documents::Release;
use crate::http::Http;
use crate::os::terminal::{note, print_status};
use crate::release::plan::{Desired, Image, plan};
use crate::release::remotes::{Remotes, is_private};

/// A list may be a moment older than the last write.
const LOOKS: usize = 4;
const LARGEST_SUMS_BYTES: u64 = 1 << 20;

/// Returns whether anyone can pull the image.
///
/// # Errors
/// Where something is not as it was to be.
pub fn verify(remotes: &Remotes, desired: &Desired) -> Result<bool> {
    let release = release(remotes, desired)?;
    sums(&release, desired)?;
    print_status("verify", format_args!("{}: its assets and {SHA256SUMS}, without credentials", desired.name));
    let is_public = image(remotes, desired)?;
    nothing_is_left(remotes, desired)?;
    Ok(is_public)
}

/// The release as anyone sees it. Whoever has no token may ask GitHub sixty times an hour, together
/// with all others behind the same address; then the token asks, to whom a draft is as invisible by
/// its tag as to everyone.
fn release(remotes: &Remotes, desired: &Desired) -> Result<Release> {
    let anyone = remotes.github.anonymous();
    let by = |github| Releases { github, repository: &remotes.repository }.published(&desired.name);
    let found = again(remotes, || {
        let found = by(&anyone).or_else(|_| by(&remotes.github))?;
        Ok(found.filter(|release| !release.draft))
    })?;
    found.with_context(|| {
        format!("{} cannot be seen without credentials; is {} private?", desired.name, remotes.repository)
    })
}

/// What anyone downloads as `SHA256SUMS` is of the assets that GitHub has.
fn sums(release: &Release, desired: &Desired) -> Result<()> {
    let mut listed = Vec::new();
    for name in names::files(&desired.record.source.version) {
        let asset = release.assets.iter().find(|asset| asset.name == name);
        let asset = asset.with_context(|| format!("{} is published without {name}", desired.name))?;
        let ours = desired.files.iter().find(|file| file.name == name);
        let ours = ours.with_context(|| format!("{name} is gone from the folder of the build"))?;
        // The record may be that of an earlier run (see `plan::release`).
        let is_of_an_earlier_run = [METADATA, SHA256SUMS].contains(&name.as_str());
        ensure!(
            is_of_an_earlier_run || asset.is_whole(ours.size_bytes, &ours.sha256),
            "{name} is public with {} bytes, {:?}, and was built with {} bytes, sha256:{}",
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
    ensure!(public == expected.as_bytes(), "{url} is not of the files beside it");
    Ok(())
}

/// Pulls the manifest by each tag and by its digest, as anyone. GitHub makes a new package private.
fn image(remotes: &Remotes, desired: &Desired) -> Result<bool> {
    let (image, anyone) = (&desired.image, remotes.registry.anonymous());
    let digest = &image.manifest.digest;
    let lasting = image.tags.iter().filter(|tag| !tag.is_latest());
    for reference in lasting.map(Reference::from).chain([Reference::from(digest)]) {
        let found = match anyone.manifest(&reference) {
            Ok(Some(found)) => found.descriptor.digest,
            Ok(None) => return Ok(nobody_can_pull(image, &format!("{reference} is not there without credentials"))),
            // The refusal names the page where a person makes it public.
            Err(error) if is_private(&error) && image.repository.is_github() => {
                return Ok(nobody_can_pull(image, &format!("{error:#}")));
            }
            Err(error) if is_private(&error) => {
                return Ok(nobody_can_pull(image, "its registry shows it to nobody whom it does not know"));
            }
            Err(error) => return Err(error),
        };
        ensure!(found == *digest, "{}:{reference} leads to {found}, and not to {digest}", image.repository);
    }
    print_status("verify", format_args!("{}@{digest}: by digest and tag, without credentials", image.repository));
    Ok(true)
}

/// Loud, and no failure: the first publication of a package cannot be otherwise.
fn nobody_can_pull(image: &Image, why: &str) -> bool {
    note(format_args!("NOBODY CAN PULL {} YET: {why}", image.repository));
    note("once anyone can, run this again: it looks, and changes nothing");
    false
}

/// Everything is compared anew: the plan must be empty.
fn nothing_is_left(remotes: &Remotes, desired: &Desired) -> Result<()> {
    let mut left = Vec::new();
    let done = again(remotes, || {
        left = plan(desired, &remotes.observe(desired)?)?.steps;
        Ok(left.is_empty().then_some(()))
    })?;
    if done.is_none() {
        let lines: String = left.iter().map(|step| format!("\n  {step}")).collect();
        bail!("all steps were made, and these seem to be left; run this again:{lines}");
    }
    print_status("verify", "all was compared again; nothing is left to do");
    Ok(())
}

/// Looks until there is something, a bounded number of times.
fn again<T>(remotes: &Remotes, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    for number in 1.. {
        let found = look()?;
        if found.is_some() || number == LOOKS {
            return Ok(found);
        }
        remotes.github.pause();
    }
    Ok(None)
}
