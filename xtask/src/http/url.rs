//! The address of a document: over TLS, or in plain HTTP on this machine. `http::Uri`, which the
//! client uses, parses it; this module restricts and normalises it, so that origins can be compared.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// `http::Uri` takes at most 64 KiB.
const LONGEST_BYTES: usize = 32 << 10;
/// Everything but what RFC 3986, section 2.3, calls unreserved.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Characters that the path and the query of a URL cannot have (RFC 3986, appendix A).
const NOT_IN_URLS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// An absolute URL without user and fragment: `https://HOST[:PORT][/PATH][?QUERY]`, or `http://` to
/// `localhost`, `127.0.0.0/8` or `[::1]`. Scheme and host are in lower case, and the default port is
/// left out (RFC 3986, sections 6.2.2.1 and 6.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// Length of `scheme://authority`.
    origin_bytes: usize,
}

impl Url {
    /// Scheme, host and port, by which a browser distinguishes sites (RFC 6454).
    pub fn origin(&self) -> &str {
        &self.text[..self.origin_bytes]
    }

    /// Whether it is plain HTTP, which only reaches this machine.
    pub fn is_loopback(&self) -> bool {
        self.text.starts_with("http://")
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Resolves the URI reference of a `Location` or `Link` header (RFC 3986, section 5.2). A fragment
    /// is dropped, because no server sees it.
    ///
    /// # Errors
    /// If the result is not a URL that this type takes, or if it leads from TLS to plain HTTP.
    pub fn resolve(&self, reference: &str) -> Result<Self, String> {
        let reference = reference.split('#').next().unwrap_or_default();
        let has_scheme = reference.find([':', '/', '?']).is_some_and(|end| reference[end..].starts_with(':'));
        let (origin, path) = (self.origin(), self.path());
        let target = match reference {
            _ if has_scheme => reference.to_owned(),
            "" => self.text.clone(),
            _ if reference.starts_with("//") => {
                format!("{}:{reference}", if self.is_loopback() { "http" } else { "https" })
            }
            _ if reference.starts_with('/') => format!("{origin}{reference}"),
            _ if reference.starts_with('?') => format!("{origin}{path}{reference}"),
            _ => format!("{origin}{}/{reference}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
        };
        let target: Self = target.parse()?;
        if target.is_loopback() && !self.is_loopback() {
            return Err(format!("{origin} leads from TLS to plain HTTP ({target}); it is not followed"));
        }
        Ok(target.without_dot_segments())
    }

    /// The path, without the query.
    fn path(&self) -> &str {
        self.text[self.origin_bytes..].split('?').next().unwrap_or_default()
    }

    /// Source: RFC 3986, section 5.2.4.
    fn without_dot_segments(self) -> Self {
        let path = self.path();
        let mut kept = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "." => {}
                ".." => drop(kept.pop()),
                _ => kept.push(segment),
            }
        }
        if path.ends_with("/.") || path.ends_with("/..") {
            kept.push("");
        }
        let root = if path.is_empty() { "" } else { "/" };
        let query = &self.text[self.origin_bytes + path.len()..];
        Self { text: format!("{}{root}{}{query}", self.origin(), kept.join("/")), ..self }
    }

    /// The same URL with another parameter in the query.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let separator = if self.text.contains('?') { '&' } else { '?' };
        let [name, value] = [name, value].map(|text| utf8_percent_encode(text, NOT_UNRESERVED));
        Self { text: format!("{}{separator}{name}={value}", self.text), ..self.clone() }
    }

    /// The URL of `path` below this one. What no URL can hold is percent-encoded; a query stays one.
    pub fn join(&self, path: &str) -> Self {
        let path = utf8_percent_encode(path, NOT_IN_URLS);
        Self { text: format!("{}/{path}", self.text.trim_end_matches('/')), ..self.clone() }
    }
}

fn is_url_text(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

/// Host and port of `HOST[:PORT]`, the host in lower case. An IPv6 address is in brackets.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), port)
    } else {
        let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        (name.to_ascii_lowercase(), port)
    };
    match port.strip_prefix(':') {
        None => port.is_empty().then_some((host, None)),
        Some("") => Some((host, None)),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some((host, Some(digits.parse().ok()?))),
        Some(_) => None,
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("{text:?} is not a valid URL here: {why}; use https://HOST/PATH"));
        if text.len() > LONGEST_BYTES {
            return Err(format!("a URL of {} bytes is longer than {LONGEST_BYTES} bytes", text.len()));
        }
        if !text.bytes().all(|byte| is_url_text(byte) && byte != b'#') {
            return refuse("it has a character that a URL cannot have");
        }
        let uri: Uri = match text.parse() {
            Ok(uri) => uri,
            Err(error) => return refuse(&error.to_string()),
        };
        let (scheme, default_port) = match uri.scheme_str() {
            Some("https") => ("https", 443),
            Some("http") => ("http", 80),
            _ => return refuse("it has no scheme"),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let Some((host, port)) = host_and_port(authority) else {
            return refuse("it has no valid host, it has a user, or its port is invalid");
        };
        if scheme == "http" && !is_this_machine(&host) {
            return refuse("plain HTTP is for this machine only (localhost, 127.0.0.1, [::1])");
        }
        let port = port.filter(|port| *port != default_port).map_or(String::new(), |port| format!(":{port}"));
        let origin = format!("{scheme}://{host}{port}");
        let rest = &text[scheme.len() + "://".len() + authority.len()..];
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
    use crate::os::mutated_input;

    fn url(text: &str) -> Url {
        text.parse().expect(text)
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
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
            "https://x:99999",
            "https://x:abc",
            "https://x:+1",
            "https://x:1:2",
            "https://[::1]x/",
            "https://[::1/",
            "https://::1/",
            "https://[::g]/",
            "https://[127.0.0.1]/",
            "https://x%2F/",
            "https://me@x/",
            "https://me:1@x/",
            "http://[::2]/",
        ] {
            text.parse::<Url>().expect_err(text);
        }
    }

    #[test]
    fn the_host_is_lower_cased_and_the_default_port_is_left_out() {
        for (text, normal) in [
            ("https://GitHub.com:443/A", "https://github.com/A"),
            ("HTTPS://x:/a", "https://x/a"),
            ("https://x:80", "https://x:80"),
            ("http://LOCALHOST:80?q", "http://localhost?q"),
            ("http://[0:0::1]:443/", "http://[::1]:443/"),
            ("https://x:0443/", "https://x/"),
        ] {
            assert_eq!(url(text).as_str(), normal);
        }
        assert_eq!(url("https://GHCR.io:443/a").origin(), url("https://ghcr.io/b").origin());
        assert_ne!(url("https://ghcr.io:8443/a").origin(), url("https://ghcr.io/a").origin());
    }

    #[test]
    fn a_url_has_a_largest_size() {
        let text = |length: usize| format!("https://x/{}", "a".repeat(length - "https://x/".len()));
        url(&text(LONGEST_BYTES));
        text(LONGEST_BYTES + 1).parse::<Url>().expect_err("is too long");
    }

    /// The examples of RFC 3986, sections 5.4.1 and 5.4.2.
    #[test]
    fn a_reference_is_resolved_as_in_rfc_3986() {
        let base = url("https://a/b/c/d;p?q");
        for (reference, expected) in [
            ("g", "https://a/b/c/g"),
            ("./g", "https://a/b/c/g"),
            ("g/", "https://a/b/c/g/"),
            ("/g", "https://a/g"),
            ("//g", "https://g"),
            ("?y", "https://a/b/c/d;p?y"),
            ("g?y", "https://a/b/c/g?y"),
            ("#s", "https://a/b/c/d;p?q"),
            ("g?y#s", "https://a/b/c/g?y"),
            (";x", "https://a/b/c/;x"),
            ("", "https://a/b/c/d;p?q"),
            (".", "https://a/b/c/"),
            ("..", "https://a/b/"),
            ("../g", "https://a/b/g"),
            ("../..", "https://a/"),
            ("../../../g", "https://a/g"),
            ("/./g", "https://a/g"),
            ("g.", "https://a/b/c/g."),
            ("..g", "https://a/b/c/..g"),
            ("./g/.", "https://a/b/c/g/"),
            ("g/../h", "https://a/b/c/h"),
            ("g?y/../x", "https://a/b/c/g?y/../x"),
        ] {
            assert_eq!(base.resolve(reference).expect(reference).as_str(), expected, "{reference}");
        }
        assert_eq!(url("https://a").resolve("g").expect("resolves").as_str(), "https://a/g");
        for reference in ["g:h", "mailto:g", "https:g", "///g"] {
            base.resolve(reference).expect_err(reference);
        }
    }

    #[test]
    fn a_parsed_url_is_accepted_by_the_client_and_survives_printing() {
        arbtest::arbtest(|source| {
            let sample = *source.choose(&[
                "https://GitHub.com:443/a/../b?c=d%20e",
                "http://[::1]:8000/v2/",
                "http://127.0.0.1:5000?q",
                "//other.example:80/a",
                "../a/./b?c",
            ])?;
            let text = mutated_input::text(source, sample)?;
            let base = url("https://registry.example:5000/v2/a?b");
            for parsed in [text.parse::<Url>(), base.resolve(&text)].into_iter().flatten() {
                let uri: Uri = parsed.as_str().parse().expect("is accepted by the client");
                assert_eq!(uri.port().map(|port| port.as_u16()), uri.port_u16());
                let host = uri.host().expect("has a host");
                assert_eq!(host, host.to_ascii_lowercase());
                assert_eq!(Ok(&parsed), parsed.to_string().parse().as_ref());
                assert!(!parsed.is_loopback() || is_this_machine(host), "{parsed}");
                assert!(parsed.as_str().len() <= LONGEST_BYTES + 64, "{parsed}");
            }
            for longer in [base.join(&text), base.with(&text, &text)] {
                assert_eq!(longer.origin(), base.origin());
                if longer.as_str().len() <= LONGEST_BYTES {
                    assert_eq!(Ok(&longer), longer.to_string().parse().as_ref(), "{text:?}");
                }
            }
            assert!(!base.resolve(&text).is_ok_and(|target| target.is_loopback()), "{text}");
            Ok(())
        });
    }

    #[test]
    fn a_location_is_absolute_or_relative_and_never_leaves_tls() {
        let base = url("https://ghcr.io/v2/a/blobs/uploads/?x=1");
        assert_eq!(base.resolve("/v2/u?s=1").expect("resolves").as_str(), "https://ghcr.io/v2/u?s=1");
        assert_eq!(base.resolve("https://other.example/u").expect("resolves").origin(), "https://other.example");
        assert_eq!(base.resolve("u").expect("resolves").as_str(), "https://ghcr.io/v2/a/blobs/uploads/u");
        assert_eq!(base.resolve("//other.example/").expect("resolves").origin(), "https://other.example");
        for location in ["http://127.0.0.1/", "http://ghcr.io/", "//127.0.0.1:x/"] {
            base.resolve(location).expect_err(location);
        }
        let here = url("http://127.0.0.1:1/a");
        here.resolve("http://localhost:1/b").expect("both are this machine");
        here.resolve("//evil.example/").expect_err("it is another machine, in plain HTTP");
    }

    #[test]
    fn names_and_values_are_encoded() {
        assert_eq!(url("https://x/a").with("name", "a b&c").with("n", "1").as_str(), "https://x/a?name=a%20b%26c&n=1");
        assert_eq!(url("https://x/dl/").join("a b?c=d").as_str(), "https://x/dl/a%20b?c=d");
        let ascii: String = (0..=127_u8).map(char::from).collect();
        let controls: String = (0..=31_u8).map(|byte| format!("%{byte:02X}")).collect();
        let in_path = "%20!%22%23$%&'()*+,-./0123456789:;%3C=%3E?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[%5C]%5E_%60\
            abcdefghijklmnopqrstuvwxyz%7B%7C%7D~%7F%C3%A4";
        assert_eq!(url("https://x").join(&(ascii.clone() + "ä")).as_str(), format!("https://x/{controls}{in_path}"));
        let in_value = "%20%21%22%23%24%25%26%27%28%29%2A%2B%2C-.%2F0123456789%3A%3B%3C%3D%3E%3F%40\
            ABCDEFGHIJKLMNOPQRSTUVWXYZ%5B%5C%5D%5E_%60abcdefghijklmnopqrstuvwxyz%7B%7C%7D~%7F%C3%A4";
        assert_eq!(url("https://x").with("n", &(ascii + "ä")).as_str(), format!("https://x?n={controls}{in_value}"));
    }
}
