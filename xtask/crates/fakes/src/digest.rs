//! SHA-256 in hexadecimal. The fakes have their own, so that a mistake in `oci` is not repeated here.

use std::fmt::Write as _;
use std::io::{self, Write};

use ring::digest::{Context, Digest, SHA256, digest};

/// The digest of bytes: 64 lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&digest(&SHA256, bytes))
}

fn hex(digest: &Digest) -> String {
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Whether `text` is `sha256:` followed by 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

/// A writer that computes the SHA-256 of everything written through it.
pub struct HashingWriter<W> {
    inner: W,
    hasher: Context,
}

impl<W: Write> HashingWriter<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Context::new(&SHA256) }
    }

    /// The digest of everything that was written.
    pub fn finish(self) -> String {
        hex(&self.hasher.finish())
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
