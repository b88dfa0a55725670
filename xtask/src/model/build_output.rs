//! What builders print while they build, as far as it tells something: how far they are, what the
//! base is, and why they failed.

/// How much of what a failed build said is repeated.
const LAST_LINES: usize = 15;

/// Why a build failed, where a person can mend that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing more can be written.
    DiskIsFull,
    /// The kernel cannot run programs of that architecture.
    NoEmulation,
}

/// The cause in what a failed build said.
pub fn cause(said: &str) -> Option<Cause> {
    let said = said.to_lowercase();
    if said.contains("no space left on device") {
        Some(Cause::DiskIsFull)
    } else if said.contains("exec format error") {
        Some(Cause::NoEmulation)
    } else {
        None
    }
}

/// The last lines that say something, indented by two.
pub fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ")
}

/// `[3/6]` of a line such as `#8 [3/6] COPY …`, as BuildKit and buildx print them.
pub fn step(line: &str) -> Option<(u64, u64)> {
    let (_, rest) = line.strip_prefix('#')?.split_once(" [")?;
    let (step, total) = rest.split_once(']')?.0.rsplit(' ').next()?.split_once('/')?;
    Some((step.parse().ok()?, total.parse().ok()?))
}

/// The digest of a line such as `#4 [1/6] FROM docker.io/library/debian:trixie-slim@sha256:3b2b…`.
pub fn base_digest(line: &str) -> Option<String> {
    let (_, name) = line.strip_prefix('#')?.split_once("] FROM ")?;
    let (_, hex) = name.split_whitespace().next()?.split_once("@sha256:")?;
    Some(format!("sha256:{hex}"))
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
    fn progress_and_the_base_are_read_from_what_buildkit_prints() {
        let line = "#4 [1/6] FROM docker.io/library/debian:trixie-slim@sha256:3b2b resolve";
        assert_eq!((step(line), base_digest(line)), (Some((1, 6)), Some("sha256:3b2b".to_owned())));
        assert_eq!(step("#8 [stage-0 3/6] COPY a b"), Some((3, 6)));
        assert_eq!((step("#1 [internal] load"), base_digest("#6 1.2 [1/6]")), (None, None));
    }
}
