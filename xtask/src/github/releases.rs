//! The releases of one repository, and their assets.

use anyhow::{Context, Result, anyhow, ensure};
use camino::Utf8Path;
use http::Method;
use oci::digest::Sha256;
use serde_json::json;

use crate::dist::ReleaseName;
use crate::github::documents::{Asset, CompareStatus, Comparison, Release};
use crate::github::lists::MAX_PAGES;
use crate::github::repository::Repository;
use crate::github::{Creation, GitHub};
use crate::http::Url;
use crate::os::terminal::{Progress, Unit};
use crate::upstream::CommitId;

const UPLOAD_ATTEMPTS: usize = 3;

pub struct Releases<'a> {
    pub github: &'a GitHub,
    pub repository: &'a Repository,
}

impl Releases<'_> {
    fn path(&self, rest: &str) -> String {
        format!("repos/{}/releases{rest}", self.repository)
    }

    /// All releases that GitHub lists, including drafts if the token has push access.
    pub fn all(&self) -> Result<Vec<Release>> {
        self.github.list(&self.path(""))
    }

    /// The same, and the published one of that name if there are so many releases that no list shows it.
    pub fn all_with(&self, release: &ReleaseName) -> Result<Vec<Release>> {
        let (mut all, has_more) = self.github.begin::<Release>(&self.path(""), MAX_PAGES)?;
        let name = release.to_string();
        if has_more && !all.iter().any(|found| found.tag_name == name && !found.draft) {
            all.extend(self.published(release)?);
        }
        Ok(all)
    }

    /// The published release of a git tag.
    pub fn published(&self, release: &ReleaseName) -> Result<Option<Release>> {
        self.github.read(&self.path(&format!("/tags/{release}")))
    }

    /// The current state of a release. Fails if it does not exist.
    pub fn by_id(&self, id: u64) -> Result<Release> {
        self.github.read(&self.path(&format!("/{id}")))?.with_context(|| format!("the release {id} no longer exists"))
    }

    /// The release of that name: the published one, or else the oldest draft.
    pub fn find(&self, release: &ReleaseName) -> Result<Option<Release>> {
        let name = release.to_string();
        let found = self.all_with(release)?.into_iter().filter(|found| found.tag_name == name);
        Ok(found.min_by_key(|found| (found.draft, found.id)))
    }

    /// Creates a draft, unless it exists. It names no target, so that publication tags the newest commit of the
    /// default branch: GitHub refuses any other commit once a workflow file has changed since, and no token of a
    /// workflow can be permitted it. Source: "Create a release", its note on `.github/workflows/`.
    pub fn draft(&self, release: &ReleaseName, notes: &str) -> Result<Release> {
        let document = json!({
            "tag_name": release.to_string(), "name": release.title(), "body": notes,
            "draft": true, "prerelease": release.is_prerelease(),
        });
        let what = format!("the draft of {release}");
        self.github.ensure(&what, || self.find(release), || self.github.create(&self.path(""), &document))
    }

    /// Sets the title, the notes and the prerelease flag of a draft, and the branch to tag if one is given. A
    /// draft with a target that may not be tagged accepts no other change before that. Source: "Update a
    /// release", its note on `.github/workflows/`.
    pub fn edit(&self, id: u64, release: &ReleaseName, notes: &str, branch: Option<&str>) -> Result<()> {
        let mut document = json!({ "name": release.title(), "body": notes, "prerelease": release.is_prerelease() });
        if let Some(branch) = branch {
            document["target_commitish"] = json!(branch);
        }
        self.github.change(&self.path(&format!("/{id}")), &document)
    }

    pub fn publish(&self, id: u64, is_latest: bool) -> Result<()> {
        let document = json!({ "draft": false, "make_latest": if is_latest { "true" } else { "false" } });
        self.github.change(&self.path(&format!("/{id}")), &document)
    }

    pub fn remove_asset(&self, id: u64) -> Result<()> {
        self.github.remove(&self.path(&format!("/assets/{id}")))
    }

    /// Uploads a file in constant memory, and checks the digest that GitHub reports. What an interrupted
    /// attempt left is removed first. Source: "Upload a release asset": after a 502 an empty asset in the
    /// state `starter` may remain; it can be safely deleted. Fails after [`UPLOAD_ATTEMPTS`].
    pub fn upload(&self, id: u64, name: &str, path: &Utf8Path, (size_bytes, sha256): (u64, &Sha256)) -> Result<()> {
        let mut progress = Progress::new("upload", Unit::Bytes);
        progress.set_total(size_bytes);
        let mut last = None;
        for attempt in 0..=UPLOAD_ATTEMPTS {
            let release = self.by_id(id)?;
            match release.assets.iter().find(|asset| asset.name == name) {
                Some(asset) if asset.is_complete(size_bytes, sha256) => return Ok(()),
                _ if attempt == UPLOAD_ATTEMPTS => break,
                Some(asset) => self.remove_asset(asset.id)?,
                None => {}
            }
            let url = self.upload_url(&release)?.with("name", name);
            let request = self.github.request(Method::POST, url);
            let request = request.file("application/octet-stream", path.to_owned(), 0, size_bytes);
            match self.github.creation::<Asset>(&request, |request| {
                self.github.http.send_with_progress(request, Some(&mut progress))
            }) {
                Ok(Creation::Created(asset)) if asset.is_complete(size_bytes, sha256) => return Ok(()),
                Ok(Creation::Created(asset)) => {
                    last = Some(anyhow!("GitHub has a different file: {} bytes, {:?}", asset.size, asset.digest));
                }
                // Even a refusal is retried: a stale list may have hidden an asset of this name.
                Ok(Creation::Unknown(error)) | Err(error) => last = Some(error),
            }
            progress.go_back_to(0);
        }
        Err(last.context("nothing was uploaded")?.context(format!("{name} could not be uploaded")))
    }

    /// The upload URL of a release, if the token may be sent to its site.
    fn upload_url(&self, release: &Release) -> Result<Url> {
        let address = release.upload_url.split('{').next().unwrap_or_default();
        let address: Url =
            address.parse().map_err(|error| anyhow!("GitHub returned an invalid upload URL: {error}"))?;
        ensure!(
            self.is_github(&address),
            "the upload URL is on another site, {}; the token is not sent there",
            address.origin()
        );
        Ok(address)
    }

    /// Whether the token may be sent to a site: GitHub itself, or the loopback interface if the API is a fake.
    fn is_github(&self, address: &Url) -> bool {
        let api = self.github.url("");
        let host = |url: &Url| url.origin().trim_start_matches("https://").trim_start_matches("api.").to_owned();
        match (api.is_loopback(), address.is_loopback()) {
            (true, true) => true,
            (false, false) => host(address).ends_with(&format!(".{}", host(&api))) || host(address) == host(&api),
            _ => false,
        }
    }

    /// The position of `head` relative to `base`; `None` if the repository does not have both.
    pub fn compare(&self, base: &CommitId, head: &CommitId) -> Result<Option<CompareStatus>> {
        let path = format!("repos/{}/compare/{base}...{head}?per_page=1", self.repository);
        let found: Option<Comparison> = self.github.read(&path)?;
        Ok(found.map(|found| found.status))
    }
}
