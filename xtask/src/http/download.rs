//! The download of a file whose size and digest are known beforehand, from a list or a manifest.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fmt;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Error, Result};
use camino::Utf8Path;
use oci::digest::{HashingWriter, Sha256, copy};

use crate::os::terminal::{Counted, Progress, Unit};

/// What a file has to be.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    pub size_bytes: u64,
    pub sha256: &'a Sha256,
}

/// Something else arrived.
#[derive(Debug)]
pub struct OtherContent {
    expected_bytes: u64,
    expected: Sha256,
    /// At most one more than is expected: no more is read.
    received_bytes: u64,
    received: Sha256,
}

impl fmt::Display for OtherContent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected_bytes, expected, received_bytes, received } = self;
        write!(out, "expected {expected_bytes} bytes, SHA-256 {expected}; received ")?;
        if received_bytes > expected_bytes {
            return write!(out, "more bytes");
        }
        write!(out, "{received_bytes} bytes, SHA-256 {received}")
    }
}

impl std::error::Error for OtherContent {}

/// Writes what is received to the new file `into`, as long as it is no longer than expected, and shows the progress
/// of `step`.
///
/// # Errors
/// [`OtherContent`] if it is not what is expected; if it breaks off; if the disk does not take it.
pub fn receive(body: impl Read, expected: Expected<'_>, into: &Utf8Path, step: &'static str) -> Result<()> {
    let Expected { size_bytes, sha256 } = expected;
    let mut progress = Progress::new(step, Unit::Bytes);
    progress.set_total(size_bytes);
    let mut body = Counted { inner: body.take(size_bytes.saturating_add(1)), progress: &mut progress };
    let file = File::create(into).with_context(|| format!("cannot write {into}"))?;
    let mut hashed = HashingWriter::new(file);
    let received_bytes = copy(&mut body, &mut hashed).with_context(|| format!("the download to {into} broke off"))?;
    let (_, received) = hashed.finish();
    if (received_bytes, &received) == (size_bytes, sha256) {
        return Ok(());
    }
    let expected = sha256.clone();
    Err(Error::new(OtherContent { expected_bytes: size_bytes, expected, received_bytes, received }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of a download of "abcd", and how many bytes it wrote.
    fn received(body: impl Read) -> (Result<()>, u64) {
        let file = std::env::temp_dir().join(format!("xtask-download-{}", std::process::id()));
        let file = camino::Utf8PathBuf::try_from(file).expect("UTF-8");
        let sha256 = oci::digest::sha256(b"abcd");
        let result = receive(body, Expected { size_bytes: 4, sha256: &sha256 }, &file, "test");
        let written_bytes = file.metadata().expect("is written").len();
        std::fs::remove_file(&file).expect("is removed");
        (result, written_bytes)
    }

    #[test]
    fn only_the_expected_content_is_accepted_and_no_more_than_its_size_is_written() {
        let (result, size_bytes) = received(&b"abcd"[..]);
        result.expect("is what is expected");
        assert_eq!(size_bytes, 4);
        for (body, size_bytes, words) in [
            (&b"abc"[..], 3, "received 3 bytes, SHA-256 "),
            (b"abcx", 4, "received 4 bytes, SHA-256 "),
            (b"", 0, "received 0 bytes, SHA-256 "),
            (b"abcdefgh", 5, "received more bytes"),
        ] {
            let (result, written_bytes) = received(body);
            let error = result.expect_err(words);
            assert!(error.is::<OtherContent>() && error.to_string().contains(words), "{error:#}");
            assert_eq!(written_bytes, size_bytes);
        }
        let (result, written_bytes) = received(std::io::repeat(7).take(1 << 20));
        assert!(result.expect_err("is too long").is::<OtherContent>());
        assert_eq!(written_bytes, 5);
    }
}
