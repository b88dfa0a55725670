//! The image in its registry: what it is made of first, tags after it, `latest` last and only forward.

use oci::digest::Digest;
use oci::reference::ImageTag;

use crate::github::CompareStatus;
use crate::registry::step::RegistryStep;
use crate::release::plan::{Blob, Image, Latest, PlanBuilder, Registry};

/// Puts the image there, what is attached to it, and every tag but `latest`.
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
        match leads_to(registry, tag) {
            None => plan.step(set(image, tag)),
            Some(found) if found == digest => plan.same(format!("tag {tag}")),
            Some(found) => plan.refuse(format!(
                "the tag {}:{tag} exists and leads to {found}, and not to {digest}; a tag of a version never moves",
                image.repository
            )),
        }
    }
}

/// Moves `latest`, where it is desired, on to a commit that comes after the one where it is.
pub(super) fn move_latest(image: &Image, registry: &Registry, plan: &mut PlanBuilder) {
    for tag in image.tags.iter().filter(|tag| tag.is_latest()) {
        match (leads_to(registry, tag), &registry.latest) {
            (Some(found), _) if *found == image.manifest.digest => plan.same(format!("tag {tag}")),
            (None, _) | (Some(_), Some(Latest { relation: Some(CompareStatus::Ahead), .. })) => {
                plan.step(set(image, tag));
            }
            (Some(found), latest) => plan.note(format!("{tag} stays at {found}: {}", why_it_stays(latest.as_ref()))),
        }
    }
}

fn why_it_stays(latest: Option<&Latest>) -> String {
    let Some(Latest { revision: Some(revision), relation }) = latest else {
        return "that image does not say which commit it was built from".to_owned();
    };
    match relation {
        Some(CompareStatus::Behind) => format!("{revision} comes after what was built here"),
        Some(CompareStatus::Identical) => format!("it was built from {revision} as well"),
        Some(CompareStatus::Diverged) => format!("{revision} is on another line of upstream's history"),
        _ => format!("how {revision} relates to what was built here is not known"),
    }
}

fn leads_to<'a>(registry: &'a Registry, tag: &ImageTag) -> Option<&'a Digest> {
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

fn set(image: &Image, tag: &ImageTag) -> RegistryStep {
    let (repository, digest) = (image.repository.clone(), image.manifest.digest.clone());
    RegistryStep::Tag { repository, digest, tag: tag.clone() }
}
