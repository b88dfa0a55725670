//! Credentials for a service. They go into one header and are never printed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The value of an `Authorization` header. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(String);

impl Authorization {
    /// `Bearer TOKEN` (RFC 6750).
    ///
    /// # Errors
    /// If the token is empty or does not fit into a header. The message does not quote it.
    pub fn bearer(token: &str) -> Result<Self, String> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "the token is empty or has a space, a line break or another character that no token has".to_owned()
            );
        }
        Ok(Self(format!("Bearer {token}")))
    }

    /// `Basic` and the base64 of `USER:PASSWORD` (RFC 7617).
    pub fn basic(user: &str, password: &str) -> Self {
        Self(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    /// The value of the header, for the HTTP client only.
    pub fn header(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Authorization(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_neither_printed_nor_quoted_in_an_error() {
        let token = Authorization::bearer("ghs_secret").expect("a token");
        assert_eq!((token.header(), format!("{token:?}").as_str()), ("Bearer ghs_secret", "Authorization(…)"));
        for bad in ["", "ghs_secret\n", "ghs secret"] {
            let message = Authorization::bearer(bad).expect_err("is not a token");
            assert!(!message.contains("secret"), "{message}");
        }
        assert_eq!(Authorization::basic("Aladdin", "open sesame").header(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
