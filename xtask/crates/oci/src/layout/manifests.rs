//! The manifests in a layout: its index read with those inside it, each once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use crate::blobs::Store;
use crate::documents::{Descriptor, Index};
use crate::limits::{INDEX_DEPTH, INDEX_ENTRIES, INDEXES, INDEXES_BYTES};

/// The manifests that an index leads to, attestations left out.
pub(super) fn of_index(store: &Store, index: &Index) -> Result<Vec<Descriptor>> {
    let mut manifests = Manifests::default();
    manifests.collect(store, index, 0)?;
    Ok(manifests.found)
}

#[derive(Default)]
struct Manifests {
    found: Vec<Descriptor>,
    /// Entries and bytes of all indexes read so far, and the digests of these.
    entries: usize,
    size_bytes: u64,
    indexes: BTreeSet<String>,
}

impl Manifests {
    fn collect(&mut self, store: &Store, index: &Index, depth: usize) -> Result<()> {
        ensure!(depth < INDEX_DEPTH, "its indexes are nested more than {INDEX_DEPTH} deep, which is the limit");
        self.entries += index.manifests.len();
        ensure!(
            self.entries <= INDEX_ENTRIES,
            "its indexes have more than {INDEX_ENTRIES} entries, which is the limit"
        );
        for descriptor in index.manifests.iter().filter(|descriptor| !descriptor.is_attestation()) {
            if !descriptor.is_index() {
                // Annotations of a few megabytes would take a hundred here.
                let annotations = BTreeMap::new();
                self.found.push(Descriptor { annotations, ..descriptor.clone() });
            } else if self.indexes.insert(descriptor.digest.to_string()) {
                ensure!(self.indexes.len() <= INDEXES, "it has more than {INDEXES} indexes, which is the limit");
                self.size_bytes = self.size_bytes.saturating_add(descriptor.size);
                ensure!(
                    self.size_bytes <= INDEXES_BYTES,
                    "its indexes have more than {INDEXES_BYTES} bytes, which is the limit"
                );
                let inner: Index = store.document(&descriptor.digest.blob(), Some(descriptor))?;
                self.collect(store, &inner, depth + 1)?;
            }
        }
        Ok(())
    }
}
