//! The Gentoo overlay of a release, `gentoo/` in its directory: written by `packager`, in place of that of an earlier run.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;

use anyhow::{Context, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
use packages::request::OverlayRequest;

use crate::dist::Dist;
use crate::dist::names::OVERLAY;
use crate::os::files::Staging;
use crate::os::terminal::{note, print_status};
use crate::package::{packager, version};

/// Writes it, and returns its path. `source_archive` is upstream's.
pub fn write(
    root: &Utf8Path,
    dist: &Dist,
    folder: &Utf8Path,
    repository: &str,
    source_archive: Option<&Utf8Path>,
) -> Result<Utf8PathBuf> {
    let source = &dist.record.source;
    let absolute = |path: &Utf8Path| path.canonicalize_utf8().with_context(|| format!("there is no {path}"));
    let overlay = folder.join(OVERLAY);
    let staging = Staging::new(&overlay)?;
    let request = OverlayRequest {
        version: version(source).map_err(Error::msg)?,
        upstream_version: source.version.to_string(),
        commit: source.commit.to_string(),
        repository: repository.to_owned(),
        source_date_epoch: u32::try_from(source.source_date_epoch).context("the date of the source")?,
        dist: folder.to_owned(),
        packaging: root.join("packaging"),
        source_archive: source_archive.map(absolute).transpose()?,
        out: staging.path().to_owned(),
    };
    let path = staging.path().join("request.json");
    fs::write(&path, serde_json::to_vec(&request)?).with_context(|| format!("cannot write {path}"))?;
    packager(root).args(["overlay", path.as_str()]).read()?;
    fs::remove_file(&path).with_context(|| format!("cannot remove {path}"))?;
    staging.publish()?;
    print_status("package", format_args!("{overlay} is a Gentoo overlay"));
    if request.source_archive.is_none() {
        note(format_args!(
            "it has app-containers/buildkit-bin alone; for app-containers/buildkit download \
             https://github.com/moby/buildkit/archive/refs/tags/{}.tar.gz, and name it with --source",
            request.upstream_version
        ));
    }
    Ok(overlay)
}
