//! The output of builders: how far they are, what the base is, and why they failed.

use oci::digest::Digest;
use oci::image_name::ImageName;

/// How many lines of a failed build's output are repeated.
const LAST_LINES: usize = 15;
/// A line of a terminal's progress can have megabytes.
const LONGEST_LINE_CHARS: usize = 500;

/// A reason for a failed build that a person can fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing more can be written.
    DiskIsFull,
    /// The kernel cannot run programs of that architecture.
    NoEmulation,
}

/// The cause in the output of a failed build.
pub fn cause(output: &str) -> Option<Cause> {
    let output = output.to_lowercase();
    if output.contains("no space left on device") {
        Some(Cause::DiskIsFull)
    } else if output.contains("exec format error") {
        Some(Cause::NoEmulation)
    } else {
        None
    }
}

/// The last lines that are not empty, indented by two; of a long one its end.
pub fn last_lines(output: &str) -> String {
    let lines = output.lines().rev().filter(|line| !line.trim().is_empty()).take(LAST_LINES);
    let end = |line| match str::char_indices(line).rev().nth(LONGEST_LINE_CHARS - 1) {
        Some((start, _)) => &line[start..],
        None => line,
    };
    let mut lines: Vec<&str> = lines.map(end).collect();
    lines.reverse();
    lines.join("\n  ")
}

/// How far a builder is, 3 of 6, from a line such as `#8 [3/6] COPY …` of buildx, `STEP 3/6: COPY …`
/// of podman, or `Step 3/6 : COPY …` of the engine's older builder.
pub fn step(line: &str) -> Option<(u64, u64)> {
    let of_buildx = || line.strip_prefix('#')?.split_once(" [")?.1.split_once(']')?.0.rsplit(' ').next();
    let others = || line.strip_prefix("STEP ").or_else(|| line.strip_prefix("Step "))?.split([' ', ':']).next();
    let (step, total) = of_buildx().or_else(others)?.split_once('/')?;
    Some((step.parse().ok()?, total.parse().ok()?))
}

/// The digest that the name of the base refers to, from a line of buildx such as
/// `#4 [stage-1 1/6] FROM docker.io/library/debian:trixie-slim@sha256:3b2b…`; other stages have such lines too.
pub fn base_digest(line: &str, base: &ImageName) -> Option<String> {
    let (_, name) = line.strip_prefix('#')?.split_once("] FROM ")?;
    let name: ImageName = name.split_whitespace().next()?.parse().ok()?;
    let tag = |name: &ImageName| name.tag().unwrap_or("latest").to_owned();
    let is_base = name.repository() == base.repository() && tag(&name) == tag(base);
    if is_base { digest(&name) } else { None }
}

/// The digest in a name, if it is a whole one.
fn digest(name: &ImageName) -> Option<String> {
    let digest: Digest = name.digest()?.parse().ok()?;
    Some(digest.to_string())
}

/// The same from an engine's list of the digests under which it has the base, one `REPOSITORY@DIGEST` a line.
///
/// podman lists, sorted by digest, the index of all platforms and the manifest of this one, which is `own`. The name
/// refers to the index.
pub fn listed_digest(list: &str, own: Option<&str>, base: &ImageName) -> Option<String> {
    let names = list.lines().filter_map(|line| line.trim().parse::<ImageName>().ok());
    let of_base = names.filter(|name| name.repository() == base.repository());
    let digests: Vec<String> = of_base.filter_map(|name| digest(&name)).collect();
    digests.iter().find(|digest| own != Some(digest.as_str())).or(digests.first()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    /// A digest that begins so.
    fn sha256(beginning: &str) -> String {
        format!("sha256:{beginning:0<64}")
    }

    #[test]
    fn a_failure_is_known_by_what_the_kernel_calls_it() {
        assert_eq!(cause("#6 write: No space left on device"), Some(Cause::DiskIsFull));
        assert_eq!(cause("exec /bin/sh: exec format error"), Some(Cause::NoEmulation));
        assert_eq!((cause("E: Unable to locate package"), last_lines("a\n\n b\n").as_str()), (None, "a\n   b"));
    }

    #[test]
    fn of_the_digests_of_the_base_the_one_that_its_name_refers_to_is_taken() {
        let base: ImageName = "debian:trixie-slim".parse().expect("a name");
        let (one, two, other) = (sha256("1a"), sha256("2b"), sha256("00"));
        let name = "docker.io/library/debian";
        let list = format!("{name}@{one}\n{name}@{two}\nlocalhost/x@{other}\n{name}@sha256:1a\n");
        for (own, expected) in [(&one, &two), (&two, &one)] {
            assert_eq!(listed_digest(&list, Some(own), &base).as_ref(), Some(expected));
        }
        let docker = format!("debian@{one}\n");
        assert_eq!(listed_digest(&docker, None, &base).as_ref(), Some(&one));
        assert_eq!(listed_digest(&docker, Some(&one), &base).as_ref(), Some(&one));
        assert_eq!(listed_digest("<none>\n", None, &base), None);
    }

    #[test]
    fn progress_and_the_base_are_read_from_what_builders_print() {
        let base: ImageName = "debian:trixie-slim".parse().expect("a name");
        let line = format!("#4 [1/6] FROM docker.io/library/debian:trixie-slim@{} resolve", sha256("3b2b"));
        assert_eq!((step(&line), base_digest(&line, &base)), (Some((1, 6)), Some(sha256("3b2b"))));
        for other in ["docker.io/tonistiigi/binfmt:x", "docker.io/library/debian:sid"] {
            let line = format!("#5 [emulators 1/1] FROM {other}@{}", sha256("60"));
            assert_eq!(base_digest(&line, &base), None, "{other}");
        }
        for line in ["#8 [stage-0 3/6] COPY a b", "STEP 3/6: COPY a b", "Step 3/6 : COPY a b"] {
            assert_eq!(step(line), Some((3, 6)), "{line}");
        }
        assert_eq!((step("#1 [internal] load"), base_digest("#6 1.2 [1/6]", &base)), (None, None));
    }

    #[test]
    fn mutated_output_names_no_digest_but_one_of_the_base_and_its_end_is_short() {
        let base: ImageName = "debian:trixie-slim".parse().expect("a name");
        let (one, two) = (sha256("1a"), sha256("3b2b"));
        let sample = format!(
            "#4 [1/6] FROM docker.io/library/debian:trixie-slim@{two} resolve\nSTEP 3/6: COPY a b\n\
             docker.io/library/debian@{one}\nlocalhost/x@{two}\n"
        );
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, &sample)?;
            let of_lines = text.lines().filter_map(|line| base_digest(line, &base));
            for digest in of_lines.chain(listed_digest(&text, Some(&one), &base)) {
                assert!(digest.parse::<Digest>().is_ok() && text.contains(&digest), "{digest}");
            }
            assert!(text.lines().filter_map(step).count() <= text.matches('/').count());
            Ok(())
        });
        for long in ["ä".repeat(1 << 20), "a\n".repeat(1 << 20)] {
            assert!(last_lines(&long).chars().count() <= LAST_LINES * (LONGEST_LINE_CHARS + 3));
        }
        assert!(last_lines(&format!("{}end", "x".repeat(1000))).ends_with("xend"));
    }
}
