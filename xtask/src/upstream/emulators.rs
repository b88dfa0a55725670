//! The image of emulators that upstream's own image takes: with them its daemon runs programs of other platforms
//! without any preparation of the host.

use oci::image_name::ImageName;

/// The repository of the emulators, which are patched for BuildKit.
const REPOSITORY: &str = "tonistiigi/binfmt:";

/// The image that upstream's Dockerfile copies its emulators from, if it does:
/// `COPY --link --from=tonistiigi/binfmt:TAG@sha256:DIGEST / DEST`.
pub fn named_in(dockerfile: &str) -> Option<ImageName> {
    let of_line = |line: &str| {
        let words = line.trim().strip_prefix("COPY ")?.split_whitespace();
        let from = words.filter_map(|word| word.strip_prefix("--from=")).find(|from| from.starts_with(REPOSITORY))?;
        from.contains("@sha256:").then(|| from.parse().ok())?
    };
    dockerfile.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const OF_V0_32: &str = "FROM --platform=$BUILDPLATFORM alpine:${ALPINE_VERSION} AS binfmt-filter\n\
        COPY --link --from=tonistiigi/binfmt:buildkit-v10.2.3-66@sha256:6014c1e52b8e51a67fbf76f691ffbe20ac0204c31c2f086df3e8ef3ce134b488 / /out/\n\
        COPY --link --from=binfmt-filter /out/ /\n";

    #[test]
    fn the_image_is_named_with_its_digest() {
        let name = named_in(OF_V0_32).expect("is named").to_string();
        assert!(name.starts_with("tonistiigi/binfmt:buildkit-v10.2.3-66@sha256:6014c1e5"), "{name}");
        assert_eq!(named_in("FROM scratch\nCOPY --from=binfmt-filter /out/ /\n"), None);
        assert_eq!(named_in("COPY --from=tonistiigi/binfmt:buildkit-v7 / /\n"), None, "a tag alone can be moved");
    }

    #[test]
    fn a_mutated_dockerfile_names_none_or_one_with_a_digest() {
        arbtest::arbtest(|source| {
            if let Some(name) = named_in(&mutated_input::text(source, OF_V0_32)?) {
                assert!(name.as_str().contains("@sha256:") && name.as_str().len() <= 512);
            }
            Ok(())
        });
    }
}
