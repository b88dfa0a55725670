//! What is attached to an image: what the registry's referrers API lists, if it has one, and what clients list in an
//! index that they maintain under a tag made from the image's digest.

use anyhow::{Context, Error, Result, bail, ensure};
use camino::Utf8Path;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, StatusCode};
use oci::digest::Digest;
use oci::documents::{Descriptor, INDEX_TYPE, MANIFEST_TYPE};
use oci::reference::Reference;
use oci::referrers::{Attachment, EMPTY, EMPTY_TYPE, fallback_tag, of_types, with_referrer};

use crate::github::next_of;
use crate::http::{Request, Url, look_until_found};
use crate::registry::upload::Content;
use crate::registry::{Registry, described};

/// An image has a handful of referrers; a page has a hundred or more.
pub(super) const MOST_PAGES: usize = 20;

/// Where an attachment is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// In the registry's own list; `None` if it has no referrers API.
    pub by_api: Option<bool>,
    /// In the index under the fallback tag.
    pub by_tag: bool,
}

impl Registry {
    /// Where an attachment of an image is listed.
    pub fn where_listed(&self, subject: &Digest, attachment: &Descriptor) -> Result<Listed> {
        let types = [attachment.artifact_type.as_deref().unwrap_or_default()];
        let has_it = |list: &[Descriptor]| list.iter().any(|known| known.digest == attachment.digest);
        let index = self.manifest(&Reference::from(&fallback_tag(subject)))?;
        Ok(Listed {
            by_api: self.listed(subject, &types)?.map(|list| has_it(&list)),
            by_tag: index.and_then(|index| of_types(&index.bytes, &types)).is_some_and(|list| has_it(&list)),
        })
    }

    /// The referrers of an image that have one of these types.
    ///
    /// Both lists are read. The API does not list what was pushed without an `OCI-Subject` in the response: such a
    /// referrer is in the index only, and a registry may answer 200 with an empty list beside it.
    /// Source: the OCI distribution specification 1.1, "Referrers Tag Schema". A registry should list what is
    /// in the index too ("Enabling the Referrers API"), so that entries are told apart by their digest.
    pub fn referrers(&self, subject: &Digest, artifact_types: &[&str]) -> Result<Vec<Descriptor>> {
        let mut found = self.listed(subject, artifact_types)?.unwrap_or_default();
        let index = self.manifest(&Reference::from(&fallback_tag(subject)))?;
        // "[…] the client SHOULD assume there are no referrers to the manifest."
        let indexed = index.and_then(|index| of_types(&index.bytes, artifact_types)).unwrap_or_default();
        for referrer in indexed {
            if !found.iter().any(|known| known.digest == referrer.digest) {
                found.push(referrer);
            }
        }
        Ok(found)
    }

    /// The registry's own list, or `None` if it has no referrers API.
    ///
    /// Such a registry should answer 404. ghcr.io answers 303 with an address of GitHub's web site
    /// (artifacthub/hub#4785), Artifactory 406 (google/go-containerregistry#1962), so that any
    /// response but a list of the right type counts as none.
    fn listed(&self, subject: &Digest, artifact_types: &[&str]) -> Result<Option<Vec<Descriptor>>> {
        let all = self.repository.url(&format!("referrers/{subject}"));
        // A registry can filter by one type, and need not.
        let mut next = Some(if let [one] = artifact_types { all.with("artifactType", one) } else { all });
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(Some(found)) };
            let request = Request::new(Method::GET, url.clone()).header(ACCEPT, INDEX_TYPE).without_redirects();
            let response = self.send(&request, None)?;
            let is_list = response.header(CONTENT_TYPE.as_str()).is_some_and(|found| found.starts_with(INDEX_TYPE));
            let is_known = ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status);
            match response.status {
                StatusCode::OK if is_list => {}
                status if is_known && !status.is_server_error() => return Ok(None),
                _ => return Err(self.refused(false, format!("list the referrers of {subject}"), &response)),
            }
            self.check_size(&response)?;
            let page = of_types(&response.body, artifact_types);
            found.extend(page.with_context(|| format!("{url} sent an invalid index"))?);
            next = next_page(&url, response.header("link"))?;
        }
        if next.is_none() {
            return Ok(Some(found));
        }
        bail!("the list of referrers of {subject} has more than {MOST_PAGES} pages")
    }

    /// What [`Registry::attach`] pushes for a file: its manifest, and its entry in lists of referrers.
    pub fn attached(subject: &Descriptor, attachment: &Attachment) -> (Vec<u8>, Descriptor) {
        let manifest = attachment.manifest(subject, &described(EMPTY_TYPE, EMPTY).digest);
        let listed = attachment.described(&described(MANIFEST_TYPE, &manifest));
        (manifest, listed)
    }

    /// Attaches a file to an image. Doing so again changes nothing.
    ///
    /// # Errors
    /// As [`Registry::push_blob`]; if the fallback tag refers to something other than an index.
    pub fn attach(&self, subject: &Descriptor, attachment: &Attachment, file: &Utf8Path) -> Result<Descriptor> {
        self.push(&attachment.layer(), Content::File(file), None)?;
        self.push(&described(EMPTY_TYPE, EMPTY), Content::Bytes(EMPTY), None)?;
        let (manifest, listed) = Self::attached(subject, attachment);
        let is_acknowledged = self.push_manifest(MANIFEST_TYPE, &manifest)?.is_listed;
        if !is_acknowledged || !self.shows(&subject.digest, &listed)? {
            self.list(&subject.digest, &listed)?;
        }
        Ok(listed)
    }

    /// Whether the registry's own list has a referrer whose push it acknowledged. The list may lag. Without this look, a
    /// registry that acknowledges and never lists would be sent the same attachment with each run.
    fn shows(&self, subject: &Digest, referrer: &Descriptor) -> Result<bool> {
        let types = [referrer.artifact_type.as_deref().unwrap_or_default()];
        let found = look_until_found(self.repository.endpoint(), || {
            Ok(match self.listed(subject, &types)? {
                Some(list) => list.iter().any(|known| known.digest == referrer.digest).then_some(true),
                None => Some(false),
            })
        })?;
        Ok(found.unwrap_or(false))
    }

    /// Adds a referrer to the index that clients maintain.
    /// Source: the OCI distribution specification 1.1, "Pushing Manifests with Subject".
    fn list(&self, subject: &Digest, referrer: &Descriptor) -> Result<()> {
        let tag = fallback_tag(subject);
        // The read may lag behind our own last write. To write its result back would drop what that write added.
        let mut indexed = self.indexed.borrow_mut();
        indexed.push((subject.clone(), referrer.clone()));
        let mut index = self.manifest(&Reference::from(&tag))?.map(|index| index.bytes);
        let mut is_changed = false;
        for (_, referrer) in indexed.iter().filter(|(of, _)| of == subject) {
            let changed = with_referrer(index.as_deref(), referrer).map_err(Error::msg);
            if let Some(changed) = changed.with_context(|| format!("{}:{tag} is not changed", self.repository))? {
                index = Some(changed);
                is_changed = true;
            }
        }
        index.filter(|_| is_changed).map_or(Ok(()), |index| self.tag(&tag, INDEX_TYPE, &index))
    }
}

/// The next page that a `Link` header names; it must be at the same origin.
fn next_page(url: &Url, link: Option<&str>) -> Result<Option<Url>> {
    let next = link.and_then(next_of).map(|link| url.resolve(link)).transpose().map_err(Error::msg)?;
    ensure!(next.as_ref().is_none_or(|next| next.origin() == url.origin()), "{url} continues at another origin");
    Ok(next)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn any_link_leads_to_the_same_origin() {
        let url: Url = "https://ghcr.io/v2/a/referrers/sha256:00?artifactType=x".parse().expect("a URL");
        arbtest::arbtest(|source| {
            let sample = *source.choose(&[
                r#"</v2/a/referrers/sha256:00?n=2>; rel="next""#,
                r#"<//ghcr.io:443/next>; rel="next""#,
                r#"<https://ghcr.io/1>; rel="prev", <https://other.example/3>; rel="next""#,
            ])?;
            let link = mutated_input::text(source, sample)?;
            if let Ok(Some(next)) = next_page(&url, Some(&link)) {
                assert_eq!(next.origin(), "https://ghcr.io");
                assert!(next.as_str().len() <= url.as_str().len() + link.len(), "{next}");
            }
            Ok(())
        });
    }

    #[test]
    fn any_page_gives_only_referrers_of_the_type_that_is_in_it() {
        let subject = described(MANIFEST_TYPE, b"{}");
        let listed = |artifact_type: &str| {
            let listed = described(MANIFEST_TYPE, artifact_type.as_bytes());
            Descriptor { artifact_type: Some(artifact_type.to_owned()), ..listed }
        };
        let manifests = [listed("application/spdx+json"), listed("application/x"), subject];
        let sample = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests }).to_string();
        assert_eq!(of_types(sample.as_bytes(), &["application/x"]).expect("an index"), [listed("application/x")]);
        arbtest::arbtest(|source| {
            let page = mutated_input::bytes(source, sample.as_bytes())?;
            let found = of_types(&page, &["application/x"]).unwrap_or_default();
            assert!(found.iter().all(|one| one.artifact_type.as_deref() == Some("application/x")), "{found:?}");
            assert!(found.iter().map(|one| one.digest.to_string().len()).sum::<usize>() <= page.len(), "{found:?}");
            Ok(())
        });
    }
}
