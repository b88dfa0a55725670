//! The parts of an RPM: RPM's reference manual, "Package Format V4". Its files are taken from the header, which has the
//! digest of each; `rpm` installs none that has another.
#![allow(clippy::disallowed_types, reason = "reads packages")]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use rpm::{FileEntry, IndexData, IndexTag};

use crate::difference::{MOST_BYTES, Part, Parts, add};
use crate::repository::rpm_header::RpmHeader;

/// What a user would look at; other tags are named by their numbers.
const NAMED: [(IndexTag, &str); 12] = [
    (IndexTag::RPMTAG_NAME, "Name"),
    (IndexTag::RPMTAG_VERSION, "Version"),
    (IndexTag::RPMTAG_RELEASE, "Release"),
    (IndexTag::RPMTAG_ARCH, "Arch"),
    (IndexTag::RPMTAG_SUMMARY, "Summary"),
    (IndexTag::RPMTAG_DESCRIPTION, "Description"),
    (IndexTag::RPMTAG_PACKAGER, "Packager"),
    (IndexTag::RPMTAG_URL, "URL"),
    (IndexTag::RPMTAG_REQUIRENAME, "Requires"),
    (IndexTag::RPMTAG_POSTIN, "%post"),
    (IndexTag::RPMTAG_PREUN, "%preun"),
    (IndexTag::RPMTAG_POSTUN, "%postun"),
];

/// Tags of the files, which have parts of their own, and digests of the payload.
const OF_FILES: [IndexTag; 20] = [
    IndexTag::RPMTAG_SIZE,
    IndexTag::RPMTAG_FILESIZES,
    IndexTag::RPMTAG_FILEMODES,
    IndexTag::RPMTAG_FILERDEVS,
    IndexTag::RPMTAG_FILEMTIMES,
    IndexTag::RPMTAG_FILEDIGESTS,
    IndexTag::RPMTAG_FILELINKTOS,
    IndexTag::RPMTAG_FILEFLAGS,
    IndexTag::RPMTAG_FILEUSERNAME,
    IndexTag::RPMTAG_FILEGROUPNAME,
    IndexTag::RPMTAG_FILEVERIFYFLAGS,
    IndexTag::RPMTAG_FILEDEVICES,
    IndexTag::RPMTAG_FILEINODES,
    IndexTag::RPMTAG_FILELANGS,
    IndexTag::RPMTAG_DIRINDEXES,
    IndexTag::RPMTAG_BASENAMES,
    IndexTag::RPMTAG_DIRNAMES,
    IndexTag::RPMTAG_PAYLOADSHA256,
    IndexTag::RPMTAG_PAYLOADSHA256ALGO,
    IndexTag::RPMTAG_PAYLOADSHA256ALT,
];

/// Signatures, header and payload as they stand there, every field of the header, and every file that it lists.
pub fn parts(file: &Utf8Path) -> Result<Parts> {
    let header = RpmHeader::read(file)?.0;
    let mut parts = Parts::new();
    let offsets = header.get_package_segment_offsets();
    let input = File::open(file).with_context(|| format!("cannot open {file}"))?;
    let size_bytes = input.metadata().with_context(|| format!("cannot read {file}"))?.len();
    ensure!(size_bytes <= MOST_BYTES, "{file} is larger than {MOST_BYTES} bytes");
    let sections = [
        ("signature", 0, offsets.header),
        ("header", offsets.header, offsets.payload),
        ("payload", offsets.payload, size_bytes),
    ];
    for (name, start, end) in sections {
        let mut section = &input;
        section.seek(SeekFrom::Start(start)).with_context(|| format!("cannot read {file}"))?;
        let mut section = section.take(end.saturating_sub(start));
        let sha256 = oci::digest::sha256_of(&mut section)?;
        let part = Part { attributes: String::new(), size_bytes: end.saturating_sub(start), sha256, text: None };
        add(&mut parts, name, part)?;
    }
    for (tag, data) in header.header.get_all_entries()? {
        if OF_FILES.iter().all(|known| *known as u32 != tag) {
            let name = NAMED.iter().find(|(known, _)| *known as u32 == tag).map(|(_, name)| (*name).to_owned());
            let name = format!("header: {}", name.unwrap_or_else(|| format!("tag {tag}")));
            let value = match data {
                IndexData::StringTag(text) => text,
                IndexData::StringArray(texts) | IndexData::I18NString(texts) => texts.join("\n"),
                numbers => format!("{numbers:?}"),
            };
            add(&mut parts, &name, Part::new(String::new(), value.as_bytes()))?;
        }
    }
    for entry in header.get_file_entries()? {
        let (name, part) = of_file(&entry);
        add(&mut parts, &name, part)?;
    }
    Ok(parts)
}

fn of_file(entry: &FileEntry<'_>) -> (String, Part) {
    let link = entry.linkto().filter(|link| !link.is_empty()).map_or_else(String::new, |link| format!(" -> {link}"));
    let attributes = format!(
        "mode {:o}{link}, {}:{}, time {}, {:?}, {}",
        entry.mode().raw_mode(),
        entry.user(),
        entry.group(),
        entry.modified_at().0,
        entry.flags(),
        entry.caps().unwrap_or_default(),
    );
    let digest = entry.digest().map(|digest| digest.as_hex().to_owned()).unwrap_or_default();
    let mut part = Part::new(attributes, digest.as_bytes());
    (part.size_bytes, part.text) = (entry.size() as u64, None);
    (format!("payload: {}{}", entry.dirname(), entry.basename()), part)
}
