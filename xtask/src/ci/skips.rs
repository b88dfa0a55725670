//! What `ci --strict` lets be skipped, each with its reason. Everything else that is skipped fails there.

use crate::ci::{Outcome, Row};

/// A skip that is no failure.
struct AllowedSkip {
    /// The row of the table.
    row: &'static str,
    /// How the reason for skipping begins: the same test may have others, which are not allowed.
    reason: &'static str,
    why: &'static str,
}

const ALLOWED_SKIPS: [AllowedSkip; 8] = [
    AllowedSkip { row: "test image", reason: "XTASK_TEST_DIST", why: "the check `image` builds the real image" },
    AllowedSkip { row: "test tls", reason: "XTASK_TEST_DIST", why: "it takes minutes; the entrypoint's own test runs" },
    AllowedSkip { row: "test leftovers", reason: "XTASK_TEST_DIST", why: "it takes ten minutes" },
    AllowedSkip { row: "test steps", reason: "XTASK_TEST_DIST", why: "it takes minutes" },
    AllowedSkip { row: "test live", reason: "XTASK_TEST_DIST", why: "it takes minutes" },
    AllowedSkip { row: "test signals-engine", reason: "XTASK_TEST_DIST", why: "it takes minutes" },
    AllowedSkip {
        row: "test an_engine_pulls_an_image_from_the_lab_registry",
        reason: "LAB_REGISTRY is not set",
        why: "the tests with docker-registry push to a real registry",
    },
    AllowedSkip {
        row: "test a_real_build_goes_to_a_real_registry",
        reason: "LAB_REGISTRY is not set",
        why: "the tests with docker-registry push to a real registry",
    },
];

/// Turns each skipped row into a failed one, or adds why it is allowed.
pub fn apply_strict(rows: &mut [Row]) {
    for row in rows {
        let Outcome::Skipped(reason) = &row.outcome else { continue };
        let allowed = ALLOWED_SKIPS.iter().find(|skip| skip.row == row.name && reason.starts_with(skip.reason));
        row.outcome = match allowed {
            Some(skip) => Outcome::Skipped(format!("{reason} (allowed: {})", skip.why)),
            None => Outcome::Failed(format!("skipped, which --strict does not allow: {reason}")),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn skipped(row: &str, reason: &str) -> Row {
        Row { name: row.to_owned(), outcome: Outcome::Skipped(reason.to_owned()), took: Duration::ZERO, count: 1 }
    }

    #[test]
    fn only_a_skip_that_is_allowed_by_name_and_reason_stays_one() {
        let mut rows = [
            skipped("test image", "XTASK_TEST_DIST names no dist/<version>"),
            skipped("test image", "neither docker nor podman answers here"),
            skipped("zizmor", "not installed"),
        ];
        apply_strict(&mut rows);
        let found = rows.map(|row| format!("{}: {}", row.word(), row.detail()));
        assert_eq!(
            found,
            [
                "skipped: XTASK_TEST_DIST names no dist/<version> (allowed: the check `image` builds the real image)",
                "failed: skipped, which --strict does not allow: neither docker nor podman answers here",
                "failed: skipped, which --strict does not allow: not installed",
            ]
        );
    }

    /// A test that is renamed takes its entry along.
    #[test]
    fn each_allowed_skip_names_a_test() {
        let sources = [
            include_str!("../registry/tests.rs"),
            include_str!("../../tests/image/engines.rs"),
            include_str!("../../tests/leftovers.rs"),
            include_str!("../../tests/rehearse.rs"),
            include_str!("../../tests/tls.rs"),
        ];
        for skip in ALLOWED_SKIPS {
            let name = format!("\"{}\"", skip.row.strip_prefix("test ").expect("is a test"));
            assert!(sources.iter().any(|text| text.contains(&name)), "no test is named {name}");
        }
    }
}
