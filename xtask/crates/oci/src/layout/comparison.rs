//! Whether two files of an image are the same.

use anyhow::Result;

use crate::digest::sha256_of;
use crate::file_tree::{FileTree, Node};
use crate::layout::Image;

impl Image {
    /// Whether two files have the same content. Reads the layers again, unless their metadata decides.
    ///
    /// Fails if a layer cannot be read.
    pub fn have_same_content(&self, tree: &FileTree, one: &Node, other: &Node) -> Result<bool> {
        if one.content == other.content {
            return Ok(true);
        }
        if (&one.kind, one.size_bytes, &one.format) != (&other.kind, other.size_bytes, &other.format) {
            return Ok(false);
        }
        let mut digests = Vec::new();
        let is_wanted = |_: &str, node: &Node| [one.content, other.content].contains(&node.content);
        self.contents(tree, is_wanted, |_, _, content| {
            digests.push(sha256_of(&mut &mut *content)?);
            Ok(())
        })?;
        Ok(matches!(digests.as_slice(), [one, other] if one == other))
    }
}
