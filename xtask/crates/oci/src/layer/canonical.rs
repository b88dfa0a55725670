//! The canonical form of a layer. Engines add different entries to what the Dockerfile did (unchanged
//! directories and files, mount points, whiteouts of paths that never existed), in different orders, and two
//! builds differ in times. The canonical form is the same for all of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::{Sha256, sha256};

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file, with its size, where its content begins in the archive, and the digest of that.
    File {
        size_bytes: u64,
        offset_bytes: u64,
        sha256: Sha256,
    },
    Folder,
    /// A symbolic link and its target.
    Symlink(String),
    /// Another name of a file of the same layer.
    HardLink(String),
    /// A device or a pipe, which only a base may have.
    Special,
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path without a slash at either end.
    pub path: String,
    pub kind: Kind,
    /// Permission bits, set-user-id, set-group-id and sticky included.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u64, u64),
    /// Modification time, seconds since 1970.
    pub modified_epoch: u64,
    /// Extended attributes, as PAX records without their prefix, sorted.
    pub attributes: Vec<(String, Vec<u8>)>,
}

/// Prefix of the name of an entry that removes what lower layers have. Source: the OCI image
/// specification, "Whiteouts".
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Files that an engine mounts over while it builds; an empty one in a layer is what is left of that.
const MOUNT_POINTS: [&str; 4] = ["etc/hostname", "etc/hosts", "etc/resolv.conf", "run/.containerenv"];

/// The result of the layers so far: every path with the entry that made it, a hard link with that of its target.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Puts a layer on top and returns its canonical form: only what changes the tree, sorted, with
    /// no time after `latest_epoch`.
    pub fn canonical(&mut self, entries: Vec<Entry>, latest_epoch: u64) -> Vec<Entry> {
        // A path may come twice; the last one counts.
        let by_path: BTreeMap<String, Entry> = entries
            .into_iter()
            .filter(|entry| !entry.path.is_empty())
            .map(|entry| (entry.path.clone(), entry))
            .collect();
        let (whiteouts, mut made): (Vec<_>, Vec<_>) = by_path.into_values().partition(|entry| {
            let (_, name) = split(&entry.path);
            name.starts_with(WHITEOUT)
        });
        let made_paths: BTreeSet<&str> = made.iter().map(|entry| entry.path.as_str()).collect();
        let removed = self.removed(&whiteouts, &made_paths);
        let mut layer: Vec<Entry> = removed.iter().map(|path| whiteout_of(path, latest_epoch)).collect();
        for path in &removed {
            self.remove(path);
        }
        // A hard link comes after what it names.
        made.sort_by_key(is_hard_link);
        let linked: BTreeSet<String> = made.iter().filter_map(link_target).map(str::to_owned).collect();
        for mut entry in made {
            let is_unchanged = self.is_there(&entry) && !linked.contains(&entry.path);
            if is_unchanged || (is_mount_point(&entry) && !self.0.contains_key(&entry.path)) {
                continue;
            }
            self.put(&entry);
            entry.modified_epoch = entry.modified_epoch.min(latest_epoch);
            layer.push(entry);
        }
        layer.sort_by(|a, b| (is_hard_link(a), &a.path).cmp(&(is_hard_link(b), &b.path)));
        layer
    }

    /// What of the lower layers the whiteouts remove, without what goes with its folder.
    fn removed(&self, whiteouts: &[Entry], made: &BTreeSet<&str>) -> BTreeSet<String> {
        let mut removed = BTreeSet::new();
        for entry in whiteouts {
            let (parent, name) = split(&entry.path);
            let path = join(parent, &name[WHITEOUT.len()..]);
            let emptied = if name == OPAQUE { parent } else { path.as_str() };
            if name != OPAQUE && !made.contains(path.as_str()) {
                removed.extend(self.0.contains_key(&path).then_some(path));
                continue;
            }
            let is_top = |path: &str| {
                let (parent, _) = split(path);
                !made.contains(path) && (parent == emptied || made.contains(parent))
            };
            removed.extend(self.below(emptied).filter(|path| is_top(path)).map(ToOwned::to_owned));
        }
        removed
    }

    fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = &'a str> {
        let prefix = format!("{folder}/");
        let from = self.0.range(prefix.clone()..);
        from.map(|(path, _)| path.as_str()).take_while(move |path| path.starts_with(&prefix))
    }

    fn remove(&mut self, path: &str) {
        let below: Vec<String> = self.below(path).map(ToOwned::to_owned).collect();
        for path in below.iter().map(String::as_str).chain([path]) {
            self.0.remove(path);
        }
    }

    /// Whether the lower layers have the same at that path, whatever its time is. overlay2 copies a file into a layer
    /// that a program opened for writing or moved away and back, and the snapshotters of containerd do not.
    fn is_there(&self, entry: &Entry) -> bool {
        self.0.get(&entry.path).is_some_and(|there| {
            let is_same = match (&there.kind, &entry.kind) {
                (Kind::Folder, Kind::Folder) => there.mode == entry.mode,
                (Kind::File { sha256: one, .. }, Kind::File { sha256: other, .. }) => {
                    one == other && there.mode == entry.mode
                }
                // Linux keeps no mode of a symbolic link.
                (Kind::Symlink(one), Kind::Symlink(other)) => one == other,
                _ => false,
            };
            is_same && there.owner == entry.owner && there.attributes == entry.attributes
        })
    }

    fn put(&mut self, entry: &Entry) {
        let real = link_target(entry).and_then(|target| self.0.get(target)).unwrap_or(entry).clone();
        if entry.kind != Kind::Folder {
            self.remove(&entry.path);
        }
        self.0.insert(entry.path.clone(), real);
    }
}

fn whiteout_of(path: &str, modified_epoch: u64) -> Entry {
    let (folder, name) = split(path);
    Entry {
        path: join(folder, &format!("{WHITEOUT}{name}")),
        kind: Kind::File { size_bytes: 0, offset_bytes: 0, sha256: sha256(&[]) },
        mode: 0,
        owner: (0, 0),
        modified_epoch,
        attributes: Vec::new(),
    }
}

fn is_hard_link(entry: &Entry) -> bool {
    link_target(entry).is_some()
}

fn link_target(entry: &Entry) -> Option<&str> {
    if let Kind::HardLink(target) = &entry.kind { Some(target) } else { None }
}

fn is_mount_point(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::File { size_bytes: 0, .. }) && MOUNT_POINTS.contains(&entry.path.as_str())
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.to_owned(), kind, mode: 0o755, owner: (0, 0), modified_epoch: 500, attributes: Vec::new() }
    }

    fn file(path: &str) -> Entry {
        content(path, b"x")
    }

    fn content(path: &str, bytes: &[u8]) -> Entry {
        entry(path, Kind::File { size_bytes: bytes.len() as u64, offset_bytes: 512, sha256: sha256(bytes) })
    }

    fn folder(path: &str) -> Entry {
        entry(path, Kind::Folder)
    }

    fn mount_point(path: &str) -> Entry {
        content(path, &[])
    }

    fn paths(layer: &[Entry]) -> Vec<&str> {
        layer.iter().map(|entry| entry.path.as_str()).collect()
    }

    fn base() -> Tree {
        let mut tree = Tree::default();
        tree.canonical(vec![folder("etc"), file("etc/old"), folder("etc/d"), file("etc/d/x"), folder("tmp")], 1000);
        tree
    }

    #[test]
    fn what_only_engines_add_is_gone_and_the_rest_is_sorted() {
        let made = vec![file("z"), folder("etc"), file("a"), mount_point("etc/hosts"), file("etc/.wh.never")];
        assert_eq!(paths(&base().canonical(made, 1000)), ["a", "z"]);
    }

    #[test]
    fn what_is_as_it_was_is_gone_and_every_change_stays() {
        let link = |target: &str| entry("etc/l", Kind::Symlink(target.to_owned()));
        let hard = |path: &str, target: &str| entry(path, Kind::HardLink(target.to_owned()));
        let lower = || {
            let mut tree = base();
            tree.canonical(vec![link("old"), hard("a", "etc/old"), entry("null", Kind::Special)], 1000);
            tree
        };
        let layer = |made: Vec<Entry>| lower().canonical(made, 1000);
        let touched = Entry { modified_epoch: 900, ..file("etc/old") };
        let mode = Entry { mode: 0o777, ..link("old") };
        assert_eq!(layer(vec![touched, folder("etc/d"), file("etc/d/x"), mode, file("a")]), []);

        let attributes = vec![("security.capability".to_owned(), vec![1])];
        let changed = [
            content("etc/old", b"y"),
            content("a", b"y"),
            Entry { mode: 0o644, ..file("etc/old") },
            Entry { owner: (0, 1), ..file("etc/old") },
            Entry { attributes, ..file("etc/old") },
            link("d"),
            entry("etc/old", Kind::Symlink("x".to_owned())),
            file("etc/d"),
            entry("null", Kind::Special),
        ];
        for entry in changed {
            assert_eq!(layer(vec![entry.clone()]), [entry]);
        }
        // A link needs its target in the layer.
        assert_eq!(paths(&layer(vec![file("etc/old"), hard("b", "etc/old")])), ["etc/old", "b"]);
        // Removed and made again as it was: overlay2 writes an opaque folder, containerd nothing.
        assert_eq!(layer(vec![folder("etc/d"), file("etc/d/.wh..wh..opq"), file("etc/d/x")]), []);
    }

    #[test]
    fn an_opaque_folder_reads_as_whiteouts_of_what_was_there() {
        let opaque = base().canonical(vec![folder("etc"), file("etc/.wh..wh..opq"), file("etc/new")], 1000);
        let plain = base().canonical(vec![file("etc/.wh.old"), file("etc/.wh.d"), file("etc/new")], 1000);
        assert_eq!(paths(&opaque), ["etc/.wh.d", "etc/.wh.old", "etc/new"]);
        assert_eq!(opaque, plain);
        let anew = base().canonical(vec![file(".wh.etc"), folder("etc"), file("etc/new")], 1000);
        assert_eq!(anew, opaque);
        let of_new = base().canonical(vec![folder("opt"), file("opt/.wh..wh..opq"), file("opt/f")], 1000);
        assert_eq!(paths(&of_new), ["opt", "opt/f"]);
    }

    #[test]
    fn a_folder_that_changes_and_a_hard_link_stay() {
        let mut changed = folder("tmp");
        changed.mode = 0o1777;
        let link = entry("a", Kind::HardLink("b".to_owned()));
        assert_eq!(paths(&base().canonical(vec![changed, link, file("b")], 1000)), ["b", "tmp", "a"]);
    }

    #[test]
    fn no_time_is_after_the_source() {
        let times = |latest| base().canonical(vec![file("f")], latest)[0].modified_epoch;
        assert_eq!((times(1000), times(400)), (500, 400));
    }

    #[test]
    fn what_was_removed_can_come_back() {
        let mut tree = base();
        assert_eq!(paths(&tree.canonical(vec![file(".wh.etc")], 1000)), [".wh.etc"]);
        assert_eq!(paths(&tree.canonical(vec![folder("etc"), file(".wh.tmp")], 1000)), [".wh.tmp", "etc"]);
    }
}
