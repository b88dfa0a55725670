//! The address of a document: over TLS, or in plain HTTP on this very machine.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

/// An absolute URL without user and fragment: `https://HOST[:PORT][/PATH][?QUERY]`, or `http://` to
/// `localhost`, `127.0.0.0/8` or `[::1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// Length of `scheme://authority`.
    origin_bytes: usize,
}

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

    /// What a `Location` or `Link` header means that came from here: an absolute URL, or one that
    /// begins at the root (RFC 3986, section 4.2). From TLS none leads back to plain HTTP.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn resolve(&self, location: &str) -> Result<Self, String> {
        let target: Self = if location.starts_with('/') && !location.starts_with("//") {
            format!("{}{location}", self.origin()).parse()?
        } else {
            location.parse()?
        };
        if target.is_loopback() && !self.is_loopback() {
            return Err(format!("{} leads from TLS to plain HTTP ({target}); it is not followed", self.origin()));
        }
        Ok(target)
    }

    /// The same with a further parameter in the query.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let join = if self.text.contains('?') { '&' } else { '?' };
        Self { text: format!("{}{join}{}={}", self.text, encoded(name), encoded(value)), ..self.clone() }
    }

    /// Something below it; what no URL can hold is percent-encoded.
    pub fn join(&self, path: &str) -> Self {
        let path: String =
            path.bytes().map(|byte| if is_url_text(byte) { char::from(byte).into() } else { percent(byte) }).collect();
        Self { text: format!("{}/{path}", self.text.trim_end_matches('/')), ..self.clone() }
    }
}

fn is_url_text(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

fn percent(byte: u8) -> String {
    format!("%{byte:02X}")
}

/// Percent-encoded but for what RFC 3986 calls unreserved.
fn encoded(text: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if is_unreserved(byte) { char::from(byte).into() } else { percent(byte) }).collect()
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("{text:?} is not a URL that is used here: {why}; use https://HOST/PATH"));
        if !text.bytes().all(|byte| is_url_text(byte) && byte != b'#') {
            return refuse("it has a character that does not belong there");
        }
        let (is_plain, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return refuse("it has no scheme"),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = match authority.strip_prefix('[').and_then(|tail| tail.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split(':').next().unwrap_or_default(),
        };
        if host.is_empty() || authority.contains('@') {
            return refuse("it names no host, or a user");
        }
        if is_plain && host != "localhost" && !host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) {
            return refuse("plain HTTP is for this machine alone (localhost, 127.0.0.1, [::1])");
        }
        Ok(Self { text: text.to_owned(), origin_bytes: text.len() - rest.len() + authority.len() })
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
        ] {
            text.parse::<Url>().expect_err(text);
        }
    }

    #[test]
    fn a_location_is_absolute_or_begins_at_the_root() {
        let base = url("https://ghcr.io/v2/a/blobs/uploads/?x=1");
        assert_eq!(base.resolve("/v2/u?s=1").expect("resolves").as_str(), "https://ghcr.io/v2/u?s=1");
        assert_eq!(base.resolve("https://other.example/u").expect("resolves").origin(), "https://other.example");
        for location in ["//evil.example/", "u", "http://127.0.0.1/", "http://ghcr.io/"] {
            base.resolve(location).expect_err(location);
        }
        url("http://127.0.0.1:1/a").resolve("http://localhost:1/b").expect("both are this machine");
    }

    #[test]
    fn names_and_values_are_encoded() {
        assert_eq!(url("https://x/a").with("name", "a b&c").with("n", "1").as_str(), "https://x/a?name=a%20b%26c&n=1");
        assert_eq!(url("https://x/dl/").join("a b?c=d").as_str(), "https://x/dl/a%20b?c=d");
    }
}
