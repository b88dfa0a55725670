//! The indexes of one repository of DNF, as `createrepo_c` writes them: `primary` with what the solver needs, `filelists`
//! with every file, `other` with the changelogs, and `repomd.xml` with their digests. Of the same packages it writes the
//! very same bytes; `tests/witnesses.rs` compares them.

use std::collections::HashSet;

use anyhow::Result;
use camino::Utf8PathBuf;
use rpm::{
    ChangelogEntry, Dependency, DependencyFlags, FileFlags, FileType, IndexSignatureTag, IndexTag, PackageMetadata,
};

use crate::index::{Channel, PackageFile};
use crate::repository::package::{Header, Package};
use crate::repository::{Files, date, gzip, sha256};

/// Changelogs have as many entries as `createrepo_c` takes.
const MOST_CHANGELOG_ENTRIES: usize = 10;

/// The repository of a channel, but for its signature.
pub fn repodata(channel: Channel, packages: &[&Package]) -> Result<Files> {
    let is_rpm = |package: &&&Package| matches!(package.header, Header::Rpm(_));
    let packages: Vec<&Package> = packages.iter().filter(is_rpm).copied().collect();
    let folder = format!("rpm/{channel}");
    let epoch = date(&packages);
    let (mut primary, mut filelists, mut other) = (String::new(), String::new(), String::new());
    for package in &packages {
        let Header::Rpm(header) = &package.header else { continue };
        let path = &package.file.path;
        let href = path.strip_prefix(&folder).unwrap_or(path).as_str();
        primary += &of_primary(package, &header.0, href)?;
        filelists += &of_filelists(package, &header.0)?;
        other += &of_other(package, &header.0)?;
    }
    let count = packages.len();
    let rpm = r#" xmlns:rpm="http://linux.duke.edu/metadata/rpm""#;
    let indexes = [
        ("primary", document("metadata", "common", rpm, count, &primary)),
        ("filelists", document("filelists", "filelists", "", count, &filelists)),
        ("other", document("otherdata", "other", "", count, &other)),
    ];

    let mut files = Files::new();
    let mut records = String::new();
    for (kind, open) in indexes {
        let packed = gzip(open.as_bytes())?;
        let digest = sha256(&packed);
        let path = format!("repodata/{digest}-{kind}.xml.gz");
        let open_digest = sha256(open.as_bytes());
        records += &format!(
            "  <data type=\"{kind}\">\n    <checksum type=\"sha256\">{digest}</checksum>\n    \
             <open-checksum type=\"sha256\">{open_digest}</open-checksum>\n    <location href=\"{path}\"/>\n    \
             <timestamp>{epoch}</timestamp>\n    <size>{}</size>\n    <open-size>{}</open-size>\n  </data>\n",
            packed.len(),
            open.len(),
        );
        files.insert(Utf8PathBuf::from(&folder).join(path), packed);
    }
    let repomd = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"{rpm}>\n  \
         <revision>{epoch}</revision>\n{records}</repomd>\n"
    );
    files.insert(format!("{folder}/repodata/repomd.xml").into(), repomd.into_bytes());
    Ok(files)
}

fn document(root: &str, namespace: &str, more: &str, count: usize, packages: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"http://linux.duke.edu/metadata/{namespace}\"{more} \
         packages=\"{count}\">\n{packages}</{root}>"
    )
}

fn of_primary(package: &Package, header: &PackageMetadata, href: &str) -> Result<String> {
    let PackageFile { sha256, size_bytes, .. } = &package.file;
    // A tag that is absent is an empty element.
    let element = |name: &str, value: Result<&str, rpm::Error>| {
        format!("<{name}>{}</{name}>\n", escaped(value.unwrap_or_default()))
    };
    let offsets = header.get_package_segment_offsets();
    let (installed_bytes, archive_bytes) = (header.get_installed_size()?, archive_size(header));
    // The time of the file is the package's own, for that is the same wherever the index is made.
    let time = package.built_epoch;
    let mut xml = format!(
        "<package type=\"rpm\">\n  {}  {}{}  <checksum type=\"sha256\" pkgid=\"YES\">{sha256}</checksum>\n  {}  {}  {}  {}  \
         <time file=\"{time}\" build=\"{time}\"/>\n  \
         <size package=\"{size_bytes}\" installed=\"{installed_bytes}\" archive=\"{archive_bytes}\"/>\n  \
         <location href=\"{}\"/>\n  <format>\n",
        element("name", header.get_name()),
        element("arch", header.get_arch()),
        version(header)?,
        element("summary", header.get_summary()),
        element("description", header.get_description()),
        element("packager", header.get_packager()),
        element("url", header.get_url()),
        escaped_attribute(href),
    );
    let elements = [
        element("rpm:license", header.get_license()),
        element("rpm:vendor", header.get_vendor()),
        element("rpm:group", header.get_group()),
        element("rpm:buildhost", header.get_build_host()),
        element("rpm:sourcerpm", header.get_source_rpm()),
        format!("<rpm:header-range start=\"{}\" end=\"{}\"/>\n", offsets.header, offsets.payload),
    ];
    xml.extend(elements.map(|element| format!("    {element}")));
    let provided = header.get_provides()?;
    // The solver need not ask for what rpm itself has to be capable of, nor for what the package brings.
    let is_asked = |one: &Dependency| !one.flags.contains(DependencyFlags::RPMLIB) && !is_provided(one, &provided);
    let required: Vec<_> = header.get_requires()?.into_iter().filter(is_asked).collect();
    let relations = [
        ("provides", provided),
        ("requires", required),
        ("conflicts", header.get_conflicts()?),
        ("obsoletes", header.get_obsoletes()?),
        ("suggests", header.get_suggests()?),
        ("enhances", header.get_enhances()?),
        ("recommends", header.get_recommends()?),
        ("supplements", header.get_supplements()?),
    ];
    xml.extend(relations.iter().map(|(name, dependencies)| relation(name, dependencies)));
    let files = files(header)?;
    xml.extend(files.iter().filter(|(path, _)| is_primary(path)).map(|(path, kind)| format!("  {}", file(path, kind))));
    Ok(xml + "  </format>\n</package>\n")
}

fn of_filelists(package: &Package, header: &PackageMetadata) -> Result<String> {
    let files: String = files(header)?.iter().map(|(path, kind)| file(path, kind)).collect();
    Ok(format!("{}{files}</package>\n", package_with_identity(package, header)?))
}

fn of_other(package: &Package, header: &PackageMetadata) -> Result<String> {
    let mut entries = header.get_changelog_entries()?;
    entries.truncate(MOST_CHANGELOG_ENTRIES);
    // The newest is first in a package, and last in the index.
    let entry = |ChangelogEntry { name, timestamp, description }: &ChangelogEntry| {
        let (author, text) = (escaped_attribute(name), escaped(description));
        format!("  <changelog author=\"{author}\" date=\"{timestamp}\">{text}</changelog>\n")
    };
    let entries: String = entries.iter().rev().map(entry).collect();
    Ok(format!("{}{entries}</package>\n", package_with_identity(package, header)?))
}

fn package_with_identity(package: &Package, header: &PackageMetadata) -> Result<String> {
    let (name, architecture) = (escaped_attribute(header.get_name()?), escaped_attribute(header.get_arch()?));
    let version = version(header)?;
    Ok(format!("<package pkgid=\"{}\" name=\"{name}\" arch=\"{architecture}\">\n{version}", package.file.sha256))
}

fn version(header: &PackageMetadata) -> Result<String> {
    let epoch = header.get_epoch().unwrap_or(0);
    let (version, release) = (escaped_attribute(header.get_version()?), escaped_attribute(header.get_release()?));
    Ok(format!("  <version epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/>\n"))
}

/// The size of the unpacked payload, where a package of rpm 4 has it and where one of rpm 6 has it.
fn archive_size(header: &PackageMetadata) -> u64 {
    let signature = &header.signature;
    let short = signature.get_entry_data_as_u32(IndexSignatureTag::RPMSIGTAG_PAYLOADSIZE).map(u64::from);
    short
        .or_else(|_| signature.get_entry_data_as_u64(IndexSignatureTag::RPMSIGTAG_LONGARCHIVESIZE))
        .or_else(|_| header.header.get_entry_data_as_u64(IndexTag::RPMTAG_PAYLOADSIZEALT))
        .unwrap_or_default()
}

fn is_provided(one: &Dependency, provided: &[Dependency]) -> bool {
    let is_same = |other: &Dependency| {
        (&one.name, one.flags.comparator_str(), &one.version)
            == (&other.name, other.flags.comparator_str(), &other.version)
    };
    provided.iter().any(is_same)
}

/// One kind of dependencies, or nothing if there is none of the kind.
fn relation(name: &str, dependencies: &[Dependency]) -> String {
    if dependencies.is_empty() {
        return String::new();
    }
    let mut entries: Vec<String> = dependencies.iter().map(|dependency| entry(name, dependency)).collect();
    if name == "requires" {
        // Several scripts need the same shell.
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(entry.clone()));
    }
    format!("    <rpm:{name}>\n{}    </rpm:{name}>\n", entries.concat())
}

fn entry(relation: &str, Dependency { name, flags, version }: &Dependency) -> String {
    let mut xml = format!("      <rpm:entry name=\"{}\"", escaped_attribute(name));
    let comparison = match flags.comparator_str() {
        "<" => "LT",
        ">" => "GT",
        "=" => "EQ",
        "<=" => "LE",
        ">=" => "GE",
        _ => "",
    };
    if !comparison.is_empty() {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (version, release) = rest.split_once('-').map_or((rest, None), |(version, rel)| (version, Some(rel)));
        let (epoch, version) = (escaped_attribute(epoch), escaped_attribute(version));
        xml += &format!(" flags=\"{comparison}\" epoch=\"{epoch}\" ver=\"{version}\"");
        xml.extend(release.map(|release| format!(" rel=\"{}\"", escaped_attribute(release))));
    }
    // What a script needs must be there before the package.
    let of_script = DependencyFlags::PREREQ | DependencyFlags::SCRIPT_PRE | DependencyFlags::SCRIPT_POST;
    let is_before = relation == "requires" && flags.intersects(of_script);
    xml + if is_before { " pre=\"1\"/>\n" } else { "/>\n" }
}

/// The package's files and what they are in an index: a directory, not in the payload, or a file.
fn files(header: &PackageMetadata) -> Result<Vec<(String, &'static str)>> {
    let entries = header.get_file_entries()?;
    let kind = |file_type, flags: FileFlags| match file_type {
        FileType::Dir => " type=\"dir\"",
        _ if flags.contains(FileFlags::GHOST) => " type=\"ghost\"",
        _ => "",
    };
    let entry = |entry: &rpm::FileEntry<'_>| {
        (format!("{}{}", entry.dirname(), entry.basename()), kind(entry.file_type(), entry.flags()))
    };
    Ok(entries.iter().map(entry).collect())
}

fn file(path: &str, kind: &str) -> String {
    format!("  <file{kind}>{}</file>\n", escaped(path))
}

/// Whether other packages may depend on the path, so that it is in the index that everyone loads.
fn is_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path.contains("bin/") || path == "/usr/lib/sendmail"
}

/// Text as XML, without the characters that XML 1.0 cannot have.
fn escaped(text: &str) -> String {
    let is_allowed = |character: &char| !character.is_control() || ['\n', '\t'].contains(character);
    let text: String = text.chars().filter(is_allowed).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text as the value of an attribute.
fn escaped_attribute(text: &str) -> String {
    escaped(text).replace('"', "&quot;")
}
