//! The address of a service: TLS, or plain HTTP to this very machine.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

/// The base URL of a service, without a slash at its end: `https://HOST[:PORT][/PATH]`, or
/// `http://` to `localhost`, `127.0.0.0/8` or `[::1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: String,
    is_loopback: bool,
}

impl Endpoint {
    /// Whether this is plain HTTP to this machine.
    pub fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// The URL of something below it.
    pub fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_url_text = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}@?#".contains(&byte);
        let refuse = |why: &str| Err(format!("{text:?} is not a base URL: {why}; use https://HOST/PATH"));
        if !text.bytes().all(is_url_text) {
            return refuse("it has a character that does not belong there");
        }
        let (is_plain, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return refuse("it has no scheme"),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[').and_then(|tail| tail.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split(':').next().unwrap_or_default(),
        };
        if host.is_empty() {
            return refuse("it names no host");
        }
        if is_plain && host != "localhost" && !host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) {
            return refuse("plain HTTP is for this machine alone (localhost, 127.0.0.1, [::1])");
        }
        Ok(Self { base: text.trim_end_matches('/').to_owned(), is_loopback: is_plain })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for text in ["https://go.dev/dl/", "http://127.0.0.1:8000/go", "http://localhost", "http://[::1]:80"] {
            text.parse::<Endpoint>().expect(text);
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
            "https://x/?q",
        ] {
            text.parse::<Endpoint>().expect_err(text);
        }
    }

    #[test]
    fn paths_are_joined_by_one_slash() {
        assert_eq!("https://go.dev/dl/".parse::<Endpoint>().expect("parses").join("x"), "https://go.dev/dl/x");
    }
}
