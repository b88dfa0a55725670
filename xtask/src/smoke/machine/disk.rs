//! The machine's disk, a tar archive that the guest writes: the results of its builds, and nothing else, are extracted.
#![allow(clippy::disallowed_types, reason = "reads and writes files")]

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci::digest::copy;

/// The names of the builds in `init.sh`; each leaves `NAME.tar` on the disk.
const BUILDS: [&str; 2] = ["riscv64", "both"];
const LARGEST_RESULT_BYTES: u64 = 64 << 20;

/// Extracts the results from the machine's disk, a tar archive, into `folder`.
pub fn unpack(disk: &Utf8Path, folder: &Utf8Path) -> Result<()> {
    let unpack = || -> Result<()> {
        let mut left = BUILDS.map(|name| format!("{name}.tar")).to_vec();
        for member in tar::Archive::new(File::open(disk)?).entries()? {
            let member = member?;
            let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
            if let (Some(place), true) =
                (left.iter().position(|left| *left == name), member.header().entry_type().is_file())
            {
                left.remove(place);
                copy(&mut member.take(LARGEST_RESULT_BYTES), &mut File::create(folder.join(name))?)?;
            }
        }
        Ok(())
    };
    unpack().context("the machine's disk cannot be read")
}

/// The archive of one build. Fails if it is not there.
pub fn result(folder: &Utf8Path, name: &str) -> Result<Utf8PathBuf> {
    let archive = folder.join(format!("{name}.tar"));
    ensure!(
        archive.is_file(),
        "the machine reported the build as done, but was ended before it wrote the result to its disk"
    );
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::os::files::Staging;
    use crate::os::mutated_input;
    use crate::smoke::build_results;

    fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *content).expect("memory can be written to");
        }
        tar.into_inner().expect("memory can be written to")
    }

    #[test]
    fn a_mutated_disk_leaves_only_the_two_results_and_they_are_read_or_refused() {
        let temporary = Utf8PathBuf::try_from(std::env::temp_dir()).expect("UTF-8");
        let scratch = Staging::new(&temporary.join(format!("xtask-results-{}", std::process::id()))).expect("is made");
        let (disk, folder) = (scratch.path().join("disk"), scratch.path().join("results"));
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        let result = tar_of(&[("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", index)]);
        let sample = tar_of(&[("riscv64.tar", &result), ("both.tar", &result), ("daemon.log", b"x"), ("other", b"x")]);
        arbtest::arbtest(|source| {
            let bytes = mutated_input::bytes(source, &sample)?;
            fs::create_dir(&folder).expect("is made");
            fs::write(&disk, &bytes).expect("is written");
            // Damage is an error; what was extracted before it stays.
            let _ = unpack(&disk, &folder);
            let mut total_bytes = 0;
            for entry in folder.read_dir_utf8().expect("lists").flatten() {
                assert!(["riscv64.tar", "both.tar"].contains(&entry.file_name()), "{}", entry.file_name());
                total_bytes += entry.metadata().expect("is there").len();
            }
            assert!(total_bytes <= 2 * LARGEST_RESULT_BYTES);
            for name in BUILDS {
                if let Ok(built) = build_results::read(&folder.join(format!("{name}.tar"))) {
                    assert!(built.is_empty(), "the sample has no manifest: {built:?}");
                }
            }
            fs::remove_dir_all(&folder).expect("is removed");
            Ok(())
        });
    }
}
