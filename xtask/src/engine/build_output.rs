//! The output of builders: how far they are, what the base is, and why they failed.

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
    fn progress_and_the_base_are_read_from_what_builders_print() {
        let line = "#4 [1/6] FROM docker.io/library/debian:trixie-slim@sha256:3b2b resolve";
        assert_eq!((step(line), base_digest(line)), (Some((1, 6)), Some("sha256:3b2b".to_owned())));
        for line in ["#8 [stage-0 3/6] COPY a b", "STEP 3/6: COPY a b", "Step 3/6 : COPY a b"] {
            assert_eq!(step(line), Some((3, 6)), "{line}");
        }
        assert_eq!((step("#1 [internal] load"), base_digest("#6 1.2 [1/6]")), (None, None));
    }
}
