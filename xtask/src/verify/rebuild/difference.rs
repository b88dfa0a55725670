//! Where two files differ that should be the same, and why that may be.
#![allow(clippy::disallowed_types, reason = "reads files")]

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use oci::documents::Manifest;
use oci::elf::sections::differing;
use serde::Deserialize;

use crate::os::shell::one_line;

/// Larger files are not looked into. The largest, `buildkitd`, has 49 MB.
const LARGEST_BYTES: u64 = 128 << 20;
const LONGEST_QUOTE: usize = 100;
/// Sections that Go writes into every program and that name its own version and flags.
const BUILD_INFO: &str = ".go.buildinfo";

/// What differs, in a sentence, and a cause if there is a likely one.
pub fn explain(published: &Utf8Path, again: &Utf8Path) -> String {
    let read = || Ok::<_, anyhow::Error>((content(published)?, content(again)?));
    match read() {
        Ok((one, other)) => of_contents(&one, &other),
        Err(error) => format!("it differs, and cannot be compared here: {error:#}"),
    }
}

/// The text of a small file.
pub fn text(path: &Utf8Path) -> Result<Vec<u8>> {
    content(path)
}

fn content(path: &Utf8Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    file.take(LARGEST_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {path}"))?;
    ensure!(bytes.len() as u64 <= LARGEST_BYTES, "{path} is larger than {LARGEST_BYTES} bytes");
    Ok(bytes)
}

fn of_contents(one: &[u8], other: &[u8]) -> String {
    if let Ok(names) = differing(one, other) {
        let why = match names.as_slice() {
            [] => "only outside of its sections: it was stripped or padded in another way",
            _ if names.iter().any(|name| name == BUILD_INFO) => "another Go, other flags or other modules made it",
            [only] if only.starts_with(".note") => "only a note, such as a build id",
            _ => "the same Go and modules, but other code: the source or the compiler was changed",
        };
        return if names.is_empty() { why.to_owned() } else { format!("{} differ: {why}", names.join(", ")) };
    }
    if one.starts_with(&[0x1f, 0x8b]) && other.starts_with(&[0x1f, 0x8b]) {
        return "the archive differs: because the commands in it do, or another gzip made it".to_owned();
    }
    if let (Ok(one), Ok(other)) = (std::str::from_utf8(one), std::str::from_utf8(other)) {
        let pairs = one.lines().zip(other.lines()).enumerate();
        if let Some((index, (one, other))) = pairs.into_iter().find(|(_, (one, other))| one != other) {
            return format!(
                "line {} is `{}`, and made again `{}`: another commit of this repository wrote it, or it was changed",
                index + 1,
                quote(one),
                quote(other)
            );
        }
    }
    let at = one.iter().zip(other).position(|(one, other)| one != other);
    let at = at.unwrap_or(one.len().min(other.len()));
    format!("byte {at} is the first that differs; {} bytes, and made again {}", one.len(), other.len())
}

fn quote(line: &str) -> String {
    one_line(line.trim()).chars().take(LONGEST_QUOTE).collect()
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    history: Vec<Instruction>,
}

#[derive(Deserialize)]
struct Instruction {
    #[serde(default)]
    created_by: String,
}

/// Which layer of two images differs first; `config` is the configuration of ours, whose history names an instruction for
/// each layer.
pub fn of_images(theirs: &Manifest, ours: &Manifest, config: &[u8]) -> String {
    let (there, here) = (theirs.layers.len(), ours.layers.len());
    if there != here {
        return format!("it has {here} layers, and the published one {there}: another Dockerfile made it");
    }
    let pairs = theirs.layers.iter().zip(&ours.layers);
    let Some(index) = pairs.into_iter().position(|(one, other)| one.digest != other.digest) else {
        return "the layers are the same, and the configuration or the annotations differ".to_owned();
    };
    let history: History = serde_json::from_slice(config).unwrap_or(History { history: Vec::new() });
    let instruction = history.history.get(index).map_or("", |entry| entry.created_by.as_str());
    let word = instruction.split_whitespace().next().unwrap_or_default();
    let why = match word {
        "FROM" => "another base",
        "RUN" => "other packages of Debian's: another snapshot, or a mirror that is no snapshot",
        "COPY" => "other files: another commit of this repository, or other commands",
        _ => "the cause is unknown",
    };
    format!("layer {} of {here} is the first that differs (`{}`): {why}", index + 1, quote(instruction))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use oci::digest::{Digest, Sha256};
    use oci::documents::Descriptor;

    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn what_differs_is_named_with_a_likely_cause() {
        expect!["line 2 is `b`, and made again `c`: another commit of this repository wrote it, or it was changed"]
            .assert_eq(&of_contents(b"a\nb\n", b"a\nc\n"));
        expect!["byte 1 is the first that differs; 2 bytes, and made again 2"]
            .assert_eq(&of_contents(b"a\xff", b"a\xfe"));
        expect!["line 1 is `aaa`, and made again `aa`: another commit of this repository wrote it, or it was changed"]
            .assert_eq(&of_contents(b"aaa", b"aa"));
        expect!["the archive differs: because the commands in it do, or another gzip made it"]
            .assert_eq(&of_contents(b"\x1f\x8b1", b"\x1f\x8b2"));
    }

    #[test]
    fn any_two_contents_have_a_short_explanation() {
        arbtest::arbtest(|source| {
            let sample = "{\n  \"a\": 1,\n  \"b\": 2\n}\n".repeat(40);
            let other = mutated_input::bytes(source, sample.as_bytes())?;
            assert!(of_contents(sample.as_bytes(), &other).len() < 1000);
            Ok(())
        });
    }

    #[test]
    fn the_layer_that_differs_is_named_by_its_instruction() {
        let layer = |byte: u8| Descriptor::layer(&Digest::from(Sha256::from_bytes(&[byte; 32])), 1);
        let manifest = |bytes: &[u8]| {
            Manifest::new(layer(0), bytes.iter().copied().map(layer).collect(), std::collections::BTreeMap::new())
        };
        let history =
            r#"{"history":[{"created_by":"FROM debian"},{"created_by":"RUN apt-get"},{"created_by":"COPY x"}]}"#;
        let of = |one: &[u8], other: &[u8]| of_images(&manifest(one), &manifest(other), history.as_bytes());
        expect!["layer 2 of 3 is the first that differs (`RUN apt-get`): other packages of Debian's: another snapshot, or a mirror that is no snapshot"].assert_eq(&of(&[1, 2, 3], &[1, 9, 3]));
        expect!["it has 1 layers, and the published one 2: another Dockerfile made it"].assert_eq(&of(&[1, 2], &[1]));
        expect!["the layers are the same, and the configuration or the annotations differ"].assert_eq(&of(&[1], &[1]));
    }
}
