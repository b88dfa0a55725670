//! The files of an image: its layers applied in order as an engine does, with whiteouts, hard links and
//! links between directories. Only metadata and the [`Format`] are kept; content is streamed, so
//! memory grows with the number of files and not with their size.

use std::collections::BTreeMap;
use std::io::Read;

pub(crate) use path::DeadEnd;
use path::parts;

use crate::elf::Format;
use crate::layer::members::{self, Kind, Member, Spent};
use crate::limits::{
    ELF_BYTES, FILES, LOOKUP_BYTES, LOOKUP_COST_BYTES, REMOVAL_STEPS, SCRIPT_LINE_BYTES, SYMLINKS, TEXT_BYTES,
};

mod path;

/// The files of an image, by path.
#[derive(Debug, Default)]
pub struct FileTree {
    names: BTreeMap<String, Name>,
    nodes: Vec<Node>,
    layers: usize,
    spent: Spent,
    text_bytes: usize,
    removal_steps: usize,
    lookup_bytes: usize,
}

/// One name of a file, and the layer that gave it.
#[derive(Clone, Copy, Debug)]
struct Name {
    node: usize,
    layer: usize,
}

/// A file, folder, link or device, under one name or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Never [`Kind::HardLink`].
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Modification time in seconds since 1970.
    pub modified_epoch: u64,
    /// Size in bytes; 0 for all but files.
    pub size_bytes: u64,
    /// How it is run, for a file.
    pub format: Format,
    /// Where its content is: the number of the layer, and of the member within it.
    pub content: (usize, usize),
}

impl Node {
    /// Whether it is a file that someone may execute.
    pub fn is_executable(&self) -> bool {
        self.kind == Kind::File && self.mode & 0o111 != 0
    }
}

impl FileTree {
    /// Applies one more layer, uncompressed.
    ///
    /// Fails if the layer is not a tar archive, is malformed or exceeds a limit.
    pub fn apply(&mut self, layer: impl Read) -> Result<(), String> {
        let number = self.layers;
        self.layers += 1;
        let mut spent = std::mem::take(&mut self.spent);
        let read = members::read_within(layer, &mut spent, |member, content| self.add(number, member, content));
        self.spent = spent;
        read
    }

    /// Every name with its node, parents before what is in them.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.names.iter().map(|(path, name)| (path.as_str(), &self.nodes[name.node]))
    }

    fn add(&mut self, layer: usize, member: Member, content: &mut dyn Read) -> Result<(), String> {
        let (folder, name) = member.path.rsplit_once('/').unwrap_or(("", &member.path));
        let folder = self.make_folder(folder, layer)?;
        if name == ".wh..wh..opq" {
            return self.remove_below(&folder, layer);
        }
        if let Some(hidden) = name.strip_prefix(".wh.") {
            if hidden.is_empty() || hidden == "." || hidden == ".." {
                return Err(format!("the whiteout {:?} names nothing; such a layer is refused", member.path));
            }
            return self.remove(&format!("{}{hidden}", below(&folder)), layer);
        }
        let path = format!("{}{name}", below(&folder));
        let node = match &member.kind {
            Kind::HardLink(target) => self.link_target(&path, target)?,
            _ => self.new_node(layer, member, content)?,
        };
        self.put(path, Name { node, layer })
    }

    fn new_node(&mut self, layer: usize, member: Member, content: &mut dyn Read) -> Result<usize, String> {
        let is_file = member.kind == Kind::File;
        let format = if is_file { format_of(content, member.size_bytes)? } else { Format::Data };
        let link_bytes = if let Kind::Symlink(target) = &member.kind { target.len() } else { 0 };
        self.keep_text(link_bytes + format.text_bytes())?;
        if self.nodes.len() >= FILES {
            return Err(format!("the image has more than {FILES} files, which is the limit"));
        }
        self.nodes.push(Node {
            kind: member.kind,
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            modified_epoch: member.modified_epoch,
            size_bytes: if is_file { member.size_bytes } else { 0 },
            format,
            content: (layer, member.ordinal),
        });
        Ok(self.nodes.len() - 1)
    }

    fn link_target(&mut self, path: &str, target: &str) -> Result<usize, String> {
        let refuse = || format!("{path:?} is a hard link to {target:?}, which is no file before it; it is refused");
        let mut left_bytes = LOOKUP_BYTES.saturating_sub(self.lookup_bytes);
        let real = self.follow(target, false, &mut left_bytes);
        self.lookup_bytes = LOOKUP_BYTES - left_bytes;
        let real = real.map_err(|end| match end {
            DeadEnd::TooMuch(_) => too_many_lookups(),
            DeadEnd::Missing(_) | DeadEnd::Loop(_) => refuse(),
        })?;
        let name = self.names.get(&real).ok_or_else(refuse)?;
        if self.nodes[name.node].kind == Kind::Directory {
            return Err(refuse());
        }
        Ok(name.node)
    }

    /// Puts a name in its place; a folder over a folder keeps what is in it.
    fn put(&mut self, path: String, name: Name) -> Result<(), String> {
        let is_folder = |name: &Name| self.nodes[name.node].kind == Kind::Directory;
        if path.is_empty() && !is_folder(&name) {
            return Err("the root of a layer is not a directory; it is refused".to_owned());
        }
        let merges = path.is_empty() || is_folder(&name) && self.names.get(&path).is_some_and(is_folder);
        if !merges {
            let doomed: Vec<String> = self.inside(&path).map(|(path, _)| path.clone()).collect();
            doomed.iter().for_each(|path| {
                self.names.remove(path);
            });
        }
        self.keep_text(path.len())?;
        self.names.insert(path, name);
        Ok(())
    }

    /// Counts text that stays in memory. What is overwritten later counts too.
    fn keep_text(&mut self, size_bytes: usize) -> Result<(), String> {
        self.text_bytes += size_bytes;
        if self.text_bytes > TEXT_BYTES {
            return Err(format!("the names in the image have more than {TEXT_BYTES} bytes, which is the limit"));
        }
        Ok(())
    }

    fn count_removal_steps(&mut self, count: usize) -> Result<(), String> {
        self.removal_steps += count;
        if self.removal_steps > REMOVAL_STEPS {
            return Err(format!("its whiteouts hide or search more than {REMOVAL_STEPS} names, which is the limit"));
        }
        Ok(())
    }

    /// The real path of a folder in which a layer puts something, created if the layer left it out.
    fn make_folder(&mut self, path: &str, layer: usize) -> Result<String, String> {
        let mut at = String::new();
        let mut rest = parts(path);
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                at.truncate(at.rfind('/').unwrap_or(0));
                continue;
            }
            let here = format!("{}{part}", below(&at));
            self.lookup_bytes += here.len() + LOOKUP_COST_BYTES;
            if self.lookup_bytes > LOOKUP_BYTES {
                return Err(too_many_lookups());
            }
            match self.names.get(&here).map(|name| self.nodes[name.node].kind.clone()) {
                Some(Kind::Directory) => at = here,
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > SYMLINKS {
                        return Err(format!("{path:?} is reached by links that lead in a circle; it is refused"));
                    }
                    self.lookup_bytes += target.len();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    rest.extend(parts(&target));
                }
                Some(_) => {
                    return Err(format!(
                        "{path:?} is used as a directory, and {here:?} is a file; the layer is refused"
                    ));
                }
                None => {
                    let folder = Member {
                        path: here.clone(),
                        kind: Kind::Directory,
                        mode: 0o755,
                        uid: 0,
                        gid: 0,
                        modified_epoch: 0,
                        size_bytes: 0,
                        ordinal: usize::MAX,
                        offset_bytes: 0,
                        attributes: Vec::new(),
                    };
                    let node = self.new_node(layer, folder, &mut std::io::empty())?;
                    self.put(here.clone(), Name { node, layer })?;
                    at = here;
                }
            }
        }
        Ok(at)
    }

    /// Removes what lower layers put at a path and below it.
    fn remove(&mut self, path: &str, layer: usize) -> Result<(), String> {
        self.remove_below(path, layer)?;
        let is_lower = self.names.get(path).is_some_and(|name| name.layer < layer);
        if is_lower && self.inside(path).next().is_none() {
            self.names.remove(path);
        }
        Ok(())
    }

    fn remove_below(&mut self, folder: &str, layer: usize) -> Result<(), String> {
        let mut steps = 0;
        let is_lower = |(_, name): &(&String, &Name)| name.layer < layer;
        let seen = self.inside(folder).inspect(|_| steps += 1);
        let doomed: Vec<String> = seen.filter(is_lower).map(|(path, _)| path.clone()).collect();
        self.count_removal_steps(steps + 1)?;
        // From the leaves up: a folder stays if this layer put something into it.
        for path in doomed.iter().rev() {
            if self.inside(path).next().is_none() {
                self.names.remove(path);
            }
        }
        Ok(())
    }

    /// All names below a real path.
    fn inside<'t>(&'t self, folder: &str) -> impl Iterator<Item = (&'t String, &'t Name)> + use<'t> {
        let prefix = below(folder);
        let all = self.names.range(prefix.clone()..);
        all.skip_while(|(path, _)| path.is_empty()).take_while(move |(path, _)| path.starts_with(&prefix))
    }
}

fn too_many_lookups() -> String {
    format!("its paths take more than {LOOKUP_BYTES} bytes of look-ups, which is the limit")
}

/// What every path in a folder begins with.
fn below(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

fn format_of(content: &mut dyn Read, size_bytes: u64) -> Result<Format, String> {
    let mut bytes = Vec::new();
    for limit in [SCRIPT_LINE_BYTES as u64, ELF_BYTES] {
        let read = content.take(limit).read_to_end(&mut bytes);
        read.map_err(|error| format!("a file of the layer is cut short: {error}"))?;
        if !bytes.starts_with(b"\x7fELF") {
            break;
        }
    }
    Ok(Format::of_head(&mut bytes, size_bytes))
}

#[cfg(test)]
mod tests;
