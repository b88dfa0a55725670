//! Input for the property tests of parsers: a valid sample with a few edits, which reaches further
//! into a parser than random bytes do.

use arbtest::arbitrary::{Result, Unstructured};

const MOST_EDITS: usize = 8;
const LARGEST_BYTES: usize = 1 << 20;

/// `sample` with up to eight ranges overwritten, removed, repeated or inserted; sometimes unchanged.
pub fn bytes(source: &mut Unstructured<'_>, sample: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = sample.to_vec();
    for _ in 0..source.int_in_range(0..=MOST_EDITS)? {
        let start = source.int_in_range(0..=bytes.len())?;
        let end = source.int_in_range(start..=bytes.len())?;
        match source.int_in_range(0..=4)? {
            0 => bytes[start..end].fill(source.arbitrary()?),
            1 => drop(bytes.drain(start..end)),
            2 if bytes.len() + end - start <= LARGEST_BYTES => bytes.extend_from_within(start..end),
            3 => bytes.truncate(start),
            _ => drop(bytes.splice(start..start, source.arbitrary::<[u8; 4]>()?)),
        }
    }
    Ok(bytes)
}

/// The same as text, with U+FFFD for what is not UTF-8.
pub fn text(source: &mut Unstructured<'_>, sample: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(source, sample.as_bytes())?).into_owned())
}
