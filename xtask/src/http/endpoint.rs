//! The address of a service: TLS, or plain HTTP to this machine.

use std::fmt;
use std::str::FromStr;

use crate::http::Url;

/// The base URL of a service, without a query or a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The URL of `path` below it.
    pub fn join(&self, path: &str) -> Url {
        self.0.join(path)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim_end_matches('/').parse::<Url>()? {
            url if url.as_str().contains('?') => Err(format!("{text:?} is not a base URL: it has a query")),
            url => Ok(Self(url)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_with_one_slash() {
        let page: Endpoint = "https://go.dev/dl/".parse().expect("parses");
        assert_eq!(page.join("x").as_str(), "https://go.dev/dl/x");
        assert_eq!(page.join("?mode=json").as_str(), "https://go.dev/dl/?mode=json");
        "https://x/?q".parse::<Endpoint>().expect_err("a query");
    }
}
