//! The registry through whole messages: each of its rules once, as a client would meet it.

use http::Request as Builder;

use super::*;
use crate::digest::sha256;
use crate::registry::tokens::basic;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

struct Client {
    registry: FakeRegistry,
    token: Option<String>,
}

impl Client {
    fn new() -> Self {
        let account = Account { username: "octo".to_owned(), password: "secret".to_owned(), may_push: true };
        Self { registry: FakeRegistry::new(account, vec!["ghs_".to_owned()]), token: None }
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut builder = Builder::builder().method(method).uri(path).header("Host", "127.0.0.1:9");
        if let Some(token) = &self.token {
            builder = builder.header("Authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        self.registry.handle(&builder.body(Content::Memory(body.to_vec())).expect("a request"))
    }

    fn sign_in(&mut self) {
        self.token = None;
        let basic = basic("octo", "secret");
        let response = self.send("GET", TOKEN, &[("Authorization", &basic)], b"");
        self.token = Some(token_in(&response));
    }

    fn put_blob(&mut self, content: &[u8]) -> String {
        let begun = self.send("POST", "/v2/o/x/blobs/uploads/", &[], b"");
        let digest = format!("sha256:{}", sha256(content));
        let ended = self.send("PUT", &format!("{}&digest={digest}", location(&begun)), &[], content);
        assert_eq!((begun.status().as_u16(), ended.status().as_u16()), (202, 201));
        digest
    }

    fn put_manifest(&mut self, reference: &str) -> (Response, String) {
        let config = self.put_blob(b"{}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
            "annotations": { "for": reference },
        });
        let bytes = manifest.to_string().into_bytes();
        let digest = format!("sha256:{}", sha256(&bytes));
        let path = format!("/v2/o/x/manifests/{reference}");
        (self.send("PUT", &path, &[("Content-Type", MANIFEST_TYPE)], &bytes), digest)
    }

    fn head_tag(&mut self, tag: &str) -> Option<String> {
        let response = self.send("HEAD", &format!("/v2/o/x/manifests/{tag}"), &[("Accept", MANIFEST_TYPE)], b"");
        response.headers().get(DIGEST).map(|value| value.to_str().expect("text").to_owned())
    }
}

const TOKEN: &str = "/token?service=s&scope=repository:o/x:pull,push";

fn location(response: &Response) -> String {
    let value = response.headers()["Location"].to_str().expect("text");
    value.trim_start_matches("http://127.0.0.1:9").to_owned()
}

fn token_in(response: &Response) -> String {
    let Content::Memory(bytes) = response.body() else { panic!("is in memory") };
    let body: Value = serde_json::from_slice(bytes).expect("JSON");
    body["token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

#[test]
fn an_anonymous_request_is_told_where_to_get_a_token() {
    let mut client = Client::new();
    let response = client.send("GET", "/v2/", &[], b"");
    let challenge = response.headers()["WWW-Authenticate"].to_str().expect("text");
    assert_eq!(response.status(), 401);
    assert!(challenge.starts_with("Bearer realm=\"http://127.0.0.1:9/token\",service="), "{challenge}");
    let wrong = basic("octo", "wrong");
    assert_eq!(client.send("GET", TOKEN, &[("Authorization", &wrong)], b"").status(), 403);
    assert_eq!(client.registry.violations(), [""; 0]);
}

#[test]
fn a_new_package_is_private_until_it_is_made_public() {
    let mut client = Client::new();
    client.sign_in();
    assert_eq!(client.put_manifest("v1").0.status(), 201);
    client.token = None;
    let pull = "/token?service=s&scope=repository:o/x:pull";
    assert_eq!(client.send("GET", pull, &[], b"").status(), 401);
    client.registry.make_public();
    let response = client.send("GET", TOKEN, &[], b"");
    client.token = Some(token_in(&response));
    assert!(client.head_tag("v1").is_some());
    assert_eq!(client.send("POST", "/v2/o/x/blobs/uploads/", &[], b"").status(), 401, "it may only pull");
}

#[test]
fn creating_a_package_can_be_denied() {
    let mut client = Client::new();
    client.sign_in();
    client.registry.denies_creation = true;
    let response = client.send("POST", "/v2/o/x/blobs/uploads/", &[], b"");
    assert_eq!(response.status(), 403);
    let Content::Memory(body) = response.into_body() else { panic!("is in memory") };
    assert!(String::from_utf8_lossy(&body).contains("not allowed to Create organization package"));
    client.registry.denies_creation = false;
    client.put_blob(b"{}");
    client.registry.denies_creation = true;
    client.put_blob(b"[]");
    assert_eq!(client.registry.violations(), [""; 0]);
}

#[test]
fn chunks_must_be_in_order_and_an_upload_can_be_resumed() {
    let mut client = Client::new();
    client.sign_in();
    let begun = location(&client.send("POST", "/v2/o/x/blobs/uploads/", &[], b""));
    let chunk = |client: &mut Client, at: &str, range: &str, bytes: &[u8]| {
        client.send("PATCH", at, &[("Content-Range", range)], bytes)
    };
    let first = chunk(&mut client, &begun, "0-2", b"abc");
    assert_eq!((first.status().as_u16(), &first.headers()["Range"]), (202, &"0-2".parse().expect("a value")));
    assert_eq!(chunk(&mut client, &begun, "0-2", b"abc").status(), 416);
    let status = client.send("GET", &begun, &[], b"");
    assert_eq!((status.status().as_u16(), &status.headers()["Range"]), (204, &"0-2".parse().expect("a value")));
    let digest = format!("sha256:{}", sha256(b"abcdef"));
    let wrong = format!("sha256:{}", sha256(b"x"));
    let at = location(&status);
    let ended = client.send("PUT", &format!("{at}&digest={digest}"), &[("Content-Range", "3-5")], b"def");
    assert_eq!(ended.status(), 201);
    assert_eq!(client.send("HEAD", &format!("/v2/o/x/blobs/{digest}"), &[], b"").status(), 200);
    assert_eq!(client.send("GET", &begun, &[], b"").status(), 404, "the session is over");
    assert_eq!(client.registry.violations(), [""; 0]);
    let begun = location(&client.send("POST", "/v2/o/x/blobs/uploads/", &[], b""));
    assert_eq!(client.send("PUT", &format!("{begun}&digest={wrong}"), &[], b"y").status(), 400);
    assert_eq!(client.registry.violations().len(), 1);
}

#[test]
fn a_manifest_without_its_blobs_is_a_violation() {
    let mut client = Client::new();
    client.sign_in();
    let blob = format!("sha256:{}", sha256(b"none"));
    let manifest = json!({ "mediaType": MANIFEST_TYPE, "config": { "digest": blob, "size": 4 }, "layers": [] });
    let bytes = manifest.to_string().into_bytes();
    let response = client.send("PUT", "/v2/o/x/manifests/v1", &[("Content-Type", MANIFEST_TYPE)], &bytes);
    assert_eq!(response.status(), 400);
    assert!(client.registry.violations()[0].contains("MANIFEST_BLOB_UNKNOWN"), "{:?}", client.registry.violations());
}

#[test]
fn one_read_after_a_write_can_be_stale() {
    let mut client = Client::new();
    client.sign_in();
    client.registry.stale_once();
    let (_, digest) = client.put_manifest("v1");
    assert_eq!((client.head_tag("v1"), client.head_tag("v1")), (None, Some(digest)));
}

#[test]
fn reads_can_lag_behind_a_push() {
    let mut client = Client::new();
    client.sign_in();
    let (_, first) = client.put_manifest("v1");
    client.registry.lag(2);
    let (_, digest) = client.put_manifest("v2");
    let (old, new) = (Some(first.clone()), Some(digest.clone()));
    assert_eq!([client.head_tag("v2"), client.head_tag("v2"), client.head_tag("v2")], [None, None, new.clone()]);
    assert_eq!([client.head_tag(&digest), client.head_tag(&digest), client.head_tag(&digest)], [None, None, new]);
    assert_eq!(client.head_tag("v1"), old);
}

#[test]
fn requests_without_credentials_can_be_limited() {
    let mut client = Client::new();
    client.registry.create_public("o/x");
    client.registry.anonymous_requests = Some(2);
    let token = token_in(&client.send("GET", TOKEN, &[], b""));
    client.token = Some(token);
    assert_eq!(client.send("GET", "/v2/o/x/tags/list", &[], b"").status(), 200);
    assert_eq!(client.send("GET", "/v2/o/x/tags/list", &[], b"").status(), 429);
    client.token = None;
    assert_eq!(client.send("GET", TOKEN, &[], b"").status(), 429);
    client.sign_in();
    assert_eq!(client.send("GET", "/v2/o/x/tags/list", &[], b"").status(), 200);
    assert_eq!(client.registry.violations(), [""; 0]);
}

#[test]
fn an_expired_token_is_reported_as_invalid() {
    let mut client = Client::new();
    client.registry.token_lifetime(1);
    client.sign_in();
    assert_eq!(client.send("GET", "/v2/", &[], b"").status(), 200);
    let response = client.send("GET", "/v2/", &[], b"");
    assert!(response.headers()["WWW-Authenticate"].to_str().expect("text").contains("invalid_token"));
}

#[test]
fn misplaced_secrets_are_violations() {
    let mut client = Client::new();
    client.sign_in();
    client.send("GET", "/storage/sha256:00", &[], b"");
    client.send("GET", "/v2/", &[("X-Token", "ghs_1")], b"");
    client.send("DELETE", "/v2/o/x/manifests/v1", &[], b"");
    client.send("GET", "/v3/", &[], b"");
    assert_eq!(client.registry.violations().len(), 5, "{:?}", client.registry.violations());
}

#[test]
fn referrers_are_listed_if_the_registry_supports_it() {
    let mut client = Client::new();
    client.sign_in();
    let (_, digest) = client.put_manifest("v1");
    let path = format!("/v2/o/x/referrers/{digest}");
    for (referrers, status) in
        [(Referrers::Absent, 404), (Referrers::Redirected, 303), (Referrers::Empty, 200), (Referrers::Listed, 200)]
    {
        client.registry.referrers = referrers;
        assert_eq!(client.send("GET", &path, &[], b"").status(), status);
    }
    let config = client.put_blob(b"{}");
    let referrer = json!({
        "mediaType": MANIFEST_TYPE, "artifactType": "application/spdx+json", "layers": [],
        "config": { "digest": config, "size": 2 }, "subject": { "digest": digest },
    });
    let bytes = referrer.to_string().into_bytes();
    let reference = format!("sha256:{}", sha256(&bytes));
    let pushed =
        client.send("PUT", &format!("/v2/o/x/manifests/{reference}"), &[("Content-Type", MANIFEST_TYPE)], &bytes);
    assert_eq!(pushed.headers()["OCI-Subject"], digest.as_str());
    let Content::Memory(list) = client.send("GET", &path, &[], b"").into_body() else { panic!("is in memory") };
    let list: Value = serde_json::from_slice(&list).expect("JSON");
    assert_eq!(list["manifests"][0]["artifactType"], "application/spdx+json");
    client.registry.referrers = Referrers::Empty;
    let pushed =
        client.send("PUT", &format!("/v2/o/x/manifests/{reference}"), &[("Content-Type", MANIFEST_TYPE)], &bytes);
    assert!(!pushed.headers().contains_key("OCI-Subject"));
    let Content::Memory(list) = client.send("GET", &path, &[], b"").into_body() else { panic!("is in memory") };
    let list: Value = serde_json::from_slice(&list).expect("JSON");
    assert_eq!(list["manifests"], json!([]));
}

/// Under the real names the token service, uploads and stored blobs have the addresses of ghcr.io, over TLS.
#[test]
fn under_the_real_names_every_address_is_a_real_one() {
    let mut client = Client::new();
    let mut at = |host: &str, method: &str, path: &str, token: Option<&str>| {
        let builder = Builder::builder().method(method).uri(path).header("Host", host);
        let builder = token.into_iter().fold(builder, |builder, token| builder.header("Authorization", token));
        client.registry.handle(&builder.body(Content::Memory(Vec::new())).expect("a request"))
    };
    let challenge = at("ghcr.io", "GET", "/v2/", None);
    let challenge = challenge.headers()["WWW-Authenticate"].to_str().expect("text");
    assert!(challenge.starts_with("Bearer realm=\"https://ghcr.io/token\",service=\"ghcr.io\""), "{challenge}");
    let token = format!("Bearer {}", token_in(&at("ghcr.io", "GET", TOKEN, Some(&basic("octo", "secret")))));
    let begun = at("ghcr.io", "POST", "/v2/o/x/blobs/uploads/", Some(&token));
    assert!(location(&begun).starts_with("https://ghcr.io/v2/o/x/blobs/uploads/"), "{}", location(&begun));
    let digest = format!("sha256:{}", sha256(b""));
    let path = format!("{}&digest={digest}", location(&begun).trim_start_matches("https://ghcr.io"));
    assert_eq!(at("ghcr.io", "PUT", &path, Some(&token)).status(), 201);
    let blob = at("ghcr.io", "GET", &format!("/v2/o/x/blobs/{digest}"), Some(&token));
    let stored = location(&blob);
    let path = stored.strip_prefix("https://pkg-containers.githubusercontent.com").expect("the other host");
    assert_eq!(at("pkg-containers.githubusercontent.com", "GET", path, None).status(), 200);
    assert_eq!(at("ghcr.io", "GET", path, None).status(), 404);
    assert_eq!(at("pkg-containers.githubusercontent.com", "GET", "/v2/", None).status(), 404);
    assert_eq!(client.registry.violations().len(), 2, "each was sent to the wrong host");
}
