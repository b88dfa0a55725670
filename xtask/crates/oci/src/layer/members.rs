//! The members of a tar archive that may be hostile: a layer, or an archive that holds an image. This is the
//! only reader of tar archives here. Long names and PAX records are read within limits, because the
//! tar crate would read a gigabyte of either into memory.

use std::io::{Read, Seek};

use tar::{Archive, Entries, EntryType, PaxExtensions};

use crate::limits::{EXTENSION_BYTES, MEMBERS, PATH_BYTES, TEXT_BYTES};

pub use spent::Spent;

mod spent;

/// Prefix of the PAX records that are extended attributes of a file.
pub const ATTRIBUTE: &str = "SCHILY.xattr.";

/// One member of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path from the root, without a slash at either end; empty for the root itself.
    pub path: String,
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Modification time in seconds since 1970.
    pub modified_epoch: u64,
    pub size_bytes: u64,
    /// Its number among the members of its layer, by which its content is found again.
    pub ordinal: usize,
    /// Where its content begins in the archive, in bytes.
    pub offset_bytes: u64,
    /// Extended attributes by name, without the prefix of their PAX records, sorted.
    pub attributes: Vec<(String, Vec<u8>)>,
}

impl Member {
    /// Bytes of its names and attributes.
    fn text_bytes(&self) -> usize {
        let link_bytes = if let Kind::Symlink(link) | Kind::HardLink(link) = &self.kind { link.len() } else { 0 };
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + value.len() + size_of::<Self>());
        self.path.len() + link_bytes + attributes.sum::<usize>()
    }
}

/// What a member or a file of an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link, with its target as it was written.
    Symlink(String),
    /// A further name of the file at that path from the root.
    HardLink(String),
    /// A character device, by major and minor number.
    CharacterDevice(u32, u32),
    /// A block device, by major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// GNU's long names and PAX records, which apply to the member after them.
#[derive(Default)]
struct Extensions {
    path: Option<String>,
    link: Option<String>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified_epoch: Option<u64>,
    size_bytes: Option<u64>,
    attributes: Vec<(String, Vec<u8>)>,
    /// Their bytes, as they were stored.
    stored_bytes: u64,
}

/// Reads an uncompressed layer from a stream and passes each member to `each`, with its content.
///
/// Fails if it is not a tar archive, is cut short, is malformed or exceeds a limit, or if `each` fails.
pub fn read(layer: impl Read, each: impl FnMut(Member, &mut dyn Read) -> Result<(), String>) -> Result<(), String> {
    read_within(layer, &mut Spent::default(), each)
}

/// The same for one of several layers, whose limits are for all of them.
pub fn read_within(
    layer: impl Read,
    spent: &mut Spent,
    each: impl FnMut(Member, &mut dyn Read) -> Result<(), String>,
) -> Result<(), String> {
    let mut archive = Archive::new(layer);
    read_entries(archive.entries().map_err(|error| unreadable(&error))?, MEMBERS, spent, each)
}

/// The same for an archive in a file: content that `each` does not read is skipped, and there are at most
/// `most_members`.
pub(crate) fn read_file(
    archive: impl Read + Seek,
    most_members: usize,
    each: impl FnMut(Member, &mut dyn Read) -> Result<(), String>,
) -> Result<(), String> {
    let mut archive = Archive::new(archive);
    read_entries(
        archive.entries_with_seek().map_err(|error| unreadable(&error))?,
        most_members,
        &mut Spent::default(),
        each,
    )
}

fn unreadable(error: &std::io::Error) -> String {
    format!("it cannot be read as a tar archive: {}", on_one_line(error))
}

/// The tar crate quotes names and numbers as they are in the header.
fn on_one_line(error: &std::io::Error) -> String {
    error.to_string().replace(char::is_control, " ")
}

fn read_entries<R: Read>(
    entries: Entries<'_, R>,
    most_members: usize,
    spent: &mut Spent,
    mut each: impl FnMut(Member, &mut dyn Read) -> Result<(), String>,
) -> Result<(), String> {
    let mut extensions = Extensions::default();
    let mut text_bytes = 0;
    for (ordinal, entry) in entries.raw(true).enumerate() {
        let mut entry = entry.map_err(|error| unreadable(&error))?;
        if ordinal >= most_members {
            return Err(format!("the archive has more than {most_members} members, which is the limit"));
        }
        spent.count_member()?;
        let kind = entry.header().entry_type();
        if matches!(
            kind,
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
        ) {
            let bytes = extension(&mut entry, EXTENSION_BYTES - extensions.stored_bytes)?;
            extensions.stored_bytes += bytes.len() as u64;
            spent.count_extension(bytes.len() as u64)?;
            extensions.take(kind, &bytes, spent)?;
            continue;
        }
        let mut member = member(entry.header(), std::mem::take(&mut extensions), ordinal)?;
        member.offset_bytes = entry.raw_file_position();
        text_bytes += member.text_bytes();
        if text_bytes > TEXT_BYTES {
            return Err(format!("the names in the archive have more than {TEXT_BYTES} bytes, which is the limit"));
        }
        each(member, &mut entry)?;
    }
    Ok(())
}

fn extension(entry: &mut (impl Read + ?Sized), most_bytes: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut limited = entry.take(most_bytes + 1);
    limited.read_to_end(&mut bytes).map_err(|error| format!("a header of the layer is cut short: {error}"))?;
    if bytes.len() as u64 > most_bytes {
        return Err(format!("the headers of a member are larger than {EXTENSION_BYTES} bytes, which is the limit"));
    }
    Ok(bytes)
}

impl Extensions {
    fn take(&mut self, kind: EntryType, bytes: &[u8], spent: &mut Spent) -> Result<(), String> {
        let name = || text(bytes.strip_suffix(b"\0").unwrap_or(bytes));
        match kind {
            EntryType::GNULongName => self.path = Some(name()?),
            EntryType::GNULongLink => self.link = Some(name()?),
            // Engines ignore records that are for all members, and git writes one with its commit.
            EntryType::XGlobalHeader => {}
            _ => self.take_records(bytes, spent)?,
        }
        Ok(())
    }

    fn take_records(&mut self, bytes: &[u8], spent: &mut Spent) -> Result<(), String> {
        for record in PaxExtensions::new(bytes) {
            spent.count_record()?;
            let record = record.map_err(|error| format!("a PAX header of the layer is malformed: {error}"))?;
            let number = || {
                let text = std::str::from_utf8(record.value_bytes()).ok();
                let whole = text.and_then(|text| text.split('.').next());
                whole.and_then(|text| text.parse().ok()).ok_or("a PAX header of the layer has a malformed number")
            };
            match record.key_bytes() {
                b"path" => self.path = Some(text(record.value_bytes())?),
                b"linkpath" => self.link = Some(text(record.value_bytes())?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                // A date before 1970 is written as a negative number; it becomes 1970.
                b"mtime" if record.value_bytes().starts_with(b"-") => self.modified_epoch = Some(0),
                b"mtime" => self.modified_epoch = Some(number()?),
                b"size" => self.size_bytes = Some(number()?),
                key if key.starts_with(b"GNU.sparse.") => return Err(SPARSE.to_owned()),
                key => {
                    if let Some(name) = key.strip_prefix(ATTRIBUTE.as_bytes()) {
                        self.attributes.push((text(name)?, record.value_bytes().to_owned()));
                    }
                }
            }
        }
        Ok(())
    }
}

const SPARSE: &str = "the layer has a sparse file, which engines read differently; it is refused";

fn member(header: &tar::Header, extensions: Extensions, ordinal: usize) -> Result<Member, String> {
    let malformed = |error: std::io::Error| format!("a header of the layer is malformed: {}", on_one_line(&error));
    let raw = header.as_old();
    // Go's tar reads a blank field as 0, and so do engines.
    let is_blank = |field: &[u8]| field.iter().all(|byte| b"\0 ".contains(byte));
    let number =
        |field: &[u8], read: std::io::Result<u64>| if is_blank(field) { Ok(0) } else { read.map_err(malformed) };
    let mut attributes = extensions.attributes;
    attributes.sort();
    let path = extensions.path.map_or_else(|| text(&header.path_bytes()), Ok)?;
    let size_bytes = header.entry_size().map_err(malformed)?;
    if extensions.size_bytes.is_some_and(|said| said != size_bytes) {
        return Err(format!("{path:?} has two different sizes; it is refused"));
    }
    let link = || extensions.link.clone().map_or_else(|| text(&header.link_name_bytes().unwrap_or_default()), Ok);
    let numbers = || {
        let number = |value: Option<u32>| value.ok_or_else(|| format!("the device {path:?} has no device number"));
        let [major, minor] = [header.device_major(), header.device_minor()].map(|field| field.map_err(malformed));
        Ok::<_, String>((number(major?)?, number(minor?)?))
    };
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(link()?),
        EntryType::Link => Kind::HardLink(clean(&link()?)?),
        EntryType::Char => numbers().map(|(major, minor)| Kind::CharacterDevice(major, minor))?,
        EntryType::Block => numbers().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
        EntryType::Fifo => Kind::Fifo,
        EntryType::GNUSparse => return Err(SPARSE.to_owned()),
        other => return Err(format!("{path:?} is of tar type {:#04x}, which no layer has", other.as_byte())),
    };
    Ok(Member {
        path: clean(&path)?,
        kind,
        mode: number(&raw.mode, header.mode().map(u64::from))?.try_into().unwrap_or(u32::MAX) & 0o7777,
        uid: extensions.uid.map_or_else(|| number(&raw.uid, header.uid()), Ok)?,
        gid: extensions.gid.map_or_else(|| number(&raw.gid, header.gid()), Ok)?,
        modified_epoch: extensions.modified_epoch.map_or_else(|| number(&raw.mtime, header.mtime()), Ok)?,
        size_bytes,
        ordinal,
        offset_bytes: 0,
        attributes,
    })
}

fn text(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| format!("the name {:?} is not UTF-8", String::from_utf8_lossy(bytes)))?;
    if text.len() > PATH_BYTES || text.contains('\0') {
        let head: String = text.chars().take(40).collect();
        return Err(format!("a name in the layer is not a path ({} bytes): {head:?}…", text.len()));
    }
    Ok(text.to_owned())
}

/// A path from the root without slashes at its ends and without `.`; `..` is refused.
fn clean(path: &str) -> Result<String, String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(format!("the name {path:?} leads out of its directory by `..`; such a layer is refused"));
    }
    Ok(parts.join("/"))
}
