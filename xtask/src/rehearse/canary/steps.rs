//! What the canary makes, as steps of the real tasks, and the small files that these need.
#![allow(clippy::disallowed_methods, reason = "writes files")]

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Digest, sha256};
use oci::documents::{Descriptor, MANIFEST_TYPE};
use oci::reference::ImageTag;
use oci::referrers::Attachment;
use serde_json::json;

use crate::dist::ReleaseName;
use crate::github::{GitHubStep, issue_marker, issue_title, notes_file};
use crate::reconcile::Step;
use crate::registry::{Registry, RegistryStep, described};
use crate::rehearse::canary::site::Site;

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const ARTIFACT_TYPE: &str = "application/vnd.xtask.canary";
/// An empty tar archive: two blocks of zeros.
const LAYER: [u8; 1024] = [0; 1024];
const NOTES: &str = "Made by `cargo xtask rehearse --canary`, which removes it again.";

/// The steps in the order in which they are made. A comment and the end of the issue follow on the issue, whose
/// number is not known before.
pub struct Steps {
    pub release: ReleaseName,
    pub draft: Step,
    pub upload: Step,
    pub publish: Step,
    pub issue: Step,
    pub dispatch: Step,
    /// The blobs, the manifest and the tag.
    pub push: Vec<Step>,
    pub attach: Step,
    /// The content of the asset.
    pub content: Vec<u8>,
    pub image: Descriptor,
    /// How lists of referrers name the attachment.
    pub attachment: Descriptor,
    pub tag: ImageTag,
}

impl Steps {
    /// Writes the files below `target/` of the checkout at `root`, and plans the steps.
    pub fn write(root: &Utf8Path, site: &Site) -> Result<Self> {
        let version = site.version.clone();
        let release = ReleaseName::Upstream(version.clone());
        let folder = root.join("target/canary");
        let content = format!("{NOTES}\n{version} in {}\n", site.repository).into_bytes();
        let asset = write(&folder, "canary.txt", &content)?;
        let notes = root.join(notes_file(&release));
        write(notes.parent().unwrap_or(root), notes.file_name().unwrap_or_default(), NOTES.as_bytes())?;

        let repository = site.registry.repository();
        let source = format!("https://github.com/{}", site.repository);
        let layer = Descriptor::new(LAYER_TYPE, &sha256(&LAYER).into(), LAYER.len() as u64);
        let label = "org.opencontainers.image.source";
        let config = json!({
            "architecture": "riscv64", "os": "linux",
            "config": { "Labels": { label: source, "org.opencontainers.image.version": version } },
            "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
        });
        let config = config.to_string().into_bytes();
        let described_config = described(CONFIG_TYPE, &config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": described_config, "layers": [layer],
            "annotations": { label: source },
        });
        let manifest = manifest.to_string().into_bytes();
        let image = described(MANIFEST_TYPE, &manifest);
        let push = |blob: &Descriptor, name: &str, bytes: &[u8]| -> Result<Step> {
            let (digest, path) = (blob.digest.clone(), write(&folder, name, bytes)?);
            Ok(RegistryStep::PushBlob { repository: repository.clone(), digest, path, size_bytes: blob.size }.into())
        };
        let tag: ImageTag = version.to_string().parse().map_err(Error::msg)?;
        let digest = image.digest.clone();
        let path = write(&folder, "manifest.json", &manifest)?;
        let pushes = vec![
            push(&layer, "layer.tar", &LAYER)?,
            push(&described_config, "config.json", &config)?,
            RegistryStep::PushManifest { repository: repository.clone(), digest: digest.clone(), path }.into(),
            RegistryStep::Tag { repository: repository.clone(), digest, tag: tag.clone(), from: None }.into(),
        ];
        let (size_bytes, digest) = (content.len() as u64, sha256(&content));
        let attachment = Attachment {
            artifact_type: ARTIFACT_TYPE.to_owned(),
            file_name: asset.file_name().unwrap_or_default().to_owned(),
            digest: Digest::from(digest.clone()),
            size_bytes,
            annotations: BTreeMap::new(),
        };
        let body = format!("{NOTES}\n\n{}", issue_marker(&version));
        Ok(Self {
            draft: GitHubStep::DraftRelease { release: release.clone(), notes: NOTES.to_owned() }.into(),
            upload: GitHubStep::UploadAsset {
                release: release.clone(),
                asset: attachment.file_name.clone(),
                path: asset.clone(),
                size_bytes,
                sha256: digest.clone(),
            }
            .into(),
            publish: GitHubStep::PublishRelease { release: release.clone(), is_latest: false }.into(),
            issue: GitHubStep::FileIssue { version: version.clone(), title: issue_title(&version), body }.into(),
            dispatch: GitHubStep::Dispatch { version, known_runs: 0 }.into(),
            attach: RegistryStep::Attach {
                repository: repository.clone(),
                subject: image.digest.clone(),
                subject_size_bytes: image.size,
                artifact_type: ARTIFACT_TYPE.to_owned(),
                path: asset,
                size_bytes,
                sha256: digest,
            }
            .into(),
            attachment: Registry::attached(&image, &attachment).1,
            push: pushes,
            release,
            content,
            image,
            tag,
        })
    }

    /// The steps, without those that this repository has nothing for.
    pub fn all(&self, has_issues: bool, has_workflow: bool) -> Vec<&Step> {
        let mut all = vec![&self.draft, &self.upload, &self.publish];
        all.extend(has_issues.then_some(&self.issue));
        all.extend(has_workflow.then_some(&self.dispatch));
        all.extend(&self.push);
        all.push(&self.attach);
        all
    }
}

fn write(folder: &Utf8Path, name: &str, bytes: &[u8]) -> Result<Utf8PathBuf> {
    let path = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, bytes))
        .with_context(|| format!("cannot write {path}"))?;
    Ok(path)
}
