//! An overlay of a small dist, and what coreutils and bash make of it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::write::GzEncoder;
use packages::ebuild;
use packages::request::{Overlay, Request};
use packages::version::PackageVersion;
use tar::{Builder, EntryType, Header};

const COMMIT: &str = "991535e0973488b6a429096d21fa13f81f2d89d8";

/// A folder of one test, removed at its end.
struct Scratch(Utf8PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("is made");
        fs::write(folder.join("buildkit-v0.33.0-rc1.linux-riscv64.tar.gz"), "an archive").expect("is written");
        Self(folder)
    }

    fn write(&self, source_archive: Option<Utf8PathBuf>) -> anyhow::Result<()> {
        ebuild::write(&Request {
            version: PackageVersion::of_version("v0.33.0-rc1").expect("a version"),
            upstream_version: "v0.33.0-rc1".to_owned(),
            commit: COMMIT.to_owned(),
            repository: "someone/fork".to_owned(),
            source_date_epoch: 1_780_000_000,
            dist: self.0.clone(),
            packaging: Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../packaging"),
            out: self.0.join("overlay"),
            wanted: Overlay { source_archive },
        })
    }

    /// A source archive as `git archive` makes it: the commit first, go.mod after the directories before it.
    fn source(&self, commit: &str) -> Utf8PathBuf {
        let path = self.0.join(format!("{commit}.tar.gz"));
        let file = fs::File::create(&path).expect("is made");
        let mut archive = Builder::new(GzEncoder::new(file, Compression::fast()));
        let comment = format!("52 comment={commit}\n");
        let files = [
            (EntryType::XGlobalHeader, "pax_global_header", &*comment),
            (EntryType::Regular, "buildkit-0.33.0-rc1/api/go.mod", "go 1.1\n"),
            (EntryType::Regular, "buildkit-0.33.0-rc1/go.mod", "module github.com/moby/buildkit\n\ngo 1.26.3\n"),
        ];
        for (kind, name, content) in files {
            let mut header = Header::new_ustar();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, name, content.as_bytes()).expect("is added");
        }
        archive.into_inner().and_then(GzEncoder::finish).expect("is written");
        path
    }

    fn overlay(&self, path: &str) -> Utf8PathBuf {
        self.0.join("overlay/app-containers").join(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn both_packages_have_the_digests_that_coreutils_computes() {
    let scratch = Scratch::new("overlay");
    let source = scratch.source(COMMIT);
    scratch.write(Some(source.clone())).expect("is written");
    let of_bin = "buildkit-v0.33.0-rc1.linux-riscv64.tar.gz";
    for (package, name, file) in
        [("buildkit-bin", of_bin, scratch.0.join(of_bin)), ("buildkit", "buildkit-0.33.0_rc1.tar.gz", source)]
    {
        let [blake2, sha512] = ["b2sum", "sha512sum"].map(|program| {
            let output = Command::new(program).arg(&file).output().expect("coreutils are there");
            String::from_utf8(output.stdout).expect("UTF-8").split_whitespace().next().expect("a digest").to_owned()
        });
        let size_bytes = fs::metadata(&file).expect("is there").len();
        let manifest = fs::read_to_string(scratch.overlay(&format!("{package}/Manifest"))).expect("is there");
        assert_eq!(manifest, format!("DIST {name} {size_bytes} BLAKE2B {blake2} SHA512 {sha512}\n"));
        let ebuild = scratch.overlay(&format!("{package}/{package}-0.33.0_rc1.ebuild"));
        assert!(Command::new("bash").arg("-n").arg(&ebuild).status().expect("bash is there").success());
        assert!(scratch.overlay(&format!("{package}/files/buildkit.service")).is_file());
    }
    let ebuild = fs::read_to_string(scratch.overlay("buildkit/buildkit-0.33.0_rc1.ebuild")).expect("is there");
    assert!(ebuild.contains(">=dev-lang/go-1.26.3") && ebuild.contains(COMMIT), "{ebuild}");
    let ebuild = fs::read_to_string(scratch.overlay("buildkit-bin/buildkit-bin-0.33.0_rc1.ebuild")).expect("is there");
    assert!(ebuild.contains("https://github.com/someone/fork/releases/download/"), "{ebuild}");
}

#[test]
fn a_source_of_another_commit_is_refused_and_without_one_there_is_the_binary_package() {
    let scratch = Scratch::new("no-source");
    scratch.write(None).expect("is written");
    assert!(scratch.overlay("buildkit-bin/Manifest").is_file() && !scratch.overlay("buildkit").exists());
    let other = scratch.source(&COMMIT.replace('9', "8"));
    let message = scratch.write(Some(other)).expect_err("is refused").to_string();
    assert!(message.contains("is the source of the commit 881535e") && message.contains("v0.33.0-rc1"), "{message}");
    let none = scratch.0.join("none.tar.gz");
    fs::write(&none, "x").expect("is written");
    let message = format!("{:#}", scratch.write(Some(none)).expect_err("is refused"));
    assert!(message.contains("none.tar.gz"), "{message}");
}
