//! One change in a registry: planned, printed and executed.
#![allow(clippy::disallowed_methods, reason = "reads the files that are pushed")]

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8PathBuf;
use oci::digest::{Digest, Sha256, file_digest, sha256};
use oci::documents::{Descriptor, MANIFEST_TYPE};
use oci::reference::{ImageTag, Reference};
use oci::referrers::{Attachment, EMPTY, EMPTY_TYPE};
use serde::Serialize;

use crate::http::look_until_found;
use crate::os::shell::quoted;
use crate::os::terminal::{Progress, Unit};
use crate::registry::{Found, ImageRepository, Registry, described};

/// The manifest has the media type of a blob; the registry does not.
const BLOB_TYPE: &str = "application/octet-stream";

/// One change. Its `Display` is shell code that makes the same change with `oras`, run in the checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum RegistryStep {
    /// Push a blob of an image.
    PushBlob { repository: ImageRepository, digest: Digest, path: Utf8PathBuf, size_bytes: u64 },
    /// Push the manifest of an image, by digest and without a tag.
    PushManifest { repository: ImageRepository, digest: Digest, path: Utf8PathBuf },
    /// Attach a document to an image.
    Attach {
        repository: ImageRepository,
        /// The manifest of the image.
        subject: Digest,
        #[serde(skip)]
        subject_size_bytes: u64,
        /// Also the media type of the document.
        artifact_type: String,
        path: Utf8PathBuf,
        #[serde(skip)]
        size_bytes: u64,
        #[serde(skip)]
        sha256: Sha256,
    },
    /// Tag an image. Only `latest` may have referred to another image before.
    Tag {
        repository: ImageRepository,
        /// The manifest of the image.
        digest: Digest,
        tag: ImageTag,
        /// What the tag refers to until then, if it exists.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Digest>,
    },
}

/// Source: the manual of oras 1.3, <https://oras.land/docs/commands/>: `oras blob push`, `oras manifest
/// push`, `oras tag`.
fn oras(command: &str, repository: &ImageRepository, digest: &Digest) -> String {
    let plain = if repository.endpoint().is_loopback() { " --plain-http" } else { "" };
    format!("oras {command}{plain} {repository}@{digest}")
}

fn attachment(artifact_type: &str, path: &Utf8PathBuf, size_bytes: u64, sha256: &Sha256) -> Attachment {
    Attachment {
        artifact_type: artifact_type.to_owned(),
        file_name: path.file_name().unwrap_or_default().to_owned(),
        digest: sha256.clone().into(),
        size_bytes,
        annotations: BTreeMap::new(),
    }
}

impl fmt::Display for RegistryStep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let push_manifest = format!("manifest push --media-type {MANIFEST_TYPE}");
        match self {
            Self::PushBlob { repository, digest, path, .. } => {
                write!(out, "{} {}", oras("blob push", repository, digest), quoted(path.as_str()))
            }
            Self::PushManifest { repository, digest, path } => {
                write!(out, "{} {}", oras(&push_manifest, repository, digest), quoted(path.as_str()))
            }
            // `oras attach` would write the time of the push into the manifest, so that each run would
            // attach another document.
            Self::Attach { repository, subject, subject_size_bytes, artifact_type, path, size_bytes, sha256 } => {
                let attachment = attachment(artifact_type, path, *size_bytes, sha256);
                let subject = Descriptor::new(MANIFEST_TYPE, subject, *subject_size_bytes);
                let (manifest, listed) = Registry::attached(&subject, &attachment);
                let manifest = quoted(&String::from_utf8_lossy(&manifest));
                let empty = described(EMPTY_TYPE, EMPTY);
                let push_empty = format!("blob push --size {}", empty.size);
                write!(
                    out,
                    "{} {} && printf %s {} | {} - && printf %s {manifest} | {} -",
                    oras("blob push", repository, &attachment.digest),
                    quoted(path.as_str()),
                    quoted(&String::from_utf8_lossy(EMPTY)),
                    oras(&push_empty, repository, &empty.digest),
                    oras(&push_manifest, repository, &listed.digest),
                )
            }
            Self::Tag { repository, digest, tag, from } => {
                write!(out, "{} {tag}", oras("tag", repository, digest))?;
                from.iter().try_for_each(|from| write!(out, "  # it was {from}"))
            }
        }
    }
}

impl RegistryStep {
    /// Executes the step. If its effect is there already, nothing changes.
    pub fn execute(&self, registry: &Registry) -> Result<()> {
        assert_eq!(self.repository(), registry.repository(), "a plan is for one repository");
        match self {
            Self::PushBlob { digest, path, size_bytes, .. } => {
                let mut progress = Progress::new("push", Unit::Bytes);
                progress.set_total(*size_bytes);
                let blob = Descriptor::new(BLOB_TYPE, digest, *size_bytes);
                registry.push_blob(&blob, path, &mut progress).map(|_| ())
            }
            Self::PushManifest { digest, path, .. } => {
                let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
                ensure!(sha256(&bytes) == *digest.sha256(), "{path} has changed, it is not {digest}; run this again");
                registry.push_manifest(MANIFEST_TYPE, &bytes).map(|_| ())
            }
            Self::Attach { subject, artifact_type, path, size_bytes, sha256, .. } => {
                ensure!(file_digest(path)? == (*size_bytes, sha256.clone()), "{path} has changed; run this again");
                let attachment = attachment(artifact_type, path, *size_bytes, sha256);
                registry.attach(&image(registry, subject)?.descriptor, &attachment, path).map(|_| ())
            }
            Self::Tag { digest, tag, from, .. } => set_tag(registry, digest, tag, from.as_ref()),
        }
    }

    fn repository(&self) -> &ImageRepository {
        match self {
            Self::PushBlob { repository, .. }
            | Self::PushManifest { repository, .. }
            | Self::Attach { repository, .. }
            | Self::Tag { repository, .. } => repository,
        }
    }
}

/// Sets a tag that refers to `from`, or does not exist. One that another run has set meanwhile is not changed:
/// `latest` may be newer by then.
fn set_tag(registry: &Registry, digest: &Digest, tag: &ImageTag, from: Option<&Digest>) -> Result<()> {
    let found = registry.manifest(&Reference::from(tag))?.map(|found| found.descriptor.digest);
    match found {
        Some(found) if found == *digest => Ok(()),
        Some(found) if Some(&found) != from => {
            bail!("{}:{tag} was set to {found} meanwhile; run this again to see what is left", registry.repository())
        }
        _ => {
            let image = image(registry, digest)?;
            registry.tag(tag, &image.descriptor.media_type, &image.bytes)
        }
    }
}

/// An image that an earlier step has pushed. A read may lag behind that push.
fn image(registry: &Registry, digest: &Digest) -> Result<Found> {
    let endpoint = registry.repository().endpoint();
    let found = look_until_found(endpoint, || registry.manifest(&Reference::from(digest)))?;
    found.with_context(|| format!("{}@{digest} is missing; run this again to push it", registry.repository()))
}

#[cfg(test)]
mod tests;
