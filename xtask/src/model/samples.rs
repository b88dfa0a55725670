//! Values that unit tests of several files share.

use super::build_info::{BuildInfo, Module};
use super::metadata::Source;
use super::recipe::PACKAGE;
use super::upstream_ref::CommitId;
use super::version::Version;

/// v0.32.2.
pub fn version() -> Version {
    "v0.32.2".parse().expect("a version")
}

/// The commit of v0.32.2.
pub fn commit() -> CommitId {
    "991535e0973488b6a429096d21fa13f81f2d89d8".parse().expect("a commit")
}

/// What v0.32.2 is built from.
pub fn source() -> Source {
    Source {
        r#ref: "v0.32.2".to_owned(),
        commit: commit(),
        version: version(),
        package: PACKAGE.to_owned(),
        source_date: "2026-08-04T12:27:40Z".to_owned(),
        source_date_epoch: 1_785_846_460,
    }
}

/// What Go would write into `command`.
pub fn build_info(command: &str) -> BuildInfo {
    let module = |path: &str, version: &str| Module { path: path.to_owned(), version: version.to_owned() };
    BuildInfo {
        go_version: "1.26.3".parse().expect("a version of Go"),
        path: format!("github.com/moby/buildkit/cmd/{command}"),
        main: module("github.com/moby/buildkit", "(devel)"),
        dependencies: vec![module("github.com/BurntSushi/toml", "v1.5.0"), module("golang.org/x/sys", "v0.40.0")],
        settings: [("CGO_ENABLED", "0"), ("GOARCH", "riscv64"), ("GOOS", "linux")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}
