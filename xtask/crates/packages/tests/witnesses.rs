//! The indexes of a repository of our packages, and what the programs of Debian and RPM make of the same packages.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files and starts processes")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;
use support::{Scratch, has, text};

/// Two versions of our packages and their indexes, and each package at its place in the directory `out`.
fn repository(scratch: &Scratch, extension: &str) {
    let mut packages: Vec<Utf8PathBuf> = Vec::new();
    scratch.write_two_versions();
    for entry in scratch.path("out").read_dir_utf8().expect("lists") {
        let path = entry.expect("an entry").into_path();
        packages.extend((path.extension() == Some(extension)).then_some(path));
    }
    let index = packages::repository::index(&packages, &scratch.path("index")).expect("indexes");
    assert_eq!(index.packages.len(), 2);
    for package in index.packages {
        let path = scratch.path("index").join(&package.path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("is made");
        fs::copy(package.file, &path).expect("is copied");
    }
}

/// The paragraphs of a list of packages, each as its fields.
fn paragraphs(list: &str) -> Vec<BTreeMap<String, String>> {
    let fields = |paragraph: &str| {
        let mut fields = BTreeMap::new();
        let mut last = String::new();
        for line in paragraph.lines() {
            if let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with(' ')) {
                last = name.to_owned();
                fields.insert(last.clone(), value.trim().to_owned());
            } else {
                *fields.get_mut(&last).expect("a field goes on") += &format!("\n{line}");
            }
        }
        fields
    };
    let mut found: Vec<_> = list.split("\n\n").filter(|text| !text.trim().is_empty()).map(fields).collect();
    found.sort();
    found
}

#[test]
fn the_list_of_apt_is_that_of_two_programs_of_debian() {
    let name = "the_list_of_apt_is_that_of_two_programs_of_debian";
    let scratch = Scratch::new("apt-witness");
    repository(&scratch, "deb");
    let ours = scratch.path("index/apt/dists/stable/main/binary-riscv64/Packages");
    let ours = paragraphs(&fs::read_to_string(ours).expect("is there"));
    for (program, arguments) in
        [("dpkg-scanpackages", &["--multiversion", "pool"][..]), ("apt-ftparchive", &["packages", "pool"])]
    {
        if !has(name, program) {
            continue;
        }
        let output = Command::new(program).args(arguments).current_dir(scratch.path("index/apt")).output();
        let mut theirs = paragraphs(&text(&output.expect("was there")));
        for paragraph in &mut theirs {
            // A digest is enough, and SHA-256 is what apt asks for.
            paragraph.retain(|name, _| !["MD5sum", "SHA1", "SHA512"].contains(&name.as_str()));
        }
        assert_eq!(ours, theirs, "{program}");
    }
}

#[test]
fn the_digests_of_a_suite_are_those_of_apt_ftparchive() {
    let name = "the_digests_of_a_suite_are_those_of_apt_ftparchive";
    let scratch = Scratch::new("release-witness");
    repository(&scratch, "deb");
    let suite = scratch.path("index/apt/dists/stable");
    let ours = fs::read_to_string(suite.join("Release")).expect("is there");
    let digests = |release: &str| {
        let lines = release.split_once("\nSHA256:\n").expect("has digests").1.lines();
        let fields =
            lines.take_while(|line| line.starts_with(' ')).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut fields: Vec<String> = fields.map(|fields| fields.join(" ")).collect();
        fields.retain(|line| line.contains("/Packages"));
        fields.sort();
        fields
    };
    if !has(name, "apt-ftparchive") {
        return;
    }
    let output = Command::new("apt-ftparchive").args(["release", "."]).current_dir(&suite).output().expect("was there");
    assert_eq!(digests(&ours), digests(&text(&output)));
}

#[test]
fn the_indexes_of_our_rpms_are_those_of_createrepo() {
    let name = "the_indexes_of_our_rpms_are_those_of_createrepo";
    if !has(name, "createrepo_c") {
        return;
    }
    let scratch = Scratch::new("dnf-witness");
    repository(&scratch, "rpm");
    let folder = scratch.path("index/rpm/stable");
    let ours = fields(&folder);
    fs::remove_dir_all(folder.join("repodata")).expect("is removed");
    // Ours takes the time of the source for that of the file, which is the same on every machine.
    let date = ["-exec", "touch", "-d", "@1785846460", "{}", "+"];
    text(&Command::new("find").arg(&folder).args(date).output().expect("starts"));
    let create = ["--quiet", "--general-compress-type=gz", folder.as_str()];
    text(&Command::new("createrepo_c").args(create).output().expect("was there"));
    assert_eq!(ours, fields(&folder));
}

/// The three indexes of a repository of DNF, unpacked.
fn fields(folder: &Utf8Path) -> Vec<(&'static str, String)> {
    let paths: Vec<_> = folder.join("repodata").read_dir_utf8().expect("lists").flatten().collect();
    let read = |kind: &'static str| {
        let end = format!("-{kind}.xml.gz");
        let path = paths.iter().find(|entry| entry.file_name().ends_with(&end)).expect(kind).path();
        let mut text = String::new();
        GzDecoder::new(fs::File::open(path).expect("is there")).read_to_string(&mut text).expect("is gzip");
        (kind, text)
    };
    ["primary", "filelists", "other"].map(read).to_vec()
}
