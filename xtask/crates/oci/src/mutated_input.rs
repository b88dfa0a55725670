//! Input for the property tests of parsers: a valid sample with a few edits, which reaches further
//! into a parser than random bytes do. The tests of xtask compile this very file.

use arbtest::arbitrary::{Result, Unstructured};

const MOST_EDITS: usize = 8;
const LARGEST_BYTES: usize = 1 << 20;
/// Half of the edits are of a few bytes: longer ones break what a header says of the rest.
const SHORT_BYTES: usize = 64;

/// `sample` with up to eight ranges overwritten, removed, repeated or inserted; sometimes unchanged.
pub fn bytes(source: &mut Unstructured<'_>, sample: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = sample.to_vec();
    for _ in 0..source.int_in_range(0..=MOST_EDITS)? {
        let start = source.int_in_range(0..=bytes.len())?;
        let longest = if source.arbitrary()? { SHORT_BYTES } else { bytes.len() };
        let end = (start + source.int_in_range(0..=longest)?).min(bytes.len());
        match source.int_in_range(0..=6)? {
            0 => bytes[start..end].fill(source.arbitrary()?),
            1 if start < end => bytes[start] = *source.choose(b"0\0/.:\"{}[],\xff7")?,
            2 => drop(bytes.drain(start..end)),
            3 if bytes.len() + end - start <= LARGEST_BYTES => {
                let again = bytes[start..end].to_vec();
                bytes.splice(start..start, again);
            }
            4 if bytes.len() + end - start <= LARGEST_BYTES => bytes.extend_from_within(start..end),
            5 => bytes.truncate(start),
            _ => drop(bytes.splice(start..start, source.arbitrary::<[u8; 4]>()?)),
        }
    }
    Ok(bytes)
}

/// The same as text, with U+FFFD for what is not UTF-8.
pub fn text(source: &mut Unstructured<'_>, sample: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(source, sample.as_bytes())?).into_owned())
}
