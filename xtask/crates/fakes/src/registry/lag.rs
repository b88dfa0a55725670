//! Reads that lag behind writes. No document of GitHub mentions them. Source: reports on ghcr.io, of `manifest
//! unknown` right after a push (p2pool-starter-stack/pithead issue 429).

use std::collections::BTreeMap;

/// The pushed manifests that not every read shows yet. The fake has no clock, so that reads are counted.
#[derive(Clone, Debug, Default)]
pub struct Lag {
    reads: u32,
    /// By repository and reference: how many reads are left that show the state before the push, and the digest in it.
    pending: BTreeMap<(String, String), (u32, Option<String>)>,
}

impl Lag {
    /// After each push from now on, as many reads of that manifest, by that reference, show the state before it.
    pub fn of_reads(reads: u32) -> Self {
        Self { reads, ..Self::default() }
    }

    /// Records a push. Before it, the reference had the digest `before`.
    pub fn pushed(&mut self, name: &str, reference: &str, before: Option<String>) {
        if self.reads > 0 {
            let pending = self.pending.entry((name.to_owned(), reference.to_owned())).or_insert((0, before));
            pending.0 = self.reads;
        }
    }

    /// The digest that a read shows, or `None` if it shows the present state.
    pub fn read(&mut self, name: &str, reference: &str) -> Option<Option<String>> {
        let key = (name.to_owned(), reference.to_owned());
        let (left, before) = self.pending.get_mut(&key)?;
        if *left == 0 {
            self.pending.remove(&key);
            return None;
        }
        *left -= 1;
        Some(before.clone())
    }
}
