//! The index files and packages of Debian's archive: the signed `InRelease` has the digest of each list of
//! packages, and a list has the digest of each package. Source: the wiki page "DebianRepository/Format",
//! deb(5) and ar(5).

use std::io::Read;

use oci::digest::Sha256;

use crate::http::Endpoint;

const AR_MAGIC: &[u8; 8] = b"!<arch>\n";
const AR_HEADER_BYTES: usize = 60;
/// A package normally has three.
const MOST_MEMBERS: usize = 16;

/// A file of the archive, as its index describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Path from the root of the archive or of the release.
    pub path: String,
    pub size_bytes: u64,
    pub sha256: Sha256,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// Names of its dependencies, the first of each group of alternatives.
    pub depends: Vec<String>,
    pub file: Described,
}

/// The first of apt's sources that is Debian's archive, with `https:` in any case. Reads both formats, `URIs: …`
/// and `deb …`. Source: sources.list(5).
pub fn archive_in(sources: &str) -> Option<Endpoint> {
    let lines = sources.lines().filter(|line| line.starts_with("URIs:") || line.starts_with("deb "));
    let mut words = lines.flat_map(|line| line.split_whitespace());
    words.find_map(|word| {
        let rest = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"))?.trim_end_matches('/');
        rest.ends_with("/debian").then(|| format!("https://{rest}").parse().ok())?
    })
}

/// The entry for `path` in `InRelease` or `Release`.
pub fn described_in(release: &str, path: &str) -> Result<Described, String> {
    let lines = release.lines().skip_while(|line| *line != "SHA256:").skip(1);
    for line in lines.take_while(|line| line.starts_with(' ')) {
        let mut fields = line.split_whitespace();
        if let (Some(digest), Some(size), Some(name)) = (fields.next(), fields.next(), fields.next())
            && name == path
        {
            return described(path, size, digest);
        }
    }
    Err(format!("the release has no SHA-256 of {path}"))
}

/// The package of that name in a list of packages.
pub fn package_in(list: &str, name: &str) -> Result<Package, String> {
    let first = format!("Package: {name}");
    let paragraph = list
        .split("\n\n")
        .find(|paragraph| paragraph.trim_start_matches('\n').lines().next() == Some(&first))
        .ok_or_else(|| format!("the list has no package {name}"))?;
    let field = |field: &str| {
        let value = paragraph.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        value.ok_or_else(|| format!("the package {name} has no field {field}"))
    };
    let path = field("Filename")?;
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(format!("the package {name} has the path {path:?}, which is outside the archive"));
    }
    let depends = field("Depends").unwrap_or_default().split(", ");
    Ok(Package {
        name: name.to_owned(),
        version: field("Version")?.to_owned(),
        depends: depends.filter_map(|group| group.split(' ').next()).map(str::to_owned).collect(),
        file: described(path, field("Size")?, field("SHA256")?)?,
    })
}

fn described(path: &str, size: &str, digest: &str) -> Result<Described, String> {
    let size_bytes = size.parse().map_err(|_| format!("{path} has the size {size:?}, which is not a number"))?;
    Ok(Described { path: path.to_owned(), size_bytes, sha256: digest.parse()? })
}

/// The files of a package: its member `data.tar.xz`. Fails if the package is compressed in another way.
pub fn files_of(mut package: impl Read) -> Result<impl Read, String> {
    let damaged = |error: std::io::Error| format!("it is not a Debian package: {error}");
    let mut magic = [0; AR_MAGIC.len()];
    package.read_exact(&mut magic).map_err(damaged)?;
    if &magic != AR_MAGIC {
        return Err("it is not a Debian package: it does not start with `!<arch>`".to_owned());
    }
    for _ in 0..MOST_MEMBERS {
        let mut header = [0; AR_HEADER_BYTES];
        package.read_exact(&mut header).map_err(|error| format!("it has no data.tar.xz: {error}"))?;
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim_end().to_owned();
        let name = text(0..16);
        let size_bytes: u64 = text(48..58).parse().map_err(|_| format!("its member {name:?} has no size"))?;
        if name.trim_end_matches('/') == "data.tar.xz" {
            return Ok(package.take(size_bytes));
        }
        let skipped = size_bytes.next_multiple_of(2);
        std::io::copy(&mut package.by_ref().take(skipped), &mut std::io::sink()).map_err(damaged)?;
    }
    Err("it has no data.tar.xz".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const DIGEST: &str = "1b458cc5b1d13b946bdca67bdca891fccf57882f8af972276d1346b24fa8285b";

    #[test]
    fn the_archive_is_found_in_both_formats_of_apt_sources() {
        let found = |text: &str| archive_in(text).map(|archive| archive.to_string());
        let stanza = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        let line =
            "# deb http://no.example/debian x\ndeb [signed-by=/x.gpg] https://mirror.example/debian/ bookworm main\n";
        for text in [stanza, line] {
            assert_eq!(found(text).as_deref(), Some("https://mirror.example/debian"), "{text}");
        }
        assert_eq!(
            found("deb http://mirror.example/debian-security bookworm main\ndeb http://x.example/ubuntu y\n"),
            None
        );
    }

    #[test]
    fn the_digest_of_a_list_comes_from_the_sha256_section() {
        let release = format!(
            "Suite: stable\nMD5Sum:\n {} 4 main/binary-riscv64/Packages.gz\nSHA256:\n {DIGEST}  12910137 \
             main/binary-riscv64/Packages.gz\n {DIGEST} 5 main/binary-riscv64/Packages\nEnd: x\n",
            "a".repeat(32)
        );
        let found = described_in(&release, "main/binary-riscv64/Packages.gz").expect("is there");
        assert_eq!((found.size_bytes, found.sha256.to_string().as_str()), (12_910_137, DIGEST));
        described_in(&release, "main/binary-amd64/Packages.gz").expect_err("is not there");
    }

    #[test]
    fn a_package_is_found_by_its_full_name() {
        let paragraph = |name: &str, path: &str| {
            format!(
                "Package: {name}\nVersion: 6.12.107-1\nDepends: linux-image-6.12.107+deb13-riscv64 (= 6.12.107-1), \
                 kmod | x\nFilename: {path}\nSize: 1436\nDescription: y\n Package: z\nSHA256: {DIGEST}\n"
            )
        };
        let list =
            [paragraph("linux-image-riscv64-dbg", "a"), paragraph("linux-image-riscv64", "pool/k.deb")].join("\n");
        let found = package_in(&list, "linux-image-riscv64").expect("is there");
        assert_eq!((found.file.path.as_str(), found.version.as_str()), ("pool/k.deb", "6.12.107-1"));
        assert_eq!(found.depends, ["linux-image-6.12.107+deb13-riscv64", "kmod"]);
        package_in(&list, "z").expect_err("is no package");
        assert!(package_in(&paragraph("p", "../x"), "p").expect_err("leads out").contains("outside the archive"));
    }

    fn member(name: &str, content: &str) -> String {
        let padding = if content.len() % 2 == 1 { "\n" } else { "" };
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n{content}{padding}", 0, 0, 0, 100_644, content.len())
    }

    #[test]
    fn the_files_of_a_package_are_its_last_member() {
        let members =
            [member("debian-binary", "2.0\n"), member("control.tar.xz", "odd"), member("data.tar.xz", "files")];
        let package = format!("!<arch>\n{}", members.concat());
        let mut content = String::new();
        files_of(package.as_bytes()).expect("is a package").read_to_string(&mut content).expect("reads");
        assert_eq!(content, "files");
        for length in 0..package.len() - members[2].len() + AR_HEADER_BYTES {
            assert!(files_of(&package.as_bytes()[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn mutated_lists_and_releases_give_paths_inside_the_archive_or_an_error() {
        let list = format!(
            "Package: a\nVersion: 1\nDepends: linux-image-6.12 (= 1), kmod | x\nFilename: pool/a.deb\nSize: 1436\n\
             SHA256: {DIGEST}\n\nPackage: b\nVersion: 2\nFilename: pool/b.deb\nSize: 2\nSHA256: {DIGEST}\n"
        );
        let release = format!("Suite: stable\nSHA256:\n {DIGEST} 12910137 main/Packages.gz\n {DIGEST} 5 other\n");
        arbtest::arbtest(|source| {
            let list = mutated_input::text(source, &list)?;
            for name in ["a", "b"] {
                if let Ok(package) = package_in(&list, name) {
                    let path = &package.file.path;
                    assert!(list.contains(path.as_str()) && !path.starts_with('/') && !path.contains("../"), "{path}");
                    let length: usize = package.depends.iter().map(String::len).sum();
                    assert!(length + package.version.len() <= list.len());
                }
            }
            let release = mutated_input::text(source, &release)?;
            if let Ok(found) = described_in(&release, "main/Packages.gz") {
                assert!(release.contains(&found.sha256.to_string()) && release.contains("main/Packages.gz"));
            }
            archive_in(&mutated_input::text(source, "URIs: http://a/debian\ndeb [x] http://b/debian/ trixie main\n")?);
            Ok(())
        });
    }

    #[test]
    fn mutated_packages_give_no_more_than_they_hold_and_are_read_once() {
        let members =
            [member("debian-binary", "2.0\n"), member("control.tar.xz", "odd"), member("data.tar.xz", "files")];
        let package = format!("!<arch>\n{}", members.concat());
        arbtest::arbtest(|source| {
            let bytes = mutated_input::bytes(source, package.as_bytes())?;
            let mut remaining = bytes.as_slice();
            let mut content = Vec::new();
            if let Ok(mut files) = files_of(&mut remaining) {
                files.read_to_end(&mut content).expect("memory can be read");
            }
            assert!(content.len() + remaining.len() <= bytes.len());
            Ok(())
        });
    }
}
