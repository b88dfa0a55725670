//! The release on GitHub: found or created as a draft, filled, and published once it is complete.

use crate::dist::names::{METADATA, SHA256SUMS};
use crate::dist::{Metadata, ReleaseName};
use crate::github::{Asset, AssetState, GitHubStep, Release};
use crate::release::plan::{Desired, File, Observed, PlanBuilder};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReleaseState {
    Draft,
    Published,
}

/// Fills the draft, or if the release is already published compares it.
pub(super) fn fill(desired: &Desired, observed: &Observed, plan: &mut PlanBuilder) -> ReleaseState {
    let name = desired.name.to_string();
    let mut found: Vec<&Release> = observed.releases.iter().filter(|release| release.tag_name == name).collect();
    found.sort_by_key(|release| (release.draft, release.id));
    for other in found.iter().skip(1) {
        plan.note(format!("there is another draft of {name}, which is ignored: {}", other.html_url));
    }
    match found.first() {
        None => {
            plan.step(GitHubStep::DraftRelease { release: desired.name.clone(), notes: desired.notes.clone() });
            expected(desired).for_each(|file| plan.step(upload(desired, file)));
            ReleaseState::Draft
        }
        Some(release) if release.draft => {
            complete(desired, release, &observed.settings.default_branch, plan);
            ReleaseState::Draft
        }
        Some(release) => {
            compare(desired, release, observed, plan);
            ReleaseState::Published
        }
    }
}

/// Makes the release public.
pub(super) fn publish(desired: &Desired, observed: &Observed, state: ReleaseState, plan: &mut PlanBuilder) {
    if state == ReleaseState::Draft {
        let is_latest = is_newest(&desired.name, &observed.releases);
        plan.step(GitHubStep::PublishRelease { release: desired.name.clone(), is_latest });
    }
}

/// The files of a release that exist, in the order of `SHA256SUMS`.
fn expected(desired: &Desired) -> impl Iterator<Item = &File> {
    let names = desired.record.published().into_iter();
    names.filter_map(|name| desired.files.iter().find(|file| file.name == name))
}

/// Corrects the draft and completes its assets. Its tag goes to `default_branch`: an earlier version named a
/// commit, at which GitHub refuses every change of the draft as soon as a workflow file differs.
fn complete(desired: &Desired, release: &Release, default_branch: &str, plan: &mut PlanBuilder) {
    let name = &desired.name;
    let target = (release.target_commitish != default_branch).then(|| default_branch.to_owned());
    let normalized = |text: Option<&String>| text.map(|text| text.replace("\r\n", "\n").trim_end().to_owned());
    let title = Some(name.title());
    if release.name == title
        && normalized(release.body.as_ref()) == normalized(Some(&desired.notes))
        && release.prerelease == name.is_prerelease()
        && target.is_none()
    {
        plan.same(format!("draft {name}, its title and notes"));
    } else {
        plan.step(GitHubStep::EditDraft { release: name.clone(), target, notes: desired.notes.clone() });
    }
    for file in expected(desired) {
        match release.assets.iter().find(|asset| asset.name == file.name) {
            Some(asset) if asset.is_complete(file.size_bytes, &file.sha256) => plan.same(described(file)),
            Some(asset) => {
                plan.step(remove(desired, asset, difference(asset, file)));
                plan.step(upload(desired, file));
            }
            None => plan.step(upload(desired, file)),
        }
    }
    for asset in release.assets.iter().filter(|asset| !expected(desired).any(|file| file.name == asset.name)) {
        plan.step(remove(desired, asset, "not a file of this release".to_owned()));
    }
}

fn compare(desired: &Desired, release: &Release, observed: &Observed, plan: &mut PlanBuilder) {
    plan.same(format!("release {}, published: {}", desired.name, release.html_url));
    let is_kept = observed.published_record.as_ref().is_some_and(|record| is_same_build(record, &desired.record));
    let is_of_record = |file: &File| [METADATA, SHA256SUMS].contains(&file.name.as_str());
    for file in expected(desired) {
        match release.assets.iter().find(|asset| asset.name == file.name) {
            Some(asset) if asset.is_complete(file.size_bytes, &file.sha256) => plan.same(described(file)),
            Some(_) if is_kept && is_of_record(file) => plan.note(format!(
                "{} is published with the test results of an earlier run, of the same files and image; it is kept",
                file.name
            )),
            Some(_) if is_of_record(file) && observed.unread_record.is_some() => plan.note(format!(
                "{} is published with another content and is kept; it was not compared, because the published {METADATA} \
                 cannot be read now ({}); run this again later to compare it",
                file.name,
                observed.unread_record.as_deref().unwrap_or_default()
            )),
            Some(asset) => plan.refuse(format!(
                "{} is published with a different {}: {}; a published release is never changed",
                desired.name,
                file.name,
                difference(asset, file)
            )),
            // GitHub says on the page of such a release: "Only release title and notes can be modified."
            None if release.immutable => plan.refuse(format!(
                "{} is published without {} and is immutable, so nobody can add it; say in its notes, which can still be \
                 edited, that the file is missing (gh release edit {} --notes-file FILE)",
                desired.name, file.name, desired.name
            )),
            None => plan.refuse(format!(
                "{} is published without {}, so somebody removed it; add it by hand (gh release upload {} {})",
                desired.name, file.name, desired.name, file.path
            )),
        }
    }
    for asset in release.assets.iter().filter(|asset| !expected(desired).any(|file| file.name == asset.name)) {
        plan.note(format!("{} also has {}, which is ignored", desired.name, asset.name));
    }
}

/// Whether two records have the same files and the same image, and differ at most in their test results.
fn is_same_build(published: &Metadata, ours: &Metadata) -> bool {
    published.has_the_files_of(ours) && published.image_digest() == ours.image_digest()
}

/// Whether none of our stable releases has a newer version.
fn is_newest(name: &ReleaseName, releases: &[Release]) -> bool {
    let stable = |name: &ReleaseName| name.upstream().filter(|tag| tag.is_stable()).cloned();
    let Some(ours) = stable(name) else { return false };
    let public = releases.iter().filter(|release| !release.draft && !release.prerelease);
    public.filter_map(|release| stable(&release.tag_name.parse().ok()?)).all(|other| other <= ours)
}

fn upload(desired: &Desired, file: &File) -> GitHubStep {
    GitHubStep::UploadAsset {
        release: desired.name.clone(),
        asset: file.name.clone(),
        path: file.path.clone(),
        size_bytes: file.size_bytes,
        sha256: file.sha256.clone(),
    }
}

fn remove(desired: &Desired, asset: &Asset, why: String) -> GitHubStep {
    GitHubStep::RemoveAsset { release: desired.name.clone(), asset: asset.name.clone(), why }
}

fn described(file: &File) -> String {
    format!("asset {}, {} bytes, sha256:{}", file.name, file.size_bytes, file.sha256)
}

fn difference(asset: &Asset, file: &File) -> String {
    if asset.state != AssetState::Uploaded {
        return format!("its upload was interrupted, state {}", asset.state);
    }
    let digest = asset.digest.as_deref().unwrap_or("no digest");
    format!("{} bytes, {digest} instead of {} bytes, sha256:{}", asset.size, file.size_bytes, file.sha256)
}
