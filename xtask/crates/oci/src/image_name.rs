//! The name of an image as a person gives it to an engine: `debian:trixie-slim`,
//! `localhost:5000/debian@sha256:…`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name with only the characters that engines allow. Whether there is such an image is not checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

impl ImageName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 512 && text.chars().all(is_legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not an image name (debian:trixie-slim, debian@sha256:…)"))
        }
    }
}

crate::text_form!(ImageName);

impl fmt::Display for ImageName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_would_take_for_something_else_is_refused() {
        for text in ["debian:trixie-slim", "localhost:5000/a/b@sha256:00"] {
            assert_eq!(text.parse::<ImageName>().expect(text).as_str(), text);
        }
        for text in ["", "-x", "--format", "a b", "a=b", "$(x)", "/a"] {
            text.parse::<ImageName>().expect_err(text);
        }
    }
}
