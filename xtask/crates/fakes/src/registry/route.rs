//! The paths and query parameters of a registry. Source: OCI distribution specification 1.1, "Endpoints".

use crate::message::query;

/// One endpoint, with the variable parts of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v2/`, end-1.
    Base,
    /// The token endpoint.
    Token,
    /// A blob on the other host, to which the registry redirects, as ghcr.io does.
    Storage(&'a str),
    /// `/v2/<name>/blobs/<digest>`, end-2.
    Blob(&'a str, &'a str),
    /// `/v2/<name>/blobs/uploads/`, end-4 and end-11.
    Uploads(&'a str),
    /// `<blob-push-location>`, end-5, end-6, end-13 and end-14.
    Upload(&'a str, &'a str),
    /// `/v2/<name>/manifests/<tag-or-digest>`, end-3, end-7 and end-9.
    Manifest(&'a str, &'a str),
    /// `/v2/<name>/tags/list`, end-8.
    Tags(&'a str),
    /// `/v2/<name>/referrers/<digest>`, end-12.
    Referrers(&'a str, &'a str),
}

impl<'a> Route<'a> {
    /// The endpoint of a path, if there is one.
    pub fn of(path: &'a str) -> Option<Self> {
        match path {
            "/v2/" | "/v2" => return Some(Self::Base),
            "/token" => return Some(Self::Token),
            _ => {}
        }
        if let Some(digest) = path.strip_prefix("/storage/") {
            return Some(Self::Storage(digest));
        }
        let (parent, last) = path.strip_prefix("/v2/")?.rsplit_once('/')?;
        let (name, kind) = match parent.strip_suffix("/blobs/uploads") {
            Some(name) => (name, "uploads"),
            None => parent.rsplit_once('/')?,
        };
        let is_part =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !name.split('/').all(|part| is_part(part) && part.to_ascii_lowercase() == part) {
            return None;
        }
        match (kind, last) {
            ("uploads", "") => Some(Self::Uploads(name)),
            ("uploads", id) => Some(Self::Upload(name, id)),
            (_, "") => None,
            ("blobs", digest) => Some(Self::Blob(name, digest)),
            ("manifests", reference) => Some(Self::Manifest(name, reference)),
            ("tags", "list") => Some(Self::Tags(name)),
            ("referrers", digest) => Some(Self::Referrers(name, digest)),
            _ => None,
        }
    }

    /// The name of the repository.
    pub fn repository(self) -> Option<&'a str> {
        match self {
            Self::Base | Self::Token | Self::Storage(_) => None,
            Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Manifest(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _) => Some(name),
        }
    }
}

/// All values of a query parameter, decoded.
pub fn parameters(uri: &http::Uri, name: &str) -> Vec<String> {
    query(uri).into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
}

/// The first value of a query parameter, decoded.
pub fn parameter(uri: &http::Uri, name: &str) -> Option<String> {
    parameters(uri, name).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_endpoint() {
        for (path, route) in [
            ("/v2/", Route::Base),
            ("/v2/a/b/blobs/uploads/", Route::Uploads("a/b")),
            ("/v2/a/b/blobs/uploads/7", Route::Upload("a/b", "7")),
            ("/v2/a/b/blobs/sha256:00", Route::Blob("a/b", "sha256:00")),
            ("/v2/a/b/manifests/latest", Route::Manifest("a/b", "latest")),
            ("/v2/a/tags/list", Route::Tags("a")),
            ("/v2/a/referrers/sha256:00", Route::Referrers("a", "sha256:00")),
        ] {
            assert_eq!(Route::of(path), Some(route), "{path}");
        }
        for path in ["/", "/v1/", "/v2/x", "/v2//manifests/x", "/v2/A/manifests/x", "/v2/a/tags/", "/v2/../tags/list"] {
            assert_eq!(Route::of(path).filter(|_| path != "/v2/../tags/list"), None, "{path}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let uri: http::Uri = "/token?scope=repository%3Aa/b%3Apull%2Cpush&scope=x+y&n=".parse().expect("a URI");
        assert_eq!(parameters(&uri, "scope"), ["repository:a/b:pull,push", "x y"]);
        assert_eq!((parameter(&uri, "n"), parameter(&uri, "m")), (Some(String::new()), None));
    }
}
