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

    /// The name with its registry, which an engine would assume otherwise: `docker.io/library/debian:trixie-slim`.
    /// Source: distribution/reference, `ParseNormalizedNamed`.
    pub fn qualified(&self) -> String {
        let name = self.as_str();
        match name.split_once('/') {
            Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => name.to_owned(),
            Some(_) => format!("docker.io/{name}"),
            None => format!("docker.io/library/{name}"),
        }
    }

    /// The registry and the repository, without a tag and a digest: `docker.io/library/debian`.
    pub fn repository(&self) -> String {
        let name = self.qualified();
        let name = name.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
            _ => name.to_owned(),
        }
    }

    /// The tag that is named: `trixie-slim`.
    pub fn tag(&self) -> Option<&str> {
        let name = self.as_str().split('@').next()?;
        name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))
    }

    /// The name without the digest, if a tag is beside it: what people call the image that the digest pins.
    #[must_use]
    pub fn by_tag(&self) -> Self {
        let name = self.as_str().split('@').next().filter(|_| self.tag().is_some());
        Self(name.unwrap_or(self.as_str()).to_owned())
    }

    /// The digest that is named: `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        self.as_str().split_once('@').map(|(_, digest)| digest)
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
    fn the_registry_that_engines_assume_is_named_and_tags_and_digests_are_told_apart() {
        let parts = |text: &str| {
            let name: ImageName = text.parse().expect(text);
            let part = |part: Option<&str>| part.unwrap_or("-").to_owned();
            [name.qualified(), name.repository(), part(name.tag()), part(name.digest())].join(" ")
        };
        let debian = "docker.io/library/debian";
        assert_eq!(parts("debian:trixie-slim"), format!("{debian}:trixie-slim {debian} trixie-slim -"));
        assert_eq!(parts("debian@sha256:00"), format!("{debian}@sha256:00 {debian} - sha256:00"));
        assert_eq!(parts("a/b:c@sha256:00"), "docker.io/a/b:c@sha256:00 docker.io/a/b c sha256:00");
        assert_eq!(parts("localhost:5000/a"), "localhost:5000/a localhost:5000/a - -");
        assert_eq!(parts("localhost/a/b"), "localhost/a/b localhost/a/b - -");
        assert_eq!(parts("ghcr.io/a/b:c"), "ghcr.io/a/b:c ghcr.io/a/b c -");
    }

    #[test]
    fn a_digest_beside_a_tag_is_no_part_of_what_people_call_it() {
        for (text, expected) in [
            ("debian:trixie-slim@sha256:00", "debian:trixie-slim"),
            ("debian:trixie-slim", "debian:trixie-slim"),
            ("localhost:5000/debian@sha256:00", "localhost:5000/debian@sha256:00"),
        ] {
            assert_eq!(text.parse::<ImageName>().expect(text).by_tag().as_str(), expected);
        }
    }

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
