//! Under the real names each part of GitHub has a host of its own.

use serde_json::json;

use crate::github::tests::{TOKEN, fake, header, read, request};
use crate::message::{Response, Service};

#[test]
fn under_the_real_names_every_address_is_a_real_one() {
    let mut fake = fake();
    let mut at = |host: &str, method: &str, path: &str, token: Option<&str>, body: &[u8]| -> Response {
        let mut request = request(method, path, token, body.to_vec());
        request.headers_mut().insert("host", host.parse().expect("a host"));
        fake.handle(&request)
    };
    let draft = json!({"tag_name": "t", "draft": true}).to_string();
    let draft = read(&at("api.github.com", "POST", "/repos/o/n/releases", Some(TOKEN), draft.as_bytes())).1;
    assert!(draft["url"].as_str().expect("text").starts_with("https://api.github.com/repos/o/n/releases/"));
    let upload = draft["upload_url"].as_str().and_then(|url| url.strip_prefix("https://uploads.github.com"));
    let upload = upload.and_then(|path| path.strip_suffix("{?name,label}")).expect("the host of uploads").to_owned();
    let uploaded = at("uploads.github.com", "POST", &format!("{upload}?name=a"), Some(TOKEN), b"abc");
    assert_eq!(uploaded.status(), 201);
    let publish = json!({"draft": false}).to_string();
    let id = format!("/repos/o/n/releases/{}", draft["id"]);
    let published = read(&at("api.github.com", "PATCH", &id, Some(TOKEN), publish.as_bytes())).1;
    let download = published["assets"][0]["browser_download_url"].as_str().expect("text");
    let path = download.strip_prefix("https://github.com").expect("the web site");
    assert_eq!(path, "/o/n/releases/download/t/a");
    let found = header(&at("github.com", "GET", path, None, b""), "location");
    let stored = found.strip_prefix("https://release-assets.githubusercontent.com").expect("the other host");
    assert_eq!(at("release-assets.githubusercontent.com", "GET", stored, None, b"").status(), 200);
    for (host, method, path) in [
        ("github.com", "GET", "/repos/o/n/releases"),
        ("github.com", "GET", stored),
        ("api.github.com", "GET", path),
        ("api.github.com", "POST", "/uploads/repos/o/n/releases/1/assets"),
        ("uploads.github.com", "GET", "/repos/o/n/releases"),
        ("release-assets.githubusercontent.com", "GET", "/repos/o/n/releases"),
    ] {
        assert_eq!(at(host, method, path, None, b"").status(), 404, "{path} is not at {host}");
    }
    assert_eq!(fake.violations().len(), 6, "{:?}", fake.violations());
}

#[test]
fn a_deployment_replaces_the_pages_and_they_take_no_token() {
    let mut fake = fake();
    fake.deploy_pages([("a".to_owned(), b"old".to_vec()), ("b/c~d".to_owned(), b"at URL".to_vec())].into());
    let mut at = |host: &str, path: &str, token: Option<&str>| {
        let mut request = request("GET", path, token, Vec::new());
        request.headers_mut().insert("host", host.parse().expect("a host"));
        let response = fake.handle(&request);
        (response.status().as_u16(), fake.violations().len())
    };
    assert_eq!(at("127.0.0.1:9", "/pages/n/a", None), (200, 0));
    assert_eq!(at("octo-riscv.github.io", "/n/b/c~d", None), (200, 0));
    assert_eq!(at("octo-riscv.github.io", "/n/b/c%7Ed", None), (200, 0));
    for path in ["/n/b", "/other/a", "/a", "/n"] {
        assert_eq!(at("octo-riscv.github.io", path, None), (404, 0), "{path}");
    }
    assert_eq!(at("octo-riscv.github.io", "/n/a", Some(TOKEN)).1, 1);
    assert_eq!(at("github.com", "/pages/n/a", None), (404, 2));
    fake.replace_in_pages("URL", "PAGES");
    assert_eq!(fake.pages()["b/c~d"], b"at PAGES");
    fake.deploy_pages([("x".to_owned(), Vec::new())].into());
    assert_eq!(fake.pages().keys().collect::<Vec<_>>(), ["x"]);
}
