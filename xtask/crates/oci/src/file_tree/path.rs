//! Resolving a path in a tree as in a container whose root it is: links are followed, and none leads
//! out of it. A folder's names and a program on PATH are found in the same way.

use std::fmt;
use std::ops::Bound;

use crate::file_tree::{FileTree, Kind, Node, below};
use crate::limits::{LOOKUP_COST_BYTES, PATH_BYTES, PATH_LOOKUP_BYTES, SYMLINKS};

/// A path that cannot be resolved, and how far it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadEnd {
    /// Nothing is at that path, to which the links before it lead.
    Missing(Vec<String>),
    /// The links lead in a circle.
    Loop(Vec<String>),
    /// Following it takes more than the limit, given in bytes of the paths looked up.
    TooMuch(String),
}

impl fmt::Display for DeadEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(way) => match way.split_last() {
                Some((last, [])) => write!(out, "{last} is not in the image"),
                Some((last, links)) => {
                    write!(out, "{} leads to {last}, which is not in the image", links.join(" -> "))
                }
                None => out.write_str("it is not in the image"),
            },
            Self::TooMuch(path) => write!(out, "following {path:.80} takes more look-ups than the limit allows"),
            Self::Loop(way) => {
                write!(out, "{} is a link that leads in a circle", way.first().map_or("", String::as_str))
            }
        }
    }
}

impl FileTree {
    /// The node at a path, links followed as in a container whose root this is, and its real path, which
    /// begins with a slash.
    pub fn resolve(&self, path: &str) -> Result<(String, &Node), DeadEnd> {
        self.resolve_within(path, &mut { PATH_LOOKUP_BYTES })
    }

    /// The names in a folder.
    pub fn children(&self, folder: &str) -> impl Iterator<Item = &str> {
        let real = self.follow(folder, true, &mut { PATH_LOOKUP_BYTES }).ok();
        let prefix = real.as_deref().map(below).unwrap_or_default();
        let from = |start: &str| self.names.range::<str, _>((Bound::Included(start), Bound::Unbounded));
        let mut names = real.map(|_| from(&prefix));
        std::iter::from_fn(move || {
            loop {
                let (path, _) = names.as_mut()?.next()?;
                let name = path.strip_prefix(prefix.as_str())?;
                match name.split_once('/') {
                    // What is deeper is passed over at once: `0` follows the slash.
                    Some((child, _)) => names = Some(from(&format!("{prefix}{child}0"))),
                    None if name.is_empty() => {}
                    None => return Some(name),
                }
            }
        })
    }

    /// The first executable file of that name in the directories that `search` lists, as PATH does. A list that takes
    /// more look-ups than one path may is not searched to its end.
    pub fn find_program(&self, search: &str, name: &str) -> Option<(String, &Node)> {
        let mut left_bytes = PATH_LOOKUP_BYTES;
        for folder in search.split(':') {
            match self.resolve_within(&format!("{folder}/{name}"), &mut left_bytes) {
                Ok((place, node)) if node.is_executable() => return Some((place, node)),
                Err(DeadEnd::TooMuch(_)) => return None,
                Ok(_) | Err(DeadEnd::Missing(_) | DeadEnd::Loop(_)) => {}
            }
        }
        None
    }

    /// [`Self::resolve`], taking what it looks up from `left_bytes`.
    pub(crate) fn resolve_within(&self, path: &str, left_bytes: &mut usize) -> Result<(String, &Node), DeadEnd> {
        let real = self.follow(path, true, left_bytes)?;
        let name = self.names.get(&real).ok_or_else(|| DeadEnd::Missing(vec![format!("/{real}")]))?;
        Ok((format!("/{real}"), &self.nodes[name.node]))
    }

    /// Walks a path. The result is a name of this tree, or, if only its last part is missing, a
    /// name that can be given.
    pub(super) fn follow(&self, path: &str, follows_last: bool, left_bytes: &mut usize) -> Result<String, DeadEnd> {
        // Nothing is at a path that Linux does not open (ENAMETOOLONG), and each link on the way would copy it.
        if path.len() > PATH_BYTES {
            return Err(DeadEnd::Missing(vec![format!("{path:.80}… ({} bytes)", path.len())]));
        }
        let shown = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let mut way = vec![shown];
        let mut at: Vec<String> = Vec::new();
        let mut rest: Vec<String> = parts(path);
        while let Some(part) = rest.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(part);
            let here = at.join("/");
            let mut spend = |size_bytes| {
                *left_bytes = left_bytes.checked_sub(size_bytes).ok_or_else(|| DeadEnd::TooMuch(path.to_owned()))?;
                Ok(())
            };
            spend(here.len() + LOOKUP_COST_BYTES)?;
            let is_last = rest.is_empty();
            match self.names.get(&here).map(|name| &self.nodes[name.node].kind) {
                Some(Kind::Symlink(target)) if follows_last || !is_last => {
                    spend(target.len())?;
                    if target.starts_with('/') {
                        at.clear();
                    } else {
                        at.pop();
                    }
                    rest.extend(parts(target));
                    let ahead: Vec<&str> = at.iter().chain(rest.iter().rev()).map(String::as_str).collect();
                    way.push(format!("/{}", ahead.join("/")));
                    if way.len() > 1 + SYMLINKS {
                        return Err(DeadEnd::Loop(way));
                    }
                }
                Some(Kind::Directory) => {}
                Some(_) if is_last => {}
                None if is_last && !follows_last => {}
                _ => return Err(DeadEnd::Missing(way)),
            }
        }
        Ok(at.join("/"))
    }
}

/// The parts of a path, the first one last.
pub(super) fn parts(path: &str) -> Vec<String> {
    path.rsplit('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}
