//! Changes to what is published that no task makes: by the owner, or by somebody with the owner's token.

use crate::digest::sha256;
use crate::github::FakeGitHub;
use crate::github::assets::Asset;
use crate::github::releases::Release;
use crate::message::Content;

impl FakeGitHub {
    /// Puts a file in the place of an asset, if the release and the asset are there: it is deleted, and another is
    /// uploaded, so that it has another id. Immutable releases are not heeded: what they promise is to be verified.
    /// Source: GitHub REST API, "Delete a release asset", "Upload a release asset".
    pub fn put_asset(&mut self, tag: &str, name: &str, content: Vec<u8>) {
        let digest = format!("sha256:{}", sha256(&content));
        let id = self.state.tick();
        if let Some(asset) = self.asset(tag, name) {
            asset.id = id;
            asset.digest = Some(digest);
            asset.content = Some(Content::Memory(content));
        }
    }

    /// Sends as many other bytes as those whose digest the list has.
    pub fn corrupt_asset(&mut self, tag: &str, name: &str, mut content: Vec<u8>) {
        if let Some(asset) = self.asset(tag, name) {
            content.resize(usize::try_from(asset.size_bytes()).unwrap_or(usize::MAX), 0);
            asset.content = Some(Content::Memory(content));
        }
    }

    /// Adds a file to a release.
    pub fn add_asset(&mut self, tag: &str, name: &str, content: Vec<u8>) {
        let id = self.state.tick();
        let Some(release) = self.state.releases.iter_mut().find(|release| release.tag == tag) else { return };
        let digest = Some(format!("sha256:{}", sha256(&content)));
        let (content_type, label) = ("application/octet-stream".to_owned(), None);
        let content = Some(Content::Memory(content));
        release.assets.push(Asset { id, name: name.to_owned(), content_type, label, content, digest });
    }

    /// Removes a file from a release.
    pub fn take_asset(&mut self, tag: &str, name: &str) {
        let release = self.state.releases.iter_mut().find(|release| release.tag == tag);
        release.into_iter().for_each(|release| release.assets.retain(|asset| asset.name != name));
    }

    /// Changes the text of a release's page.
    pub fn rewrite_page(&mut self, tag: &str, rewrite: impl Fn(&str) -> String) {
        let release = self.state.releases.iter_mut().find(|release| release.tag == tag);
        release.into_iter().for_each(|release| release.body = release.body.as_deref().map(&rewrite));
    }

    /// Marks a release as a prerelease, or as none. Source: GitHub REST API, "Update a release".
    pub fn mark_prerelease(&mut self, tag: &str, is_prerelease: bool) {
        let release = self.state.releases.iter_mut().find(|release| release.tag == tag);
        release.into_iter().for_each(|release| release.is_prerelease = is_prerelease);
    }

    /// That of the published release: a draft of the same name may be left over.
    fn asset(&mut self, tag: &str, name: &str) -> Option<&mut Asset> {
        let is_it = |release: &&mut Release| release.tag == tag && !release.is_draft;
        let release = self.state.releases.iter_mut().find(is_it)?;
        release.assets.iter_mut().find(|asset| asset.name == name)
    }
}
