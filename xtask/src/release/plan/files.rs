//! Compares the directory of a build with the files that a release must have, and with its record.

use crate::dist::names::{self, METADATA, SHA256SUMS};
use crate::release::plan::{Desired, PlanBuilder};

/// Refuses missing and changed files. Unexpected files are refused too: they are not published, but
/// perhaps were meant to be.
pub(super) fn compare(desired: &Desired, plan: &mut PlanBuilder) {
    let version = &desired.record.source.version;
    let (expected, of_image) = (desired.record.published(), names::image_sbom(version));
    for name in &expected {
        let Some(file) = desired.files.iter().find(|file| file.name == *name) else {
            let is_package = desired.record.packages.iter().any(|package| package.name == *name);
            let task = if is_package {
                "package"
            } else if *name == of_image {
                "image"
            } else {
                "build"
            };
            plan.refuse(format!("{name} is missing from the build directory; run `cargo xtask {task}`"));
            continue;
        };
        let recorded = desired.record.all_files().find(|recorded| recorded.name == *name);
        let is_as_built =
            recorded.is_some_and(|recorded| (recorded.size_bytes, &recorded.sha256) == (file.size_bytes, &file.sha256));
        // The record cannot hold its own digest, nor that of the list which holds its own.
        if !is_as_built && ![METADATA, SHA256SUMS].contains(&name.as_str()) {
            plan.refuse(format!(
                "{} has changed since it was built: {} bytes, sha256:{} do not match the record; build again",
                file.path, file.size_bytes, file.sha256
            ));
        }
    }
    for file in desired.files.iter().filter(|file| !expected.contains(&file.name)) {
        plan.refuse(format!("{} is not part of a release; remove it from the build directory", file.path));
    }
}
