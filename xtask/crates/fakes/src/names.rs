//! The host names of GitHub and of its registry. Under these the fakes are rehearsed over TLS; on loopback one address
//! stands for all names of a fake.

/// The REST API.
pub const API: &str = "api.github.com";
/// Uploads of release assets. Source: GitHub REST API, "Upload a release asset".
pub const UPLOADS: &str = "uploads.github.com";
/// The web site, which has the public addresses of release assets.
pub const WEB: &str = "github.com";
/// Where the web site redirects a download of a release asset to. Source: GitHub Docs, "Self-hosted runners reference",
/// "Needed for downloading release assets".
pub const ASSETS: &str = "release-assets.githubusercontent.com";
/// The pages of the repository of a rehearsal. Source: GitHub Docs, "About GitHub Pages".
pub const PAGES: &str = "octo-riscv.github.io";
/// The registry. Source: GitHub Docs, "Working with the Container registry".
pub const REGISTRY: &str = "ghcr.io";
/// Where the registry redirects a download of a blob to. Source: GitHub Docs, "Self-hosted runners reference", "Needed
/// for downloading or publishing packages or containers".
pub const BLOBS: &str = "pkg-containers.githubusercontent.com";

/// The names of the fake GitHub.
pub const GITHUB_NAMES: [&str; 5] = [API, UPLOADS, WEB, ASSETS, PAGES];
/// The names of the fake registry.
pub const REGISTRY_NAMES: [&str; 2] = [REGISTRY, BLOBS];
