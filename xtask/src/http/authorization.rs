//! What proves who we are to a service. It goes into one header and is shown nowhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The value of an `Authorization` header. There is no way to print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(String);

impl Authorization {
    /// `Bearer TOKEN` (RFC 6750).
    ///
    /// # Errors
    /// Where the token is empty or no header can hold it; the message does not say what it is.
    pub fn bearer(token: &str) -> Result<Self, String> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "the token is empty or has a blank, a line end or another character that no token has".to_owned()
            );
        }
        Ok(Self(format!("Bearer {token}")))
    }

    /// `Basic` and the base64 of `USER:PASSWORD` (RFC 7617).
    pub fn basic(user: &str, password: &str) -> Self {
        Self(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    /// The value of the header: for the HTTP client alone.
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
    fn a_token_is_neither_shown_nor_quoted_in_an_error() {
        let token = Authorization::bearer("ghs_secret").expect("a token");
        assert_eq!((token.header(), format!("{token:?}").as_str()), ("Bearer ghs_secret", "Authorization(…)"));
        for bad in ["", "ghs_secret\n", "ghs secret"] {
            let message = Authorization::bearer(bad).expect_err("no token");
            assert!(!message.contains("secret"), "{message}");
        }
        assert_eq!(Authorization::basic("Aladdin", "open sesame").header(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
