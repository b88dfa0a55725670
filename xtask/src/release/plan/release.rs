//! The release on GitHub: found or made as a draft, filled, and published when it is whole.

use crate::dist::names::{self, METADATA, SHA256SUMS};
use crate::dist::record::Metadata;
use crate::dist::release_name::ReleaseName;
use crate::github::documents::{Asset, Release};
use crate::reconcile::step::Step;
use crate::release::plan::{Draft, File, Observed, Wanted};

/// How far the release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Draft,
    Published,
}

/// Makes the draft what is to be published, and compares what is published with it.
pub(super) fn fill(wanted: &Wanted, observed: &Observed, draft: &mut Draft) -> Standing {
    let name = wanted.name.to_string();
    let mut found: Vec<&Release> = observed.releases.iter().filter(|release| release.tag_name == name).collect();
    found.sort_by_key(|release| (release.draft, release.id));
    for other in found.iter().skip(1) {
        draft.note(format!("there is another draft of {name}, which is left alone: {}", other.html_url));
    }
    match found.first() {
        None => {
            let (release, target) = (wanted.name.clone(), wanted.target.clone());
            draft.step(Step::DraftRelease { release, target, notes: wanted.notes.clone() });
            expected(wanted).for_each(|file| draft.step(upload(wanted, file)));
            Standing::Draft
        }
        Some(release) if release.draft => {
            complete(wanted, release, draft);
            Standing::Draft
        }
        Some(release) => {
            compare(wanted, release, observed.published_record.as_ref(), draft);
            Standing::Published
        }
    }
}

/// The last step, after which everyone sees it.
pub(super) fn publish(wanted: &Wanted, observed: &Observed, standing: Standing, draft: &mut Draft) {
    if standing == Standing::Draft {
        let is_latest = is_newest(&wanted.name, &observed.releases);
        draft.step(Step::PublishRelease { release: wanted.name.clone(), is_latest });
    }
}

/// The files that a release has, of those that are there, in the order in which they are listed.
fn expected(wanted: &Wanted) -> impl Iterator<Item = &File> {
    let names = names::files(&wanted.record.source.version).into_iter();
    names.filter_map(|name| wanted.files.iter().find(|file| file.name == name))
}

fn complete(wanted: &Wanted, release: &Release, draft: &mut Draft) {
    let name = &wanted.name;
    let says = |text: Option<&String>| text.map(|text| text.replace("\r\n", "\n").trim_end().to_owned());
    let title = Some(name.title());
    if release.name == title
        && says(release.body.as_ref()) == says(Some(&wanted.notes))
        && release.prerelease == name.is_prerelease()
    {
        draft.same(format!("draft {name}, its title and notes"));
    } else {
        draft.step(Step::EditDraft { release: name.clone(), notes: wanted.notes.clone() });
    }
    for file in expected(wanted) {
        match release.assets.iter().find(|asset| asset.name == file.name) {
            Some(asset) if asset.is_whole(file.size_bytes, &file.sha256) => draft.same(described(file)),
            Some(asset) => {
                draft.step(remove(wanted, asset, difference(asset, file)));
                draft.step(upload(wanted, file));
            }
            None => draft.step(upload(wanted, file)),
        }
    }
    for asset in release.assets.iter().filter(|asset| !expected(wanted).any(|file| file.name == asset.name)) {
        draft.step(remove(wanted, asset, "no file of this release".to_owned()));
    }
}

fn compare(wanted: &Wanted, release: &Release, published: Option<&Metadata>, draft: &mut Draft) {
    draft.same(format!("release {}, published: {}", wanted.name, release.html_url));
    let stands = published.is_some_and(|published| is_same_build(published, &wanted.record));
    for file in expected(wanted) {
        match release.assets.iter().find(|asset| asset.name == file.name) {
            Some(asset) if asset.is_whole(file.size_bytes, &file.sha256) => draft.same(described(file)),
            Some(_) if stands && [METADATA, SHA256SUMS].contains(&file.name.as_str()) => draft.note(format!(
                "{} is published with the proofs of an earlier run, of the same files and the same image; it stands",
                file.name
            )),
            Some(asset) => draft.refuse(format!(
                "{} is published, and {} is another there: {}; what is published stays as it is",
                wanted.name,
                file.name,
                difference(asset, file)
            )),
            None => draft.refuse(format!(
                "{} is published without {}, which no run of this does: somebody removed it; add it by hand \
                 (gh release upload {} {})",
                wanted.name, file.name, wanted.name, file.path
            )),
        }
    }
    for asset in release.assets.iter().filter(|asset| !expected(wanted).any(|file| file.name == asset.name)) {
        draft.note(format!("{} has also {}, which is left alone", wanted.name, asset.name));
    }
}

/// Whether two records are of the same files and the same image, and differ in their proofs at most.
fn is_same_build(published: &Metadata, ours: &Metadata) -> bool {
    published.has_the_files_of(ours) && published.image_digest() == ours.image_digest()
}

/// Whether no stable release of ours is of a newer version.
fn is_newest(name: &ReleaseName, releases: &[Release]) -> bool {
    let stable = |name: &ReleaseName| name.upstream().filter(|tag| tag.is_stable()).cloned();
    let Some(ours) = stable(name) else { return false };
    let public = releases.iter().filter(|release| !release.draft && !release.prerelease);
    public.filter_map(|release| stable(&release.tag_name.parse().ok()?)).all(|other| other <= ours)
}

fn upload(wanted: &Wanted, file: &File) -> Step {
    Step::UploadAsset {
        release: wanted.name.clone(),
        asset: file.name.clone(),
        path: file.path.clone(),
        size_bytes: file.size_bytes,
        sha256: file.sha256.clone(),
    }
}

fn remove(wanted: &Wanted, asset: &Asset, why: String) -> Step {
    Step::RemoveAsset { release: wanted.name.clone(), asset: asset.name.clone(), why }
}

fn described(file: &File) -> String {
    format!("asset {}, {} bytes, sha256:{}", file.name, file.size_bytes, file.sha256)
}

fn difference(asset: &Asset, file: &File) -> String {
    if asset.state != "uploaded" {
        return format!("its upload broke off, state {}", asset.state);
    }
    let digest = asset.digest.as_deref().unwrap_or("no digest");
    format!("{} bytes, {digest}, and not {} bytes, sha256:{}", asset.size, file.size_bytes, file.sha256)
}
