//! The archive that Linux unpacks into memory when it boots (cpio, "newc"), written in constant
//! memory: owners, modes, devices and hard links as the image has them, without root.
//! Source: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::io::{Error, ErrorKind, Read, Result, Write, copy};
use std::iter::repeat;

use cpio::newc::{Builder, ModeFileType, trailer};

/// Owner, permissions and modification time of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Modification time in seconds since 1970.
    pub modified_epoch: u64,
}

/// An entry that is not a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special<'a> {
    Directory,
    /// A symbolic link, with its target.
    Symlink(&'a str),
    /// A character device, by major and minor number.
    CharacterDevice(u32, u32),
    /// A block device, by major and minor number.
    BlockDevice(u32, u32),
    Fifo,
}

/// Writes such an archive. A directory must be added before the entries in it.
pub struct Writer<W> {
    out: W,
    inode: u32,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Self {
        Self { out, inode: 0 }
    }

    /// Adds a file under one path, or under several that become hard links.
    ///
    /// # Errors
    /// If the content is shorter than `size_bytes`, or a number is too large for the format.
    pub fn file(
        &mut self,
        paths: &[&str],
        attributes: Attributes,
        size_bytes: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        self.inode += 1;
        // The kernel takes the content from whichever name has one.
        let sizes = [size_bytes].into_iter().chain(repeat(0));
        for (path, size_bytes) in paths.iter().zip(sizes) {
            let entry = self.entry(path, ModeFileType::Regular, attributes)?;
            let entry = entry.nlink(number(path, paths.len() as u64)?);
            self.add(path, entry, size_bytes, content)?;
        }
        Ok(())
    }

    /// Adds an entry that is not a regular file.
    pub fn special(&mut self, path: &str, attributes: Attributes, special: Special<'_>) -> Result<()> {
        self.inode += 1;
        let (kind, (major, minor), target) = match special {
            Special::Directory => (ModeFileType::Directory, (0, 0), ""),
            Special::Symlink(target) => (ModeFileType::Symlink, (0, 0), target),
            Special::CharacterDevice(major, minor) => (ModeFileType::Char, (major, minor), ""),
            Special::BlockDevice(major, minor) => (ModeFileType::Block, (major, minor), ""),
            Special::Fifo => (ModeFileType::Fifo, (0, 0), ""),
        };
        let entry = self.entry(path, kind, attributes)?.rdev_major(major).rdev_minor(minor);
        self.add(path, entry, target.len() as u64, &mut target.as_bytes())
    }

    /// Ends the archive.
    pub fn finish(self) -> Result<W> {
        let mut out = trailer(self.out)?;
        out.flush()?;
        Ok(out)
    }

    fn entry(&self, path: &str, kind: ModeFileType, attributes: Attributes) -> Result<Builder> {
        let Attributes { mode, uid, gid, modified_epoch } = attributes;
        let entry = Builder::new(path).ino(self.inode).mode(mode & 0o7777).set_mode_file_type(kind);
        Ok(entry.uid(number(path, uid)?).gid(number(path, gid)?).mtime(number(path, modified_epoch)?))
    }

    fn add(&mut self, path: &str, entry: Builder, size_bytes: u64, content: &mut dyn Read) -> Result<()> {
        let mut writer = entry.write(&mut self.out, number(path, size_bytes)?);
        if copy(&mut content.take(size_bytes), &mut writer)? != size_bytes {
            return Err(Error::new(ErrorKind::UnexpectedEof, format!("{path} is cut short")));
        }
        writer.finish().map(|_| ())
    }
}

fn number(path: &str, value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::other(format!("{path} has a number that is too large for cpio")))
}

#[cfg(test)]
mod tests {
    use cpio::newc::Reader;

    use super::*;
    use crate::os::mutated_input;

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

    /// The kernel reads what the crate's reader reads: paths and links are the image's, and can be any text.
    #[test]
    fn what_is_written_is_read_back() {
        arbtest::arbtest(|source| {
            let (path, target) =
                (mutated_input::text(source, "usr/bin/tini")?, mutated_input::text(source, "../sbin/tini")?);
            let content: Vec<u8> = source.arbitrary()?;
            if path.contains('\0') || target.is_empty() {
                return Ok(());
            }
            let mut writer = Writer::new(Vec::new());
            let mut write = || {
                writer.special(&path, PLAIN, Special::Symlink(&target))?;
                writer.file(&["f", &path], PLAIN, content.len() as u64, &mut content.as_slice())
            };
            write().expect("memory can be written to");
            let archive = writer.finish().expect("memory can be written to");
            let names = 2 * path.len() + "fTRAILER!!!".len();
            assert!(archive.len() <= names + target.len() + content.len() + 4 * (110 + 8));

            let (mut rest, mut found) = (archive.as_slice(), Vec::new());
            loop {
                let mut reader = Reader::new(rest).expect("is an entry");
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).expect("memory can be read");
                let entry = reader.entry();
                if entry.is_trailer() {
                    break;
                }
                found.push((entry.name().to_owned(), entry.ino(), entry.nlink(), bytes));
                rest = reader.finish().expect("memory can be read");
            }
            let link = (path.clone(), 1, 1, target.into_bytes());
            assert_eq!(found, [link, ("f".to_owned(), 2, 2, content), (path, 2, 2, Vec::new())]);
            Ok(())
        });
    }
}
