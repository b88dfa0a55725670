//! The tags that an image is published under, from the source of the build.

use oci::reference::ImageTag;

use crate::upstream::{MASTER, Source, SourceRef};

/// The tags that an image of this source is published under, the permanent one first.
///
/// ```text
/// a release tag          v0.32.2-riscv64
/// the branch master      master-20260804, latest
/// another branch         v0.30-20260804, dependabot-go_modules-x-20260804
/// a commit of no release v0.32.0-57-g73ed6825c-riscv64
/// ```
///
/// Only master moves `latest`: a release may be a patch to an old line. The date is that of the
/// source, so that an old commit does not get a new date when it is built again.
pub fn image_tags(source: &Source) -> Vec<ImageTag> {
    let date = source.source_date.day();
    match &source.r#ref {
        SourceRef::Release(_) | SourceRef::Commit(_) => {
            vec![ImageTag::fitting(&source.version.to_string(), "riscv64")]
        }
        SourceRef::Master => vec![ImageTag::fitting(MASTER, &date), ImageTag::latest()],
        SourceRef::Branch(branch) => vec![ImageTag::fitting(branch.as_str(), &date)],
    }
}

#[cfg(test)]
mod tests {
    use oci::reference::LONGEST_TAG_BYTES;

    use super::*;
    use crate::dist::samples;
    use crate::os::mutated_input;

    fn tags(r#ref: &str, version: &str) -> Vec<String> {
        let source = Source {
            r#ref: r#ref.parse().expect(r#ref),
            version: version.parse().expect(version),
            ..samples::source()
        };
        let tags = image_tags(&source);
        for tag in &tags {
            assert_eq!(tag.to_string().parse().as_ref(), Ok(tag), "is not a legal tag");
        }
        tags.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_release_has_its_own_tag_and_never_moves_latest() {
        assert_eq!(tags("v0.32.2", "v0.32.2"), ["v0.32.2-riscv64"]);
        assert_eq!(tags("v0.33.0-rc1", "v0.33.0-rc1"), ["v0.33.0-rc1-riscv64"]);
    }

    #[test]
    fn master_has_its_date_and_latest_even_at_the_commit_of_a_release() {
        assert_eq!(tags("master", "v0.32.0-57-g73ed6825c"), ["master-20260804", "latest"]);
        assert_eq!(tags("master", "v0.32.2"), ["master-20260804", "latest"]);
    }

    #[test]
    fn another_branch_or_commit_is_named_and_moves_nothing() {
        assert_eq!(tags("v0.30", "v0.30.1-2-gabcdef012"), ["v0.30-20260804"]);
        assert_eq!(tags("dependabot/go_modules/x", "abcdef012"), ["dependabot-go_modules-x-20260804"]);
        let commit = samples::commit().to_string();
        assert_eq!(tags(&commit, "v0.32.0-57-g73ed6825c"), ["v0.32.0-57-g73ed6825c-riscv64"]);
        assert_eq!(tags(&"x".repeat(200), "abcdef012")[0].len(), LONGEST_TAG_BYTES);
    }

    #[test]
    fn every_ref_has_legal_tags() {
        for sample in ["dependabot/go_modules/x", "v0.33.0-rc1"] {
            arbtest::arbtest(|random| {
                let Ok(r#ref) = mutated_input::text(random, sample)?.parse() else { return Ok(()) };
                for tag in image_tags(&Source { r#ref, ..samples::source() }) {
                    let text = tag.to_string();
                    assert!(text.len() <= LONGEST_TAG_BYTES && !tag.is_latest(), "{text}");
                    assert_eq!(text.parse(), Ok(tag));
                }
                Ok(())
            });
        }
    }
}
