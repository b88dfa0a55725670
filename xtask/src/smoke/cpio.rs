//! The archive that Linux unpacks into memory at its start (cpio, "newc"), written in constant
//! memory: owners, modes, devices and hard links as they should be, without being root for it.
//! Source: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::io::{Error, ErrorKind, Read, Result, Write, copy};

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const BLOCK_DEVICE: u32 = 0o060_000;
const FIFO: u32 = 0o010_000;

/// Who owns an entry, who may do what with it, and when it was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time in seconds since 1970.
    pub modified_epoch: u64,
}

/// What an entry is, besides a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special<'a> {
    /// A folder.
    Directory,
    /// A symbolic link, with its target.
    Symlink(&'a str),
    /// A character device, by major and minor number.
    CharacterDevice(u32, u32),
    /// A block device, by major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// A writer of such an archive. A folder has to come before what is in it.
pub struct Writer<W> {
    out: W,
    inode: u64,
}

struct Header<'a> {
    path: &'a str,
    kind: u32,
    attributes: Attributes,
    links: u64,
    size_bytes: u64,
    device: (u32, u32),
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Self { out, inode: 0 }
    }

    /// Adds a file under one path or several, which are then hard links.
    ///
    /// # Errors
    /// As reading and writing do; where the content is not as long as was said, or too long for the
    /// format.
    pub fn file(
        &mut self,
        paths: &[&str],
        attributes: Attributes,
        size_bytes: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        self.inode += 1;
        let links = paths.len() as u64;
        for (number, path) in paths.iter().enumerate() {
            // The kernel takes the content from whichever name has one.
            let size_bytes = if number == 0 { size_bytes } else { 0 };
            self.header(&Header { path, kind: FILE, attributes, links, size_bytes, device: (0, 0) })?;
            if number == 0 {
                let copied = copy(&mut content.take(size_bytes), &mut self.out)?;
                if copied != size_bytes {
                    return Err(Error::new(ErrorKind::UnexpectedEof, format!("{path} is cut short")));
                }
                self.pad(size_bytes)?;
            }
        }
        Ok(())
    }

    /// Adds what is no file.
    ///
    /// # Errors
    /// As writing does.
    pub fn special(&mut self, path: &str, attributes: Attributes, special: Special<'_>) -> Result<()> {
        self.inode += 1;
        let (kind, device, target) = match special {
            Special::Directory => (DIRECTORY, (0, 0), ""),
            Special::Symlink(target) => (SYMLINK, (0, 0), target),
            Special::CharacterDevice(major, minor) => (CHARACTER_DEVICE, (major, minor), ""),
            Special::BlockDevice(major, minor) => (BLOCK_DEVICE, (major, minor), ""),
            Special::Fifo => (FIFO, (0, 0), ""),
        };
        let size_bytes = target.len() as u64;
        self.header(&Header { path, kind, attributes, links: 1, size_bytes, device })?;
        self.out.write_all(target.as_bytes())?;
        self.pad(size_bytes)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// As writing does.
    pub fn finish(mut self) -> Result<W> {
        self.inode = 0;
        let (attributes, links) = (Attributes::default(), 1);
        let header = Header { path: "TRAILER!!!", kind: 0, attributes, links, size_bytes: 0, device: (0, 0) };
        self.header(&header)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&mut self, header: &Header<'_>) -> Result<()> {
        let Attributes { mode, uid, gid, modified_epoch } = header.attributes;
        let (major, minor) = header.device;
        let name_bytes = header.path.len() as u64 + 1;
        let fields = [
            self.inode,
            u64::from(header.kind | mode & 0o7777),
            uid,
            gid,
            header.links,
            modified_epoch,
            header.size_bytes,
            0,
            0,
            major.into(),
            minor.into(),
            name_bytes,
            0,
        ];
        write!(self.out, "070701")?;
        for field in fields {
            let field = u32::try_from(field)
                .map_err(|_| Error::other(format!("{} has a number that is too large for cpio", header.path)))?;
            write!(self.out, "{field:08x}")?;
        }
        write!(self.out, "{}\0", header.path)?;
        self.pad(6 + 13 * 8 + name_bytes)
    }

    fn pad(&mut self, length: u64) -> Result<()> {
        let missing = length.next_multiple_of(4) - length;
        (0..missing).try_for_each(|_| self.out.write_all(&[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Attributes = Attributes { mode: 0o644, uid: 1, gid: 2, modified_epoch: 3 };

    fn archive(write: impl FnOnce(&mut Writer<Vec<u8>>) -> Result<()>) -> Result<String> {
        let mut writer = Writer::new(Vec::new());
        write(&mut writer)?;
        Ok(String::from_utf8_lossy(&writer.finish()?).replace('\0', "."))
    }

    #[test]
    fn an_archive_stands_as_text() {
        let text = archive(|writer| {
            writer.special("d", Attributes { mode: 0o755, ..PLAIN }, Special::Directory)?;
            writer.special("l", Attributes { mode: 0o777, ..PLAIN }, Special::Symlink("d/f"))?;
            writer.special("n", PLAIN, Special::CharacterDevice(1, 3))?;
            writer.file(&["d/f", "d/g"], PLAIN, 5, &mut b"hello".as_slice())
        });
        let zeros = "0".repeat(16);
        assert_eq!(
            text.expect("is written"),
            format!(
                "07070100000001000041ed00000001000000020000000100000003\
                 00000000{zeros}00000000000000000000000200000000d.\
                 070701000000020000a1ff00000001000000020000000100000003\
                 00000003{zeros}00000000000000000000000200000000l.d/f.\
                 07070100000003000021a400000001000000020000000100000003\
                 00000000{zeros}00000001000000030000000200000000n.\
                 07070100000004000081a400000001000000020000000200000003\
                 00000005{zeros}00000000000000000000000400000000d/f...hello...\
                 07070100000004000081a400000001000000020000000200000003\
                 00000000{zeros}00000000000000000000000400000000d/g...\
                 07070100000000000000000000000000000000000000010000000000000000{zeros}\
                 00000000000000000000000b00000000TRAILER!!!...."
            )
        );
    }

    #[test]
    fn content_that_is_cut_short_or_too_large_is_refused() {
        let write = |size_bytes| archive(|writer| writer.file(&["f"], PLAIN, size_bytes, &mut b"hell".as_slice()));
        assert_eq!(write(5).expect_err("is short").to_string(), "f is cut short");
        assert!(write(1 << 32).expect_err("is large").to_string().contains("too large for cpio"));
    }
}
