//! The documents of an OCI image (image-spec 1.1, "Image Layout", "Image Manifest", "Image Index",
//! "Image Configuration"), their Docker counterparts, and what `docker save` wrote before it knew
//! them. Only the fields that are looked at here are read; what is read is checked as it is parsed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Sha256;

/// No manifest, index or configuration in use is near this; a larger one is no such document.
pub const LARGEST_DOCUMENT_BYTES: u64 = 4 << 20;

const ATTESTATION: &str = "vnd.docker.reference.type";

/// A digest in the form of OCI, `sha256:` and 64 hexadecimal digits. No other algorithm is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Sha256);

impl Digest {
    /// The name of its blob in an image layout.
    pub fn blob(&self) -> String {
        format!("blobs/sha256/{}", self.0)
    }

    /// The SHA-256 itself.
    pub fn sha256(&self) -> &Sha256 {
        &self.0
    }
}

impl From<Sha256> for Digest {
    fn from(sha256: Sha256) -> Self {
        Self(sha256)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex =
            text.strip_prefix("sha256:").ok_or_else(|| format!("{text:?} is not a digest of the form sha256:…"))?;
        hex.parse().map(Self)
    }
}

text_form!(Digest);

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", self.0)
    }
}

/// A pointer to a blob.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// For a manifest in an index, what it runs on.
    pub platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// Operating system and processor in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `riscv64`.
    pub architecture: String,
}

impl Platform {
    /// Whether it is linux/riscv64.
    pub fn is_wanted(&self) -> bool {
        (self.os.as_str(), self.architecture.as_str()) == ("linux", "riscv64")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)
    }
}

impl Descriptor {
    /// Whether it points to a list of manifests.
    pub fn is_index(&self) -> bool {
        ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"]
            .contains(&self.media_type.as_str())
    }

    /// Whether it is what buildx attaches to an image (provenance, SBOM), and no image.
    pub fn is_attestation(&self) -> bool {
        self.annotations.as_ref().is_some_and(|notes| notes.contains_key(ATTESTATION))
            || self.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
    }
}

/// `index.json`, or a list of manifests in a blob.
#[derive(Clone, Debug, Deserialize)]
pub struct Index {
    /// The manifests, or further lists.
    pub manifests: Vec<Descriptor>,
}

/// The manifest of one image.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// What `docker save` puts at the root of its archive, as `manifest.json`.
/// Source: moby, `image/spec/v1.2.md`, "Combined Image JSON + Filesystem Changeset Format".
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SavedImage {
    /// Member that is the configuration: its SHA-256 and `.json`.
    pub config: String,
    /// Members that are the layers, lowest first.
    pub layers: Vec<String>,
}

/// The configuration of an image.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// What it runs on.
    #[serde(flatten)]
    pub platform: Platform,
    /// What a container of it runs.
    #[serde(default)]
    pub config: Execution,
    /// Its layers.
    pub rootfs: RootFs,
}

/// The defaults of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
}

impl Execution {
    /// The words before the command.
    pub fn entrypoint(&self) -> &[String] {
        self.entrypoint.as_deref().unwrap_or_default()
    }

    /// The command that a container gets where none is given.
    pub fn cmd(&self) -> &[String] {
        self.cmd.as_deref().unwrap_or_default()
    }

    /// Its environment, each entry in the form `NAME=value`.
    pub fn environment(&self) -> &[String] {
        self.env.as_deref().unwrap_or_default()
    }

    /// A variable of the environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let value = |entry: &'_ String| entry.split_once('=').is_some_and(|(key, _)| key == name);
        self.env.iter().flatten().rfind(|entry| value(entry)).map(|entry| &entry[name.len() + 1..])
    }
}

/// The digests of the layers, uncompressed.
#[derive(Clone, Debug, Deserialize)]
pub struct RootFs {
    /// Lowest first.
    pub diff_ids: Vec<Digest>,
}

/// How a layer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As a tar archive.
    None,
    /// As gzip of one.
    Gzip,
}

impl Compression {
    /// From the media type of a layer.
    ///
    /// # Errors
    /// Names what is not read here, zstd above all.
    pub fn of_media_type(media_type: &str) -> Result<Self, String> {
        let is_docker = media_type.starts_with("application/vnd.docker.image.rootfs.");
        match media_type.rsplit_once(".tar") {
            Some((_, "")) => Ok(Self::None),
            Some((_, "+gzip")) => Ok(Self::Gzip),
            Some((_, ".gzip")) if is_docker => Ok(Self::Gzip),
            Some((_, "+zstd")) => Err(ZSTD.to_owned()),
            _ => Err(format!("a layer is of type {media_type:?}, which is not read here")),
        }
    }

    /// From the first bytes of a layer.
    ///
    /// # Errors
    /// Where they are those of zstd.
    pub fn of_magic(head: &[u8]) -> Result<Self, String> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(ZSTD.to_owned()),
            _ => Ok(Self::None),
        }
    }
}

const ZSTD: &str = "a layer is compressed with zstd, which engines before 23 cannot pull; \
    build with gzip (buildx: --output type=oci,compression=gzip)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_another_form_are_refused() {
        let hex = "ab".repeat(32);
        let digest: Digest = format!("sha256:{hex}").parse().expect("a digest");
        assert_eq!((digest.blob(), digest.to_string()), (format!("blobs/sha256/{hex}"), format!("sha256:{hex}")));
        for text in [hex.clone(), format!("sha512:{hex}"), "sha256:../../etc/passwd".to_owned(), String::new()] {
            text.parse::<Digest>().expect_err(&text);
        }
    }

    #[test]
    fn zstd_is_refused_aloud_and_gzip_taken_under_both_names() {
        let of = Compression::of_media_type;
        assert_eq!(of("application/vnd.oci.image.layer.v1.tar"), Ok(Compression::None));
        assert_eq!(of("application/vnd.oci.image.layer.v1.tar+gzip"), Ok(Compression::Gzip));
        assert_eq!(of("application/vnd.docker.image.rootfs.diff.tar.gzip"), Ok(Compression::Gzip));
        assert!(of("application/vnd.oci.image.layer.v1.tar+zstd").expect_err("zstd").contains("zstd"));
        assert!(of("application/octet-stream").is_err());
        assert!(Compression::of_magic(&[0x28, 0xb5, 0x2f, 0xfd]).is_err());
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let text = r#"{"Env":["A=1","AB=2","A=3=4","B"],"Entrypoint":null}"#;
        let execution: Execution = serde_json::from_str(text).expect("parses");
        assert_eq!((execution.variable("A"), execution.variable("B")), (Some("3=4"), None));
        assert!(execution.entrypoint().is_empty() && execution.cmd().is_empty());
    }
}
