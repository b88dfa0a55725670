//! The Gentoo overlay of a release, `gentoo/` in its directory: written by `packager`, in place of that of an earlier run.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use packages::request::Overlay;

use crate::dist::Dist;
use crate::dist::names::OVERLAY;
use crate::os::files::Staging;
use crate::os::terminal::{note, print_status};
use crate::package::packager;

/// Writes it, and returns its path. `source_archive` is upstream's.
pub fn write(
    root: &Utf8Path,
    dist: &Dist,
    folder: &Utf8Path,
    repository: &str,
    source_archive: Option<&Utf8Path>,
) -> Result<Utf8PathBuf> {
    let absolute = |path: &Utf8Path| path.canonicalize_utf8().with_context(|| format!("there is no {path}"));
    let wanted = Overlay { source_archive: source_archive.map(absolute).transpose()? };
    let overlay = folder.join(OVERLAY);
    let staging = Staging::new(&overlay)?;
    let request = packager::request(root, dist, folder, repository, staging.path(), wanted)?;
    packager::write_overlay(root, &request)?;
    staging.publish()?;
    print_status("package", format_args!("{overlay} is a Gentoo overlay"));
    if request.wanted.source_archive.is_none() {
        note(format_args!(
            "the overlay has app-containers/buildkit-bin alone; for app-containers/buildkit download \
             https://github.com/moby/buildkit/archive/refs/tags/{}.tar.gz, and name it with --source",
            request.upstream_version
        ));
    }
    Ok(overlay)
}
