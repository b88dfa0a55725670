//! The kernel of the riscv64 machine, with its modules, the firmware and busybox:
//! Debian's packages, downloaded once to `target/`, and compared with their digests at each use.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::{Sha256, copy, file_digest};
use serde::{Deserialize, Serialize};

use crate::dist::FileRecord;
use crate::http::Endpoint;
use crate::os::files::{self, Staging};
use crate::os::process::run;
use crate::os::terminal::print_status;
use crate::smoke::machine::debian::{self, Archive, Package};
use crate::smoke::machine::kernel_module;

pub const KERNEL: &str = "kernel";
/// OpenSBI's `fw_dynamic`, which starts the kernel.
pub const FIRMWARE: &str = "firmware";
pub const BUSYBOX_RISCV64: &str = "busybox-riscv64";
pub const BUSYBOX_AMD64: &str = "busybox-amd64";

/// For the results disk and the containers' file systems.
const MODULES: [&str; 3] = ["virtio_mmio", "virtio_blk", "overlay"];
/// Each round of dependencies reads the whole package.
const MOST_MODULES: usize = 64;
const RECORD: &str = "guest_files.json";
const SCHEMA: u32 = 2;
/// Far above the size of any of these files.
const LARGEST_FILE_BYTES: u64 = 512 << 20;
const XZ_LIMIT: Duration = Duration::from_secs(60);

/// The files that the guest boots with, in one directory.
#[derive(Debug)]
pub struct GuestFiles {
    folder: Utf8PathBuf,
    record: Record,
}

/// The files in the directory and their origin.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    schema: u32,
    trust: String,
    packages: Vec<(String, String, Sha256)>,
    modules: Vec<String>,
    files: Vec<FileRecord>,
}

impl GuestFiles {
    /// The files that an earlier run downloaded to `folder`, or new ones.
    pub fn obtain(folder: &Utf8Path, archive: Option<&Endpoint>) -> Result<Self> {
        let wait = || print_status("debian", "waiting for another run that downloads the kernel");
        let _lock = files::lock(&folder.with_extension("lock"), wait)?;
        match Self::present(folder) {
            Ok(found) => return Ok(found),
            Err(why) if folder.exists() => print_status("debian", format_args!("downloading again: {why:#}")),
            Err(_) => print_status("debian", "downloading a kernel and its firmware; later runs reuse them"),
        }
        let archive = match archive {
            Some(archive) => archive.clone(),
            None => debian::archive_of_apt()?,
        };
        let staging = Staging::new(folder)?;
        let record = fetch(&archive, staging.path()).context("cannot download the machine's kernel")?;
        let text = serde_json::to_string_pretty(&record)?;
        fs::write(staging.path().join(RECORD), text).context("cannot write the record of the kernel")?;
        staging.publish()?;
        Ok(Self { folder: folder.to_owned(), record })
    }

    fn present(folder: &Utf8Path) -> Result<Self> {
        let text = fs::read_to_string(folder.join(RECORD)).with_context(|| format!("{folder} has no {RECORD}"))?;
        let record: Record = serde_json::from_str(&text).with_context(|| format!("{RECORD} cannot be read"))?;
        ensure!(record.schema == SCHEMA, "it was written by another version of xtask");
        for file in &record.files {
            let (_, found) = file_digest(&folder.join(&file.name))?;
            ensure!(found == file.sha256, "{} has changed since the download", file.name);
        }
        Ok(Self { folder: folder.to_owned(), record })
    }

    /// The path of the file with one of the names above.
    pub fn path(&self, name: &str) -> Utf8PathBuf {
        self.folder.join(name)
    }

    /// The kernel modules, in the order in which they must be loaded.
    pub fn modules(&self) -> &[String] {
        &self.record.modules
    }

    pub fn module(&self, name: &str) -> Utf8PathBuf {
        self.folder.join(module_file(name))
    }

    /// Name and version of each package, and how the archive was verified.
    pub fn origin(&self) -> Vec<(String, String)> {
        let packages = self.record.packages.iter().map(|(name, version, _)| (name.clone(), version.clone()));
        packages.chain([("Debian's archive".to_owned(), self.record.trust.clone())]).collect()
    }
}

fn module_file(name: &str) -> String {
    format!("{name}.ko.xz")
}

/// Downloads everything to `folder`.
fn fetch(endpoint: &Endpoint, folder: &Utf8Path) -> Result<Record> {
    let scratch = folder.join("scratch");
    fs::create_dir(&scratch).with_context(|| format!("cannot make {scratch}"))?;
    let archive = Archive::open(endpoint, &scratch)?;
    print_status("debian", &archive.trust);
    let list = archive.list("riscv64", &scratch)?;
    let list_amd64 = archive.list("amd64", &scratch)?;
    let named = debian::find(&list, "linux-image-riscv64")?;
    let kernel = named.depends.iter().find(|name| name.starts_with("linux-image-"));
    let kernel = debian::find(&list, kernel.context("Debian's package linux-image-riscv64 depends on no kernel")?)?;
    let firmware = debian::find(&list, "opensbi")?;
    let busybox = debian::find(&list, "busybox-static")?;
    let busybox_amd64 = debian::find(&list_amd64, "busybox-static")?;
    let take = |package: &Package, file: &str, name: &str| -> Result<()> {
        let tar = archive.package(package, &scratch)?;
        let found = extract(&tar, &|path| (path == file).then(|| folder.join(name)))?;
        ensure!(found == 1, "Debian's package {} has no file {file}", package.name);
        fs::remove_file(&tar).with_context(|| format!("cannot remove {tar}"))
    };
    take(&busybox, "usr/bin/busybox", BUSYBOX_RISCV64)?;
    take(&busybox_amd64, "usr/bin/busybox", BUSYBOX_AMD64)?;
    take(&firmware, "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin", FIRMWARE)?;

    let tar = archive.package(&kernel, &scratch)?;
    let found = extract(&tar, &|path| path.starts_with("boot/vmlinu").then(|| folder.join(KERNEL)))?;
    ensure!(found == 1, "Debian's package {} has {found} kernels", kernel.name);
    let modules = modules(&tar, folder)?;
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {scratch}"))?;

    let names = [KERNEL, FIRMWARE, BUSYBOX_RISCV64, BUSYBOX_AMD64].map(str::to_owned);
    let names = names.into_iter().chain(modules.iter().map(|name| module_file(name)));
    let record_of = |name: String| {
        let (size_bytes, sha256) = file_digest(&folder.join(&name))?;
        Ok(FileRecord { name, size_bytes, sha256 })
    };
    Ok(Record {
        schema: SCHEMA,
        trust: archive.trust,
        packages: [kernel, firmware, busybox, busybox_amd64]
            .map(|package| (package.name, package.version, package.file.sha256))
            .into(),
        files: names.map(record_of).collect::<Result<_>>()?,
        modules,
    })
}

/// Extracts the modules and their dependencies from the kernel's package. Returns their names in the order
/// in which they must be loaded.
fn modules(tar: &Utf8Path, folder: &Utf8Path) -> Result<Vec<String>> {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut missing: Vec<String> = MODULES.map(str::to_owned).into();
    while !missing.is_empty() {
        ensure!(needs.len() + missing.len() <= MOST_MODULES, "Debian's kernel needs more than {MOST_MODULES} modules");
        extract(tar, &|path| {
            let name = path.rsplit('/').next()?.strip_suffix(".ko.xz")?.replace('-', "_");
            missing.contains(&name).then(|| folder.join(module_file(&name)))
        })?;
        for name in std::mem::take(&mut missing) {
            let file = folder.join(module_file(&name));
            ensure!(file.is_file(), "Debian's kernel has no module {name}");
            let output = run!("xz -d -c {file}").limit(XZ_LIMIT).output()?;
            let depends = kernel_module::depends(&output.stdout).map_err(Error::msg).context(file)?;
            needs.insert(name, depends);
        }
        let unknown: BTreeSet<&String> = needs.values().flatten().filter(|name| !needs.contains_key(*name)).collect();
        missing.extend(unknown.into_iter().cloned());
    }
    let mut order = Vec::new();
    while order.len() < needs.len() {
        let ready = |(name, needed): &(&String, &Vec<String>)| {
            !order.contains(*name) && needed.iter().all(|needed| order.contains(needed))
        };
        match needs.iter().find(ready) {
            Some((name, _)) => order.push(name.clone()),
            None => bail!("Debian's kernel modules depend on each other in a cycle"),
        }
    }
    Ok(order)
}

/// Extracts each file for which `place` returns a path. Returns how many.
fn extract(tar: &Utf8Path, place: &dyn Fn(&str) -> Option<Utf8PathBuf>) -> Result<usize> {
    let extract = || -> Result<usize> {
        let mut count = 0;
        for member in tar::Archive::new(File::open(tar)?).entries_with_seek()? {
            let mut member = member?;
            let path = String::from_utf8_lossy(&member.path_bytes()).trim_start_matches("./").to_owned();
            if let (true, Some(file)) = (member.header().entry_type().is_file(), place(&path)) {
                copy(&mut member.by_ref().take(LARGEST_FILE_BYTES), &mut File::create(&file)?)?;
                count += 1;
            }
        }
        Ok(count)
    };
    extract().with_context(|| format!("cannot read {tar}"))
}
