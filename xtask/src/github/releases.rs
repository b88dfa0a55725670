//! The releases of one repository, and their assets.

use anyhow::{Context, Result, anyhow, ensure};
use camino::Utf8Path;
use http::Method;
use oci::digest::Sha256;
use serde_json::json;

use crate::dist::ReleaseName;
use crate::github::documents::{Asset, CompareStatus, Comparison, Release};
use crate::github::repository::Repository;
use crate::github::{GitHub, Made};
use crate::http::url::Url;
use crate::os::terminal::{Progress, Unit};
use crate::upstream::git_ref::CommitId;

const UPLOADS: usize = 3;

/// The releases of a repository.
pub struct Releases<'a> {
    /// The API.
    pub github: &'a GitHub,
    /// Whose releases.
    pub repository: &'a Repository,
}

impl Releases<'_> {
    fn path(&self, rest: &str) -> String {
        format!("repos/{}/releases{rest}", self.repository)
    }

    /// All of them; drafts too, where the token may push.
    ///
    /// # Errors
    /// As [`GitHub::list`].
    pub fn all(&self) -> Result<Vec<Release>> {
        self.github.list(&self.path(""))
    }

    /// The published one of a git tag.
    ///
    /// # Errors
    /// As [`GitHub::read`].
    pub fn published(&self, release: &ReleaseName) -> Result<Option<Release>> {
        self.github.read(&self.path(&format!("/tags/{release}")))
    }

    /// One by its id, as it is now.
    ///
    /// # Errors
    /// As [`GitHub::read`], and where it is gone.
    pub fn by_id(&self, id: u64) -> Result<Release> {
        self.github.read(&self.path(&format!("/{id}")))?.with_context(|| format!("the release {id} is gone"))
    }

    /// The release of that name, whether published or a draft; of several drafts the oldest.
    ///
    /// # Errors
    /// As [`GitHub::list`].
    pub fn find(&self, release: &ReleaseName) -> Result<Option<Release>> {
        let name = release.to_string();
        let found = self.all()?.into_iter().filter(|found| found.tag_name == name);
        Ok(found.min_by_key(|found| (found.draft, found.id)))
    }

    /// Makes a draft, unless there is one.
    ///
    /// # Errors
    /// As [`GitHub::list`], and where GitHub refuses.
    pub fn draft(&self, release: &ReleaseName, target: Option<&CommitId>, notes: &str) -> Result<Release> {
        let mut document = json!({
            "tag_name": release.to_string(), "name": release.title(), "body": notes,
            "draft": true, "prerelease": release.is_prerelease(),
        });
        if let Some(commit) = target {
            document["target_commitish"] = json!(commit);
        }
        self.github.ensure(|| self.find(release), || self.github.make(&self.path(""), &document))
    }

    /// Gives it this title and these notes.
    ///
    /// # Errors
    /// Where GitHub refuses.
    pub fn edit(&self, id: u64, release: &ReleaseName, notes: &str) -> Result<()> {
        let document = json!({ "name": release.title(), "body": notes, "prerelease": release.is_prerelease() });
        self.github.change(&self.path(&format!("/{id}")), &document)
    }

    /// Publishes it.
    ///
    /// # Errors
    /// Where GitHub refuses.
    pub fn publish(&self, id: u64, is_latest: bool) -> Result<()> {
        let document = json!({ "draft": false, "make_latest": if is_latest { "true" } else { "false" } });
        self.github.change(&self.path(&format!("/{id}")), &document)
    }

    /// Removes an asset.
    ///
    /// # Errors
    /// Where GitHub refuses.
    pub fn remove_asset(&self, id: u64) -> Result<()> {
        self.github.remove(&self.path(&format!("/assets/{id}")))
    }

    /// Adds a file, in constant memory, and has GitHub say that it has all of it. What an attempt
    /// that broke off left behind is removed first. Source: "Upload a release asset": after a 502 an
    /// empty asset of the state `starter` may stay; it can be safely deleted.
    ///
    /// # Errors
    /// Where the file cannot be read, and where GitHub refuses it or has something else after
    /// several attempts.
    pub fn upload(&self, id: u64, name: &str, path: &Utf8Path, (size_bytes, sha256): (u64, &Sha256)) -> Result<()> {
        let mut progress = Progress::new("upload", Unit::Bytes);
        progress.set_total(size_bytes);
        let mut last = None;
        for attempt in 0..=UPLOADS {
            let release = self.by_id(id)?;
            match release.assets.iter().find(|asset| asset.name == name) {
                Some(asset) if asset.is_whole(size_bytes, sha256) => return Ok(()),
                _ if attempt == UPLOADS => break,
                Some(asset) => self.remove_asset(asset.id)?,
                None => {}
            }
            let url = self.upload_address(&release)?.with("name", name);
            let request = self.github.ask(Method::POST, url);
            let request = request.file("application/octet-stream", path.to_owned(), 0, size_bytes);
            match self
                .github
                .made::<Asset>(&request, |request| self.github.http.send_shown(request, Some(&mut progress)))
            {
                Ok(Made::Yes(asset)) if asset.is_whole(size_bytes, sha256) => return Ok(()),
                Ok(Made::Yes(asset)) => {
                    last = Some(anyhow!("GitHub has {} bytes of it, {:?}", asset.size, asset.digest));
                }
                // Refused, and be it because a list did not yet show what is there: looked at again.
                Ok(Made::Unsure(error)) | Err(error) => last = Some(error),
            }
            progress.go_back_to(0);
        }
        Err(last.context("nothing was uploaded")?.context(format!("{name} could not be uploaded")))
    }

    /// Where the assets of a release are sent to: a site that may be shown the token.
    fn upload_address(&self, release: &Release) -> Result<Url> {
        let address = release.upload_url.split('{').next().unwrap_or_default();
        let address: Url = address.parse().map_err(|error| anyhow!("GitHub's address for uploads: {error}"))?;
        ensure!(
            self.is_of_github(&address),
            "GitHub names {} for uploads, which is another site; the token is not sent there",
            address.origin()
        );
        Ok(address)
    }

    /// Whether a site may be shown the token: GitHub's own, or for a double this machine.
    fn is_of_github(&self, address: &Url) -> bool {
        let api = self.github.url("");
        let host = |url: &Url| url.origin().trim_start_matches("https://").trim_start_matches("api.").to_owned();
        match (api.is_loopback(), address.is_loopback()) {
            (true, true) => true,
            (false, false) => host(address).ends_with(&format!(".{}", host(&api))) || host(address) == host(&api),
            _ => false,
        }
    }

    /// Where `head` is, seen from `base`; `None` if the repository does not have both.
    ///
    /// # Errors
    /// As [`GitHub::read`].
    pub fn compare(&self, base: &CommitId, head: &CommitId) -> Result<Option<CompareStatus>> {
        let path = format!("repos/{}/compare/{base}...{head}?per_page=1", self.repository);
        let found: Option<Comparison> = self.github.read(&path)?;
        Ok(found.map(|found| found.status))
    }
}
