//! Writes a Debian package. Sources: deb(5), deb-control(5), deb-conffiles(5); Debian Policy, "Control files".
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads files")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use liblzma::write::XzEncoder;
use md5::{Digest, Md5};
use tar::{EntryType, Header};

use crate::XZ_LEVEL;
use crate::contents::{File, Kind, Package};
use crate::version::{ARCHITECTURE, NAME};

/// Writes the package.
///
/// # Errors
/// If a file cannot be read, or `out` not be written to.
pub fn write(package: &Package, out: impl Write) -> Result<()> {
    let mut data = Archive::new(package.source_date_epoch);
    let mut sums = String::new();
    let mut installed_bytes = 0;
    for directory in directories(&package.files) {
        data.directory(&directory)?;
    }
    for file in &package.files {
        let content = file.content.read()?;
        let relative = file.path.strip_prefix("/").expect("paths in a package are absolute");
        let _ = writeln!(sums, "{}  {relative}", hex(&Md5::digest(&content)));
        installed_bytes += content.len().div_ceil(1024) * 1024;
        data.file(relative, &content, if file.kind == Kind::Program { 0o755 } else { 0o644 })?;
    }
    let conffiles: String =
        package.files.iter().filter(|file| file.kind == Kind::Config).map(|file| format!("{}\n", file.path)).collect();

    let mut control = Archive::new(package.source_date_epoch);
    control.directory(Utf8Path::new(""))?;
    for (name, text, mode) in [
        ("conffiles", &conffiles, 0o644),
        ("control", &fields(package, installed_bytes / 1024), 0o644),
        ("md5sums", &sums, 0o644),
        ("postinst", &package.scripts.after_install, 0o755),
        ("postrm", &package.scripts.after_remove, 0o755),
        ("prerm", &package.scripts.before_remove, 0o755),
    ] {
        control.file(Utf8Path::new(name), text.as_bytes(), mode)?;
    }

    let mut outer = ar::Builder::new(out);
    for (name, content) in
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar.xz", control.finish()?), ("data.tar.xz", data.finish()?)]
    {
        let mut header = ar::Header::new(name.into(), content.len() as u64);
        header.set_mtime(package.source_date_epoch.into());
        header.set_mode(0o100_644);
        outer.append(&header, content.as_slice())?;
    }
    Ok(())
}

/// The file `control`.
fn fields(package: &Package, installed_kilobytes: usize) -> String {
    let relations = &package.relations;
    let mut fields = format!(
        "Package: {NAME}\nVersion: {}\nArchitecture: {ARCHITECTURE}\nMaintainer: {}\nInstalled-Size: {installed_kilobytes}\n",
        package.version.with_revision(),
        package.maintainer
    );
    for (name, names) in
        [("Depends", &relations.depends), ("Recommends", &relations.recommends), ("Suggests", &relations.suggests)]
    {
        let _ = writeln!(fields, "{name}: {}", names.join(", "));
    }
    let _ = writeln!(fields, "Section: {}\nPriority: optional\nHomepage: {}", package.section, package.homepage);
    let _ = writeln!(fields, "Description: {}", package.summary);
    for line in package.description.lines() {
        let _ = writeln!(fields, " {}", if line.is_empty() { "." } else { line });
    }
    fields
}

/// Every directory above the files, the first of them the root, without a slash before it.
fn directories(files: &[File]) -> BTreeSet<Utf8PathBuf> {
    let above = |file: &File| file.path.ancestors().skip(1).map(Utf8Path::to_owned).collect::<Vec<_>>();
    let all = files.iter().flat_map(above);
    all.map(|path| path.strip_prefix("/").expect("paths in a package are absolute").to_owned()).collect()
}

/// A tar archive in the form that dpkg writes, compressed: names begin with `./`, and everything is root's.
struct Archive {
    tar: tar::Builder<XzEncoder<Vec<u8>>>,
    modified_epoch: u32,
}

impl Archive {
    fn new(modified_epoch: u32) -> Self {
        Self { tar: tar::Builder::new(XzEncoder::new(Vec::new(), XZ_LEVEL)), modified_epoch }
    }

    fn directory(&mut self, path: &Utf8Path) -> Result<()> {
        let name = if path == "" { "./".to_owned() } else { format!("./{path}/") };
        self.append(EntryType::Directory, &name, &[], 0o755)
    }

    fn file(&mut self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        self.append(EntryType::Regular, &format!("./{path}"), content, mode)
    }

    fn append(&mut self, kind: EntryType, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(self.modified_epoch.into());
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        // `append_data` would take the `./` away, which dpkg's own archives have.
        let field = &mut header.as_gnu_mut().expect("is a GNU header").name;
        let bytes = name.as_bytes();
        field.get_mut(..bytes.len()).with_context(|| format!("{name} is too long a path"))?.copy_from_slice(bytes);
        header.set_cksum();
        Ok(self.tar.append(&header, content)?)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()?.finish()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
