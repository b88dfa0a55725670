//! References to an image in its repository: a tag or a digest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The longest tag that is allowed.
pub const LONGEST_TAG_BYTES: usize = 128;

/// A tag: a letter, digit or underscore, then at most 127 more of these, dots and dashes.
/// Source: the OCI distribution specification, "Pulling manifests".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageTag(String);

impl ImageTag {
    /// `NAME-SUFFIX`, with a dash for each character that no tag has, and `NAME` cut if it is long.
    pub fn fitting(name: &str, suffix: &str) -> Self {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name: String = name
            .chars()
            .map(|c| if is_legal(c) { c } else { '-' })
            .skip_while(|c| !c.is_ascii_alphanumeric() && *c != '_')
            .take(LONGEST_TAG_BYTES - 1 - suffix.len())
            .collect();
        Self(if name.is_empty() { suffix.to_owned() } else { format!("{name}-{suffix}") })
    }

    /// The tag `latest`, which moves.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// Whether it is the tag `latest`.
    pub fn is_latest(&self) -> bool {
        self.0 == "latest"
    }
}

impl FromStr for ImageTag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_legal = |c: char| is_word(c) || ".-".contains(c);
        if text.len() <= LONGEST_TAG_BYTES && text.starts_with(is_word) && text.chars().all(is_legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not an image tag (letters, digits and `._-`, at most {LONGEST_TAG_BYTES})"))
        }
    }
}

impl fmt::Display for ImageTag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

crate::text_form!(ImageTag);

/// A reference to a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A name that may later refer to another image.
    Tag(ImageTag),
    /// Its digest, which always refers to the same image.
    Digest(Digest),
}

impl From<&ImageTag> for Reference {
    fn from(tag: &ImageTag) -> Self {
        Self::Tag(tag.clone())
    }
}

impl From<&Digest> for Reference {
    fn from(digest: &Digest) -> Self {
        Self::Digest(digest.clone())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(out),
            Self::Digest(digest) => digest.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_refuses_is_refused() {
        for text in ["", ".a", "-a", "a/b", "a:b", "a b", "ä", &"a".repeat(129)] {
            text.parse::<ImageTag>().expect_err(text);
        }
    }
}
