//! Releases, and the git tags that publishing them creates.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::github::assets::Asset;
use crate::github::response::{Outcome, Response};
use crate::github::shapes::{self, BRANCH};
use crate::github::{Call, FakeGitHub, State};

const LARGEST_BODY_CHARACTERS: usize = 125_000;

/// A release, draft or published.
#[derive(Clone)]
pub struct Release {
    pub id: u64,
    pub tag: String,
    pub commit: String,
    pub name: Option<String>,
    pub body: Option<String>,
    pub is_draft: bool,
    pub is_prerelease: bool,
    pub published: Option<u64>,
    /// Whether neither its assets nor its tag can be changed any more.
    pub is_immutable: bool,
    /// Whether lists leave it out, as a list may that was made a moment ago.
    pub is_unlisted: bool,
    pub assets: Vec<Asset>,
}

/// The fields of "Create a release" and "Update a release" that we send.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    tag_name: Option<String>,
    target_commitish: Option<String>,
    name: Option<String>,
    body: Option<String>,
    draft: Option<bool>,
    prerelease: Option<bool>,
    #[serde(default)]
    make_latest: MakeLatest,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MakeLatest {
    #[default]
    True,
    False,
    Legacy,
}

impl Release {
    /// The last part of its page's URL, which for a draft is `untagged-…` rather than its tag.
    pub fn slug(&self) -> String {
        if self.is_draft { format!("untagged-{:020x}", self.id) } else { self.tag.clone() }
    }

    fn apply(&mut self, edit: Edit) {
        self.tag = edit.tag_name.unwrap_or(std::mem::take(&mut self.tag));
        self.commit = edit.target_commitish.unwrap_or(std::mem::take(&mut self.commit));
        self.name = edit.name.or(self.name.take());
        self.body = edit.body.or(self.body.take());
        self.is_draft = edit.draft.unwrap_or(self.is_draft);
        self.is_prerelease = edit.prerelease.unwrap_or(self.is_prerelease);
    }
}

impl FakeGitHub {
    /// Makes the releases that are published from now on immutable: the setting of a repository.
    /// Source: GitHub Docs, "Immutable releases".
    pub fn make_releases_immutable(&mut self) {
        self.state.has_immutable_releases = true;
    }
}

impl State {
    fn releases_of(&self, call: &Call) -> &Vec<Release> {
        if call.is_upstream { &self.upstream } else { &self.releases }
    }

    /// The releases that the client may see: "Only users with push access will receive listings for
    /// draft releases." Source: GitHub REST API, "List releases".
    fn visible<'a>(&'a self, call: &'a Call) -> impl DoubleEndedIterator<Item = &'a Release> {
        self.releases_of(call).iter().filter(|release| !release.is_draft || call.can_push)
    }

    fn release_response(&self, call: &Call, release: Option<&Release>) -> Outcome {
        release.map(|release| Response::ok(&self.to_json(call, release))).ok_or_else(Response::not_found)
    }

    /// "List releases": newest first, which is not the order of versions.
    pub fn list_releases(&self, call: &Call) -> Response {
        let all = self.visible(call).rev();
        let all = all.filter(|release| !release.is_unlisted).map(|release| self.to_json(call, release)).collect();
        call.list_response(all, "releases")
    }

    pub fn get_release(&mut self, call: &Call, id: &str) -> Outcome {
        self.release_response(call, self.visible(call).find(|release| release.id.to_string() == id))
    }

    /// "Get a release by tag name": "Get a published release with the specified tag", so no draft.
    pub fn tagged_release(&mut self, call: &Call, tag: &str) -> Outcome {
        self.release_response(call, self.visible(call).find(|release| release.tag == tag && !release.is_draft))
    }

    pub fn latest_release(&mut self, call: &Call) -> Outcome {
        self.release_response(call, self.latest(call.is_upstream))
    }

    /// The release that was made the latest; else "the most recent non-prerelease, non-draft release".
    pub fn latest(&self, is_upstream: bool) -> Option<&Release> {
        let all = if is_upstream { &self.upstream } else { &self.releases };
        let mut full = all.iter().filter(|release| !release.is_draft && !release.is_prerelease);
        let chosen = self.latest.filter(|_| !is_upstream);
        let is_chosen = |release: &&Release| Some(release.id) == chosen;
        full.clone().find(is_chosen).or_else(|| full.next_back())
    }

    /// "Create a release". A tag that a published release has is refused; several drafts may have the
    /// same tag.
    pub fn create_release(&mut self, call: &Call) -> Outcome {
        let edit: Edit = call.document()?;
        if edit.tag_name.as_deref().unwrap_or_default().is_empty() {
            return Err(Response::invalid("Release", "tag_name", "missing_field")
                .violating("a release without a tag".to_owned()));
        }
        let id = self.tick();
        let release = Release {
            id,
            tag: String::new(),
            commit: BRANCH.to_owned(),
            name: None,
            body: None,
            is_draft: true,
            is_prerelease: false,
            published: None,
            is_immutable: false,
            is_unlisted: false,
            assets: Vec::new(),
        };
        let is_draft = edit.draft.unwrap_or(false);
        let release = self.edited(call, release, Edit { draft: Some(is_draft), ..edit })?;
        let document = self.to_json(call, &release);
        self.releases.push(release);
        Ok(Response::created(&document))
    }

    pub fn update_release(&mut self, call: &Call, id: &str) -> Outcome {
        let edit: Edit = call.document()?;
        let position = self.releases.iter().position(|release| release.id.to_string() == id);
        let position = position.ok_or_else(Response::not_found)?;
        let release = self.edited(call, self.releases[position].clone(), edit)?;
        let document = self.to_json(call, &release);
        self.releases[position] = release;
        Ok(Response::ok(&document))
    }

    /// The release after the edit. Publishing it creates its git tag, if there is none, and by default
    /// makes it the latest, which "drafts and prereleases cannot" be.
    fn edited(&mut self, call: &Call, mut release: Release, edit: Edit) -> Result<Release, Response> {
        if edit.body.as_ref().is_some_and(|body| body.chars().count() > LARGEST_BODY_CHARACTERS) {
            return Err(Response::invalid("Release", "body", "custom")
                .violating("the body of a release is too long".to_owned()));
        }
        // The answer is quoted in cameronrye/openzim-mcp#215.
        if release.is_immutable && edit.draft == Some(true) {
            return Err(Response::custom("Release", "state cannot be changed when release is immutable"));
        }
        let make_latest = edit.make_latest;
        release.apply(edit);
        let commit = self.target(call, &release)?;
        if release.is_draft {
            return Ok(release);
        }
        let is_taken = |other: &Release| !other.is_draft && other.tag == release.tag && other.id != release.id;
        if self.releases.iter().any(is_taken) {
            return Err(Response::invalid("Release", "tag_name", "already_exists"));
        }
        if release.published.is_none() {
            self.check_tag_rules(&release.tag)?;
            release.published = Some(self.tick());
            release.is_immutable = self.has_immutable_releases;
            self.tags.entry(release.tag.clone()).or_insert(commit);
        }
        match make_latest {
            _ if release.is_prerelease => {}
            MakeLatest::True => self.latest = Some(release.id),
            MakeLatest::Legacy => self.latest = None,
            MakeLatest::False => {}
        }
        Ok(release)
    }

    /// "Get a reference", of a tag.
    pub fn git_tag(&mut self, call: &Call, tag: &str) -> Outcome {
        let commit = if call.is_upstream { self.refs.get(tag) } else { self.tags.get(tag) };
        let commit = commit.ok_or_else(Response::not_found)?;
        let api = call.api();
        Ok(Response::ok(&json!({
            "ref": format!("refs/tags/{tag}"),
            "node_id": "REF",
            "url": format!("{api}/git/refs/tags/{tag}"),
            "object": {"type": "commit", "sha": commit, "url": format!("{api}/git/commits/{commit}")},
        })))
    }

    /// The JSON of a release. Its `upload_url` is a template on another host; on loopback it has another
    /// path.
    fn to_json(&self, call: &Call, release: &Release) -> Value {
        let (api, id, slug) = (call.api(), release.id, release.slug());
        let (uploads, repository) = (&call.site.uploads, call.repository);
        let archive = |kind| (!release.is_draft).then(|| format!("{api}/{kind}/refs/tags/{}", release.tag));
        let assets: Vec<Value> = release.assets.iter().map(|asset| asset.to_json(call, &slug)).collect();
        json!({
            "id": id,
            "node_id": format!("RE_{id}"),
            "url": format!("{api}/releases/{id}"),
            "html_url": format!("https://github.com/{repository}/releases/tag/{slug}"),
            "assets_url": format!("{api}/releases/{id}/assets"),
            "upload_url": format!("{uploads}/repos/{repository}/releases/{id}/assets{{?name,label}}"),
            "tarball_url": archive("tarball"),
            "zipball_url": archive("zipball"),
            "tag_name": release.tag,
            "target_commitish": release.commit,
            "name": release.name,
            "body": release.body,
            "draft": release.is_draft,
            "prerelease": release.is_prerelease,
            "immutable": release.is_immutable,
            "created_at": shapes::time(id),
            "published_at": release.published.map(shapes::time),
            "author": shapes::user(call),
            "assets": assets,
        })
    }
}
