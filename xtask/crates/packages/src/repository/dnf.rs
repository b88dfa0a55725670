//! The indexes of one repository of DNF, as `createrepo_c` writes them: `primary` with what the solver needs, `filelists`
//! with every file, `other` with the changelogs, and `repomd.xml` with their digests. The file that `createrepo_c`
//! itself makes of the same packages is the measure: see `xtask/witness/createrepo.py`.

use std::fmt::Write;

use anyhow::Result;
use camino::Utf8PathBuf;
use rpm::{ChangelogEntry, Dependency, DependencyFlags, FileFlags, FileType, PackageMetadata};

use crate::repository::package::Header;
use crate::repository::{Channel, Files, Package, date, gzip, sha256};

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
        let href = package.path.strip_prefix(&folder).unwrap_or(&package.path).as_str();
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
         packages=\"{count}\">\n{packages}</{root}>\n"
    )
}

fn of_primary(package: &Package, header: &PackageMetadata, href: &str) -> Result<String> {
    let Package { sha256, size_bytes, built_epoch, .. } = package;
    // A tag that is absent reads as an empty element, as in createrepo_c.
    let element = |name: &str, value: Result<&str, rpm::Error>| match value {
        Ok(text) if !text.is_empty() => format!("<{name}>{}</{name}>\n", escaped(text)),
        _ => format!("<{name}/>\n"),
    };
    let offsets = header.get_package_segment_offsets();
    let mut xml = format!("<package type=\"rpm\">\n{}", name_and_version(header)?);
    xml += &format!("<checksum type=\"sha256\" pkgid=\"YES\">{sha256}</checksum>\n");
    xml += &element("summary", header.get_summary());
    xml += &element("description", header.get_description());
    xml += &element("packager", header.get_packager());
    xml += &element("url", header.get_url());
    // The time of the file is the package's own, for it is the same wherever the index is made.
    xml += &format!("<time file=\"{built_epoch}\" build=\"{built_epoch}\"/>\n");
    let installed_bytes = header.get_installed_size()?;
    xml += &format!("<size package=\"{size_bytes}\" installed=\"{installed_bytes}\" archive=\"{installed_bytes}\"/>\n");
    xml += &format!("<location href=\"{}\"/>\n<format>\n", escaped(href));
    xml += &element("rpm:license", header.get_license());
    xml += &element("rpm:vendor", header.get_vendor());
    xml += &element("rpm:group", header.get_group());
    xml += &element("rpm:buildhost", header.get_build_host());
    xml += &element("rpm:sourcerpm", header.get_source_rpm());
    xml += &format!("<rpm:header-range start=\"{}\" end=\"{}\"/>\n", offsets.header, offsets.payload);
    let relations = [
        ("provides", header.get_provides()?),
        ("requires", header.get_requires()?),
        ("conflicts", header.get_conflicts()?),
        ("obsoletes", header.get_obsoletes()?),
        ("suggests", header.get_suggests()?),
        ("enhances", header.get_enhances()?),
        ("recommends", header.get_recommends()?),
        ("supplements", header.get_supplements()?),
    ];
    xml.extend(relations.iter().map(|(name, dependencies)| relation(name, dependencies)));
    let files = files(header)?;
    xml.extend(files.iter().filter(|(path, _)| is_primary(path)).map(|(path, kind)| file(path, kind)));
    Ok(xml + "</format>\n</package>\n")
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
        let (author, text) = (escaped(name), escaped(description));
        format!("<changelog author=\"{author}\" date=\"{timestamp}\">{text}</changelog>\n")
    };
    let entries: String = entries.iter().rev().map(entry).collect();
    Ok(format!("{}{entries}</package>\n", package_with_identity(package, header)?))
}

fn package_with_identity(package: &Package, header: &PackageMetadata) -> Result<String> {
    let (name, architecture) = (escaped(header.get_name()?), escaped(header.get_arch()?));
    let version = version(header)?;
    Ok(format!("<package pkgid=\"{}\" name=\"{name}\" arch=\"{architecture}\">\n{version}", package.sha256))
}

fn name_and_version(header: &PackageMetadata) -> Result<String> {
    let (name, architecture) = (escaped(header.get_name()?), escaped(header.get_arch()?));
    Ok(format!("<name>{name}</name>\n<arch>{architecture}</arch>\n{}", version(header)?))
}

fn version(header: &PackageMetadata) -> Result<String> {
    let epoch = header.get_epoch().unwrap_or(0);
    let (version, release) = (escaped(header.get_version()?), escaped(header.get_release()?));
    Ok(format!("<version epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/>\n"))
}

/// One kind of dependencies, or nothing if there is none of the kind.
fn relation(name: &str, dependencies: &[Dependency]) -> String {
    // What rpm itself has to be capable of is not for the solver.
    let asked: Vec<_> = dependencies.iter().filter(|one| !one.flags.contains(DependencyFlags::RPMLIB)).collect();
    if asked.is_empty() {
        return String::new();
    }
    let mut xml = format!("<rpm:{name}>\n");
    for Dependency { name: needed, flags, version } in asked {
        xml += &format!("<rpm:entry name=\"{}\"", escaped(needed));
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
            xml += &format!(" flags=\"{comparison}\" epoch=\"{}\"", escaped(epoch));
            let (version, release) = rest.split_once('-').map_or((rest, None), |(version, rel)| (version, Some(rel)));
            xml += &format!(" ver=\"{}\"", escaped(version));
            if let Some(release) = release {
                xml += &format!(" rel=\"{}\"", escaped(release));
            }
        }
        let is_before = name == "requires" && flags.intersects(DependencyFlags::SCRIPT_PRE | DependencyFlags::SCRIPT_POST);
        xml += if is_before { " pre=\"1\"/>\n" } else { "/>\n" };
    }
    xml + &format!("</rpm:{name}>\n")
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
    format!("<file{kind}>{}</file>\n", escaped(path))
}

/// Whether other packages may depend on the path, so that it is in the index that everyone loads.
fn is_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path.contains("bin/") || path == "/usr/lib/sendmail"
}

/// Text as XML, without the characters that XML 1.0 cannot have.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        // Writing to a String cannot fail.
        let _ = match character {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\n' | '\t' => out.write_char(character),
            control if control.is_control() => Ok(()),
            other => out.write_char(other),
        };
    }
    out
}
