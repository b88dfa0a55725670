//! What a registry may do and docker-registry 2.8.2 does not, word by word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use oci::documents::{Descriptor, INDEX_TYPE, MANIFEST_TYPE};
use oci::reference::Reference;
use oci::referrers::fallback_tag;
use serde_json::json;

use crate::registry::Registry;
use crate::registry::tests::servers::{Scratch, USER, answer, header, serve};
use crate::registry::tests::{Pushed, attachment, client, described, noise, progress, tag};

/// A registry that takes one upload, loses the connection after `most_bytes`, and can say how far it
/// got. Returns its address, and how many bytes it was sent in all.
fn resuming(most_bytes: usize, blob: Vec<u8>) -> (String, Arc<AtomicU64>) {
    let received = Arc::new(AtomicU64::new(0));
    let count = received.clone();
    let arrived = std::cell::RefCell::new(Vec::new());
    let address = serve(move |head, body| {
        let mut arrived = arrived.borrow_mut();
        let size: usize = header(head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut part = vec![0; if arrived.is_empty() { most_bytes.min(size) } else { size }];
        body.read_exact(&mut part).expect("is sent");
        count.fetch_add(part.len() as u64, Ordering::Relaxed);
        let target: Vec<&str> = head.split(' ').take(2).collect();
        match target[..] {
            ["HEAD", _] => Some(answer("404 Not Found", "", "")),
            ["POST", _] => Some(answer("202 Accepted", "Location: /first\r\n", "")),
            ["GET", "/first"] => {
                let range = format!("Location: /second?a=b\r\nRange: 0-{}\r\n", arrived.len() - 1);
                Some(answer("204 No Content", &range, ""))
            }
            ["PUT", target] if target.starts_with("/first?digest=sha256%3A") => {
                arrived.extend(part);
                None
            }
            ["PUT", target] if target.starts_with("/second?a=b&digest=sha256%3A") => {
                let range = format!("{}-{}", arrived.len(), blob.len() - 1);
                assert_eq!(header(head, "content-range"), Some(range.as_str()));
                arrived.extend(part);
                assert!(*arrived == blob, "the blob is whole");
                Some(answer("201 Created", "Location: /v2/a/blobs/x\r\n", ""))
            }
            _ => panic!("{head}"),
        }
    });
    (address, received)
}

#[test]
fn an_upload_goes_on_where_the_registry_can_tell_how_far_it_got() {
    let content = noise(3_000_000);
    let scratch = Scratch::new();
    let (blob, file) = (described("application/octet-stream", &content), scratch.file("blob", &content));
    let (address, received) = resuming(1_000_000, content);
    let mut shown = progress();
    let pushed = client(&address, None).push_blob(&blob, &file, None, &mut shown).expect("is pushed");
    assert_eq!((pushed, shown.done(), received.load(Ordering::Relaxed)), (Pushed::Sent, blob.size, blob.size));
}

#[test]
fn another_site_that_an_upload_is_led_to_does_not_learn_who_we_are() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let storage_heard = heard.clone();
    let storage = serve(move |head, body| {
        let size = header(head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        body.read_exact(&mut vec![0; size]).expect("is sent");
        storage_heard.lock().expect("is whole").push(header(head, "authorization").map(str::to_owned));
        Some(answer("201 Created", "", ""))
    });
    let registry = serve(move |head, _| {
        let knows_us = header(head, "authorization").is_some();
        Some(match head.split(' ').next() {
            _ if !knows_us => answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", ""),
            Some("HEAD") => answer("404 Not Found", "", ""),
            _ => answer("202 Accepted", &format!("Location: http://{storage}/place?signature=s\r\n"), ""),
        })
    });
    let scratch = Scratch::new();
    let content = noise(1000);
    let blob = described("application/octet-stream", &content);
    let path = scratch.file("blob", &content);
    let pushed = client(&registry, Some(USER)).push_blob(&blob, &path, None, &mut progress());
    assert_eq!(pushed.expect("is pushed"), Pushed::Sent);
    assert_eq!(*heard.lock().expect("is whole"), [None]);
}

#[test]
fn another_site_that_a_blob_is_at_cannot_ask_who_we_are() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let site_heard = heard.clone();
    let site = serve(move |head, _| {
        let target = head.split(' ').nth(1).expect("a target").to_owned();
        site_heard.lock().expect("is whole").push((target, header(head, "authorization").map(str::to_owned)));
        let host = header(head, "host").expect("is said");
        Some(answer("401 Unauthorized", &format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n"), ""))
    });
    let registry = serve(move |_, _| {
        let location = format!("Location: http://{site}/blob\r\n");
        Some(answer("307 Temporary Redirect", &location, ""))
    });
    let registry = client(&registry, Some(USER));
    *registry.authorization.borrow_mut() = registry.credentials.clone();
    registry.has_blob(&described("", b"{}").digest).expect_err("is refused");
    assert_eq!(*heard.lock().expect("is whole"), [("/blob".to_owned(), None)]);
}

/// An image, and what refers to it.
fn referrer() -> (Descriptor, Descriptor) {
    let subject = described(MANIFEST_TYPE, b"{}");
    let (_, listed) = Registry::attached(&subject, &attachment(&Scratch::new()).0);
    (subject, listed)
}

#[test]
fn a_list_of_referrers_that_the_registry_keeps_is_read_page_by_page() {
    let (subject, ours) = referrer();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [ours] }).to_string();
    let address = serve(move |head, _| {
        let target = head.split(' ').nth(1).expect("a target");
        let content_type = format!("Content-Type: {INDEX_TYPE}\r\n");
        Some(match target {
            "/next" => answer("200 OK", &content_type, &index),
            _ if target.ends_with("?artifactType=application%2Fspdx%2Bjson") => {
                let link = "Link: </next>; rel=\"next\"\r\n";
                answer("200 OK", &format!("{content_type}{link}"), r#"{"manifests":[{"artifactType":"other"}]}"#)
            }
            _ => answer("500 Internal Server Error", "", ""),
        })
    });
    let found = client(&address, None).referrers(&subject.digest, "application/spdx+json");
    assert_eq!(found.expect("is answered"), [ours]);
}

/// ghcr.io leads such a request to a page for people.
#[test]
fn a_registry_that_leads_elsewhere_keeps_no_list_of_referrers() {
    let (subject, ours) = referrer();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [ours] }).to_string();
    let tag = fallback_tag(&subject.digest).to_string();
    let address = serve(move |head, _| {
        let target = head.split(' ').nth(1).expect("a target");
        Some(if target.ends_with(&tag) {
            answer("200 OK", &format!("Content-Type: {INDEX_TYPE}\r\n"), &index)
        } else {
            answer("303 See Other", "Location: https://site.invalid/packages\r\n", "")
        })
    });
    let found = client(&address, None).referrers(&subject.digest, "application/spdx+json");
    assert_eq!(found.expect("is answered"), [ours]);
}

#[test]
fn a_manifest_that_is_not_what_its_digest_says_is_refused() {
    let [asked, other] = [b"{}", b"[]"].map(|bytes| described(MANIFEST_TYPE, bytes).digest);
    let headers = format!("Docker-Content-Digest: {asked}\r\n");
    let address = serve(move |_, _| Some(answer("200 OK", &headers, "[]")));
    let registry = client(&address, None);
    for reference in [Reference::from(&tag("latest")), Reference::from(&asked)] {
        let error = registry.manifest(&reference).expect_err("is not it").to_string();
        assert!(error.contains(&asked.to_string()) && error.contains(&other.to_string()), "{error}");
    }
}
