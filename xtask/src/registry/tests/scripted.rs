//! Behaviour that the specification allows and docker-registry 2.8.2 does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fakes::script::{Script, body, header, response, silence};
use fakes::server::{Action, Faults};
use http::Method;
use oci::documents::{Descriptor, INDEX_TYPE, MANIFEST_TYPE};
use oci::reference::Reference;
use oci::referrers::fallback_tag;
use serde_json::json;

use crate::registry::referrers::MOST_PAGES;
use crate::registry::tests::servers::{Scratch, USER};
use crate::registry::tests::{Pushed, attachment, client, described, noise, progress, tag};
use crate::registry::{LARGEST_MANIFEST_BYTES, Registry};

/// The first upload is reset after so many bytes.
struct ResetFirst(u64);

impl Faults for ResetFirst {
    fn action(&self, _number: u64, head: &http::Request<()>) -> Action {
        let is_first = head.method() == Method::PUT && head.uri().path() == "/first";
        if is_first { Action::ResetWithin(self.0) } else { Action::Pass }
    }
}

/// A registry that takes one upload, loses the connection after `most_bytes`, and reports how much has
/// arrived. Returns it, and the number of bytes that it received in all.
fn resuming(most_bytes: u64, blob: Vec<u8>) -> (Script, Arc<AtomicU64>) {
    let received = Arc::new(AtomicU64::new(0));
    let count = received.clone();
    let mut arrived = Vec::new();
    let server = Script::with_faults(Arc::new(ResetFirst(most_bytes)), move |request| {
        let part = body(request);
        count.fetch_add(part.len() as u64, Ordering::Relaxed);
        let uri = request.uri().to_string();
        match (request.method().as_str(), uri.as_str()) {
            ("HEAD", _) => response(404, &[], ""),
            ("POST", _) => response(202, &[("Location", "/first")], ""),
            ("GET", "/first") => {
                let range = format!("0-{}", arrived.len() - 1);
                response(204, &[("Location", "/second?a=b"), ("Range", &range)], "")
            }
            ("PUT", target) if target.starts_with("/first?digest=sha256%3A") => {
                arrived.extend_from_slice(part);
                silence()
            }
            ("PUT", target) if target.starts_with("/second?a=b&digest=sha256%3A") => {
                let range = format!("{}-{}", arrived.len(), blob.len() - 1);
                assert_eq!(header(request, "content-range"), Some(range.as_str()));
                arrived.extend_from_slice(part);
                assert!(arrived == blob, "the blob is whole");
                response(201, &[("Location", "/v2/a/blobs/x")], "")
            }
            _ => panic!("{} {uri}", request.method()),
        }
    });
    (server, received)
}

#[test]
fn an_upload_resumes_if_the_registry_reports_how_much_has_arrived() {
    let content = noise(3_000_000);
    let scratch = Scratch::new();
    let (blob, file) = (described("application/octet-stream", &content), scratch.file("blob", &content));
    let (server, received) = resuming(1_000_000, content);
    let mut shown = progress();
    let pushed = client(&server.address(), None).push_blob(&blob, &file, &mut shown).expect("is pushed");
    assert_eq!((pushed, shown.done(), received.load(Ordering::Relaxed)), (Pushed::Sent, blob.size, blob.size));
}

/// A registry may report how much has arrived and then refuse the rest, with a status of its own choice.
#[test]
fn an_upload_whose_resume_is_refused_starts_once_from_zero() {
    for (refusal, is_whole_refused) in [(416, false), (400, false), (500, false), (416, true)] {
        let mut arrived = 0;
        let server = Script::with_faults(Arc::new(ResetFirst(1_000_000)), move |request| {
            let is_part = request.headers().contains_key("content-range");
            match (request.method().as_str(), request.uri().path()) {
                ("HEAD", _) => response(404, &[], ""),
                ("POST", _) => response(202, &[("Location", if arrived == 0 { "/first" } else { "/again" })], ""),
                ("GET", _) => response(204, &[("Location", "/rest"), ("Range", &format!("0-{}", arrived - 1))], ""),
                ("PUT", "/first") if !is_part => {
                    arrived = body(request).len();
                    silence()
                }
                ("PUT", "/again") if !is_part && !is_whole_refused => response(201, &[], ""),
                _ => response(refusal, &[], ""),
            }
        });
        let content = noise(3_000_000);
        let scratch = Scratch::new();
        let (blob, file) = (described("application/octet-stream", &content), scratch.file("blob", &content));
        let mut shown = progress();
        let pushed = client(&server.address(), None).push_blob(&blob, &file, &mut shown);
        let uploads = server.requests().into_iter().filter(|request| request.method() == Method::PUT);
        let uploads: Vec<_> = uploads
            .map(|request| (request.uri().path().to_owned(), header(&request, "content-range").is_some()))
            .collect();
        let [first, part, again] = [("/first", false), ("/rest", true), ("/again", false)];
        assert_eq!(uploads, [first, part, again].map(|(path, is_part)| (path.to_owned(), is_part)), "{refusal}");
        match pushed {
            Ok(pushed) => assert_eq!((pushed, shown.done(), is_whole_refused), (Pushed::Sent, blob.size, false)),
            Err(error) => assert!(is_whole_refused && error.to_string().contains("416"), "{error:#}"),
        }
    }
}

#[test]
fn an_upload_to_another_origin_has_no_credentials() {
    let storage = Script::start(|_| response(201, &[], ""));
    let location = format!("{}/place?signature=s", storage.url());
    let registry = Script::start(move |request| match request.method().as_str() {
        _ if header(request, "authorization").is_none() => {
            response(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], "")
        }
        "HEAD" => response(404, &[], ""),
        _ => response(202, &[("Location", &location)], ""),
    });
    let scratch = Scratch::new();
    let content = noise(1000);
    let blob = described("application/octet-stream", &content);
    let path = scratch.file("blob", &content);
    let pushed = client(&registry.address(), Some(USER)).push_blob(&blob, &path, &mut progress());
    assert_eq!(pushed.expect("is pushed"), Pushed::Sent);
    let requests = storage.requests();
    assert_eq!(requests.iter().map(|request| header(request, "authorization")).collect::<Vec<_>>(), [None]);
}

#[test]
fn another_origin_of_a_blob_cannot_ask_for_credentials() {
    let site = Script::start(|request| {
        let host = header(request, "host").expect("is sent");
        response(401, &[("WWW-Authenticate", &format!("Bearer realm=\"http://{host}/token\""))], "")
    });
    let location = format!("{}/blob", site.url());
    let server = Script::start(move |_| response(307, &[("Location", &location)], ""));
    let registry = client(&server.address(), Some(USER));
    *registry.authorization.borrow_mut() = registry.credentials.clone();
    registry.has_blob(&described("", b"{}").digest).expect_err("is refused");
    let requests = site.requests();
    let seen: Vec<_> =
        requests.iter().map(|request| (request.uri().path(), header(request, "authorization"))).collect();
    assert_eq!(seen, [("/blob", None)]);
}

/// An image, and what refers to it.
fn referrer() -> (Descriptor, Descriptor) {
    let subject = described(MANIFEST_TYPE, b"{}");
    let (_, listed) = Registry::attached(&subject, &attachment(&Scratch::new()).0);
    (subject, listed)
}

#[test]
fn the_referrers_api_is_read_page_by_page() {
    let (subject, ours) = referrer();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [ours] }).to_string();
    let server = Script::start(move |request| {
        let content_type = ("Content-Type", INDEX_TYPE);
        match request.uri().to_string() {
            target if target == "/next" => response(200, &[content_type], index.clone()),
            target if target.ends_with("?artifactType=application%2Fspdx%2Bjson") => {
                let link = ("Link", "</next>; rel=\"next\"");
                response(200, &[content_type, link], r#"{"manifests":[{"artifactType":"other"}]}"#)
            }
            target if target.contains("/manifests/sha256-") => response(404, &[], ""),
            _ => response(500, &[], ""),
        }
    });
    let found = client(&server.address(), None).referrers(&subject.digest, &["application/spdx+json"]);
    assert_eq!(found.expect("is answered"), [ours]);
}

/// A registry may list nothing, or only a part, beside the index that clients maintain.
#[test]
fn the_referrers_api_and_the_fallback_tag_are_merged_by_digest() {
    let (subject, ours) = referrer();
    let other = Descriptor { digest: subject.digest.clone(), ..ours.clone() };
    let page = |manifests: &[&Descriptor]| {
        json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests }).to_string()
    };
    for (api, tag, expected) in [
        (page(&[]), page(&[&ours]), vec![ours.clone()]),
        (page(&[&ours]), page(&[]), vec![ours.clone()]),
        (page(&[&other]), page(&[&ours, &other]), vec![other.clone(), ours.clone()]),
    ] {
        let server = Script::start(move |request| {
            let body = if request.uri().path().contains("/referrers/") { &api } else { &tag };
            response(200, &[("Content-Type", INDEX_TYPE)], body.clone())
        });
        let found = client(&server.address(), None).referrers(&subject.digest, &["application/spdx+json"]);
        assert_eq!(found.expect("is answered"), expected);
    }
}

/// ghcr.io redirects such a request to its web site.
#[test]
fn a_registry_that_redirects_elsewhere_has_no_referrers_api() {
    let (subject, ours) = referrer();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [ours] }).to_string();
    let tag = fallback_tag(&subject.digest).to_string();
    let server = Script::start(move |request| {
        if request.uri().to_string().ends_with(&tag) {
            response(200, &[("Content-Type", INDEX_TYPE)], index.clone())
        } else {
            response(303, &[("Location", "https://site.invalid/packages")], "")
        }
    });
    let found = client(&server.address(), None).referrers(&subject.digest, &["application/spdx+json"]);
    assert_eq!(found.expect("is answered"), [ours]);
}

#[test]
fn a_manifest_that_does_not_match_its_digest_is_refused() {
    let [asked, other] = [b"{}", b"[]"].map(|bytes| described(MANIFEST_TYPE, bytes).digest);
    let digest = asked.to_string();
    let server = Script::start(move |_| response(200, &[("Docker-Content-Digest", &digest)], "[]"));
    let registry = client(&server.address(), None);
    for reference in [Reference::from(&tag("latest")), Reference::from(&asked)] {
        let error = registry.manifest(&reference).expect_err("is not it").to_string();
        assert!(error.contains(&asked.to_string()) && error.contains(&other.to_string()), "{error}");
    }
}

#[test]
fn a_manifest_and_a_page_of_referrers_have_a_largest_size() {
    for (size, is_taken) in [(LARGEST_MANIFEST_BYTES, true), (LARGEST_MANIFEST_BYTES + 1, false)] {
        let page = format!("{}{}", r#"{"manifests":[]}"#, " ".repeat(size - r#"{"manifests":[]}"#.len()));
        let server = Script::start(move |_| response(200, &[("Content-Type", INDEX_TYPE)], page.clone()));
        let registry = client(&server.address(), None);
        assert_eq!(registry.manifest(&Reference::from(&tag("latest"))).is_ok(), is_taken);
        assert_eq!(registry.referrers(&described("", b"").digest, &["application/x"]).is_ok(), is_taken);
    }
}

#[test]
fn a_list_of_referrers_has_a_largest_number_of_pages() {
    for (pages, is_taken) in [(MOST_PAGES, true), (MOST_PAGES + 1, false)] {
        let sent = AtomicUsize::new(0);
        let server = Script::start(move |_| {
            let is_last = sent.fetch_add(1, Ordering::Relaxed) + 1 == pages;
            let link = if is_last { "" } else { "</next>; rel=\"next\"" };
            response(200, &[("Content-Type", INDEX_TYPE), ("Link", link)], r#"{"manifests":[]}"#)
        });
        let found = client(&server.address(), None).referrers(&described("", b"").digest, &["application/x"]);
        assert_eq!(found.is_ok(), is_taken, "{found:?}");
    }
}
