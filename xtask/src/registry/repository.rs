//! The name of an image: a registry and a path. Only this file knows the address of a registry and
//! which names are valid.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::http::Url;

/// The name of the image after the owner.
const IMAGE: &str = "buildkit-riscv64";
/// Docker Hub has another name than its API.
/// Source: distribution/reference, "normalize.go"; Docker, "Registry API".
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// GitHub's registry, whose packages have a settings page.
const GITHUB: &str = "ghcr.io";

/// An image repository: `ghcr.io/gounthar/buildkit-riscv64`, `127.0.0.1:5000/me/buildkit-riscv64`.
/// Names are lower-cased, because registries have no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRepository {
    registry: String,
    path: String,
    endpoint: Url,
}

impl ImageRepository {
    /// Our image of `owner` in a registry.
    pub fn of(registry: &str, owner: &str) -> Result<Self, String> {
        format!("{registry}/{owner}/{IMAGE}").parse()
    }

    /// The name without the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host of the registry, and its port if it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The registry's address: TLS, or plain HTTP on this machine.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Whether it is GitHub's registry.
    pub fn is_github(&self) -> bool {
        self.registry == GITHUB
    }

    /// The pages at GitHub for the access to the package. The name does not show whether the owner is a
    /// user or an organisation.
    pub fn settings_pages(&self) -> String {
        let (owner, name) = self.path.split_once('/').unwrap_or((&self.path, ""));
        let page = |kind| {
            format!("https://github.com/{kind}/{owner}/packages/container/{}/settings", name.replace('/', "%2F"))
        };
        format!("{} (of an organisation: {})", page("users"), page("orgs"))
    }

    /// The page at GitHub where an organisation allows the creation of packages. A new package is private until
    /// someone makes it public, so that an organisation has to allow both.
    /// Source: GitHub Docs, "Configuring a package's access control and visibility", "Package creation visibility for
    /// organization members".
    pub fn package_creation_page(&self) -> String {
        let owner = self.path.split('/').next().unwrap_or_default();
        format!("https://github.com/organizations/{owner}/settings/packages")
    }

    /// The URL of `below` in the repository: `manifests/latest`, `blobs/uploads/`.
    pub fn url(&self, below: &str) -> Url {
        self.endpoint.join(&format!("v2/{}/{below}", self.path))
    }
}

impl FromStr for ImageRepository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("{text:?} is not an image repository: {why} (ghcr.io/OWNER/NAME)");
        let lower = text.to_ascii_lowercase();
        let (registry, path) = lower.split_once('/').ok_or_else(|| refuse("it has no registry or no name"))?;
        // A first word without a dot or a port is the owner of an image at Docker Hub.
        if !registry.contains(['.', ':']) && registry != "localhost" {
            return Err(refuse("it does not begin with a registry"));
        }
        if !path.split('/').all(is_component) {
            return Err(refuse("a part of a name has letters and digits, with `.`, `_`, `__` or dashes in between"));
        }
        let host = if registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { registry };
        // `Url` takes plain HTTP for this machine only.
        let plain = format!("http://{host}").parse::<Url>();
        let endpoint = plain.or_else(|_| format!("https://{host}").parse()).map_err(|error| refuse(&error))?;
        if endpoint.as_str() != endpoint.origin() {
            return Err(refuse("a registry is a host and a port"));
        }
        Ok(Self { registry: registry.to_owned(), path: path.to_owned(), endpoint })
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`. Source: the OCI distribution specification 1.1, "Pulling manifests".
fn is_component(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    text.starts_with(is_letter) && text.ends_with(is_letter) && text.split(is_letter).all(is_separator)
}

impl Serialize for ImageRepository {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for ImageRepository {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.registry, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_on_this_machine_is_used_without_tls() {
        for (text, endpoint) in [
            ("ghcr.io/gounthar/buildkit-riscv64", "https://ghcr.io"),
            ("localhost/a", "http://localhost"),
            ("127.0.0.1:5000/a/b", "http://127.0.0.1:5000"),
            ("[::1]:5000/a", "http://[::1]:5000"),
            ("registry.example:5000/a", "https://registry.example:5000"),
            ("docker.io/me/a", "https://registry-1.docker.io"),
        ] {
            let repository: ImageRepository = text.parse().expect(text);
            assert_eq!((repository.to_string().as_str(), repository.endpoint().as_str()), (text, endpoint));
        }
        let url = "ghcr.io/a/b".parse::<ImageRepository>().expect("parses").url("manifests/sha256:00");
        assert_eq!(url.as_str(), "https://ghcr.io/v2/a/b/manifests/sha256:00");
    }

    #[test]
    fn the_owner_is_lower_cased() {
        let repository = ImageRepository::of("ghcr.io", "Gounthar").expect("a name");
        assert_eq!(repository.to_string(), "ghcr.io/gounthar/buildkit-riscv64");
    }

    #[test]
    fn names_follow_the_specification() {
        for text in ["ghcr.io/a", "ghcr.io/a--b/c.d/e__f/g_h", "ghcr.io/0"] {
            text.parse::<ImageRepository>().expect(text);
        }
        for text in [
            "",
            "ghcr.io",
            "ghcr.io/",
            "gounthar/buildkit-riscv64",
            "ghcr.io/a/",
            "ghcr.io//a",
            "ghcr.io/-a",
            "ghcr.io/a_",
            "ghcr.io/a___b",
            "ghcr.io/a..b",
            "ghcr.io/a._b",
            "ghcr.io/a:tag",
            "ghcr.io/a@sha256:00",
            "ghcr.io/a?b",
            "ghcr.io?/a",
            "me@ghcr.io/a",
            "https://ghcr.io/a",
        ] {
            text.parse::<ImageRepository>().expect_err(text);
        }
    }
}
