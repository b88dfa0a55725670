//! The indexes of one suite of APT, as <https://wiki.debian.org/DebianRepository/Format> describes them.

use anyhow::{Context, Result};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::index::{Channel, PackageFile};
use crate::repository::package::{Header, Package};
use crate::repository::{Files, date, gzip, sha256};

/// The suite of a channel, but for its signatures.
pub fn suite(channel: Channel, packages: &[&Package]) -> Result<Files> {
    let list: String = packages.iter().filter_map(|package| paragraph(package)).collect();
    let packed = gzip(list.as_bytes())?;
    let mut files = Files::new();
    let mut sums = String::new();
    let folder = format!("apt/dists/{channel}");
    for (name, content) in [("Packages", list.into_bytes()), ("Packages.gz", packed)] {
        let digest = sha256(&content);
        sums += &format!(" {digest} {:>8} main/binary-riscv64/{name}\n", content.len());
        // A client that has read an older Release finds the index that this one names.
        files.insert(format!("{folder}/main/binary-riscv64/by-hash/SHA256/{digest}").into(), content.clone());
        files.insert(format!("{folder}/main/binary-riscv64/{name}").into(), content);
    }
    let release = format!(
        "Origin: docker-for-riscv64\nLabel: BuildKit for RISC-V\nSuite: {channel}\nCodename: {channel}\nDate: {}\n\
         Architectures: riscv64\nComponents: main\nDescription: BuildKit for linux/riscv64\nAcquire-By-Hash: yes\n\
         SHA256:\n{sums}",
        rfc2822(date(packages))?,
    );
    files.insert(format!("{folder}/Release").into(), release.into_bytes());
    Ok(files)
}

/// A package's paragraph in `Packages`: its control file, and where the package is.
fn paragraph(package: &Package) -> Option<String> {
    let Header::Deb(control) = &package.header else { return None };
    let PackageFile { path, size_bytes, sha256, .. } = &package.file;
    let path = path.strip_prefix("apt").unwrap_or(path);
    Some(format!("{}Filename: {path}\nSize: {size_bytes}\nSHA256: {sha256}\n\n", control.text))
}

/// The date as Debian's own archive writes it: `Sat, 15 Nov 2025 09:50:20 UTC`.
fn rfc2822(epoch_seconds: u64) -> Result<String> {
    let date = OffsetDateTime::from_unix_timestamp(epoch_seconds.try_into()?).context("a package's date is absurd")?;
    Ok(date.format(&Rfc2822)?.replace("+0000", "UTC"))
}
