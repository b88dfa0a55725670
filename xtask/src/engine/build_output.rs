//! The output of builders: how far they are, what the base is, and why they failed.

use oci::image_name::ImageName;

/// How many lines of a failed build's output are repeated.
const LAST_LINES: usize = 15;

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

/// The last lines that are not empty, indented by two.
pub fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ")
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
    name.digest().filter(|_| is_base).map(str::to_owned)
}

/// The same from an engine's list of the digests under which it has the base, one `REPOSITORY@DIGEST` a line.
///
/// podman lists, sorted by digest, the index of all platforms and the manifest of this one, which is `own`. The name
/// refers to the index.
pub fn listed_digest(list: &str, own: Option<&str>, base: &ImageName) -> Option<String> {
    let names = list.lines().filter_map(|line| line.trim().parse::<ImageName>().ok());
    let of_base = names.filter(|name| name.repository() == base.repository());
    let digests: Vec<String> = of_base.filter_map(|name| name.digest().map(str::to_owned)).collect();
    digests.iter().find(|digest| own != Some(digest.as_str())).or(digests.first()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_known_by_what_the_kernel_calls_it() {
        assert_eq!(cause("#6 write: No space left on device"), Some(Cause::DiskIsFull));
        assert_eq!(cause("exec /bin/sh: exec format error"), Some(Cause::NoEmulation));
        assert_eq!((cause("E: Unable to locate package"), last_lines("a\n\n b\n").as_str()), (None, "a\n   b"));
    }

    #[test]
    fn of_the_digests_of_the_base_the_one_that_its_name_refers_to_is_taken() {
        let base: ImageName = "debian:trixie-slim".parse().expect("a name");
        let list = "docker.io/library/debian@sha256:1a\ndocker.io/library/debian@sha256:2b\nlocalhost/x@sha256:00\n";
        for (own, expected) in [("sha256:1a", "sha256:2b"), ("sha256:2b", "sha256:1a")] {
            assert_eq!(listed_digest(list, Some(own), &base).as_deref(), Some(expected));
        }
        let docker = "debian@sha256:1a\n";
        assert_eq!(listed_digest(docker, None, &base).as_deref(), Some("sha256:1a"));
        assert_eq!(listed_digest(docker, Some("sha256:1a"), &base).as_deref(), Some("sha256:1a"));
        assert_eq!(listed_digest("<none>\n", None, &base), None);
    }

    #[test]
    fn progress_and_the_base_are_read_from_what_builders_print() {
        let base: ImageName = "debian:trixie-slim".parse().expect("a name");
        let line = "#4 [1/6] FROM docker.io/library/debian:trixie-slim@sha256:3b2b resolve";
        assert_eq!((step(line), base_digest(line, &base)), (Some((1, 6)), Some("sha256:3b2b".to_owned())));
        for other in ["docker.io/tonistiigi/binfmt:x@sha256:60", "docker.io/library/debian:sid@sha256:60"] {
            assert_eq!(base_digest(&format!("#5 [emulators 1/1] FROM {other}"), &base), None, "{other}");
        }
        for line in ["#8 [stage-0 3/6] COPY a b", "STEP 3/6: COPY a b", "Step 3/6 : COPY a b"] {
            assert_eq!(step(line), Some((3, 6)), "{line}");
        }
        assert_eq!((step("#1 [internal] load"), base_digest("#6 1.2 [1/6]", &base)), (None, None));
    }
}
