//! Pushes the image: its blobs first, then the version tags, and `latest` last and only forward.

use oci::digest::Digest;
use oci::reference::ImageTag;

use crate::github::CompareStatus;
use crate::os::shell::one_line;
use crate::registry::RegistryStep;
use crate::release::plan::{Blob, Desired, Image, Latest, PlanBuilder, Registry};

/// Notes if the labels name another repository than the one that publishes: the image was built in another checkout.
pub(super) fn compare_url(desired: &Desired, plan: &mut PlanBuilder) {
    let page = desired.repository.page();
    let is_below =
        |url: &str| url.to_lowercase().strip_prefix(&page.to_lowercase()).is_some_and(|rest| rest.starts_with('/'));
    let Some(other) = desired.image.url.as_ref().filter(|url| !is_below(url)) else { return };
    plan.note(format!(
        "the image's labels name {} as its page, which is not below {page}; `cargo xtask image --repo {}` builds it with that name",
        one_line(other),
        desired.repository
    ));
}

/// Pushes the image, its attachments, and every tag except `latest`.
pub(super) fn push(image: &Image, registry: &Registry, plan: &mut PlanBuilder) {
    let digest = &image.manifest.digest;
    if registry.has_manifest {
        plan.same(format!("image {}@{digest}", image.repository));
    } else {
        for blob in &image.blobs {
            if registry.blobs.contains(&blob.digest) {
                plan.same(format!("blob {}", blob.digest));
            } else {
                plan.step(push_blob(image, blob));
            }
        }
        let (repository, Blob { digest, path, .. }) = (image.repository.clone(), image.manifest.clone());
        plan.step(RegistryStep::PushManifest { repository, digest, path });
    }
    for attachment in &image.attachments {
        if registry.attached.contains(&attachment.artifact_type) {
            plan.same(format!("{} attached to the image", attachment.artifact_type));
        } else {
            plan.step(RegistryStep::Attach {
                repository: image.repository.clone(),
                subject: digest.clone(),
                subject_size_bytes: image.manifest.size_bytes,
                artifact_type: attachment.artifact_type.clone(),
                path: attachment.path.clone(),
                size_bytes: attachment.size_bytes,
                sha256: attachment.sha256.clone(),
            });
        }
    }
    for tag in image.tags.iter().filter(|tag| !tag.is_latest()) {
        match target_of(registry, tag) {
            None => plan.step(tag_step(image, tag, None)),
            Some(found) if found == digest => plan.same(format!("tag {tag}")),
            Some(found) => plan.refuse(format!(
                "the tag {}:{tag} already refers to {found}, not to {digest}; a version tag never moves",
                image.repository
            )),
        }
    }
}

/// Moves `latest`, if desired, but only to a later commit, or once from an image that names none.
pub(super) fn move_latest(desired: &Desired, registry: &Registry, plan: &mut PlanBuilder) {
    let Desired { image, adopts_latest, .. } = desired;
    let Some(tag) = image.tags.iter().find(|tag| tag.is_latest()) else {
        if *adopts_latest {
            plan.note(format!("--adopt-latest moves nothing: latest follows master, and this is {}", desired.name));
        }
        return;
    };
    match (target_of(registry, tag), &registry.latest) {
        (Some(found), _) if *found == image.manifest.digest => plan.same(format!("tag {tag}")),
        (None, _) => plan.step(tag_step(image, tag, None)),
        (Some(found), Some(Latest { relation: Some(CompareStatus::Ahead), .. })) => {
            plan.step(tag_step(image, tag, Some(found)));
        }
        (Some(found), latest) if is_foreign(latest.as_ref()) => {
            let why = why_it_stays(latest.as_ref());
            if *adopts_latest {
                plan.note(format!("{tag} moves from {found} to {}, although {why}", image.manifest.digest));
                plan.step(tag_step(image, tag, Some(found)));
            } else {
                plan.note(format!("{tag} stays at {found}: {why}; --adopt-latest moves it"));
            }
        }
        (Some(found), latest) => plan.note(format!("{tag} stays at {found}: {}", why_it_stays(latest.as_ref()))),
    }
}

/// Whether `latest` is desired, and refers to an image that this project did not publish.
pub(super) fn has_foreign_latest(image: &Image, registry: &Registry) -> bool {
    let latest = image.tags.iter().find(|tag| tag.is_latest()).and_then(|tag| target_of(registry, tag));
    latest.is_some_and(|found| *found != image.manifest.digest) && is_foreign(registry.latest.as_ref())
}

/// Whether the image that `latest` refers to names no commit, or none that upstream has: this project did not publish
/// it, and there is no order between it and ours.
fn is_foreign(latest: Option<&Latest>) -> bool {
    latest.is_none_or(|latest| latest.revision.is_none() || latest.relation.is_none())
}

fn why_it_stays(latest: Option<&Latest>) -> String {
    let Some(Latest { revision: Some(revision), relation }) = latest else {
        return "that image does not name the commit it was built from".to_owned();
    };
    match relation {
        Some(CompareStatus::Behind) => format!("it was built from {revision}, which is newer than this build"),
        Some(CompareStatus::Identical) => format!("it was built from the same commit, {revision}"),
        Some(CompareStatus::Diverged) => {
            format!("it was built from {revision}, which is on another branch of upstream's history")
        }
        _ => format!("it was built from {revision}, and how this build relates to that is unknown"),
    }
}

fn target_of<'a>(registry: &'a Registry, tag: &ImageTag) -> Option<&'a Digest> {
    registry.tags.iter().find(|(found, _)| found == tag).map(|(_, digest)| digest)
}

fn push_blob(image: &Image, blob: &Blob) -> RegistryStep {
    RegistryStep::PushBlob {
        repository: image.repository.clone(),
        digest: blob.digest.clone(),
        path: blob.path.clone(),
        size_bytes: blob.size_bytes,
    }
}

fn tag_step(image: &Image, tag: &ImageTag, from: Option<&Digest>) -> RegistryStep {
    let (repository, digest) = (image.repository.clone(), image.manifest.digest.clone());
    RegistryStep::Tag { repository, digest, tag: tag.clone(), from: from.cloned() }
}
