//! SHA-256 digests: the types, and the one way to compute them, of bytes, streams and files, in
//! constant memory.
#![allow(clippy::disallowed_types, reason = "reads and writes files")]

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{Read, Write};
use std::str::FromStr;

use anyhow::{Context, Result};
use camino::Utf8Path;
use ring::digest::{Context as Hasher, SHA256};
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

crate::text_form!(Sha256);

impl fmt::Display for Sha256 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A digest in the form of OCI, `sha256:` and 64 hexadecimal digits. No other algorithm is accepted.
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

crate::text_form!(Digest);

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", self.0)
    }
}

/// Size in bytes and digest of a file, read in constant memory.
pub fn file_digest(path: &Utf8Path) -> Result<(u64, Sha256)> {
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    HashingReader::new(file).finish().with_context(|| format!("cannot read {path}"))
}

/// Digest of bytes in memory.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(ring::digest::digest(&SHA256, bytes).as_ref())
}

/// Copies all, in pieces of 256 KiB.
pub fn copy(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut total_bytes = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(total_bytes),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                total_bytes += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A writer that takes the SHA-256 of all that passes through.
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new(&SHA256) }
    }

    /// The inner writer, and the digest of what was written to it.
    pub fn finish(self) -> (W, Sha256) {
        (self.inner, Sha256::from_bytes(self.hasher.finish().as_ref()))
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// A reader that takes the SHA-256 of all that passes through.
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    size_bytes: u64,
}

impl<R: Read> HashingReader<R> {
    /// Wraps `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new(&SHA256), size_bytes: 0 }
    }

    /// How much was read so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads what is left; returns how much there was in all, and its digest.
    pub fn finish(mut self) -> std::io::Result<(u64, Sha256)> {
        copy(&mut self, &mut std::io::sink())?;
        Ok((self.size_bytes, Sha256::from_bytes(self.hasher.finish().as_ref())))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }
}

/// The digest of a stream.
pub fn sha256_of(content: &mut impl Read) -> Result<Sha256> {
    Ok(HashingReader::new(content).finish()?.1)
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

    #[test]
    fn digests_of_another_form_are_refused() {
        let hex = "ab".repeat(32);
        let digest: Digest = format!("sha256:{hex}").parse().expect("a digest");
        assert_eq!((digest.blob(), digest.to_string()), (format!("blobs/sha256/{hex}"), format!("sha256:{hex}")));
        for text in [hex.clone(), format!("sha512:{hex}"), "sha256:../../etc/passwd".to_owned(), String::new()] {
            text.parse::<Digest>().expect_err(&text);
        }
    }
}
