//! The image in dist, opened for the tasks that test it and compared with the record.

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;
use oci::layout::Image;

use crate::dist::Dist;

impl Dist {
    /// The image that `cargo xtask image` built, and the path of its layout.
    pub fn open_image(&self) -> Result<(Utf8PathBuf, Image)> {
        let record = self.record.image.as_ref();
        let record = record.with_context(|| format!("{} has no image yet; run `cargo xtask image`", self.folder))?;
        let path = self.folder.join(&record.layout);
        let image = Image::open(&path)?;
        ensure!(
            image.digest == record.digest,
            "{path} holds {}, but metadata.json names {}; run `cargo xtask image` again",
            image.digest,
            record.digest
        );
        Ok((path, image))
    }
}
