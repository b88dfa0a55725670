//! The address of a document: over TLS, or in plain HTTP on this very machine.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// An absolute URL without user and fragment: `https://HOST[:PORT][/PATH][?QUERY]`, or `http://` to
/// `localhost`, `127.0.0.0/8` or `[::1]`. What the HTTP client would refuse is no `Url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// With the scheme and the host in lower case, and no port if it is the scheme's own.
    text: String,
    /// Length of `scheme://authority`.
    origin_bytes: usize,
}

/// What stands for itself in a query parameter: RFC 3986 calls it unreserved.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a URL cannot hold at all.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

impl Url {
    /// Scheme, host and port, by which a browser tells one site from another (RFC 6454).
    pub fn origin(&self) -> &str {
        &self.text[..self.origin_bytes]
    }

    /// Whether it is plain HTTP, which only reaches this machine.
    pub fn is_loopback(&self) -> bool {
        self.text.starts_with("http://")
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What a `Location` or `Link` header means that came from here, absolute or relative
    /// (RFC 3986, section 5.2). From TLS none leads back to plain HTTP.
    ///
    /// # Errors
    /// If it is not a URL, or leads from TLS to plain HTTP.
    pub fn resolve(&self, location: &str) -> Result<Self, String> {
        let scheme = if self.is_loopback() { "http" } else { "https" };
        let target: Self = if location.contains("://") && !location.starts_with(['/', '?', '.']) {
            location.parse()?
        } else if location.starts_with("//") {
            format!("{scheme}:{location}").parse()?
        } else {
            format!("{}{}", self.origin(), self.merged(location)).parse()?
        };
        if target.is_loopback() && !self.is_loopback() {
            return Err(format!("{} leads from TLS to plain HTTP ({target}); it is not followed", self.origin()));
        }
        Ok(target)
    }

    /// Path and query that a relative reference leads to.
    fn merged(&self, reference: &str) -> String {
        let base = &self.text[self.origin_bytes..];
        let base_path = base.split('?').next().unwrap_or_default();
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (reference, String::new()),
        };
        match path {
            "" if reference.is_empty() => base.to_owned(),
            "" => format!("{base_path}{query}"),
            _ if path.starts_with('/') => without_dots(path) + &query,
            _ => {
                let directory = base_path.rsplit_once('/').map_or("", |(directory, _)| directory);
                without_dots(&format!("{directory}/{path}")) + &query
            }
        }
    }

    /// The same with a further parameter in the query.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let join = if self.text.contains('?') { '&' } else { '?' };
        let [name, value] = [name, value].map(|text| utf8_percent_encode(text, PARAMETER));
        Self { text: format!("{}{join}{name}={value}", self.text), ..self.clone() }
    }

    /// Something below it; what no URL can hold is percent-encoded.
    pub fn join(&self, path: &str) -> Self {
        let path = utf8_percent_encode(path, PATH);
        Self { text: format!("{}/{path}", self.text.trim_end_matches('/')), ..self.clone() }
    }
}

/// A path without its segments `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// The host in lower case, and the port unless it is `usual`.
fn host_and_port(authority: &Authority, usual: u16) -> Result<(String, Option<u16>), &'static str> {
    let host = authority.host().to_ascii_lowercase();
    let port = match authority.as_str().strip_prefix(authority.host()) {
        _ if authority.as_str().contains('@') => return Err("it names a user"),
        Some("") => None,
        Some(_) => {
            Some(authority.port_u16().filter(|port| *port != 0).ok_or("its port is not a number from 1 to 65535")?)
        }
        None => return Err("it names no host"),
    };
    let inside = host.strip_prefix('[').map(|rest| rest.strip_suffix(']').unwrap_or_default());
    match inside {
        Some(inside) if inside.parse::<Ipv6Addr>().is_err() => Err("what stands in brackets is not an IPv6 address"),
        None if host.is_empty() => Err("it names no host"),
        _ => Ok((host, port.filter(|port| *port != usual))),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |why: &str| format!("{text:?} is not a URL that is used here: {why}; use https://HOST/PATH");
        if text.contains('#') {
            return Err(refused("it has a fragment"));
        }
        let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| refused(&error.to_string()))?;
        let (scheme, usual) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => ("https", 443),
            Some(scheme) if *scheme == Scheme::HTTP => ("http", 80),
            _ => return Err(refused("it does not begin with https://")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        let (host, port) = host_and_port(authority, usual).map_err(refused)?;
        if scheme == "http" && !is_this_machine(&host) {
            return Err(refused("plain HTTP is for this machine alone (localhost, 127.0.0.1, [::1])"));
        }
        let origin = format!("{scheme}://{host}{}", port.map_or_else(String::new, |port| format!(":{port}")));
        let rest = &text[scheme.len() + "://".len() + authority.as_str().len()..];
        Ok(Self { text: format!("{origin}{rest}"), origin_bytes: origin.len() })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutation;

    fn url(text: &str) -> Url {
        text.parse().expect(text)
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for text in
            ["https://go.dev/dl/", "http://127.0.0.1:8000/go", "http://localhost", "http://[::1]:80", "https://x/?q"]
        {
            url(text);
        }
        for text in [
            "",
            "go.dev/dl",
            "ftp://x",
            "https://",
            "http://go.dev/dl",
            "http://127.0.0.1.evil.example",
            "http://10.0.0.1",
            "https://a b",
            "http://localhost@evil.example",
            "https://x/#f",
            "https://x:99999/",
            "https://x:abc/",
            "https://x:/",
            "https://x:0/",
            "https://[::1/",
            "https://[::1]x/",
            "https://[1.2.3.4]/",
            "https://[nonsense]/",
            "https://user@x/",
            "https://x/a\u{e4}\u{7f}",
        ] {
            text.parse::<Url>().expect_err(text);
        }
    }

    #[test]
    fn one_site_has_one_origin() {
        for text in ["https://ghcr.io:443/v2/", "HTTPS://GHCR.io/v2/", "https://GHCR.IO:443/v2/"] {
            assert_eq!(url(text).as_str(), "https://ghcr.io/v2/");
        }
        assert_eq!(url("http://LOCALHOST:80/A").as_str(), "http://localhost/A");
        assert_ne!(url("https://ghcr.io:8443/").origin(), url("https://ghcr.io/").origin());
    }

    /// The cases of RFC 3986, section 5.4, that have no fragment and no other scheme.
    #[test]
    fn a_location_is_resolved_as_rfc_3986_says() {
        let base = url("https://a/b/c/d;p?q");
        for (location, target) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("..", "/b/"),
            ("../g", "/b/g"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/../g", "/g"),
            ("g?y/../x", "/b/c/g?y/../x"),
        ] {
            assert_eq!(base.resolve(location).expect(location).as_str(), format!("https://a{target}"));
        }
        assert_eq!(base.resolve("//g/x").expect("resolves").as_str(), "https://g/x");
        assert_eq!(base.resolve("/v?x=http://y/").expect("resolves").as_str(), "https://a/v?x=http://y/");
        assert_eq!(base.resolve("https://other.example/u").expect("resolves").origin(), "https://other.example");
        for location in ["http://127.0.0.1/", "http://ghcr.io/", "ftp://x/", "//user@x/", "a b"] {
            base.resolve(location).expect_err(location);
        }
        url("http://127.0.0.1:1/a").resolve("http://localhost:1/b").expect("both are this machine");
    }

    #[test]
    fn what_parses_is_what_the_client_takes_and_prints_itself() {
        arbtest::arbtest(|source| {
            let base = url("https://ghcr.io/v2/a/blobs/uploads/?x=1");
            let text = mutation::text(source, "https://ghcr.io:443/v2/a/../blobs?digest=sha256:0&x=%20")?;
            for parsed in [text.parse::<Url>(), base.resolve(&text)].into_iter().flatten() {
                let uri: Uri = parsed.as_str().parse().expect("the client takes it");
                assert!(uri.host().is_some_and(|host| !host.is_empty()), "{parsed}");
                assert_eq!(parsed.as_str().parse::<Url>().as_ref(), Ok(&parsed));
                assert!(parsed.as_str().starts_with(parsed.origin()));
            }
            let joined = base.join(&text).with(&text, &text);
            assert_eq!(joined.origin(), base.origin());
            Ok(())
        })
        .budget_ms(300);
    }

    #[test]
    fn names_and_values_are_encoded() {
        assert_eq!(url("https://x/a").with("name", "a b&c").with("n", "1").as_str(), "https://x/a?name=a%20b%26c&n=1");
        assert_eq!(url("https://x/dl/").join("a b?c=d").as_str(), "https://x/dl/a%20b?c=d");
    }
}
