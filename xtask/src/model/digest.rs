//! SHA-256 digests as a type, in the form of 64 lower-case hexadecimal digits.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A SHA-256 digest. Text form: 64 lower-case hexadecimal digits, as `sha256sum` prints them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(String);

impl Sha256 {
    /// The digest whose 32 bytes these are.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), 32, "a SHA-256 digest has 32 bytes");
        Self(bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }
}

impl FromStr for Sha256 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a SHA-256 digest of 64 lower-case hexadecimal digits"))
        }
    }
}

text_form!(Sha256);

impl fmt::Display for Sha256 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let digest = Sha256::from_bytes(&[0xab; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        "AB".repeat(32).parse::<Sha256>().expect_err("upper case is not the canonical form");
    }
}
