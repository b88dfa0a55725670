//! The parts of GitHub: under the real names each has a host of its own; on loopback they share one, and uploads and
//! stored assets have a path of their own.

use std::borrow::Cow;

use crate::names::{API, ASSETS, GITHUB_NAMES, PAGES, UPLOADS, WEB};

/// The addresses that a client is given.
pub struct Site {
    pub api: String,
    pub uploads: String,
    pub web: String,
    /// The other host, to which downloads are redirected.
    pub objects: String,
}

impl Site {
    /// The addresses in the response to a request that was sent to `host`.
    pub fn of(host: &str) -> Self {
        if GITHUB_NAMES.contains(&host) {
            let [api, uploads, web, assets] = [API, UPLOADS, WEB, ASSETS].map(|name| format!("https://{name}"));
            return Self { api, uploads, web, objects: format!("{assets}/objects") };
        }
        let (base, port) = (format!("http://{host}"), host.rsplit(':').next().unwrap_or_default());
        let objects = format!("http://localhost:{port}/objects");
        Self { uploads: format!("{base}/uploads"), objects, web: base.clone(), api: base }
    }
}

/// The path on loopback of what a request asks `host` for. `None` if that host of GitHub has no such path, so that a
/// request to the wrong host is noticed.
pub fn path_on_loopback<'a>(host: &str, path: &'a str) -> Option<Cow<'a, str>> {
    let is_api = path.starts_with("/repos/") || path.starts_with("/repositories/");
    let is_object = path.starts_with("/objects/");
    match host {
        API => is_api.then_some(path.into()),
        UPLOADS => is_api.then(|| format!("/uploads{path}").into()),
        WEB => {
            let is_elsewhere = ["/uploads/", "/pages/"].iter().any(|prefix| path.starts_with(prefix));
            (!is_api && !is_object && !is_elsewhere).then_some(path.into())
        }
        ASSETS => is_object.then_some(path.into()),
        PAGES => Some(format!("/pages{path}").into()),
        _ => Some(path.into()),
    }
}
